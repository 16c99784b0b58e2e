"""A dataset version as a volume that can only be read, and the claim by which a workspace's sessions mount it (B7).

Both name each other, so they bind at once and to nothing else. The volume keeps its bytes when it goes.
"""

import re
from collections.abc import Callable, Mapping
from posixpath import normpath
from typing import Any
from urllib.parse import urlsplit

from spe.adapters.cluster.kubernetes.kinds import Document, annotations_of
from spe.adapters.cluster.kubernetes.names import DATASET, DIGEST, MOUNT, Names, data_claim
from spe.adapters.cluster.kubernetes.objects.quota import DATA_BYTES
from spe.adapters.cluster.kubernetes.site import Site
from spe.domain.errors import Rejected
from spe.ports.cluster import Exposure

_READ_ONLY = ["ReadOnlyMany"]
_DRIVER = re.compile(r"[a-z0-9]([-a-z0-9.]{0,61}[a-z0-9])?")


def volume(site: Site, own: Names, exposure: Exposure) -> Document:
    """The volume. Raises `Rejected` for a source that no volume can be made of here."""
    claim = data_claim(exposure.key)
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": own.volume(exposure.key), **_notes(own, exposure)},
        "spec": {
            "accessModes": _READ_ONLY,
            "capacity": {"storage": str(DATA_BYTES)},
            "claimRef": {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "name": claim,
                "namespace": own.namespace,
            },
            "persistentVolumeReclaimPolicy": "Retain",
            "volumeMode": "Filesystem",
            **_place(site, exposure),
        },
    }


def claim(own: Names, exposure: Exposure) -> Document:
    """The claim that holds the volume."""
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": data_claim(exposure.key), "namespace": own.namespace, **_notes(own, exposure)},
        "spec": {
            "accessModes": _READ_ONLY,
            "resources": {"requests": {"storage": str(DATA_BYTES)}},
            "storageClassName": "",
            "volumeMode": "Filesystem",
            "volumeName": own.volume(exposure.key),
        },
    }


def exposed(document: Document) -> tuple[str, str]:
    """Which version an object says it is: key and digest."""
    notes = annotations_of(document)
    return notes.get(DATASET, document["metadata"]["name"]), notes.get(DIGEST, "")


def mount_of(document: Document) -> str:
    """Where a claim's bytes appear in a session."""
    return annotations_of(document).get(MOUNT, "")


def _notes(own: Names, exposure: Exposure) -> Document:
    notes = {DATASET: exposure.key, DIGEST: exposure.digest, MOUNT: exposure.mount}
    return {"labels": own.labels, "annotations": notes}


def place_of(site: Site, source: str) -> Document | None:
    """The part of a volume's `spec` that says where the bytes are; None for a source that may not be mounted here."""
    kind, _, rest = source.partition(":")
    make = _SOURCES.get(kind)
    made = make(site, rest) if make is not None else None
    return {"storageClassName": "", **made} if made is not None else None


def _place(site: Site, exposure: Exposure) -> Document:
    made = place_of(site, exposure.source)
    if made is None:
        raise Rejected("cluster", f"The source of {exposure.key} is not one that this cluster may mount.")
    return made


def _host(site: Site, folder: str) -> Document | None:
    # Spelled in one way only: `/.` and `//` are the whole node as well.
    if not site.storage.host_folders or not re.fullmatch(r"(/[^/]+)+", folder) or normpath(folder) != folder:
        return None
    return {"hostPath": {"path": folder, "type": "Directory"}}


def _nfs(_: Site, rest: str) -> Document | None:
    parts = urlsplit(f"nfs:{rest}")
    path = parts.path
    if not rest.startswith("//") or not parts.hostname or not path.startswith("/") or ".." in path.split("/"):
        return None
    return {
        "nfs": {"server": parts.hostname, "path": path, "readOnly": True},
        "mountOptions": ["ro", "nosuid", "nodev"],
    }


def _csi(_: Site, rest: str) -> Document | None:
    driver, _slash, handle = rest.partition("/")
    if not _DRIVER.fullmatch(driver) or not handle or not handle.isprintable():
        return None
    return {"csi": {"driver": driver, "volumeHandle": handle, "readOnly": True}}


_SOURCES: Mapping[str, Callable[[Site, str], Any]] = {"hostPath": _host, "nfs": _nfs, "csi": _csi}
