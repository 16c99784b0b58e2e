"""The steps that build a workspace: foundations, gate, data. Each may be repeated, and writes only what differs."""

import time
from collections.abc import Iterable

from spe.adapters.cluster.kubernetes import compare, gatewords, record, view
from spe.adapters.cluster.kubernetes.ending import let_go
from spe.adapters.cluster.kubernetes.hands import Hands, all_of
from spe.adapters.cluster.kubernetes.kinds import (
    CLAIM,
    DEPLOYMENT,
    NAMESPACE,
    ROLE_BINDING,
    SERVICE,
    VOLUME,
    Document,
    labels_of,
    name_of,
)
from spe.adapters.cluster.kubernetes.names import GATE, PERSON, Names, data_claim
from spe.adapters.cluster.kubernetes.objects import accounts, claims, data, quota
from spe.adapters.cluster.kubernetes.objects import gate as gates
from spe.adapters.cluster.kubernetes.snapshot import Snapshot, data_of
from spe.domain.errors import Rejected, Unavailable
from spe.domain.ids import WorkspaceId
from spe.domain.permit import Limits
from spe.ports.cluster import Exposure, SessionPlace, Step

GATE_SECONDS = 60.0
BIND_SECONDS = 20.0
_PAUSE = 0.2
LOOSENED = "The workspace's network was changed by somebody else; it is put right, then start again."


def folders(hands: Hands, step: Step) -> None:
    """The foundations, the network closed first. Whoever is inside while it was loosened is put out before."""
    seen = hands.look(step.workspace)
    if seen.leaving:
        let_go(hands, seen)
        raise Unavailable("cluster", f"namespace {seen.own.namespace} is still being removed")
    loose = view.loosened(hands.site, seen)
    if loose:
        hands.ask(seen, all_of)  # closed at once, and waited for afterwards
        _put_right(hands, seen)
    room = _room(seen, step.limits, step.places)
    for manifest in view.foundations(hands.site, seen.own, permit=step.permit, room=room):
        hands.api.apply(manifest)
    if loose:
        hands.end(seen, all_of, LOOSENED)
    hands.api.apply(accounts.default_account(seen.own), adopt=True)
    hands.api.ensure(claims.shared_claim(hands.site, seen.own, size=step.limits.disk_bytes))
    _keep_room(hands, seen.own, room)
    left = view.holes(hands.site, seen)
    if left:
        raise Rejected("cluster", f"NetworkPolicy {', '.join(left)} is not ours and opens the network; remove it.")


def _put_right(hands: Hands, seen: Snapshot) -> None:
    """What was seen from inside before counts no more; a policy on its way out is let go, to be made again."""
    assert seen.namespace is not None
    hands.note(seen.namespace, record.notes({record.SEAL: None}))
    let_go(hands, seen, only_leaving=True)


def _room(seen: Snapshot, limits: Limits, places: Iterable[SessionPlace]) -> record.Room:
    homes = {labels_of(claim).get(PERSON) for claim in seen.inside.get(CLAIM, ()) if seen.own.owns(claim)} - {None}
    return record.Room(limits=limits, people=max(1, len(homes | {place.person for place in places})))


def _keep_room(hands: Hands, own: Names, room: record.Room) -> None:
    namespace = _namespace(hands, own)
    if record.room_of(namespace) != room:
        hands.note(namespace, record.notes({record.ROOM: record.room_note(room)}))


def _namespace(hands: Hands, own: Names) -> Document:
    found = hands.api.find(NAMESPACE, own.namespace)
    if found is None:
        raise Unavailable("cluster", f"namespace {own.namespace} is not there any more")
    return found


def gate(hands: Hands, step: Step) -> None:
    """The gate, told exactly the places of the step; the Hub may make pods only while there are any.

    Sessions of people without a place end; no places at all only closes the door, because that also stands for
    "not yet". With the seal observed and nobody to let in, the gate rests.
    """
    seen = _standing(hands, step)
    own = seen.own
    _rights(hands, seen, bool(step.places))
    _make_room(hands, seen, step)
    hands.api.ensure(claims.gate_claim(hands.site, own))
    hands.api.apply(gates.service(own))
    _tell(hands, step, address=wake(hands, own, permit=step.permit))
    wanted = {place.person for place in step.places}
    if wanted:
        hands.end(
            hands.look(step.workspace),
            lambda pod: labels_of(pod)[PERSON] not in wanted,
            "You are no longer named in the permit.",
        )
    else:
        rest(hands, hands.look(step.workspace))


def _standing(hands: Hands, step: Step) -> Snapshot:
    seen = hands.look(step.workspace)
    if seen.namespace is None or seen.leaving:
        raise Unavailable("cluster", f"namespace {seen.own.namespace} is not there")
    return seen


def _rights(hands: Hands, seen: Snapshot, given: bool) -> None:
    if given:
        hands.api.apply(accounts.hub_binding(hands.site, seen.own))
        return
    binding = seen.one(ROLE_BINDING, accounts.HUB)
    if binding is not None:
        hands.api.remove(binding)


