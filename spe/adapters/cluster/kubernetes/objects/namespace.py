"""The namespace of a workspace: whose it is, and the level of Pod Security that no pod in it may fall below (B1)."""

from spe.adapters.cluster.kubernetes.kinds import Document
from spe.adapters.cluster.kubernetes.names import PERMIT, Names
from spe.adapters.cluster.kubernetes.site import Site

LEVEL = "restricted"
SECURITY = "pod-security.kubernetes.io/"


def namespace(site: Site, own: Names, *, permit: str) -> Document:
    """The namespace; what is noted on it as annotations is not part of this."""
    version = f"v{site.features.version[0]}.{site.features.version[1]}"
    levels = {
        f"{SECURITY}{mode}{suffix}": value
        for mode in ("enforce", "audit", "warn")
        for suffix, value in (("", LEVEL), ("-version", version))
    }
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": own.namespace, "labels": {**own.labels, PERMIT: permit, **levels}},
    }
