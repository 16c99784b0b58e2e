"""What a row says of what it looked at, and what becomes of it when nobody could look. Pure.

Not to be able to look is a failure: a row that passes was seen to hold.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, Protocol, TypeVar

from spe.adapters.cluster.kubernetes.kinds import Kind

_LONGEST = 2000


class State(StrEnum):
    """How it stands."""

    PASS = "pass"
    FAIL = "fail"
    OUTSIDE = "not applicable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """How it stands, and what was seen, as a sentence."""

    state: State
    seen: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One row applied to one thing; `remedy` only where something is to be mended."""

    row: str
    subject: str
    title: str
    state: State
    seen: str
    remedy: str = ""


class CouldNotLook(Exception):
    """What a row needs could not be read; the message says why."""


class Facts(Protocol):
    """What a row is judged by."""

    def demand(self, kind: Kind) -> None:
        """Raise `CouldNotLook` when objects of this kind could not be read."""
        ...


F = TypeVar("F", bound=Facts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row(Generic[F]):
    """One line of the baseline: its id in the security note, what must hold, who judges it, what mends it."""

    id: str
    title: str
    judge: Callable[[F], Verdict]
    remedy: str
    needs: tuple[Kind, ...] = ()


def well(seen: str) -> Verdict:
    """It holds."""
    return Verdict(state=State.PASS, seen=seen)


def outside(reason: str) -> Verdict:
    """It is nothing that this cluster, or this workspace now, could hold or break."""
    return Verdict(state=State.OUTSIDE, seen=reason)


def judged(wrong: Iterable[str], seen: str) -> Verdict:
    """It holds with what was `seen` when nothing is `wrong`."""
    found = "; ".join(wrong)
    return Verdict(state=State.FAIL, seen=found[:_LONGEST]) if found else well(seen)


def apply(row: Row[F], subject: str, facts: F) -> Finding:
    """What the row says. What it cannot read, or cannot make sense of, does not pass."""
    try:
        for kind in row.needs:
            facts.demand(kind)
        verdict = row.judge(facts)
    except CouldNotLook as error:
        return could_not_look(row.id, subject, row.title, str(error))
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        verdict = judged([f"what is there cannot be made sense of ({type(error).__name__}: {error})"], "")
    remedy = row.remedy if verdict.state is State.FAIL else ""
    return Finding(row=row.id, subject=subject, title=row.title, state=verdict.state, seen=verdict.seen, remedy=remedy)


def could_not_look(row: str, subject: str, title: str, why: str) -> Finding:
    """Nobody knows whether it holds."""
    return Finding(
        row=row,
        subject=subject,
        title=title,
        state=State.FAIL,
        seen=f"could not look: {why}",
        remedy="Run it with an account that may read this, such as the cluster's administrator's.",
    )
