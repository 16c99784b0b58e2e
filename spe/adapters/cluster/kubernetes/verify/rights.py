"""What rules of RBAC allow, atom by atom, and which of it reaches into workspaces. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from typing import Any, TypeAlias

Rules: TypeAlias = list[dict[str, Any]]
Atom: TypeAlias = tuple[str, str, str, str]
"""Group, resource, name, verb; `*` stands for all."""

_CHANGES = frozenset({"create", "update", "patch", "delete", "deletecollection", "bind", "escalate", "approve", "sign"})
_ANY = frozenset({"*"})

# What is dangerous in a workspace or above it: verbs that matter, by group and resource. A pod's object holds the
# token of its session, so to read it is much.
WATCHED: Mapping[str, Mapping[frozenset[str], frozenset[str]]] = {
    "": {
        frozenset({"pods", "pods/exec", "pods/attach", "pods/portforward", "pods/proxy", "pods/log", "secrets"}): _ANY,
        frozenset({"pods/ephemeralcontainers", "serviceaccounts/token", "services/proxy", "nodes/proxy"}): _ANY,
        frozenset({"namespaces", "serviceaccounts", "services", "endpoints", "persistentvolumes"}): _CHANGES,
        frozenset({"persistentvolumeclaims", "resourcequotas", "limitranges", "replicationcontrollers"}): _CHANGES,
        frozenset({"bindings", "pods/binding", "podtemplates"}): _CHANGES,
        frozenset({"users", "groups", "serviceaccounts"}): frozenset({"impersonate"}),
    },
    "apps": {frozenset({"deployments", "replicasets", "statefulsets", "daemonsets", "deployments/scale"}): _CHANGES},
    "batch": {frozenset({"jobs", "cronjobs"}): _CHANGES},
    "networking.k8s.io": {frozenset({"networkpolicies", "ingresses"}): _CHANGES},
    "discovery.k8s.io": {frozenset({"endpointslices"}): _CHANGES},
    "rbac.authorization.k8s.io": {
        frozenset({"roles", "rolebindings", "clusterroles", "clusterrolebindings"}): _CHANGES,
    },
    "admissionregistration.k8s.io": {
        frozenset({"validatingadmissionpolicies", "validatingadmissionpolicybindings"}): _CHANGES,
        frozenset({"mutatingadmissionpolicies", "mutatingadmissionpolicybindings"}): _CHANGES,
        frozenset({"mutatingwebhookconfigurations", "validatingwebhookconfigurations"}): _CHANGES,
    },
}


def rule(group: str, resources: Sequence[str], verbs: Sequence[str], *, names: Sequence[str] = ()) -> dict[str, Any]:
    """One rule as RBAC writes it."""
    made: dict[str, Any] = {"apiGroups": [group], "resources": list(resources), "verbs": list(verbs)}
    return {**made, "resourceNames": list(names)} if names else made


def atoms(rules: Iterable[Mapping[str, Any]]) -> frozenset[Atom]:
    """Everything that the rules allow."""
    found: set[Atom] = set()
    for one in rules:
        verbs = one.get("verbs") or []
        names = one.get("resourceNames") or ["*"]
        found |= set(product(one.get("apiGroups") or [], one.get("resources") or [], names, verbs))
        found |= {("nonResourceURLs", url, "*", verb) for url, verb in product(one.get("nonResourceURLs") or [], verbs)}
    return frozenset(found)


def covered(atom: Atom, by: Iterable[Atom]) -> bool:
    """Whether one of these allows at least as much."""
    return any(all(more in ("*", less) for more, less in zip(other, atom, strict=True)) for other in by)


def beyond(rules: Iterable[Mapping[str, Any]], granted: Iterable[Mapping[str, Any]]) -> list[str]:
    """What the rules allow and the others do not, in words."""
    allowed = atoms(granted)
    return sorted(spelled(atom) for atom in atoms(rules) if not covered(atom, allowed))


def spelled(atom: Atom) -> str:
    """As `kubectl auth can-i` takes it."""
    group, resource, name, verb = atom
    what = f"{resource}.{group}" if group else resource
    return f"{verb} {what}" + (f"/{name}" if name != "*" else "")


def reaching(rules: Iterable[Mapping[str, Any]]) -> list[str]:
    """What of it reaches into workspaces, or to what guards them."""
    return sorted(spelled(atom) for atom in atoms(rules) if _watched(atom))


def _watched(atom: Atom) -> bool:
    group, resource, _, verb = atom
    groups = WATCHED if group == "*" else {group: WATCHED.get(group, {})}
    return any(
        (resource == "*" or resource in resources or _part_of(resource, resources))
        and (verb == "*" or verbs is _ANY or verb in verbs)
        for table in groups.values()
        for resources, verbs in table.items()
    )


def _part_of(resource: str, resources: frozenset[str]) -> bool:
    """`*/scale` names a part of every resource, `pods/*` every part of one."""
    name, _, part = resource.partition("/")
    if name == "*":
        return any(one.endswith(f"/{part}") for one in resources)
    return part == "*" and any(one.startswith(f"{name}/") for one in resources)
