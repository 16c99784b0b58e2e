"""The namespace of a workspace: whose it is, and the level of Pod Security that no pod in it may fall below (B1)."""

from spe.adapters.cluster.kubernetes.kinds import Document
from spe.adapters.cluster.kubernetes.names import PERMIT, Names
from spe.adapters.cluster.kubernetes.site import Site

LEVEL = "restricted"
SECURITY = "pod-security.kubernetes.io/"


def namespace(site: Site, own: Names, *, permit: str) -> Document:
    """The namespace; what is noted on it as annotations is not part of this."""
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": own.namespace, "labels": {**own.labels, PERMIT: permit, **levels(site.features.version)}},
    }


def levels(version: tuple[int, int]) -> dict[str, str]:
    """Pod Security as labels, at the rules of one version of Kubernetes."""
    return {
        f"{SECURITY}{mode}{suffix}": value
        for mode in ("enforce", "audit", "warn")
        for suffix, value in (("", LEVEL), ("-version", f"v{version[0]}.{version[1]}"))
    }
