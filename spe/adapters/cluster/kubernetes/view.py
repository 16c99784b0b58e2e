"""What a snapshot means: whether the parts of a workspace are as they should be. Pure."""

import hashlib
import json
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from spe.adapters.cluster.kubernetes import compare, record
from spe.adapters.cluster.kubernetes.kinds import (
    CLAIM,
    DEPLOYMENT,
    POLICY,
    ROLE_BINDING,
    SERVICE,
    Document,
    is_leaving,
    kind_of,
    name_of,
)
from spe.adapters.cluster.kubernetes.names import GATE, SHARED, Names, data_claim
from spe.adapters.cluster.kubernetes.objects import accounts, data, policies, quota
from spe.adapters.cluster.kubernetes.objects import gate as gates
from spe.adapters.cluster.kubernetes.objects.namespace import namespace
from spe.adapters.cluster.kubernetes.site import Site
from spe.adapters.cluster.kubernetes.snapshot import Snapshot, data_of, is_alive
from spe.ports.cluster import SealReport


def foundations(site: Site, own: Names, *, permit: str, room: record.Room) -> tuple[Document, ...]:
    """What stands before anything runs, in the order in which it is made: the network is closed first."""
    return (
        namespace(site, own, permit=permit),
        *policies.policies(site, own),
        quota.workspace_quota(own, limits=room.limits, people=room.people),
        quota.limit_range(own, limits=room.limits),
        *accounts.accounts(own),
    )


def wrong(site: Site, seen: Snapshot) -> tuple[str, ...]:
    """What of the foundations is missing or differs, one sentence each; empty when they stand."""
    if seen.namespace is None:
        return ("the namespace is not there",)
    if seen.leaving:
        return ("the namespace is being removed",)
    room = record.room_of(seen.namespace)
    if room is None:
        return ("the namespace was not finished",)
    # The account that the cluster makes is adopted apart from the rest, and counts as much.
    wanted = (*foundations(site, seen.own, permit=seen.permit, room=room), accounts.default_account(seen.own))
    found = [text for manifest in wanted for text in _differs(seen, manifest)]
    found += [f"NetworkPolicy {name} is not ours and opens the network" for name in holes(site, seen)]
    shared = seen.one(CLAIM, SHARED)
    if shared is None or is_leaving(shared):
        found.append("the shared folder's claim is not there")
    return tuple(found)


def loosened(site: Site, seen: Snapshot) -> tuple[str, ...]:
    """Which policies and labels that isolate were changed by others since we made them; empty when none was.

    A difference that comes from a new version of ours is not among them.
    """
    if seen.namespace is None or seen.leaving or record.room_of(seen.namespace) is None:
        return ()
    isolating = (namespace(site, seen.own, permit=seen.permit), *policies.policies(site, seen.own))
    found = [f"{m['kind']} {name_of(m)} was changed" for m in isolating if _changed(seen, m)]
    return (*found, *(f"NetworkPolicy {name} is not ours and opens the network" for name in holes(site, seen)))


def _changed(seen: Snapshot, manifest: Document) -> bool:
    live = _live(seen, manifest)
    return live is None or is_leaving(live) or compare.weakened(compare.shaped(manifest), live)


def holes(site: Site, seen: Snapshot) -> list[str]:
    """Policies of others in the namespace that let something through."""
    own = {name_of(policy) for policy in policies.policies(site, seen.own)}
    return [name_of(p) for p in seen.inside.get(POLICY, ()) if name_of(p) not in own and policies.opens(p)]


def _differs(seen: Snapshot, manifest: Document) -> Iterable[str]:
    what = f"{manifest['kind']} {name_of(manifest)}"
    live = _live(seen, manifest)
    if live is None:
        return [f"{what} is not there"]
    if is_leaving(live):
        return [f"{what} is being removed"]
    return [f"{what} differs at {path}" for path in compare.deviations(compare.shaped(manifest), live)]


def _live(seen: Snapshot, manifest: Document) -> Document | None:
    kind = kind_of(manifest)
    return seen.one(kind, name_of(manifest)) if kind.namespaced else seen.namespace


def seal_shape(site: Site, own: Names) -> str:
    """What a seal report is about, in two parts: what we made, and what the cluster showed when we looked at it."""
    return f"{seal_made(site, own)} {_digest([sorted(site.forbidden), repr(site.features)])}"


