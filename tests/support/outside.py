"""A control plane in processes of the tests, and its workspaces on the suite's cluster, with a Vault that is named.

The processes reconcile under the chart's own account, as outside of the cluster; each is told in one file where
everything is, and at which step on the world it is killed. Run as a program, this module is such a process.
"""

import http.server
import itertools
import json
import logging
import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from spe.adapters.clock import SystemClock
from spe.adapters.cluster.embedded.sources import FolderSources
from spe.adapters.cluster.kubernetes import gatecontrol
from spe.adapters.cluster.kubernetes.api import Api
from spe.adapters.cluster.kubernetes.cluster import KubernetesCluster
from spe.adapters.cluster.kubernetes.connection import connect
from spe.adapters.cluster.kubernetes.hands import Hands
from spe.adapters.cluster.kubernetes.sessions import KubernetesSandboxes
from spe.adapters.cluster.kubernetes.site import Site
from spe.adapters.hub.jupyterhub import JupyterHub
from spe.adapters.objects.local import LocalObjects
from spe.adapters.secrets.vault import VaultSecrets, VaultSettings
from spe.adapters.sql import SqlStore
from spe.domain.dataset import Manifest
from spe.domain.ids import PersonId, WorkspaceId
from spe.hub.pod import PodFacts, notebook_pod, pod_name
from spe.ports.cluster import Cluster, Step
from spe.ports.sandbox import Running, Started
from spe.reconciler import leader
from spe.reconciler.leader import Loops
from spe.services.app import App
from spe.services.context import gate_token
from tests.support import standin_portal_pod
from tests.support.ground import Ground, bare
from tests.support.podfacts import hub_variables
from tests.support.prepared import over, rebound

ROOT = Path(__file__).parents[2]
LEASE = 3.0
BEFORE, AFTER = "before", "after"


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """Where everything is. `killed`: at which step, the how manieth of its kind, and on which side of it."""

    url: str
    folder: Path
    kubeconfig: Path
    site: Site
    vault: VaultSettings
    hub: str
    killed: tuple[str, int, str] | None = None
    seconds: float = 10.0


class NodeFolders(FolderSources):
    """Folders of the node, which is the machine of the tests, read without a pod."""

    def named(self, text: str) -> str:
        return f"hostPath:{super().named(text.removeprefix('hostPath:'))}"

    def manifest(self, source: str) -> Manifest:
        return super().manifest(source.removeprefix("hostPath:"))


class Mortal:
    """A cluster whose process is killed beside one step."""

    def __init__(self, inner: Cluster, killed: tuple[str, int, str] | None) -> None:
        self._inner, self._killed = inner, killed
        self._met: dict[str, int] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def apply(self, step: Step) -> None:
        met = self._met[step.kind] = self._met.get(step.kind, 0) + 1
        self._die((step.kind, met, BEFORE))
        self._inner.apply(step)
        self._die((step.kind, met, AFTER))

    def _die(self, here: tuple[str, int, str]) -> None:
        if here == self._killed:
            os.kill(os.getpid(), signal.SIGKILL)


class Spawning:
    """Sandboxes as portal and Hub make them together: the Hub's account creates the pod that was asked for."""

    def __init__(self, inner: KubernetesSandboxes, hub: Api) -> None:
        self._inner, self._hub = inner, hub
        self._numbers = itertools.count(1)
        self.waits = True
        """Whether a session stays in its probe for a minute, or its notebook begins."""

    def start(
        self, workspace: WorkspaceId, person: PersonId, *, environment: Mapping[str, str], base_url: str
    ) -> Started:
        started = self._inner.start(workspace, person, environment=environment, base_url=base_url)
        assert started.pod is not None
        facts = dict(started.pod)
        if self.waits:
            facts["forbidden"] = [*facts["forbidden"], f"tcp:{facts['gate']}:8081"]
        name = pod_name(person, next(self._numbers))
        self._hub.create(dict(notebook_pod(PodFacts.read(facts), hub_variables(workspace, person), name)))
        return started

    def poll(self, workspace: WorkspaceId, person: PersonId) -> Running:
        return self._inner.poll(workspace, person)

    def stop(self, workspace: WorkspaceId, person: PersonId) -> None:
        self._inner.stop(workspace, person)