def _make_room(hands: Hands, seen: Snapshot, step: Step) -> None:
    room = _room(seen, step.limits, step.places)
    hands.api.apply(quota.workspace_quota(seen.own, limits=room.limits, people=room.people))
    hands.api.apply(quota.limit_range(seen.own, limits=room.limits))
    _keep_room(hands, seen.own, room)


def wake(hands: Hands, own: Names, *, permit: str) -> str:
    """Have the gate run and wait until it is ready; its address. Raises `Unavailable`."""
    hands.api.apply(gates.deployment(hands.site, own, permit=permit, awake=True))
    found = hands.api.until(
        DEPLOYMENT,
        own.namespace,
        lambda items: any(name_of(item) == GATE and view.is_ready(item) for item in items),
        labels=own.labels,
        seconds=GATE_SECONDS,
    )
    service = hands.api.find(SERVICE, GATE, own.namespace)
    if not found or service is None:
        raise Unavailable("cluster", "the gate has no address")
    return str(service["spec"]["clusterIP"])


def rest(hands: Hands, seen: Snapshot) -> None:
    """Let the gate rest when the seal was observed and nobody is to be let in."""
    report = view.seal(hands.site, seen, now=hands.now())
    if report is not None and report.holds and seen.permit:
        hands.api.apply(gates.deployment(hands.site, seen.own, permit=seen.permit, awake=False))


def _tell(hands: Hands, step: Step, *, address: str) -> None:
    own, site = hands.own(step.workspace), hands.site
    document = gatewords.everything(site, own, permit=step.permit, limits=step.limits, places=step.places)
    digest = patiently_told(hands, step.workspace, address, document)
    ends = [place.expires for place in step.places]
    hands.note(
        _namespace(hands, own),
        record.notes(
            {
                record.CONFIGURED: {"whole": digest, "gate": gatewords.digest(document["gate"])},
                record.LIMITS: record.limits_note(step.limits),
                record.EXPIRES: {"at": max(ends).isoformat()} if ends else None,
            }
        ),
    )


def patiently_told(hands: Hands, workspace: WorkspaceId, address: str, document: Document) -> str:
    """Tell the gate, again while it does not listen yet; the digest it answers with. Raises `Unavailable`."""
    control = hands.reach(address, hands.tokens(workspace))
    deadline = time.monotonic() + GATE_SECONDS / 2
    while True:
        try:
            return control.configure(document)
        except Unavailable:
            if time.monotonic() >= deadline:
                raise
        time.sleep(_PAUSE)


def expose(hands: Hands, step: Step) -> None:
    """Sessions may mount exactly these versions; those that mount another one end first."""
    seen = hands.look(step.workspace)
    if step.data:
        report = view.seal(hands.site, seen, now=hands.now())
        if report is None or not report.holds:
            raise Rejected("cluster", "The network seal was not observed; no data before that.")
    withdraw(hands, seen, step.data, step.reason or "A dataset was withdrawn; start again to go on without it.")
    for exposure in step.data:
        hands.api.apply(data.volume(hands.site, seen.own, exposure))
        hands.api.apply(data.claim(seen.own, exposure))
    wanted = {data_claim(exposure.key) for exposure in step.data}
    if wanted:
        hands.api.until(
            CLAIM,
            seen.own.namespace,
            lambda items: wanted <= {name_of(c) for c in items if (c.get("status") or {}).get("phase") == "Bound"},
            labels=seen.own.labels,
            seconds=BIND_SECONDS,
        )


def withdraw(hands: Hands, seen: Snapshot, kept: tuple[Exposure, ...], reason: str) -> None:
    """Remove what is not among those kept, or not as they are: sessions that mount it, claims, volumes."""
    stays = {data_claim(e.key) for e in kept if _is_whole(hands, seen, e)}
    hands.end(seen, lambda pod: bool(data_of(pod) - stays), reason)
    going = [claim for claim in seen.data_claims if name_of(claim) not in stays]
    volumes = [v for v in seen.volumes if name_of(v) not in {f"{seen.own.namespace}-{name}" for name in stays}]
    for document in (*going, *volumes):
        hands.api.remove(document)
    for document in going:
        hands.api.gone(CLAIM, seen.own.namespace, name_of(document))
    names = {name_of(volume) for volume in volumes}
    if names:
        hands.api.until(
            VOLUME, "", lambda items: not names & {name_of(v) for v in items}, labels=seen.own.labels, seconds=20
        )


def _is_whole(hands: Hands, seen: Snapshot, exposure: Exposure) -> bool:
    claim = next((c for c in seen.data_claims if name_of(c) == data_claim(exposure.key)), None)
    volume = next((v for v in seen.volumes if name_of(v) == seen.own.volume(exposure.key)), None)
    if claim is None and volume is None:
        return True  # nothing to remove
    if claim is None or volume is None:
        # a volume that waits for its claim is whole; one whose claim has gone keeps that claim's uid for ever
        return volume is not None and not (volume["spec"].get("claimRef") or {}).get("uid")
    wanted = ((data.volume(hands.site, seen.own, exposure), volume), (data.claim(seen.own, exposure), claim))
    same = not any(compare.deviations(compare.shaped(manifest), live) for manifest, live in wanted)
    reference = (volume["spec"].get("claimRef") or {}).get("uid")
    return same and reference in (None, claim["metadata"]["uid"])
