"""The rights that our own accounts have: what the chart gives, as a table; a test holds both together. Pure."""

from collections.abc import Mapping

from spe.adapters.cluster.kubernetes.verify.rights import Rules, rule

_CHANGE = ("create", "get", "list", "watch", "patch", "delete")
_LOOK = ("get", "list")
LOOKERS = ("portal", "reconciler")
"""Who looks at datasets: when one is registered, and once more before it is exposed."""


def _looking_around() -> Rules:
    return [
        rule("", ["nodes"], _LOOK),
        rule("node.k8s.io", ["runtimeclasses"], ["get"]),
        rule("discovery.k8s.io", ["endpointslices"], _LOOK),
    ]


def _reconciler(instance: str) -> Rules:
    everything = [
        "namespaces",
        "resourcequotas",
        "limitranges",
        "serviceaccounts",
        "services",
        "persistentvolumeclaims",
        "persistentvolumes",
    ]
    return [
        rule("", everything, _CHANGE),
        rule("networking.k8s.io", ["networkpolicies"], _CHANGE),
        rule("rbac.authorization.k8s.io", ["rolebindings"], _CHANGE),
        rule("rbac.authorization.k8s.io", ["clusterroles"], ["bind"], names=[f"{instance}-hub-sessions"]),
        rule("apps", ["deployments"], _CHANGE),
        rule("apps", ["deployments/scale"], ["get", "patch"]),
        rule("", ["pods"], ["create", "get", "list", "watch", "delete"]),
        rule("authorization.k8s.io", ["subjectaccessreviews"], ["create"]),
        *_looking_around(),
    ]


def _portal() -> Rules:
    seen = ["namespaces", "services", "resourcequotas", "limitranges", "serviceaccounts", "persistentvolumes"]
    return [
        rule("", ["pods"], ["get", "list", "watch", "delete"]),
        rule("", seen, _LOOK),
        rule("networking.k8s.io", ["networkpolicies"], _LOOK),
        rule("rbac.authorization.k8s.io", ["rolebindings"], _LOOK),
        rule("", ["persistentvolumeclaims"], ["create", "get", "list", "patch"]),
        rule("apps", ["deployments"], _LOOK),
        rule("authentication.k8s.io", ["tokenreviews"], ["create"]),
        rule("authorization.k8s.io", ["subjectaccessreviews"], ["create"]),
        *_looking_around(),
    ]


def roles(instance: str, *, intake: bool = True) -> Mapping[str, Rules]:
    """Cluster roles of an instance, by name, with or without what the intake of datasets needs.

    The set-up's is not among them: it goes with the set-up.
    """
    looks = [rule("", ["persistentvolumes"], ["create", "delete"])] if intake else []
    return {
        f"{instance}-hub-sessions": [rule("", ["pods"], ["create", "get", "list", "watch", "delete"])],
        f"{instance}-canary": [rule("", ["pods"], ["create"])],
        f"{instance}-reconciler": _reconciler(instance),
        f"{instance}-portal": [*_portal(), *looks],
    }


def in_the_intake() -> Rules:
    """What `LOOKERS` may do where datasets are looked at."""
    return [
        rule("", ["pods", "persistentvolumeclaims"], ["create", "get", "list", "watch", "delete"]),
        rule("", ["pods/log"], ["get"]),
        rule("", ["events"], ["list"]),
    ]


def everywhere(instance: str) -> Mapping[str, str]:
    """Which account has which role in the whole cluster; the Hub has none, only bindings in live workspaces."""
    return {"portal": f"{instance}-portal", "reconciler": f"{instance}-reconciler"}
