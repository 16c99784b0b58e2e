"""Versions and nodes (B2.2, B2.9, B2.18, B2.19): what the operators of the cluster set, not we. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any

from spe.adapters.cluster.kubernetes.features import FLOOR
from spe.adapters.cluster.kubernetes.kinds import NODE, name_of
from spe.adapters.cluster.kubernetes.verify import versions
from spe.adapters.cluster.kubernetes.verify.finding import CouldNotLook, Verdict, judged, outside, well
from spe.adapters.cluster.kubernetes.verify.whole import Whole


def kubernetes(whole: Whole) -> Verdict:
    """API server and kubelets are at or above the floor."""
    wrong = [f"the API server is {versions.dotted(whole.version)}"] if whole.version < FLOOR else []
    for node in whole.all(NODE):
        said = str(node["status"]["nodeInfo"]["kubeletVersion"])
        if versions.parsed(said)[:2] < FLOOR:
            wrong.append(f"node {name_of(node)} is {said}")
    return judged(wrong, f"Kubernetes {versions.dotted(whole.version)} on {len(whole.all(NODE))} nodes")


def runtimes(whole: Whole) -> Verdict:
    """Every node's runtime is at or above its floor."""
    said = {name_of(n): str(n["status"]["nodeInfo"]["containerRuntimeVersion"]) for n in whole.all(NODE)}
    wrong = [f"node {name}: {runtime}" for name, runtime in said.items() if not versions.runtime_is_recent(runtime)]
    return judged(wrong, ", ".join(sorted(set(said.values()))))


def kubelets(whole: Whole) -> Verdict:
    """Kubelets answer only whom the API server allows."""
    if not whole.kubelets:
        raise CouldNotLook("no node tells its settings")
    unread = [f"{name}: {settings}" for name, settings in whole.kubelets.items() if isinstance(settings, str)]
    if unread:
        raise CouldNotLook("; ".join(unread))
    wrong = [
        f"node {name}: {said}"
        for name, settings in whole.kubelets.items()
        if isinstance(settings, Mapping)
        for said in _kubelet(settings)
    ]
    return judged(wrong, f"{len(whole.kubelets)} nodes: nobody unknown asks them, the API server decides")


def _kubelet(settings: Mapping[str, Any]) -> Iterator[str]:
    anonymous = (settings.get("authentication") or {}).get("anonymous") or {}
    if anonymous.get("enabled") is not False:
        yield "its kubelet answers anybody (authentication.anonymous)"
    if (settings.get("authorization") or {}).get("mode") != "Webhook":
        yield "its kubelet lets everybody do everything (authorization.mode)"
    if settings.get("readOnlyPort"):
        yield "its kubelet has a port without a lock (readOnlyPort)"


def processes(whole: Whole) -> Verdict:
    """Every node bounds how many processes a pod may have."""
    unread = [f"{name}: {settings}" for name, settings in whole.kubelets.items() if isinstance(settings, str)]
    if unread or not whole.kubelets:
        raise CouldNotLook("; ".join(unread) or "no node tells its settings")
    wrong = [
        f"node {name}: one pod may start as many processes as it likes (podPidsLimit)"
        for name, settings in whole.kubelets.items()
        if isinstance(settings, Mapping) and int(settings.get("podPidsLimit") or -1) <= 0
    ]
    return judged(wrong, f"{len(whole.kubelets)} nodes bound the processes of a pod")


def read_only(whole: Whole) -> Verdict:
    """Every node can mount read-only all the way down."""
    wrong = [
        f"node {name_of(node)} cannot mount read-only through and through"
        for node in whole.all(NODE)
        if not any(
            (handler.get("features") or {}).get("recursiveReadOnlyMounts") is True
            for handler in node["status"].get("runtimeHandlers") or []
        )
    ]
    return judged(wrong, f"{len(whole.all(NODE))} nodes can")


def user_namespaces(whole: Whole) -> Verdict:
    """Where nodes give pods users of their own, pods must take them."""
    if not whole.places.user_namespaces:
        return outside("not every node gives pods users of their own; no dataset that needs it is taken")
    return well("every node gives pods users of their own, and no pod gets in without")