def hands_of(told: Told, secrets: VaultSecrets) -> Hands:
    """As bootstrap makes them. Gates know the token of the portal's stand-in; Vault is asked for it all the same."""

    def token(workspace: WorkspaceId) -> str:
        gate_token(secrets, workspace)
        return standin_portal_pod.gate_token(workspace)

    api = Api(connect(told.kubeconfig), seconds=told.seconds)
    return Hands(api=api, where=lambda: told.site, tokens=token, reach=gatecontrol.over_http())


def bound(ground: Ground, told: Told, **ports: Any) -> App:
    """The use cases over the real things; `ports` are taken instead."""
    secrets = VaultSecrets(told.vault)
    hands = hands_of(told, secrets)
    real = {
        "store": SqlStore(told.url),
        "objects": LocalObjects(told.folder / "objects"),
        "secrets": secrets,
        "cluster": Mortal(KubernetesCluster(hands), told.killed),
        "sandboxes": KubernetesSandboxes(hands),
        "sources": NodeFolders(),
        "hub": JupyterHub(hub_url=told.hub, token="t" * 64, call_seconds=5.0),
        "clock": SystemClock(),
    }
    return over(ground, **real | ports)


class Hubless:
    """Where a Hub should be: it answers that nobody is there, or, while `silent`, not at all."""

    def __init__(self) -> None:
        self.silent = threading.Event()
        self._over = threading.Event()
        hub = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if hub.silent.is_set():
                    hub._over.wait(60)
                    return
                self.send_response(200)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"[]")

            def log_message(self, *_: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """From now on nobody listens there."""
        self._over.set()
        self._server.shutdown()
        self._server.server_close()


@dataclass
class Processes:
    """The reconcilers of one test; all are gone at its end."""

    folder: Path
    running: list[subprocess.Popen[bytes]] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def start(self, told: Told) -> subprocess.Popen[bytes]:
        number = next(self._numbers)
        file = self.folder / f"told-{number}"
        file.write_bytes(pickle.dumps(told))
        with (self.folder / f"log-{number}").open("wb") as log:
            command = [sys.executable, "-m", "tests.support.outside", str(file)]
            self.running.append(subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log))
        return self.running[-1]

    def killed(self, told: Told, killed: tuple[str, int, str], *, seconds: float = 120.0) -> None:
        """Run one until it is killed where it should be."""
        child = self.start(replace(told, killed=killed))
        status = child.wait(seconds)
        assert status == -signal.SIGKILL, f"{killed}: {status}\n{self.said()}"

    def said(self) -> str:
        """The last words of the newest one."""
        return (self.folder / f"log-{len(self.running)}").read_text()[-3000:]

    def end(self) -> None:
        for child in self.running:
            child.kill()
            child.wait()


def by_way_of(address: str, file: Path) -> Path:
    """A kubeconfig that leads to another address, which needs no account."""
    entry = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "it",
        "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
        "clusters": [{"name": "it", "cluster": {"server": address}}],
        "users": [{"name": "it", "user": {}}],
    }
    file.write_text(json.dumps(entry))
    return file


def main(file: Path) -> None:
    told: Told = pickle.loads(file.read_bytes())
    leader.LEASE_SECONDS, leader.RENEW_SECONDS, leader.LOOK_SECONDS = LEASE, LEASE / 5, LEASE / 10
    app = bound(bare(told.folder, url=told.url), told)
    loops = Loops(app, rebind=rebound, holder=f"{os.getpid()}", minute=5.0)
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    loops.start()
    ended.wait()
    loops.stop()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    main(Path(sys.argv[1]))
