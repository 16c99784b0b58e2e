"""A namespace that is a workspace's to the letter, without the admission policies: pods that these refuse live here.

It is of an instance of its own that was never installed, so no policy of admission is bound to it and no reconciler
looks at it; namespace, NetworkPolicies, accounts, limits and probes are made by the functions that make a
workspace's. Where its gate would be, a door that answers and notes who came shows that what was sent was sent.
"""

import secrets
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from spe.adapters.cluster.kubernetes import discover, features
from spe.adapters.cluster.kubernetes.api import Api
from spe.adapters.cluster.kubernetes.connection import connect
from spe.adapters.cluster.kubernetes.kinds import NAMESPACE, POD, POLICY, SERVICE, Document, name_of
from spe.adapters.cluster.kubernetes.names import GATE, GATE_DOOR, GATE_SPARE, NOTEBOOK, PERMIT, Names
from spe.adapters.cluster.kubernetes.objects import accounts, claims, gate, namespace, policies, probe, quota
from spe.adapters.cluster.kubernetes.objects.containers import bounded, locked
from spe.adapters.cluster.kubernetes.objects.quota import PROBE_SHARE
from spe.adapters.cluster.kubernetes.site import GateFacts, Images, Services, Site, Storage
from spe.domain.ids import PersonId, new_permit, new_person, new_workspace
from spe.domain.permit import Limits
from spe.hub.pod import PodFacts, notebook_pod, pod_name
from tests.support import servers
from tests.support.podfacts import hub_variables

SMALL = Limits(memory_bytes=128 * 1024**2, cpu=0.2, disk_bytes=16 * 1024**2)
ENDED = ("Succeeded", "Failed")
AT_ONCE = 5
_DOOR = f"""
import http.server, sys, threading
class Door(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        sys.stdout.write(self.client_address[0] + ' ' + self.path + chr(10))  # whole, whoever else writes
        self.send_response(200)
        self.send_header('Content-Length', '2')
        self.end_headers()
        self.wfile.write(b'{{}}')
    def log_message(self, *_):
        pass
for port in ({GATE_DOOR}, {GATE_SPARE}):
    threading.Thread(target=http.server.ThreadingHTTPServer(('', port), Door).serve_forever).start()
"""


