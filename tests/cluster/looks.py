"""Where a value could come to lie in a cluster, and a look at each place: which values are found where.

A look gives how much it read and what it found, (place, value's name). Values go to the node on standard input and
no look says one.
"""

import base64
import gzip
import inspect
import json
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import psycopg

from tests.cluster import on_node
from tests.cluster.house import House
from tests.support import servers

IMAGES = ("control", "hub", "gate", "notebook", "checker", "proxy")
SHORTEST = 12


@dataclass(frozen=True)
class Look:
    """What was read (a number of things) and what was found."""

    count: int
    found: frozenset[tuple[str, str]]


class Values:
    """Values by name, each in every form in which it might be written."""

    def __init__(self, values: Mapping[str, str]) -> None:
        short = [name for name, value in values.items() if len(value) < SHORTEST]
        assert not short, f"too short to be looked for: {short}"
        self.forms = {name: forms(value.encode()) for name, value in values.items()}

    def within(self, text: str | bytes) -> set[str]:
        """The names of those that are in a text."""
        data = text if isinstance(text, bytes) else text.encode(errors="surrogateescape")
        return {name for name, known in self.forms.items() if any(form in data for form in known)}

    def look(self, texts: Iterator[tuple[str, str | bytes]]) -> Look:
        """Every text, by its place."""
        count, found = 0, set()
        for place, text in texts:
            count += 1
            found |= {(place, name) for name in self.within(text)}
        return Look(count, frozenset(found))


def forms(value: bytes) -> list[bytes]:
    """As it is, in an address, in hexadecimal digits, and in base 64 wherever in a longer text it begins."""
    within = (base64.b64encode(bytes(before) + value)[(0, 2, 3)[before] :] for before in range(3))
    whole = [form.rstrip(b"=")[:-1] for form in within]
    return list(dict.fromkeys([value, quote(value, safe="").encode(), value.hex().encode(), *whole]))


# the API server


def namespaces(house: House) -> list[str]:
    """Every namespace of the environment."""
    found = house.kubectl("get", "namespaces", "-o", "name").split()
    return [name for name in (line.partition("/")[2] for line in found) if name.startswith(house.name)]


def objects(house: House) -> Iterator[tuple[str, str | bytes]]:
    """Every object of every kind in the environment's namespaces, and all that have none; what is packed, unpacked."""
    for namespaced in (True, False):
        kinds = house.kubectl("api-resources", "--verbs=list", f"--namespaced={str(namespaced).lower()}", "-o", "name")
        for space in namespaces(house) if namespaced else [""]:
            where = ("-n", space) if space else ()
            said = house.kubectl(*where, "get", ",".join(kinds.split()), "-o", "json", "--show-managed-fields")
            for item in json.loads(said)["items"]:
                place = f"{item['kind']}/{item['metadata']['name']}"
                yield place, json.dumps(item)
                yield from ((place, text) for text in _unpacked(item))


def _unpacked(item: dict[str, Any]) -> Iterator[bytes]:
    for value in (item.get("data") or {}).values() if item["kind"] == "Secret" else ():
        data = base64.b64decode(value)
        yield data
        if item["type"] == "helm.sh/release.v1":
            record = gzip.decompress(base64.b64decode(data))
            yield record
            yield from _manifests(json.loads(record))


def _manifests(record: dict[str, Any]) -> Iterator[bytes]:
    """What Helm rendered, Secrets in it opened."""
    for word in str(record["manifest"]).split():
        try:
            yield base64.b64decode(word, validate=True)
        except ValueError:
            continue


def logs(house: House) -> Iterator[tuple[str, str | bytes]]:
    """What every container of every pod prints and printed before it was started again."""
    for space in namespaces(house):
        for pod in json.loads(house.kubectl("-n", space, "get", "pods", "-o", "json"))["items"]:
            statuses = ("initContainerStatuses", "containerStatuses")
            for state in (state for kind in statuses for state in pod["status"].get(kind) or []):
                for options in ((), ("--previous",)) if state["restartCount"] else ((),):
                    words = ("-n", space, "logs", pod["metadata"]["name"], "-c", state["name"], *options)
                    yield f"log of {pod['metadata']['name']}/{state['name']}", house.kubectl(*words)


