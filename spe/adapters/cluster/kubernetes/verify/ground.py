"""What a workspace stands on: its namespace, bounds, accounts, rights, network and seal (B1, B4). Pure."""

from collections.abc import Callable, Mapping
from datetime import datetime

from spe.adapters.cluster.kubernetes import compare, record, view
from spe.adapters.cluster.kubernetes.drift import foreign
from spe.adapters.cluster.kubernetes.kinds import (
    DEPLOYMENT,
    LIMIT_RANGE,
    POLICY,
    QUOTA,
    ROLE,
    ROLE_BINDING,
    SERVICE,
    SERVICE_ACCOUNT,
    Document,
    Kind,
    kind_of,
    labels_of,
    name_of,
)
from spe.adapters.cluster.kubernetes.names import SEAL_FINALIZER
from spe.adapters.cluster.kubernetes.objects import accounts, policies, probe
from spe.adapters.cluster.kubernetes.objects.namespace import SECURITY, namespace
from spe.adapters.cluster.kubernetes.sealing import STOPPED, failures
from spe.adapters.cluster.kubernetes.verify.finding import Verdict, judged, outside, well
from spe.adapters.cluster.kubernetes.verify.place import Place, stands

MADE = (POLICY, QUOTA, LIMIT_RANGE, SERVICE_ACCOUNT, ROLE_BINDING, SERVICE, DEPLOYMENT)
_PARTS = ("spec", "roleRef", "subjects", "automountServiceAccountToken", "secrets", "imagePullSecrets")


# -- namespace


def _expected(place: Place) -> Document:
    return namespace(place.site, place.seen.own, permit=place.seen.permit)


def labels(place: Place, *, security: bool) -> Verdict:
    """The labels of Pod Security, or the others, are the ones that are meant."""
    wanted, found = labels_of(_expected(place)), labels_of(place.namespace)
    chosen = {name: value for name, value in wanted.items() if name.startswith(SECURITY) == security}
    wrong = [
        f"{name} is {found.get(name)!r}, not {value!r}" for name, value in chosen.items() if found.get(name) != value
    ]
    return judged(wrong, ", ".join(f"{name.removeprefix(SECURITY)}={value}" for name, value in chosen.items()))


def named(place: Place) -> Verdict:
    """The name follows from the id and tells nothing else."""
    own = place.seen.own
    wrong = [] if name_of(place.namespace) == own.namespace else ["its name does not follow from its id"]
    return judged(wrong, f"named after the random id {own.workspace}")


def origin(place: Place) -> Verdict:
    """Nothing of the namespace was changed since it was made."""
    wanted = compare.shaped(_expected(place))
    wrong = [f"differs at {path}" for path in compare.deviations(wanted, place.namespace)]
    if place.seen.leaving:
        wrong.append("it is being removed")
    return judged(wrong, f"permit {place.seen.permit}, as when it was made")


def makers(place: Place) -> Verdict:
    """No field of our objects is owned by anybody else."""
    kinds = (POLICY, QUOTA, LIMIT_RANGE, SERVICE_ACCOUNT, ROLE_BINDING, SERVICE, DEPLOYMENT)
    ours = [item for kind in kinds for item in place.all(kind) if place.seen.own.owns(item)]
    wrong = [
        f"{item['kind']} {name_of(item)}: somebody else owns {', '.join(fields)}"
        for item in ours
        if (fields := [path for part in _PARTS for path in foreign(item, part)])
    ]
    return judged(wrong, f"{len(ours)} objects, every field of theirs written by us")


def foundation(*kinds: Kind) -> Callable[[Place], Verdict]:
    """Objects of these kinds are those of the foundations, and no others."""

    def judge(place: Place) -> Verdict:
        room = record.room_of(place.namespace)
        if room is None:
            return judged(["the workspace was not finished: what it has room for is not noted"], "")
        made = view.foundations(place.site, place.seen.own, permit=place.seen.permit, room=room)
        manifests = [manifest for manifest in made if kind_of(manifest) in kinds]
        others = [
            f"{kind.name} {name_of(item)} is not ours"
            for kind in kinds
            for item in place.all(kind)
            if name_of(item) not in {name_of(m) for m in manifests if kind_of(m) is kind}
        ]
        return judged([*stands(place, manifests), *others], ", ".join(name_of(m) for m in manifests) + " as made")

    return judge