def seal_made(site: Site, own: Names) -> str:
    """The part that follows from settings alone: the policies, the probe's program, the runtime.

    Two processes that looked at the cluster at different times agree on it, whatever came or went in between.
    """
    return _digest([policies.policies(site, own), site.images.notebook, site.runtime_class])


def _digest(facts: list[Any]) -> str:
    return "sha256:" + hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def seal(site: Site, seen: Snapshot, *, now: datetime) -> SealReport | None:
    """The seal as it was last observed; it does not hold while the foundations are loose.

    Where anything is there a report is there too, so that a half-made namespace is not taken for nothing. While
    the gate is awake a report holds only for a time; after that somebody has to look again.
    """
    if seen.namespace is None:
        return None
    loose = loosened(site, seen)
    if loose or seen.leaving:
        return SealReport(holds=False, attempts={"policies": "; ".join(loose or ("being removed",))[:500]})
    within = timedelta(seconds=site.seal_seconds) if awake(seen) else None
    return record.seal_of(seen.namespace, shape=seal_shape(site, seen.own), within=within, now=now)


def awake(seen: Snapshot) -> bool:
    """Whether the gate is meant to run."""
    live = seen.one(DEPLOYMENT, GATE)
    return live is not None and (live["spec"].get("replicas") or 0) > 0


def gate_stands(site: Site, seen: Snapshot) -> bool:
    """Whether the gate's objects are as they should be; says nothing about what it was told."""
    if seen.namespace is None or seen.leaving:
        return False
    wanted = (gates.service(seen.own), gates.deployment(site, seen.own, permit=seen.permit, awake=awake(seen)))
    claim = seen.one(CLAIM, GATE)
    return claim is not None and not any(_wrong(seen, manifest) for manifest in wanted)


def rights_fit(site: Site, seen: Snapshot, *, given: bool) -> bool:
    """Whether the Hub may make pods there exactly while there are people to let in."""
    if given:
        return not _wrong(seen, accounts.hub_binding(site, seen.own))
    return seen.one(ROLE_BINDING, accounts.HUB) is None


def _wrong(seen: Snapshot, manifest: Document) -> bool:
    return bool(list(_differs(seen, manifest)))


def is_ready(deployment: Document) -> bool:
    """Whether exactly the pod of the newest template runs and is ready."""
    status = deployment.get("status") or {}
    current = status.get("observedGeneration") == deployment["metadata"].get("generation")
    return current and all(status.get(count) == 1 for count in ("replicas", "updatedReplicas", "readyReplicas"))


def gate_address(seen: Snapshot) -> str:
    """The address of the gate's Service; empty when it has none."""
    found = seen.one(SERVICE, GATE)
    return str(found["spec"].get("clusterIP") or "") if found is not None else ""


def exposures(seen: Snapshot) -> frozenset[tuple[str, str]]:
    """Versions exposed, as (key, digest); half of one, or one that a session still shows, with no digest."""
    volumes = {name_of(volume): volume for volume in seen.volumes}
    claims = {name_of(claim): claim for claim in seen.data_claims}
    found = {_exposure(seen.own, claim, volumes) for claim in claims.values()}
    covered = {claim["spec"].get("volumeName") for claim in claims.values()}
    found |= {(data.exposed(volume)[0], "") for name, volume in volumes.items() if name not in covered}
    shown = {name for pod in seen.notebooks if is_alive(pod) for name in data_of(pod)}
    return frozenset(found | {(name, "") for name in shown - set(claims)})


def _exposure(own: Names, claim: Document, volumes: dict[str, Document]) -> tuple[str, str]:
    key, digest = data.exposed(claim)
    volume = volumes.get(str(claim["spec"].get("volumeName")))
    whole = (
        volume is not None
        and name_of(claim) == data_claim(key)
        and name_of(volume) == own.volume(key)
        and data.exposed(volume) == (key, digest)
        and not is_leaving(claim)
        and not is_leaving(volume)
        and volume["spec"].get("accessModes") == ["ReadOnlyMany"]
        and is_bound(claim, volume)
    )
    return key, digest if whole else ""


def is_bound(claim: Document, volume: Document) -> bool:
    """Whether claim and volume hold each other."""
    reference = volume["spec"].get("claimRef") or {}
    bound = (claim.get("status") or {}).get("phase") == "Bound"
    return bound and reference.get("uid") == claim["metadata"]["uid"]
