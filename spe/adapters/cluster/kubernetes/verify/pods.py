"""Where the pods of a workspace differ from those that are meant: notebook, gate and probe, and nothing besides. Pure.

A notebook's pod is built again from what the workspace is now and from what only its start knew, such as its name,
and compared field by field; what only its start knew is judged by itself.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from spe.adapters.cluster.kubernetes import compare, record, view
from spe.adapters.cluster.kubernetes.kinds import POD, Document, labels_of, name_of
from spe.adapters.cluster.kubernetes.names import GATE, PART, PERMIT, PERSON, PROBE, ROLE, SHARED
from spe.adapters.cluster.kubernetes.objects import data, probe, quota
from spe.adapters.cluster.kubernetes.objects import gate as gates
from spe.adapters.cluster.kubernetes.site import Site
from spe.adapters.cluster.kubernetes.snapshot import Snapshot, data_of, is_alive, is_session
from spe.adapters.cluster.kubernetes.verify.strict import Defaults, differences

Canonical: TypeAlias = Callable[[Mapping[str, Any], Mapping[str, str], str], Document]
"""From facts, the Hub's variables and a name to the canonical pod; ValueError for facts that cannot be meant."""

NOT_OURS = "spec"
"""The path of a pod that is none of ours: it is wrong in every way."""

