"""The network of a workspace: nothing, then exactly the pairs that must speak to each other (B4).

Peers are pods, always namespace and pod together in one item, never addresses: two items would mean "or".
"""

from typing import Any

from spe.adapters.cluster.kubernetes.kinds import Document
from spe.adapters.cluster.kubernetes.names import (
    COMPONENT,
    GATE,
    GATE_CONTROL,
    GATE_DOOR,
    GATE_IN,
    NOTEBOOK,
    NOTEBOOK_PORT,
    SEAL_FINALIZER,
    Names,
)
from spe.adapters.cluster.kubernetes.site import Site

DENY_ALL = "deny-all"
PORTAL_PORT, HUB_PORT, MIRROR_PORT = 9001, 8081, 8080


def policies(site: Site, own: Names) -> tuple[Document, ...]:
    """All policies of a workspace; the one that denies everything comes first."""
    return deny_all(own), notebook(own), gate(site, own)


def deny_all(own: Names, *, held: bool = True) -> Document:
    """No traffic for any pod. While `held` the object cannot go, not even with its namespace."""
    document = _policy(own, DENY_ALL, {}, ingress=None, egress=None)
    if held:
        document["metadata"]["finalizers"] = [SEAL_FINALIZER]
    return document


def notebook(own: Names) -> Document:
    """A notebook is reached by the gate, and reaches the gate."""
    gates = _here(own, GATE)
    return _policy(
        own, NOTEBOOK, own.pods(NOTEBOOK), ingress=[_from([gates], NOTEBOOK_PORT)], egress=[_to([gates], GATE_DOOR)]
    )


def gate(site: Site, own: Names) -> Document:
    """The gate is reached by the Hub's proxy, the portal and its notebooks, and reaches what it asks for them."""
    notebooks = _here(own, NOTEBOOK)
    ingress = [
        _from([_there(site, "hub"), _there(site, "proxy")], GATE_IN),
        _from([_there(site, "portal"), _there(site, "reconciler")], GATE_CONTROL),
        _from([notebooks], GATE_DOOR),
    ]
    egress = [
        _to([_there(site, "portal")], PORTAL_PORT),
        _to([_there(site, "hub")], HUB_PORT),
        _to([notebooks], NOTEBOOK_PORT),
        *([_to([_there(site, "mirror")], MIRROR_PORT)] if site.services.mirror else []),
    ]
    return _policy(own, GATE, own.pods(GATE), ingress=ingress, egress=egress)


def opens(policy: Document) -> bool:
    """Whether a policy lets anything through; policies add up, so one of somebody else's is a hole."""
    return bool(policy["spec"].get("ingress") or policy["spec"].get("egress"))


def _policy(own: Names, name: str, pods: dict[str, str], *, ingress: Any, egress: Any) -> Document:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": own.namespace, "labels": own.labels},
        "spec": {
            "podSelector": {"matchLabels": pods} if pods else {},
            "policyTypes": ["Ingress", "Egress"],
            **({"ingress": ingress} if ingress else {}),
            **({"egress": egress} if egress else {}),
        },
    }


def _here(own: Names, role: str) -> Document:
    return {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": own.namespace}},
        "podSelector": {"matchLabels": own.pods(role)},
    }


def _there(site: Site, component: str) -> Document:
    return {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": site.release_namespace}},
        "podSelector": {"matchLabels": {COMPONENT: component}},
    }


def _from(peers: list[Document], port: int) -> Document:
    return {"from": peers, "ports": [{"port": port, "protocol": "TCP"}]}


def _to(peers: list[Document], port: int) -> Document:
    return {"to": peers, "ports": [{"port": port, "protocol": "TCP"}]}
