"""Looking at the seal from inside: a pod in a notebook's place tries everything, and its last words are the report."""

import json
from collections.abc import Mapping
from typing import Any

from spe.adapters.cluster.kubernetes import record, view
from spe.adapters.cluster.kubernetes.hands import Hands, all_of
from spe.adapters.cluster.kubernetes.kinds import NAMESPACE, POD, Document, name_of
from spe.adapters.cluster.kubernetes.making import rest, wake
from spe.adapters.cluster.kubernetes.names import Names
from spe.adapters.cluster.kubernetes.objects import probe as probes
from spe.domain.errors import Rejected, Unavailable
from spe.ports.cluster import SealReport, Step

_SLACK_SECONDS = 60.0
_ENDED = frozenset({"Succeeded", "Failed"})
ANSWERED, STOPPED = "answered", "stopped"
BROKEN = "The workspace's network was found open; nobody can work there until it is closed again."


def look_inside(hands: Hands, step: Step) -> None:
    """One probe, its report kept. Raises `Rejected` when the seal does not hold; then every session has ended."""
    seen = hands.look(step.workspace)
    if seen.namespace is None or seen.leaving:
        raise Unavailable("cluster", f"namespace {seen.own.namespace} is not there")
    permit = seen.permit or step.permit
    address = wake(hands, seen.own, permit=permit)
    report = _probe(hands, seen.own, permit=permit, gate=address)
    if not report.holds:
        hands.end(hands.look(step.workspace), all_of, BROKEN)
    _keep(hands, seen.own, report)
    if not report.holds:
        raise Rejected("cluster", "The network seal does not hold: " + failures(report))
    if not step.places:
        rest(hands, hands.look(step.workspace))


def _keep(hands: Hands, own: Names, report: SealReport) -> None:
    namespace = hands.api.find(NAMESPACE, own.namespace)
    if namespace is None:
        raise Unavailable("cluster", f"namespace {own.namespace} is not there any more")
    note = record.seal_note(report, shape=view.seal_shape(hands.site, own), now=hands.now())
    hands.note(namespace, record.notes({record.SEAL: note}))


def _probe(hands: Hands, own: Names, *, permit: str, gate: str) -> SealReport:
    _clear(hands, own)
    manifest = probes.probe(hands.site, own, permit=permit, gate=gate)
    made = hands.api.create(manifest)
    try:
        pods = hands.api.until(
            POD,
            own.namespace,
            lambda pods: any(_is(made, pod) and _phase(pod) in _ENDED for pod in pods) or not _there(made, pods),
            labels=own.labels,
            seconds=hands.site.probe_seconds + _SLACK_SECONDS,
        )
        ended = next((pod for pod in pods if _is(made, pod)), None)
        if ended is None:
            raise Unavailable("cluster", "the seal probe's pod was removed by somebody else")
        return judge(last_words(ended), probes.forbidden(hands.site, gate))
    finally:
        hands.api.remove(made)


def _clear(hands: Hands, own: Names) -> None:
    """A probe that an earlier run left is no witness."""
    left = hands.api.find(POD, probes.NAME, own.namespace)
    if left is not None:
        if not own.owns(left):
            raise Rejected("cluster", f"pod {probes.NAME} is there and is not ours; whoever made it has to remove it.")
        hands.api.remove(left)
        hands.api.gone(POD, own.namespace, name_of(left))


def _is(made: Document, pod: Document) -> bool:
    return bool(pod["metadata"]["uid"] == made["metadata"]["uid"])


def _there(made: Document, pods: list[Document]) -> bool:
    return any(_is(made, pod) for pod in pods)


def _phase(pod: Document) -> str:
    return str((pod.get("status") or {}).get("phase", ""))


def last_words(pod: Document) -> Mapping[str, Any]:
    """The report a probe left. Raises `Unavailable` when it left none, which says nothing about the seal."""
    states = (pod.get("status") or {}).get("containerStatuses") or []
    message = next((s["state"]["terminated"].get("message", "") for s in states if "terminated" in s["state"]), "")
    try:
        found = json.loads(message)
    except ValueError:
        found = None
    if not isinstance(found, dict) or not isinstance(found.get("attempts"), dict):
        why = (pod.get("status") or {}).get("message") or (pod.get("status") or {}).get("reason") or message
        raise Unavailable("cluster", f"the seal probe gave no result: {' '.join(str(why).split())[:300]}")
    return found


def judge(found: Mapping[str, Any], forbidden: list[str]) -> SealReport:
    """The seal holds when the door answered and every place that had to be tried was tried and closed."""
    attempts = {str(name): str(said) for name, said in found["attempts"].items()}
    expected = {name: attempts.get(name, attempts.get("others", "not tried")) for name in forbidden}
    door = attempts.get("door", "not tried")
    holds = found.get("sealed") is True and door == ANSWERED and all(s.startswith(STOPPED) for s in expected.values())
    return SealReport(holds=holds, attempts={"door": door, **dict(sorted(expected.items()))})


def failures(report: SealReport) -> str:
    """What was not as it should be."""
    wrong = [
        f"{name} ({said})"
        for name, said in report.attempts.items()
        if not said.startswith(STOPPED) and (name, said) != ("door", ANSWERED)
    ]
    return ", ".join(wrong)[:600]