def powerless_accounts(place: Place) -> Verdict:
    """The accounts of the namespace are ours, and none gets a token."""
    own = place.seen.own
    wanted = [*accounts.accounts(own), accounts.default_account(own)]
    names = {name_of(manifest) for manifest in wanted}
    wrong = list(stands(place, wanted))
    wrong += [f"account {name_of(a)} is not ours" for a in place.all(SERVICE_ACCOUNT) if name_of(a) not in names]
    return judged(wrong, f"{', '.join(sorted(names))}: no token, no secret")


def grants(place: Place) -> Verdict:
    """One binding to one role for the Hub at most."""
    wanted = accounts.hub_binding(place.site, place.seen.own)
    bindings = place.all(ROLE_BINDING)
    wrong = [f"RoleBinding {name_of(b)} is not ours" for b in bindings if name_of(b) != accounts.HUB]
    wrong += [f"Role {name_of(role)} is not ours" for role in place.all(ROLE)]
    if any(name_of(b) == accounts.HUB for b in bindings):
        wrong += stands(place, [wanted])
        return judged(wrong, "the Hub may make pods here, and nobody may do anything else")
    return judged(wrong, "nobody may do anything here")


# -- network


def policy(name: str) -> Callable[[Place], Verdict]:
    """The policy of that name is exactly the one that is meant."""

    def judge(place: Place) -> Verdict:
        wanted = [p for p in policies.policies(place.site, place.seen.own) if name_of(p) == name]
        closed = name == policies.DENY_ALL
        return judged(stands(place, wanted), "nothing passes" if closed else "exactly the pairs that must speak")

    return judge


def others(place: Place) -> Verdict:
    """No policy of somebody else adds a way."""
    own = {name_of(policy) for policy in policies.policies(place.site, place.seen.own)}
    opened = view.holes(place.site, place.seen)
    idle = [name_of(p) for p in place.all(POLICY) if name_of(p) not in own and name_of(p) not in opened]
    return judged(
        [f"NetworkPolicy {name} is not ours and opens the network" for name in opened],
        f"no policy of others opens anything{f' ({chr(44).join(idle)} only close)' if idle else ''}",
    )


def held(place: Place) -> Verdict:
    """The deny-all cannot go before the last pod."""
    live = place.seen.one(POLICY, policies.DENY_ALL)
    held = live is not None and SEAL_FINALIZER in (live["metadata"].get("finalizers") or [])
    return judged([] if held else ["deny-all can go while pods are there"], "deny-all stays until no pod is left")


def seal(place: Place) -> Verdict:
    """The last report is about what is there now, and all was closed."""
    site, seen = place.site, place.seen
    report = view.seal(site, seen, now=place.now)
    if report is None or not report.holds:
        said = (failures(report) or ", ".join(report.attempts.values())) if report else "there is no report"
        return judged([f"the seal is not observed: {said}"], "")
    return well(f"{len(report.attempts)} places tried from inside, at {_at(place)}")


def _at(place: Place) -> str:
    return str(record.seal_noted(place.namespace).get("at", "an unknown time"))


def seal_age(place: Place) -> Verdict:
    """While somebody works behind it, the report is not too old."""
    if not view.awake(place.seen):
        return outside("nobody works there; it is looked at again before anybody does")
    noted = str(record.seal_noted(place.namespace).get("at", ""))
    if not noted:
        return judged(["there is no report"], "")
    age = (place.now - datetime.fromisoformat(noted)).total_seconds()
    wrong = [] if 0 <= age + 300 <= place.site.seal_seconds + 300 else [f"it was looked at {age:.0f} seconds ago"]
    return judged(wrong, f"{age:.0f} of at most {place.site.seal_seconds} seconds old")


def tried(place: Place) -> Verdict:
    """What must be closed was tried and was closed."""
    attempts = record.seal_noted(place.namespace).get("attempts") or {}
    wanted = probe.forbidden(place.site, view.gate_address(place.seen))
    wrong = [f"{name} {attempts.get(name, 'was not tried')}" for name in wanted if not _stopped(attempts, name)]
    return judged(wrong, f"API server, name servers and {len(wanted)} places in all are closed from inside")


def _stopped(attempts: Mapping[str, object], name: str) -> bool:
    return str(attempts.get(name, "")).startswith(STOPPED)