class Twin:
    """Made by the cluster's administrator; `door` is the address of the one door."""

    def __init__(self, folder: Path) -> None:
        self.name, self.folder = f"t{secrets.token_hex(4)}", folder
        self.own = Names(instance=self.name, workspace=new_workspace())
        self.permit = new_permit()
        self.api = Api(connect(Path(servers.kubernetes())))
        self.site = Site(
            instance=self.name,
            release_namespace=self.name,
            images=Images(notebook=servers.image("notebook"), gate=servers.image("gate")),
            services=Services(portal_internal="", hub=""),
            gate=GateFacts(public_origins=(), portal_url=""),
            features=features.look(self.api),
            forbidden=discover.forbidden(self.api, self.name),  # API server and name servers
            storage=Storage(shared_access="ReadWriteOnce"),
        )
        self.door = ""

    def kubectl(self, *arguments: str) -> str:
        """One call of kubectl. AssertionError with its words."""
        done = subprocess.run(["kubectl", *arguments], capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def log(self, pod: str) -> str:
        """What a pod printed."""
        return self.kubectl("-n", self.own.namespace, "logs", pod)

    def open(self) -> None:
        """The namespace and the door; its network is closed by `seal`."""
        self.api.create(namespace.namespace(self.site, self.own, permit=self.permit))
        limits = quota.limit_range(self.own, limits=SMALL)
        shared = claims.shared_claim(self.site, self.own, size=SMALL.disk_bytes)
        for made in (*accounts.accounts(self.own), limits, shared, gate.service(self.own), self._door()):
            self.api.create(made)
        address = self.api.find(SERVICE, GATE, self.own.namespace)
        assert address is not None
        self.door = str(address["spec"]["clusterIP"])
        self.pods(lambda pods: all(p["status"].get("phase") == "Running" for p in pods), seconds=60)

    def seal(self) -> None:
        """The NetworkPolicies of a workspace."""
        deny, *others = policies.policies(self.site, self.own)
        del deny["metadata"]["finalizers"]
        for policy in (deny, *others):
            self.api.create(policy)

    def unseal(self) -> None:
        """Nothing is closed."""
        for policy in self.api.all(POLICY, self.own.namespace):
            self.api.remove(policy)

    def close(self) -> None:
        """Nothing is left."""
        found = self.api.find(NAMESPACE, self.own.namespace)
        if found is not None:
            self.api.remove(found)
            self.api.gone(NAMESPACE, "", self.own.namespace, seconds=90)

    # pods

    def notebook(self, name: str, command: list[str], **labels: str) -> Document:
        """A pod in a notebook's place that runs something else; it begins at once."""
        given = {**self.own.pods(NOTEBOOK), PERMIT: self.permit, **labels}
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": self.own.namespace, "labels": given},
            "spec": self.plain(name, command),
        }

    def plain(self, name: str, command: list[str], image: str = "") -> Document:
        """The part of a pod that it shares with every pod of a workspace, and one container."""
        container = {
            "name": name,
            "image": image or self.site.images.notebook,
            "imagePullPolicy": "IfNotPresent",
            "command": command,
            "resources": {"limits": PROBE_SHARE.limits, "requests": {**PROBE_SHARE.limits, "cpu": "10m"}},
            "securityContext": locked(),
        }
        return {
            **bounded(self.site),
            "restartPolicy": "Never",
            "serviceAccountName": NOTEBOOK,
            "terminationGracePeriodSeconds": 1,
            "containers": [container],
        }

    def canonical(self, count: int, command: list[str]) -> Document:
        """The notebook pod as the Hub sends it, but for what its notebook runs."""
        person = new_person()
        pod = dict(notebook_pod(PodFacts.read(self._facts(person)), hub_variables(), pod_name(person, count)))
        pod["spec"]["containers"][0]["command"] = command
        self.api.create(claims.home(self.site, self.own, person, size=SMALL.disk_bytes))
        return pod

    def _facts(self, person: PersonId) -> Document:
        return {
            "instance": self.name,
            "workspace": self.own.workspace,
            "person": person,
            "permit": self.permit,
            "namespace": self.own.namespace,
            "image": self.site.images.notebook,
            "gate": self.door,
            "memory_bytes": SMALL.memory_bytes,
            "cpu_millis": 200,
            "scratch_bytes": SMALL.disk_bytes,
            "home_claim": f"home-{person}",
            "shared_claim": "shared",
            "data": [],
            "deadline_seconds": 600,
            "runtime_class": "",
            "user_namespaces": False,
            "apparmor": self.site.features.apparmor,
            "forbidden": probe.forbidden(self.site, self.door),
            "terminals": False,
        }

    def pods(self, holds: Callable[[list[Document]], bool], *, seconds: float) -> list[Document]:
        """The pods of the namespace, once they are as `holds` says."""
        return self.api.until(POD, self.own.namespace, holds, seconds=seconds)

    def run(self, *pods: Document, seconds: float = 90) -> list[Document]:
        """Start them, a few at a time, each until it ended by itself; as they were at their end."""
        with ThreadPoolExecutor(AT_ONCE) as hands:
            return list(hands.map(lambda pod: self._ended(pod, seconds), pods))

    def _ended(self, pod: Document, seconds: float) -> Document:
        uid = self.api.create(pod)["metadata"]["uid"]

        def mine(pods: list[Document]) -> list[Document]:
            return [p for p in pods if p["metadata"]["uid"] == uid and p["status"].get("phase") in ENDED]

        (ended,) = mine(self.pods(lambda pods: bool(mine(pods)), seconds=seconds))
        assert ended["status"]["phase"] == "Succeeded", f"{name_of(ended)}: {self.log(name_of(ended))}"
        self.api.remove(ended)
        return ended

    def callers(self) -> list[tuple[str, str]]:
        """Who came to the door: address and what was asked for."""
        lines = (line.split() for line in self.log("door").splitlines())
        return [(line[0], line[1]) for line in lines]

    def _door(self) -> Document:
        made = self.notebook("door", [])
        made["metadata"]["labels"] = {**self.own.pods(GATE), PERMIT: self.permit}
        made["spec"] = self.plain("door", ["python", "-u", "-c", _DOOR], self.site.images.gate)
        return made


@contextmanager
def twin(folder: Path) -> Iterator[Twin]:
    """A twin until the end of the block."""
    made = Twin(folder)
    try:
        made.open()
        yield made
    finally:
        made.close()
