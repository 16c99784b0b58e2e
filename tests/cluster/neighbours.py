"""Hosts planted in the cluster that must not hear anything from a notebook: they answer everybody who reaches them."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tests.cluster.house import House
from tests.support import servers

PORT = 7777
_PROGRAM = """
import socket, threading
heard = open('/tmp/heard', 'a', buffering=1)
def stream():
    door = socket.create_server(('', 7777))
    while True:
        end, who = door.accept()
        print('tcp', who[0], flush=True)
        end.close()
def datagram():
    door = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    door.bind(('', 7777))
    while True:
        _, who = door.recvfrom(512)
        print('udp', who[0], flush=True)
        door.sendto(b'here', who)
threading.Thread(target=datagram, daemon=True).start()
stream()
"""


@dataclass(frozen=True)
class Neighbour:
    """A planted host: its address, its Service's address, and what it heard."""

    house: House
    namespace: str
    address: str
    service: str

    def heard(self) -> list[str]:
        """A line for each caller: protocol and address."""
        return self.house.kubectl("-n", self.namespace, "logs", "neighbour").split("\n")[:-1]


@contextmanager
def planted(house: House) -> Iterator[Neighbour]:
    """A pod and its Service in a namespace without any policy: whoever may leave their own reaches it."""
    namespace = f"{house.name}-next-door"
    house.kubectl("create", "namespace", namespace)
    try:
        _make(house, namespace, _pod())
        _make(house, namespace, _service())
        address = _address(house, namespace)
        (service,) = json.loads(house.kubectl("-n", namespace, "get", "services", "-o", "json"))["items"]
        yield Neighbour(house, namespace, address, str(service["spec"]["clusterIP"]))
    finally:
        house.kubectl("delete", "namespace", namespace, "--wait=false")


def _address(house: House, namespace: str) -> str:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        pod = json.loads(house.kubectl("-n", namespace, "get", "pod", "neighbour", "-o", "json"))
        conditions = pod["status"].get("conditions") or []
        if any(c["type"] == "Ready" and c["status"] == "True" for c in conditions):
            return str(pod["status"]["podIP"])
        time.sleep(0.3)
    raise AssertionError("the neighbour is not ready")


def _make(house: House, namespace: str, document: dict[str, Any]) -> None:
    file = house.folder / f"{document['kind']}.json"
    file.write_text(json.dumps(document))
    house.kubectl("-n", namespace, "create", "-f", str(file))


def _pod() -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "neighbour", "labels": {"app": "neighbour"}},
        "spec": {
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 0,
            "containers": [
                {
                    "name": "neighbour",
                    "image": servers.image("gate"),
                    "imagePullPolicy": "IfNotPresent",
                    "command": ["python", "-u", "-c", _PROGRAM],
                    "readinessProbe": {"exec": {"command": ["test", "-e", "/tmp/heard"]}, "periodSeconds": 1},
                }
            ],
        },
    }


def _service() -> dict[str, Any]:
    ports = [{"name": kind.lower(), "port": PORT, "protocol": kind} for kind in ("TCP", "UDP")]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "neighbour"},
        "spec": {"selector": {"app": "neighbour"}, "ports": ports},
    }