_TOLERATIONS = [
    {"key": f"node.kubernetes.io/{what}", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}
    for what in ("not-ready", "unreachable")
]
# What the API server and its plug-ins fill in.
_DEFAULTS: Defaults = {
    "schedulerName": ("default-scheduler",),
    "priority": (0,),
    "preemptionPolicy": ("PreemptLowerPriority",),
    "serviceAccount": ("notebook", GATE),
    "tolerations": (_TOLERATIONS, [*reversed(_TOLERATIONS)]),
    "terminationMessagePath": ("/dev/termination-log",),
    "terminationMessagePolicy": ("File",),
    "defaultMode": (420,),
    "scheme": ("HTTP",),
    "failureThreshold": (3,),
    "successThreshold": (1,),
    "procMount": ("Default",),
}
_OF_DEPLOYMENTS = {"restartPolicy": "Always"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One place at which a live pod is not as it should be; `path` begins with `metadata` or `spec`."""

    pod: str
    path: str
    said: str = ""

    def __str__(self) -> str:
        return f"pod {self.pod}: {self.said or 'differs at ' + self.path}"


def found(site: Site, seen: Snapshot, canonical: Canonical) -> tuple[Difference, ...]:
    """Every difference of every pod that runs, will run, or is being ended."""
    alive = [pod for pod in seen.inside.get(POD, ()) if is_alive(pod)]
    return tuple(difference for pod in alive for difference in _of(site, seen, pod, canonical))


def _of(site: Site, seen: Snapshot, pod: Document, canonical: Canonical) -> Iterator[Difference]:
    labels = labels_of(pod)
    if is_session(seen.own, pod):
        yield from _notebook(site, seen, pod, canonical)
    elif seen.own.owns(pod) and labels.get(ROLE) == GATE:
        template = gates.deployment(site, seen.own, permit=seen.permit, awake=True)["spec"]["template"]
        hashed = {"pod-template-hash": labels.get("pod-template-hash", "")}
        labels = {**template["metadata"]["labels"], **hashed}
        yield from _compared({"metadata": {"labels": labels}, "spec": {**template["spec"], **_OF_DEPLOYMENTS}}, pod)
        yield from _held(pod, owner="ReplicaSet")
    elif seen.own.owns(pod) and labels.get(PART) == PROBE and name_of(pod) == probe.NAME:
        yield from _compared(probe.probe(site, seen.own, permit=seen.permit, gate=view.gate_address(seen)), pod)
        yield from _held(pod)
    else:
        yield Difference(pod=name_of(pod), path=NOT_OURS, said="it is neither notebook nor gate nor probe")


def _compared(wanted: Document, pod: Document) -> Iterator[Difference]:
    live_spec = {name: value for name, value in pod["spec"].items() if name != "nodeName"}
    if live_spec.get("runtimeClassName"):
        # A runtime class adds its own place and its own share.
        live_spec = {n: v for n, v in live_spec.items() if n not in {"overhead", "nodeSelector", "tolerations"}}
    for path in differences(_plain(wanted["spec"]), _plain(live_spec), _DEFAULTS, "spec"):
        yield Difference(pod=name_of(pod), path=path)
    for path in differences(wanted["metadata"]["labels"], dict(labels_of(pod)), {}, "metadata.labels"):
        yield Difference(pod=name_of(pod), path=path)


def _held(pod: Document, owner: str = "") -> Iterator[Difference]:
    """Who could keep a pod, or take it for theirs. Annotations are let be: network plug-ins write some."""
    metadata = pod["metadata"]
    owners = [str(reference["kind"]) for reference in metadata.get("ownerReferences") or []]
    if owners != ([owner] if owner else []):
        yield Difference(pod=name_of(pod), path="metadata.ownerReferences")
    if metadata.get("finalizers"):
        yield Difference(pod=name_of(pod), path="metadata.finalizers")


def _plain(spec: Document) -> Document:
    """Variables by name, so that a difference is told by the variable; an empty value and none are the same."""
    return {**spec, "containers": [{**c, "env": _named(c.get("env") or [])} for c in spec.get("containers") or []]}


def _named(env: list[Document]) -> Document:
    named: Document = {entry["name"]: {**entry, "value": entry.get("value", "")} for entry in env}
    return named if len(named) == len(env) else {**named, "a variable twice": True}


def _notebook(site: Site, seen: Snapshot, pod: Document, canonical: Canonical) -> Iterator[Difference]:
    facts = _facts(site, seen, pod)
    name = name_of(pod)
    env = {e["name"]: str(e.get("value", "")) for e in _container(pod).get("env") or []}
    try:
        wanted = canonical(facts, env, name)
    except ValueError as error:
        yield Difference(pod=name, path=NOT_OURS, said=f"it cannot be one that was meant: {error}")
        return
    yield from _compared(wanted, pod)
    yield from _held(pod)
    yield from _of_its_start(site, seen, pod, facts)
    if not re.fullmatch(rf"nb-{re.escape(labels_of(pod)[PERSON])}-[0-9]{{1,12}}", name):
        yield Difference(pod=name, path="metadata.name", said="it is not named after its person")


def _container(pod: Document) -> Document:
    containers = pod["spec"].get("containers") or [{}]
    return dict(containers[0])


def _facts(site: Site, seen: Snapshot, pod: Document) -> dict[str, Any]:
    """What the pod must have been made from; amounts, deadline and places tried are taken from it and judged apart."""
    person = labels_of(pod)[PERSON]
    limits = (_container(pod).get("resources") or {}).get("limits") or {}
    shown = data_of(pod)
    claims = [claim for claim in seen.data_claims if name_of(claim) in shown]
    mounts = sorted(({"claim": name_of(c), "mount": data.mount_of(c)} for c in claims), key=lambda e: e["mount"])
    return {
        "instance": seen.own.instance,
        "workspace": seen.own.workspace,
        "person": person,
        "permit": seen.permit,
        "namespace": seen.own.namespace,
        "image": site.images.notebook,
        "gate": view.gate_address(seen),
        "memory_bytes": _amount(limits.get("memory")),
        "cpu_millis": _amount(limits.get("cpu"), per=1000),
        "scratch_bytes": _amount(limits.get("ephemeral-storage")),
        "home_claim": f"home-{person}",
        "shared_claim": SHARED,
        "data": mounts,
        "deadline_seconds": pod["spec"].get("activeDeadlineSeconds") or 0,
        "runtime_class": site.runtime_class,
        "user_namespaces": site.features.user_namespaces,
        "apparmor": site.features.apparmor,
        "forbidden": _tried(pod),
        "terminals": site.gate.terminals,
    }


def _amount(value: Any, *, per: int = 1) -> int:
    return int((compare.number_of(value) or 0) * per)


def _tried(pod: Document) -> list[str]:
    first = (pod["spec"].get("initContainers") or [{}])[0]
    return [str(part) for part in (first.get("command") or [])[len(probe.PROGRAM) + 1 :]]


def _of_its_start(site: Site, seen: Snapshot, pod: Document, facts: Mapping[str, Any]) -> Iterator[Difference]:
    name = name_of(pod)
    assert seen.namespace is not None
    limits = record.limits_of(seen.namespace)
    most = quota.session_share(limits) if limits is not None else None
    for path, has, may in (
        ("memory", facts["memory_bytes"], most.memory_bytes if most else 0),
        ("cpu", facts["cpu_millis"], most.cpu_millis if most else 0),
        ("ephemeral-storage", facts["scratch_bytes"], most.disk_bytes if most else 0),
    ):
        if has > may:
            said = f"it has more {path} than the permit allows"
            yield Difference(pod=name, path=f"spec.containers[0].resources.limits.{path}", said=said)
    if facts["deadline_seconds"] > site.session_seconds:
        yield Difference(pod=name, path="spec.activeDeadlineSeconds", said="it may run longer than a session may last")
    missing = [place for place in probe.forbidden(site, str(facts["gate"])) if place not in facts["forbidden"]]
    if missing:
        said = f"its probe did not try {', '.join(missing)}"
        yield Difference(pod=name, path="spec.initContainers[0].command", said=said)
    gone = data_of(pod) - {name_of(claim) for claim in seen.data_claims}
    if gone:
        yield Difference(pod=name, path="spec.volumes", said=f"it shows data that was withdrawn ({', '.join(gone)})")
    if labels_of(pod).get(PERMIT) != seen.permit:
        yield Difference(pod=name, path="metadata.labels", said="it carries another permit than its workspace")
