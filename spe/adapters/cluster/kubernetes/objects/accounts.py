"""The accounts of a workspace's pods, which may do nothing, and the Hub's right to make pods there (B1.9, B1.10)."""

from spe.adapters.cluster.kubernetes.kinds import Document
from spe.adapters.cluster.kubernetes.names import GATE, NOTEBOOK, Names
from spe.adapters.cluster.kubernetes.site import Site

HUB = "hub"


def accounts(own: Names) -> tuple[Document, ...]:
    """The accounts; no pod gets a token unless it asks for one by name, as only the gate does."""
    return tuple(_account(own, name) for name in (NOTEBOOK, GATE))


def default_account(own: Names) -> Document:
    """The account that the cluster makes in every namespace; no pod of ours uses it."""
    return _account(own, "default")


def _account(own: Names, name: str) -> Document:
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": name, "namespace": own.namespace, "labels": own.labels},
        "automountServiceAccountToken": False,
    }


def hub_binding(site: Site, own: Names) -> Document:
    """Lets the Hub make, see and delete pods in this namespace, and nothing else."""
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": HUB, "namespace": own.namespace, "labels": own.labels},
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "ClusterRole",
            "name": f"{site.instance}-hub-sessions",
        },
        "subjects": [{"kind": "ServiceAccount", "name": HUB, "namespace": site.release_namespace}],
    }


def hub_user(site: Site) -> str:
    """The Hub as the API server names it."""
    return f"system:serviceaccount:{site.release_namespace}:{HUB}"
