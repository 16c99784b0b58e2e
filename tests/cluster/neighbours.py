"""Hosts planted in the cluster that must not hear anything from a notebook: they answer everybody who reaches them.

One is a pod that hears every packet that arrives, also the first of a connection that comes to nothing. One is the
node at the address at which clouds tell machines their secrets: the kernel takes in there what comes from outside
of the node, so that not even a packet that nothing stops leaves the machine. No interface gets the address, and
what the node itself sends to it goes where it went. A pod beside them, which no policy holds, shows that they hear.
"""

import inspect
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from tests.cluster import at_metadata, probe_from_pod
from tests.support import servers

PORT = 7777
METADATA, METADATA_PORTS = at_metadata.ADDRESS, at_metadata.PORTS
_PROGRAM = """
import socket, struct, threading
own = socket.gethostbyname(socket.gethostname())
ear = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0800))
def packets():
    while True:
        packet, _ = ear.recvfrom(128)
        if socket.inet_ntoa(packet[16:20]) == own:
            kind = {1: 'icmp', 6: 'tcp', 17: 'udp'}.get(packet[9], packet[9])
            print(f'{kind} {socket.inet_ntoa(packet[12:16])}', flush=True)
def datagrams():
    door = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    door.bind(('', 7777))
    while True:
        _, who = door.recvfrom(512)
        door.sendto(b'here', who)
threading.Thread(target=packets, daemon=True).start()
threading.Thread(target=datagrams, daemon=True).start()
door = socket.create_server(('', 7777))
open('/tmp/hears', 'w').close()
while True:
    end, _ = door.accept()
    end.close()
"""


class Site(Protocol):
    """Where they are planted: an administrator of a cluster, a name that nobody else has, a folder for files."""

    name: str
    folder: Path

    def kubectl(self, *arguments: str) -> str:
        """One call of kubectl. AssertionError with its words."""


@dataclass(frozen=True)
class Neighbour:
    """The planted hosts: addresses of the pod and of its Service, and what was heard."""

    site: Site
    namespace: str
    address: str
    service: str

    @property
    def doors(self) -> dict[str, tuple[str, int]]:
        """Where they listen, by name; TCP and UDP."""
        return {
            "neighbour": (self.address, PORT),
            "neighbour's Service": (self.service, PORT),
            **{f"metadata address {port}": (METADATA, port) for port in METADATA_PORTS},
        }

    def heard(self) -> list[str]:
        """A line for each packet that came, or each caller at the metadata address: who heard, protocol, from where."""
        logs = {name: self.site.kubectl("-n", self.namespace, "logs", name) for name in ("neighbour", "metadata")}
        return [f"{name} {line}" for name, log in logs.items() for line in log.split("\n")[:-1]]

    def ask(self, plan: dict[str, Any]) -> dict[str, list[str]]:
        """What a pod that no policy holds meets: the same program as in a notebook."""
        program = f"{inspect.getsource(probe_from_pod)}\nimport json\nprint(json.dumps(reach({plan!r})))"
        made = _pod("control", ["python", "-I", "-c", program], image="notebook")
        made["spec"]["restartPolicy"] = "Never"
        _make(self.site, self.namespace, made)
        _until(self.site, self.namespace, "control", lambda pod: pod["status"].get("phase") in ("Succeeded", "Failed"))
        said = self.site.kubectl("-n", self.namespace, "logs", "control")
        self.site.kubectl("-n", self.namespace, "delete", "pod", "control")
        return dict(json.loads(said))


@contextmanager
def planted(site: Site) -> Iterator[Neighbour]:
    """The hosts in a namespace without any policy: whoever may leave their own reaches them."""
    namespace = f"{site.name}-next-door"
    site.kubectl("create", "namespace", namespace)
    try:
        _make(site, namespace, _neighbour())
        _make(site, namespace, _service())
        _make(site, namespace, _metadata())
        address = _until(site, namespace, "neighbour", _is_ready)["status"]["podIP"]
        _until(site, namespace, "metadata", _is_ready)
        (service,) = json.loads(site.kubectl("-n", namespace, "get", "services", "-o", "json"))["items"]
        yield Neighbour(site, namespace, str(address), str(service["spec"]["clusterIP"]))
    finally:
        site.kubectl("-n", namespace, "delete", "pods", "--all", "--wait")  # the node is as it was when they are gone
        site.kubectl("delete", "namespace", namespace, "--wait=false")


def _is_ready(pod: dict[str, Any]) -> bool:
    conditions = pod["status"].get("conditions") or []
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def _until(site: Site, namespace: str, name: str, holds: Any) -> dict[str, Any]:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        pod: dict[str, Any] = json.loads(site.kubectl("-n", namespace, "get", "pod", name, "-o", "json"))
        if holds(pod):
            return pod
        time.sleep(0.3)
    raise AssertionError(f"the planted pod {name} is not as it should be: {pod['status']}")


def _make(site: Site, namespace: str, document: dict[str, Any]) -> None:
    file = site.folder / f"{document['metadata']['name']}-{document['kind']}.json"
    file.write_text(json.dumps(document))
    site.kubectl("-n", namespace, "create", "-f", str(file))


def _pod(name: str, command: list[str], *, image: str = "gate", **container: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 5,
            "containers": [
                {
                    "name": name,
                    "image": servers.image(image),
                    "imagePullPolicy": "IfNotPresent",
                    "command": command,
                    **container,
                }
            ],
        },
    }


def _hears(*rights: str) -> dict[str, Any]:
    """Root with these rights, and ready when it says so."""
    given = {"drop": ["ALL"], "add": [*rights]}
    return {
        "securityContext": {"runAsUser": 0, "runAsNonRoot": False, "capabilities": given},
        "readinessProbe": {"exec": {"command": ["test", "-e", "/tmp/hears"]}, "periodSeconds": 1},
    }


def _neighbour() -> dict[str, Any]:
    made = _pod("neighbour", ["python", "-u", "-c", _PROGRAM], **_hears("NET_RAW"))
    made["spec"]["terminationGracePeriodSeconds"] = 0
    return made


def _metadata() -> dict[str, Any]:
    program = inspect.getsource(at_metadata)
    made = _pod("metadata", ["python", "-u", "-c", program], **_hears("NET_ADMIN", "NET_BIND_SERVICE"))
    made["spec"]["hostNetwork"] = True
    return made


def _service() -> dict[str, Any]:
    ports = [{"name": kind.lower(), "port": PORT, "protocol": kind} for kind in ("TCP", "UDP")]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "neighbour"},
        "spec": {"selector": {"app": "neighbour"}, "ports": ports},
    }
