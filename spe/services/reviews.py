"""Reviews by output checkers: one review per checker and round, blind until enough have judged.

The checker acknowledges every finding on an output before approving it. The joint decision (approve,
return, reject) is written down by one of those who reviewed.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from spe.domain.egress import EgressContext, EgressRequest, EgressState
from spe.domain.errors import Denial, Invalid, NotFound, Refused, Stale
from spe.domain.ids import RequestId
from spe.domain.machine import Offer
from spe.domain.permit import Permit
from spe.domain.principal import Permission, Principal
from spe.domain.review import Decision, Standing, Vote, Waiver, visible_to
from spe.domain.verdict import Report
from spe.ports.objects import Zone
from spe.services.context import House
from spe.services.evidence import load
from spe.services.grounds import Grounds
from spe.services.journal import record
from spe.services.transact import REQUESTS, apply, demand, offers

CONCLUSIONS = frozenset({"approve", "return", "reject"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What a checker says of one output, with the findings they acknowledge (keys)."""

    decision: Decision
    reason: str = ""
    acknowledged: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewView:
    """A request as a checker sees it: votes of others only when the review is complete."""

    request: EgressRequest
    permit: Permit
    report: Report | None
    votes: tuple[Vote, ...]
    standings: Mapping[str, Standing]
    complete: bool
    reviewed_by_me: bool
    reviews_done: int
    reviews_needed: int
    offers: tuple[Offer, ...]


class ReviewService:
    """What output checkers do."""

    def __init__(self, house: House, grounds: Grounds) -> None:
        self._house = house
        self._grounds = grounds

    def inbox(self, *, by: Principal) -> tuple[ReviewView, ...]:
        """Requests under review or waiting for release, oldest first."""
        demand(by, Permission.EGRESS_REVIEW)
        states = (
            EgressState.IN_REVIEW,
            EgressState.BLOCKED,
            EgressState.APPROVED,
            EgressState.RETURNED,
            EgressState.RELEASED,
        )
        with self._house.ports.store.read() as uow:
            found = [r.id for r in uow.egress.select(state=states)]
        return tuple(self.view(r, by=by) for r in found)

    def view(self, request_id: RequestId, *, by: Principal) -> ReviewView:
        """One request for a checker. Reading it is audited by `look`, not here."""
        demand(by, Permission.EGRESS_REVIEW)
        with self._house.ports.store.read() as uow:
            request = uow.egress.find(request_id)
            if request is None or request.state is EgressState.DRAFT:
                raise NotFound("There is no such egress request for you.")
            permit = uow.permits.get(request.permit)
            context = self._grounds.context(uow, request, by.person, reason="asked in the form")
        return self._view(request, permit, context, by=by)

    def review(
        self,
        request_id: RequestId,
        judgements: Mapping[str, Judgement],
        *,
        seen: str | None = None,
        by: Principal,
    ) -> ReviewView:
        """Hand in one's judgement on every output. It stands: nobody votes twice in a round.

        With `seen` (see `mark_of`) the judgement holds for what was read only: `Stale` when that changed since.
        """
        now = self._now()
        with self._house.ports.store.begin() as uow:
            request = as_read(uow.egress.get(request_id), seen)
            context = self._grounds.context(uow, request, by.person)
            report = self._grounds.report_of(request)
            moved = apply(uow, REQUESTS, request, "review", context, now=now, by=by, facts={"round": request.round})
            check_judgements(request, report, judgements)
            for path, judgement in sorted(judgements.items()):
                uow.votes.add(
                    Vote(
                        request=request.id,
                        round=request.round,
                        path=path,
                        sha256=request.digests[path],
                        checker=by.person,
                        decision=judgement.decision,
                        reason=judgement.reason.strip(),
                        acknowledged=judgement.acknowledged,
                        at=now,
                    )
                )
            permit = uow.permits.get(request.permit)
            context = self._grounds.context(uow, moved, by.person, reason="asked in the form")
        return self._view(moved, permit, context, by=by)

    def conclude(
        self, request_id: RequestId, verb: str, *, reason: str = "", seen: str | None = None, by: Principal
    ) -> ReviewView:
        """Write down the joint decision: `approve` what all approved, `return` or `reject` the whole."""
        if verb not in CONCLUSIONS:
            raise Refused([Denial(code="unknown-verb", message=f"“{verb}” is no joint decision on a request.")])
        now = self._now()
        with self._house.ports.store.begin() as uow:
            request = as_read(uow.egress.get(request_id), seen)
            context = self._grounds.context(uow, request, by.person, reason=reason)
            approved = context.passing if verb == "approve" else frozenset()
            moved = apply(
                uow,
                REQUESTS,
                request,
                verb,
                context,
                now=now,
                by=by,
                changes={"reason": reason.strip(), "approved": approved},
                facts={"outputs": len(approved)},
            )
            permit = uow.permits.get(request.permit)
            context = self._grounds.context(uow, moved, by.person, reason="asked in the form")
        self._house.ring()
        return self._view(moved, permit, context, by=by)

    def waive(
        self, request_id: RequestId, reasons: Mapping[str, str], *, seen: str | None = None, by: Principal
    ) -> ReviewView:
        """Waive every blocking finding, each by its key with its own reason, where the policy allows it."""
        now = self._now()
        with self._house.ports.store.begin() as uow:
            request = as_read(uow.egress.get(request_id), seen)
            context = self._grounds.context(uow, request, by.person, reason=" ".join(reasons.values()))
            unknown = set(reasons) - context.blocking
            empty = [key for key, reason in reasons.items() if not reason.strip()]
            if unknown or empty:
                raise Invalid({"findings": "Name blocking findings of this request, each with a reason."})
            context = replace(context, waived=context.waived | set(reasons))
            moved = apply(uow, REQUESTS, request, "waive", context, now=now, by=by, facts={"findings": len(reasons)})
            for finding, reason in sorted(reasons.items()):
                uow.votes.add_waiver(
                    Waiver(
                        request=request.id,
                        round=request.round,
                        finding=finding,
                        person=by.person,
                        reason=reason.strip(),
                        at=now,
                    )
                )
            permit = uow.permits.get(request.permit)
        return self._view(moved, permit, context, by=by)

    def look(self, request_id: RequestId, name: str, *, by: Principal) -> bytes:
        """One derived view (`0.json`, `0.png`) of a request; every look is an audit entry."""
        with self._house.ports.store.read() as uow:
            request = uow.egress.find(request_id)
            allowed = request is not None and (
                (by.may(Permission.EGRESS_REVIEW) and request.state is not EgressState.DRAFT)
                or uow.permits.get(request.permit).names(by.person)
            )
        if request is None or not allowed or not request.views:
            raise NotFound("There is no such view for you.")
        objects = self._house.ports.objects
        index: dict[str, str] = json.loads(load(objects, request.views))
        if name not in index:
            raise NotFound("There is no such view for you.")
        data = load(objects, index[name], Zone.VIEWS)
        with self._house.ports.store.begin() as uow:
            record(
                uow,
                event="egress.viewed",
                kind="egress",
                subject=request.id,
                now=self._now(),
                by=by,
                facts={"view": index[name]},
            )
        return data

    def _view(self, request: EgressRequest, permit: Permit, context: EgressContext, *, by: Principal) -> ReviewView:
        complete = len(context.finished) >= context.reviewers_needed or request.state not in (
            EgressState.IN_REVIEW,
            EgressState.SUBMITTED,
            EgressState.CHECKING,
            EgressState.BLOCKED,
        )
        return ReviewView(
            request=request,
            permit=permit,
            report=self._grounds.report_of(request),
            votes=visible_to(context.counted, by.person, complete=complete),
            standings=context.standings if complete else {},
            complete=complete,
            reviewed_by_me=by.person in context.finished,
            reviews_done=len(context.finished),
            reviews_needed=context.reviewers_needed,
            offers=offers(REQUESTS, request, context, by=by),
        )

    def _now(self) -> datetime:
        return self._house.ports.clock.now()


