"""The steps that take a workspace apart, backwards: the door, the sessions, the data, the gate, the claims, the seal.

Nothing here believes an answer: a step is over when the API server's own list says so.
"""

import time
from collections.abc import Mapping
from datetime import datetime

from spe.adapters.cluster.kubernetes import gatewords, record, view
from spe.adapters.cluster.kubernetes.hands import END_SECONDS, Hands, all_of
from spe.adapters.cluster.kubernetes.kinds import (
    CLAIM,
    DEPLOYMENT,
    NAMESPACE,
    POD,
    POLICY,
    ROLE_BINDING,
    SERVICE,
    Document,
    is_leaving,
    labels_of,
    name_of,
)
from spe.adapters.cluster.kubernetes.names import DATA_PREFIX, GATE, PERSON, SEAL_FINALIZER
from spe.adapters.cluster.kubernetes.objects import accounts
from spe.adapters.cluster.kubernetes.snapshot import Snapshot
from spe.domain.errors import Rejected, Unavailable
from spe.domain.permit import Limits
from spe.ports.cluster import Step

GONE_SECONDS = 20.0


def cut(hands: Hands, step: Step) -> None:
    """Close the door, for one person or for all. A gate that does not answer is ended, which closes it as well.

    The door comes before what is asked of the API server: a server that is slow or refuses does not keep it open.
    """
    seen = hands.look(step.workspace)
    if seen.namespace is None:
        return
    told = _closed(hands, seen, step)
    if told is None:
        _end_gate(hands, seen)
    binding = seen.one(ROLE_BINDING, accounts.HUB) if step.person is None else None
    if binding is not None:
        hands.api.remove(binding)
    if told:
        hands.note(seen.namespace, record.notes({record.CONFIGURED: told, record.EXPIRES: None}))


def _closed(hands: Hands, seen: Snapshot, step: Step) -> Mapping[str, str] | None:
    """Have the gate cut and, for all, keep nobody's place; what it was told.

    None when no gate answers, or when nobody can speak to it because its token cannot be made.
    """
    try:
        gate = hands.gate(seen)
        if gate is None:
            return None
        gate.cut(step.person, step.reason)
        if step.person is not None or not seen.permit or seen.leaving:
            return {}
        document = gatewords.everything(hands.site, seen.own, permit=seen.permit, limits=Limits(), places=())
        return {"whole": gate.configure(document), "gate": gatewords.digest(document["gate"])}
    except (Unavailable, Rejected):
        return None


def _end_gate(hands: Hands, seen: Snapshot) -> None:
    """The pod that comes after it knows nobody."""
    gone = {pod["metadata"]["uid"] for pod in seen.gate_pods}
    if not gone:
        return
    for pod in seen.gate_pods:
        hands.api.remove(pod)
    hands.api.until(
        POD,
        seen.own.namespace,
        lambda pods: not gone & {pod["metadata"]["uid"] for pod in pods},
        labels=seen.own.pods(GATE),
        seconds=END_SECONDS,
    )


def stop_sessions(hands: Hands, step: Step) -> None:
    """End the sessions of one person or of all, and see that they are gone."""
    seen = hands.look(step.workspace)
    if step.person is None:
        hands.end(seen, all_of, step.reason)
    else:
        hands.end(seen, lambda pod: labels_of(pod)[PERSON] == step.person, step.reason)


def remove_gate(hands: Hands, step: Step) -> None:
    """The gate and what it counted."""
    seen = hands.look(step.workspace)
    for kind in (ROLE_BINDING, DEPLOYMENT, SERVICE, CLAIM):
        found = seen.one(kind, accounts.HUB if kind is ROLE_BINDING else GATE)
        if found is not None:
            hands.api.remove(found)
    for pod in seen.gate_pods:
        hands.api.remove(pod)
    if seen.namespace is not None:
        hands.api.until(
            POD, seen.own.namespace, lambda pods: not pods, labels=seen.own.pods(GATE), seconds=GONE_SECONDS
        )


def remove_folders(hands: Hands, step: Step) -> None:
    """The claims of people and the shared one; refused while a session could still write there."""
    seen = hands.look(step.workspace)
    _refuse_while_running(seen)
    claims = [
        claim
        for claim in seen.inside.get(CLAIM, ())
        if seen.own.owns(claim) and not name_of(claim).startswith(DATA_PREFIX)
    ]
    for claim in claims:
        hands.api.remove(claim)
    going = {name_of(claim) for claim in claims} - {GATE}
    if going:
        hands.api.until(
            CLAIM, seen.own.namespace, lambda items: not going & {name_of(c) for c in items}, seconds=GONE_SECONDS
        )


def unseal(hands: Hands, step: Step) -> None:
    """Last. The namespace is asked to go first, so that no pod can come any more; then the seal is let go.

    Raises `Rejected` while sessions or data are there, `Unavailable` until the namespace is gone.
    """
    seen = hands.look(step.workspace)
    if seen.namespace is None:
        return
    _refuse_while_running(seen)
    if view.exposures(seen):
        raise Rejected("cluster", "The data is still exposed; it is withdrawn before the seal goes.")
    if not seen.leaving:
        hands.api.remove(seen.namespace)
    seen = hands.look(step.workspace)
    let_go(hands, seen)
    hands.api.gone(NAMESPACE, "", seen.own.namespace, seconds=GONE_SECONDS)


def let_go(hands: Hands, seen: Snapshot, *, only_leaving: bool = False) -> None:
    """Take our finalizer off the policies, once no pod is listed and none that was can linger.

    With `only_leaving` only off those that were asked to go, in a namespace that stays.
    """
    if seen.namespace is None:
        return
    policies = [p for p in seen.inside.get(POLICY, ()) if SEAL_FINALIZER in (p["metadata"].get("finalizers") or [])]
    if only_leaving:
        policies = [policy for policy in policies if is_leaving(policy)]
    if not policies:
        return
    if not only_leaving:
        hands.api.until(POD, seen.own.namespace, lambda pods: not pods, seconds=GONE_SECONDS)
        _linger(hands, seen.namespace)
    for policy in policies:
        left = [finalizer for finalizer in policy["metadata"]["finalizers"] if finalizer != SEAL_FINALIZER]
        hands.api.patch(policy, {"metadata": {"finalizers": left or None}})
        if only_leaving:
            hands.api.gone(POLICY, seen.own.namespace, name_of(policy))


def _linger(hands: Hands, namespace: Document) -> None:
    asked = datetime.fromisoformat(str(namespace["metadata"]["deletionTimestamp"]))
    passed = max(0.0, (hands.now() - asked).total_seconds())
    time.sleep(max(0.0, hands.site.linger_seconds - passed))


def _refuse_while_running(seen: Snapshot) -> None:
    if seen.sessions:
        raise Rejected("cluster", "Sessions still run; they are stopped before anything else is removed.")
