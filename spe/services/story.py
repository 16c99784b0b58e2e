"""What can be told of the past: an egress request's moves, earlier rounds, remarks and views; a permit's acts.

Reading only. Who voted what while a review is open is not part of any story (the votes are blind).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from spe.domain.egress import EgressRequest, EgressState
from spe.domain.errors import NotFound
from spe.domain.ids import PermitId, RequestId
from spe.domain.principal import Permission, Principal
from spe.domain.review import Decision, Vote
from spe.services.context import House
from spe.services.egress import EgressService
from spe.services.evidence import load
from spe.services.transact import demand

MOST_MOVES = 200
JUDGED = frozenset(
    {
        EgressState.RETURNED,
        EgressState.REJECTED,
        EgressState.APPROVED,
        EgressState.RELEASING,
        EgressState.RELEASED,
        EgressState.RECALLED,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Milestone:
    """One move of a request: to which state, when."""

    state: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """One act on a permit: its event, the state that followed (empty when it stayed), who, when, and its log entry."""

    event: str
    state: str
    who: str
    at: datetime
    index: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Remark:
    """What a checker asked of the author about one output; checkers are not named to authors."""

    path: str
    decision: Decision
    reason: str


class StoryService:
    """Tells the past of requests and permits."""

    def __init__(self, house: House, egress: EgressService) -> None:
        self._house = house
        self._egress = egress

    def acts(self, permit: PermitId, *, by: Principal) -> tuple[Act, ...]:
        """Everything that was done to a permit, oldest first, with names; for those who decide and those who audit."""
        demand(by, Permission.PEOPLE_READ)
        with self._house.ports.store.read() as uow:
            entries = uow.audit.select(subject=permit, limit=MOST_MOVES)
            known = {e.actor: uow.person_of(e.actor.issuer, e.actor.subject) for e in entries}
        return tuple(
            Act(
                event=e.event,
                state=str(e.after) if e.after and e.after != e.before else "",
                who=person.name if (person := known[e.actor]) else f"{e.actor.issuer} {e.actor.subject}",
                at=e.at,
                index=e.index,
            )
            for e in reversed(entries)
        )

    def milestones(self, request_id: RequestId, *, by: Principal) -> tuple[Milestone, ...]:
        """The moves of a request from state to state, oldest first. Raises `NotFound` without a tie to it."""
        self._egress.view(request_id, by=by)
        with self._house.ports.store.read() as uow:
            entries = uow.audit.select(subject=request_id, limit=MOST_MOVES)
        moves = [e for e in reversed(entries) if e.after is not None and e.after != e.before]
        return tuple(Milestone(state=str(e.after), at=e.at) for e in moves)

    def remarks(self, request_id: RequestId, *, by: Principal) -> tuple[Remark, ...]:
        """The reasons per output of the round that was decided last; none while a review is open."""
        request = self._egress.view(request_id, by=by).request
        if request.state not in JUDGED:
            return ()
        with self._house.ports.store.read() as uow:
            votes = uow.votes.of(request_id)
        asked = [v for v in votes if v.round == request.round and v.reason and v.decision is not Decision.APPROVE]
        return tuple(Remark(path=v.path, decision=v.decision, reason=v.reason) for v in asked)

    def earlier_votes(self, request_id: RequestId, *, by: Principal) -> tuple[Vote, ...]:
        """The votes of earlier rounds, for checkers; those of the round under way are never among them."""
        demand(by, Permission.EGRESS_REVIEW)
        request = self._egress.view(request_id, by=by).request
        with self._house.ports.store.read() as uow:
            return tuple(v for v in uow.votes.of(request_id) if v.round < request.round)

    def views(self, request_id: RequestId, *, by: Principal) -> Mapping[str, str]:
        """The name of the derived view of each output, by path, where there is one.

        The checks number the outputs in the order of their report; `{number}.json` describes the view and
        names the picture, where there is one.
        """
        found = self._egress.view(request_id, by=by)
        known = self._view_names(found.request)
        outputs = found.report.outputs if found.report else ()
        named = {output.path: f"{number}.json" for number, output in enumerate(outputs)}
        return {path: name for path, name in named.items() if name in known}

    def _view_names(self, request: EgressRequest) -> frozenset[str]:
        if not request.views:
            return frozenset()
        try:
            index: Mapping[str, str] = json.loads(load(self._house.ports.objects, request.views))
        except NotFound:
            return frozenset()
        return frozenset(index)
