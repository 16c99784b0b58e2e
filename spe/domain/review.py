"""People's judgement on outputs: votes, blind until enough are in, then consolidated.

A vote is about one output by its digest, so a changed file loses its votes. Machine verdicts are
another type (`spe.domain.verdict`), so no sum can mix the two. Rules: two independent checkers by
default, neither the author nor on the permit (Genomics England airlock rules; SATRE 3.3; security
notes T37 and T39).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from spe.domain.ids import PersonId, RequestId


class Decision(StrEnum):
    """What one checker says of one output."""

    APPROVE = "approve"
    CHANGE = "change"
    REJECT = "reject"


@dataclass(frozen=True, slots=True, kw_only=True)
class Vote:
    """One checker's judgement on one output of one round, tied to the output's SHA-256."""

    request: RequestId
    round: int
    path: str
    sha256: str
    checker: PersonId
    decision: Decision
    reason: str
    acknowledged: frozenset[str]
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiver:
    """A named, reasoned exception to one finding, where the policy allows one."""

    request: RequestId
    round: int
    finding: str
    person: PersonId
    reason: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How one output stands after the votes: by how many approved, changed, rejected."""

    approvals: int
    changes: int
    rejections: int

    def approved(self, needed: int) -> bool:
        """Whether enough distinct checkers approved and none objected."""
        return self.approvals >= needed and not self.changes and not self.rejections


def current(votes: Iterable[Vote], *, round_: int, digests: Mapping[str, str]) -> tuple[Vote, ...]:
    """The votes that still count: of this round, on the digest that the output has now."""
    return tuple(v for v in votes if v.round == round_ and digests.get(v.path) == v.sha256)


def reviewers(votes: Iterable[Vote], paths: frozenset[str]) -> frozenset[PersonId]:
    """Those who have judged every output; only they have finished a review."""
    by_person: dict[PersonId, set[str]] = {}
    for vote in votes:
        by_person.setdefault(vote.checker, set()).add(vote.path)
    return frozenset(p for p, seen in by_person.items() if seen >= paths)


def tally(votes: Iterable[Vote], paths: Iterable[str]) -> dict[str, Standing]:
    """How each output stands; every checker counts once per output."""
    result = {}
    counted = tuple(votes)
    for path in paths:
        mine = {v.checker: v.decision for v in counted if v.path == path}
        decisions = list(mine.values())
        result[path] = Standing(
            approvals=decisions.count(Decision.APPROVE),
            changes=decisions.count(Decision.CHANGE),
            rejections=decisions.count(Decision.REJECT),
        )
    return result


def visible_to(votes: Iterable[Vote], viewer: PersonId, *, complete: bool) -> tuple[Vote, ...]:
    """Checkers are blind to each other until the review is complete; one's own votes are always seen."""
    return tuple(v for v in votes if complete or v.checker == viewer)
