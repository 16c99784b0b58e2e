"""What the cluster's nodes can do, as they declare it; a guarantee counts only when every usable node gives it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from spe.adapters.cluster.kubernetes.api import Api
from spe.adapters.cluster.kubernetes.kinds import NODE, RUNTIME_CLASS, Document
from spe.domain.dataset import Guarantee
from spe.domain.errors import Rejected, Unavailable

FLOOR = (1, 30)
"""The oldest Kubernetes whose admission policies, and whose fields in our objects, are what we count on."""

KERNELS = frozenset({"gvisor", "kata", "kata-qemu", "kata-clh", "runsc"})
_ALWAYS = frozenset({Guarantee.NO_NETWORK, Guarantee.PRIVATE_PROCESSES, Guarantee.RESOURCE_LIMITS})


@dataclass(frozen=True, slots=True, kw_only=True)
class Features:
    """Abilities of the nodes, and the cluster's version as (major, minor)."""

    version: tuple[int, int]
    user_namespaces: bool = False
    recursive_read_only: bool = False
    apparmor: bool = False
    strict_groups: bool = False
    separate_kernel: bool = False

    @property
    def guarantees(self) -> frozenset[Guarantee]:
        """What datasets may rely on here."""
        optional = (
            (self.recursive_read_only, Guarantee.READ_ONLY_DATA),
            (self.user_namespaces, Guarantee.USER_NAMESPACE),
            (self.separate_kernel, Guarantee.SEPARATE_KERNEL),
        )
        return _ALWAYS | {guarantee for there, guarantee in optional if there}


def look(api: Api, *, runtime_class: str = "") -> Features:
    """Ask the cluster. Raises `Unavailable`, and `Rejected` when it is too old or the runtime class is not there."""
    handler = ""
    if runtime_class:
        found = api.find(RUNTIME_CLASS, runtime_class)
        if found is None:
            raise Rejected("cluster", f"the runtime class {runtime_class} is not there")
        handler = str(found["handler"])
    return features_of(api.send("GET", "/version"), api.all(NODE), handler=handler)


def features_of(version: Mapping[str, Any], nodes: Iterable[Document], *, handler: str = "") -> Features:
    """From the version document and the nodes. Nodes that take no pods do not count."""
    number = _version(version)
    if number < FLOOR:
        raise Rejected("cluster", f"Kubernetes {number[0]}.{number[1]} is too old; at least {FLOOR[0]}.{FLOOR[1]}")
    usable = [node for node in nodes if _usable(node)]
    if not usable:
        raise Unavailable("cluster", "no node takes pods")
    handlers = [_handler(node, handler) for node in usable]
    return Features(
        version=number,
        user_namespaces=all(features.get("userNamespaces") is True for features in handlers),
        recursive_read_only=all(features.get("recursiveReadOnlyMounts") is True for features in handlers),
        apparmor=all(_ready_message(node).endswith("AppArmor enabled") for node in usable),
        strict_groups=all((n["status"].get("features") or {}).get("supplementalGroupsPolicy") is True for n in usable),
        separate_kernel=handler in KERNELS,
    )


def _version(document: Mapping[str, Any]) -> tuple[int, int]:
    digits = ["".join(c for c in str(document.get(part, "")) if c.isdigit()) for part in ("major", "minor")]
    if not all(digits):
        raise Unavailable("cluster", "it does not tell its version")
    return int(digits[0]), int(digits[1])


def _usable(node: Document) -> bool:
    return not node["spec"].get("unschedulable") and _condition(node).get("status") == "True"


def _condition(node: Document) -> Mapping[str, Any]:
    conditions = node["status"].get("conditions") or []
    return next((entry for entry in conditions if entry.get("type") == "Ready"), {})


def _ready_message(node: Document) -> str:
    return str(_condition(node).get("message", ""))


def _handler(node: Document, name: str) -> Mapping[str, Any]:
    handlers = node["status"].get("runtimeHandlers") or []
    found: Mapping[str, Any] = next((entry for entry in handlers if entry.get("name", "") == name), {})
    return found.get("features") or {}
