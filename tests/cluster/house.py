"""The whole environment in a cluster, as an operator sets it up: chart, PostgreSQL, Vault, S3; nothing of it is left.

Everything is reached as people reach it: portal and notebooks through forwarded ports, set-up by the commands
that README names.
"""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

from spe.adapters.cluster.kubernetes import admission
from spe.adapters.cluster.kubernetes.api import Api
from spe.adapters.cluster.kubernetes.connection import connect
from spe.adapters.cluster.kubernetes.kinds import NAMESPACE, POD, POLICY, VOLUME, name_of
from spe.adapters.cluster.kubernetes.names import installation
from tests.charts.release import Release
from tests.charts.understood import understood
from tests.support import buckets, servers, vault
from tests.support.instance import free_ports

TRUST = "/etc/spe/trust/ca.crt"


class House(Release):
    """A release with every production adapter chosen."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.portal_port, self.hub_port = free_ports(2)
        self.portal, self.hub = f"http://127.0.0.1:{self.portal_port}", f"http://localhost:{self.hub_port}"
        self.data = Path(tempfile.mkdtemp(prefix="spe-data-", dir="/var/tmp"))
        self.data.chmod(0o755)
        address, ca, token = servers.vault()
        self.ca = Path(shutil.copy(ca, folder / "ca.pem"))
        self.vault = vault.Environment(vault.Place(address=address, ca=self.ca, token=token), folder)
        self.mount = f"{self.vault.instance}-kubernetes"
        self.s3 = buckets.Buckets(buckets.settings(retention=buckets.GOVERNED))
        self._forwards = ExitStack()
        self._choose()

    def _choose(self) -> None:
        self.urls = {part: f"{url}?sslmode=verify-full" for part, url in self.urls.items()}
        place, ports = servers.in_pods(self.vault.place.address), self.values["networkPolicy"]["egress"]
        ports["vault"] = {"ports": [int(place.rpartition(":")[2])]}
        endpoint = servers.in_pods(self.s3.settings.endpoint)
        ports["objects"] = {"ports": [int(endpoint.rpartition(":")[2])]}
        self.values["persistence"] = {"enabled": False}
        self.values["trust"] = {"existingConfigMap": "trust"}
        self.values["credentials"] = [{"setting": "s3__secret_key", "secretName": "objects", "key": "secret"}]
        self.values["config"] = {
            "portal_origin": self.portal,
            "views_origin": f"http://localhost:{self.portal_port}",
            "hub_origin": self.hub,
            "secrets": "vault",
            "vault": {
                "address": place,
                "ca_file": TRUST,
                "token_file": "/var/run/secrets/vault/token",
                "role": self.vault.instance,
                "mount": self.mount,
                "instance": self.vault.instance,
            },
            "objects": "s3",
            "s3": {
                "endpoint": endpoint,
                "region": self.s3.settings.region,
                "ca_file": TRUST,
                "access_key": self.s3.settings.access_key,
                "buckets": {zone.value: bucket for zone, bucket in self.s3.settings.buckets.items()},
                "retention": {zone: {"days": 1, "mode": "GOVERNANCE"} for zone in ("release", "evidence")},
            },
            "kubernetes": {"host_folders": True, "shared_access": "ReadWriteOnce"},
        }

    def begin(self) -> None:
        """What an administrator makes before the chart: database, Vault, buckets, the authority that is trusted."""
        super().begin()
        self.kubectl("-n", self.name, "create", "configmap", "trust", f"--from-file=ca.crt={self.ca}")
        secret = f"--from-literal=secret={self.s3.settings.secret_key}"
        self.kubectl("-n", self.name, "create", "secret", "generic", "objects", secret)
        self._prepare_objects()
        self._prepare_vault()

    def _prepare_objects(self) -> None:
        config = {
            "objects": "s3",
            "s3": {
                **self.values["config"]["s3"],
                "endpoint": self.s3.settings.endpoint,
                "ca_file": str(self.ca),
            },
        }
        file = self.folder / "objects.json"
        file.write_text(json.dumps(config))
        secret = self.s3.settings.secret_key
        # Whoever removes the buckets afterwards may lift their retention; the command says that this is not firm.
        self.command("objects", "setup", statuses=(0, 6), SPE_CONFIG=str(file), SPE_S3__SECRET_KEY=secret)

    def _prepare_vault(self) -> None:
        """The reviewer is the account with which Vault asks the cluster whose a token is; it is Vault's, not ours."""
        place = f"{self.name}-vault"
        self.kubectl("create", "namespace", place)
        self.kubectl("-n", place, "create", "serviceaccount", "reviewer")
        binding = ("create", "clusterrolebinding", f"{self.name}-reviewer", "--clusterrole=system:auth-delegator")
        self.kubectl(*binding, f"--serviceaccount={place}:reviewer")
        reviewer = self.folder / "reviewer"
        reviewer.write_text(self.kubectl("-n", place, "create", "token", "reviewer", "--duration", "2h"))
        seen = json.loads(self.kubectl("config", "view", "--raw", "--minify", "-o", "json"))
        host_ca = self.folder / "cluster.pem"
        jsonpath = r"jsonpath={.data.ca\.crt}"
        host_ca.write_text(self.kubectl("get", "configmap", "kube-root-ca.crt", "-n", self.name, "-o", jsonpath))
        self.command(
            *("vault", "setup", "--apply", "--instance", self.vault.instance, "--kubernetes-namespace", self.name),
            *("--mount", self.mount, "--kubernetes-host", seen["clusters"][0]["cluster"]["server"]),
            *("--kubernetes-ca-file", str(host_ca), "--kubernetes-reviewer-file", str(reviewer)),
            VAULT_ADDR=self.vault.place.address,
            VAULT_CACERT=str(self.ca),
            VAULT_TOKEN=self.vault.place.token,
        )

    def command(self, *words: str, statuses: tuple[int, ...] = (0,), **variables: str) -> str:
        """One call of `spe` on the machine of the tests. AssertionError with its words."""
        kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH", "HOME") if name in os.environ}
        done = subprocess.run(
            [sys.executable, "-m", "spe.cli.main", *words],
            capture_output=True,
            text=True,
            timeout=120,
            env={**kept, **variables},
        )
        assert done.returncode in statuses, f"spe {' '.join(words)}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout

    @contextmanager
    def aged(self, chart: Path, values: Path) -> Iterator[None]:
        """For a block a release of an older chart, with the images that a file of values names."""
        present = self.chart, self.values
        schema = json.loads((chart / "values.schema.json").read_text(encoding="utf-8"))
        self.chart = chart
        self.values = understood(self.values | json.loads(values.read_text(encoding="utf-8")), schema)
        try:
            yield
        finally:
            self.chart, self.values = present

    def open(self) -> None:
        """Install, and forward the two ports that people use."""
        self.apply("install")
        self.forward()

    def forward(self) -> None:
        """Lead the two ports to pods that run now: a forwarded port ends with its pod."""
        self._forwards.close()
        self._forwards.enter_context(forwarded(self.name, "portal", self.portal_port, 9000))
        self._forwards.enter_context(forwarded(self.name, "proxy", self.hub_port, 8000))

    def end(self) -> None:
        """Remove everything: workspaces by the managers' account, because nobody else may."""
        self._forwards.close()
        with contextlib.suppress(Exception):
            clear_workspaces(self.name)
        super().end()
        for words in (
            ("clusterrolebinding", f"{self.name}-reviewer"),
            ("namespace", f"{self.name}-vault", "--wait=false"),
        ):
            subprocess.run(["kubectl", "delete", *words], capture_output=True, check=False)
        with contextlib.suppress(Exception):
            self.vault.drop_login(self.mount)
        self.vault.clear()
        self.s3.clear()
        shutil.rmtree(self.data, ignore_errors=True)