# the record


def record(house: House) -> Iterator[tuple[str, str | bytes]]:
    """Every row of every table, the log's too; bytes in hexadecimal digits."""
    url = f"{servers.postgres().rpartition('/')[0]}/spe_{house.name}"
    with psycopg.connect(url) as connection:
        tables = connection.execute(
            "SELECT table_schema, table_name FROM information_schema.tables"
            " WHERE table_schema NOT IN ('pg_catalog', 'information_schema') AND table_type = 'BASE TABLE'"
        ).fetchall()
        for schema, table in tables:
            for (row,) in connection.execute(f'SELECT t::text FROM "{schema}"."{table}" t'):  # type: ignore[call-overload]
                yield f"table {table}", row


def stored(house: House) -> Iterator[tuple[str, str | bytes]]:
    """Every version of every object in the buckets."""
    for zone, bucket in house.s3.settings.buckets.items():
        for row in house.s3.versions(zone):
            if "Size" in row:
                body = house.s3.raw.get_object(Bucket=bucket, Key=row["Key"], VersionId=row["VersionId"])["Body"]
                yield f"bucket {zone}/{row['Key']}", body.read()


# the node


@dataclass(frozen=True)
class Reader:
    """A pod that sees its node's processes and files."""

    house: House
    namespace: str

    def processes(self, values: Values) -> Look:
        """Arguments and environments of the environment's processes, in every pod."""
        return self._look("processes", self._pods(), values)

    def files(self, values: Values) -> Look:
        """Files that pods of the environment wrote to a disk."""
        return self._look("files", self._pods(), values)

    def images(self, values: Values) -> Look:
        """Layers and configurations of the product's images."""
        return self._look("images", {name: servers.image(name).partition("@")[2] for name in IMAGES}, values)

    def _pods(self) -> dict[str, str]:
        spaces = [space for space in namespaces(self.house) if space != self.namespace]
        found = [
            p for s in spaces for p in json.loads(self.house.kubectl("-n", s, "get", "pods", "-o", "json"))["items"]
        ]
        return {pod["metadata"]["uid"]: pod["metadata"]["name"] for pod in found}

    def _look(self, what: str, at: dict[str, str], values: Values) -> Look:
        patterns = {name: [base64.b64encode(f).decode() for f in known] for name, known in values.forms.items()}
        program = ("python", "-I", "-c", inspect.getsource(on_node), what)
        done = subprocess.run(
            ["kubectl", "-n", self.namespace, "exec", "-i", "reader", "--", *program],
            input=json.dumps({"patterns": patterns, "at": at}),
            capture_output=True,
            text=True,
            timeout=550,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        said = json.loads(done.stdout)
        return Look(said["count"], frozenset((where, name) for where, name in said["found"]))


@contextmanager
def reader(house: House) -> Iterator[Reader]:
    """The pod, made by the cluster's administrator, outside of everything that is looked at."""
    namespace = f"{house.name}-reader"
    document = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "reader"},
        "spec": {
            "hostPID": True,
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 0,
            "containers": [
                {
                    "name": "reader",
                    "image": servers.image("gate"),
                    "imagePullPolicy": "IfNotPresent",
                    "command": ["sleep", "3600"],
                    "securityContext": {"privileged": True, "runAsUser": 0, "runAsNonRoot": False},
                }
            ],
        },
    }
    file = house.folder / "reader.json"
    file.write_text(json.dumps(document))
    house.kubectl("create", "namespace", namespace)
    try:
        house.kubectl("-n", namespace, "create", "-f", str(file))
        house.kubectl("-n", namespace, "wait", "--for=condition=Ready", "pod/reader", "--timeout=60s")
        yield Reader(house, namespace)
    finally:
        house.kubectl("delete", "namespace", namespace, "--wait=false")
