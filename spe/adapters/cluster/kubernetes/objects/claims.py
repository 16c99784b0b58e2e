"""Claims of what a workspace keeps: the shared folder, each person's home, the gate's counters."""

from spe.adapters.cluster.kubernetes.kinds import Document
from spe.adapters.cluster.kubernetes.names import GATE, PERSON, SHARED, Names, home_claim
from spe.adapters.cluster.kubernetes.objects.quota import GATE_CLAIM_BYTES
from spe.adapters.cluster.kubernetes.site import Site
from spe.domain.ids import PersonId


def shared_claim(site: Site, own: Names, *, size: int) -> Document:
    """The folder that all people of the workspace share; `size` in bytes."""
    return _claim(site, own, SHARED, size, access=site.storage.shared_access)


def home(site: Site, own: Names, person: PersonId, *, size: int) -> Document:
    """A person's home and outputs; `size` in bytes."""
    document = _claim(site, own, home_claim(person), size)
    document["metadata"]["labels"] = {**own.labels, PERSON: person}
    return document


def gate_claim(site: Site, own: Names) -> Document:
    """The gate's counters."""
    return _claim(site, own, GATE, GATE_CLAIM_BYTES)


def _claim(site: Site, own: Names, name: str, size: int, *, access: str = "ReadWriteOnce") -> Document:
    chosen = site.storage.class_name
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "namespace": own.namespace, "labels": own.labels},
        "spec": {
            "accessModes": [access],
            "resources": {"requests": {"storage": str(size)}},
            **({"storageClassName": chosen} if chosen is not None else {}),
        },
    }