def clear_workspaces(instance: str) -> None:
    """Take the policies away, then whatever a failed test left."""
    kinds = "validatingadmissionpolicybinding,validatingadmissionpolicy"
    subprocess.run(["kubectl", "delete", kinds, "-l", f"{admission.INSTANCE}={instance}"], capture_output=True)
    time.sleep(2)
    api = Api(connect(Path(servers.kubernetes())))
    for namespace in api.all(NAMESPACE, labels=installation(instance)):
        for pod in api.all(POD, name_of(namespace)):
            api.remove(pod)
        api.remove(namespace)
        for policy in api.all(POLICY, name_of(namespace)):
            if policy["metadata"].get("finalizers"):
                api.patch(policy, {"metadata": {"finalizers": None}})
    for volume in api.all(VOLUME, labels=installation(instance)):
        api.remove(volume)


@contextmanager
def forwarded(namespace: str, service: str, port: int, target: int) -> Iterator[None]:
    """A port of the loopback that leads to a Service."""
    words = ["kubectl", "-n", namespace, "port-forward", "--address", "127.0.0.1", f"service/{service}"]
    process = subprocess.Popen(
        [*words, f"{port}:{target}"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert process.stdout is not None
    try:
        said = process.stdout.readline()  # its first line, or the error before it ends
        assert "Forwarding from" in said, said
        reading = Thread(target=process.stdout.read)  # a full pipe would stop it
        reading.start()
        yield
        process.terminate()
        reading.join(timeout=10)
    finally:
        process.kill()
        process.wait(timeout=10)
        process.stdout.close()


@contextmanager
def house(folder: Path, **changes: Any) -> Iterator[House]:
    """An environment that is open for work."""
    made = House(folder)
    made.values.update(changes)
    try:
        made.begin()
        made.open()
        yield made
    finally:
        if not os.environ.get("SPE_KEEP_HOUSE"):
            made.end()