def mark_of(request: EgressRequest) -> str:
    """A short name of what a checker judges: the round, the files by digest, the report and the policy.

    Another checker's review does not change it, so nobody is disturbed by, or learns of, the others' work.
    """
    facts = [request.round, sorted(request.digests.items()), request.report, request.policy_digest]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:32]


def as_read(request: EgressRequest, seen: str | None) -> EgressRequest:
    """The request, if it is still what was read (None: whatever it is now). Raises `Stale`."""
    if seen is not None and mark_of(request) != seen:
        raise Stale("The request changed since you read it.")
    return request


def check_judgements(request: EgressRequest, report: Report | None, judgements: Mapping[str, Judgement]) -> None:
    """Every output judged, reasons where needed, every finding acknowledged before an approval."""
    problems: dict[str, str] = {}
    for path in sorted(set(request.digests) ^ set(judgements)):
        problems[path] = "Judge every output of the request, and no other."
    findings = {o.path: frozenset(f.key for f in o.findings) for o in report.outputs} if report else {}
    for path, judgement in judgements.items():
        if judgement.decision is not Decision.APPROVE and not judgement.reason.strip():
            problems[path] = "Give a reason: the author acts on it."
        missing = findings.get(path, frozenset()) - judgement.acknowledged
        if judgement.decision is Decision.APPROVE and missing:
            problems[path] = f"Acknowledge each finding before approving; {len(missing)} left."
    if problems:
        raise Invalid(problems)
