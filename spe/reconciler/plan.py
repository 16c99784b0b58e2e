"""From what is there to what should be there: steps in an order that is safe at every stop. Pure.

The network is sealed and the seal observed before data is exposed; removal runs backwards, so the
seal goes last. People are let in only when everything else holds.
"""

from spe.ports.cluster import Observed, Step, StepKind
from spe.reconciler.desired import Desired


def plan(want: Desired, seen: Observed, *, token: str = "") -> tuple[Step, ...]:
    """Steps that lead from `seen` towards `want`; empty when they agree."""
    kinds = _building(want, seen) if want.present else _removing(seen)
    return tuple(
        Step(
            kind=kind,
            workspace=want.workspace,
            permit=want.permit,
            token=token,
            reason=want.reason,
            limits=want.limits,
            data=want.data,
            places=want.places if kind is not StepKind.GATE or _may_enter(want, seen) else (),
        )
        for kind in kinds
    )


def _building(want: Desired, seen: Observed) -> list[StepKind]:
    rows = (
        (not want.open and bool(seen.sessions or seen.places), (StepKind.CUT, StepKind.STOP_SESSIONS)),
        (want.open and not want.places and bool(seen.sessions), (StepKind.STOP_SESSIONS,)),
        (not seen.folders, (StepKind.FOLDERS,)),
        (not seen.gate, (StepKind.GATE,)),
        (seen.seal is None or not seen.seal.holds, (StepKind.SEAL,)),
        (_exposed(want) != seen.data, (StepKind.DATA,)),
        (_places(want) != seen.places or not seen.sessions <= _places(want), (StepKind.GATE,)),
        (_places(want) == seen.places and seen.limits != want.limits, (StepKind.GATE,)),
    )
    return [kind for needed, kinds in rows if needed for kind in kinds]


def _removing(seen: Observed) -> list[StepKind]:
    rows = (
        (bool(seen.gate or seen.places or seen.sessions), StepKind.CUT),
        (bool(seen.sessions), StepKind.STOP_SESSIONS),
        (bool(seen.data), StepKind.WITHDRAW_DATA),
        (seen.gate, StepKind.REMOVE_GATE),
        (seen.folders, StepKind.REMOVE_FOLDERS),
        (seen.anything, StepKind.UNSEAL),
    )
    return [kind for needed, kind in rows if needed]


def _may_enter(want: Desired, seen: Observed) -> bool:
    return want.open and seen.seal is not None and seen.seal.holds and _exposed(want) == seen.data


def _exposed(want: Desired) -> frozenset[tuple[str, str]]:
    return frozenset((e.key, e.digest) for e in want.data)


def _places(want: Desired) -> frozenset[str]:
    return frozenset(p.person for p in want.places)


def in_sync(want: Desired, seen: Observed) -> bool:
    """Whether nothing is left to do."""
    return not plan(want, seen)
