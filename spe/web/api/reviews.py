"""Reviews by output checkers. A decision names what it is about (`If-Match` with the `ETag` read), so nobody
judges bytes that they have not seen; the tag (also `mark`) does not change when another checker reviews.
"""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Response
from pydantic import Field

from spe.domain.ids import RequestId
from spe.domain.principal import Principal
from spe.domain.review import Decision
from spe.services.app import App
from spe.services.reviews import Judgement, ReviewView, mark_of
from spe.web.api.bodies import ActionOut, In, Out, Reason, Text, Words, actions
from spe.web.api.conditions import IfMatch, Mark, expect, mark_as
from spe.web.api.egress import OutputOut, report_json
from spe.web.api.paging import Page, PageOut, cut
from spe.web.auth import By, Services

router = APIRouter(tags=["reviews"])
Key = Annotated[str, Path(max_length=40)]
FindingKey = Annotated[str, Field(max_length=1000)]


class JudgementIn(In):
    """What one says of one output, with the findings acknowledged (their keys)."""

    decision: Decision
    reason: Text = ""
    acknowledged: Annotated[list[FindingKey], Field(max_length=10_000, default_factory=list)]


class ReviewIn(In):
    """One's judgement on every output, by path."""

    outputs: Annotated[dict[str, JudgementIn], Field(min_length=1, max_length=50)]


class WaiverIn(In):
    """A reason for each blocking finding, by its key."""

    reasons: Annotated[dict[FindingKey, Text], Field(min_length=1, max_length=1000)]


class VoteOut(Out):
    """One judgement on one output; those of others only when the review is complete."""

    path: str
    sha256: str
    checker: str
    decision: str
    reason: str
    acknowledged: Words
    at: datetime


class StandingOut(Out):
    """How one output stands."""

    approvals: int
    changes: int
    rejections: int


class ReviewOut(Out):
    """A request as a checker sees it; each finding of the report has the `key` by which it is acknowledged."""

    request: str
    permit: str
    workspace: str
    author: str
    purpose: str
    state: str
    round: int
    version: int
    verdict: str
    reason: str
    mark: str
    outputs: list[OutputOut]
    report: dict[str, Any] | None
    votes: list[VoteOut]
    standings: dict[str, StandingOut]
    complete: bool
    reviewed_by_me: bool
    reviews_done: int
    reviews_needed: int
    actions: list[ActionOut]


@router.get("/reviews")
def inbox(app: Services, by: By, page: Page) -> PageOut[ReviewOut]:
    """Requests that wait for checkers, oldest first."""
    part, more = cut(app.reviews.inbox(by=by), page, lambda v: v.request.id)
    return PageOut[ReviewOut](items=[review_out(v) for v in part], next_page_token=more)


@router.get("/reviews/{egress}")
def one(response: Response, app: Services, by: By, egress: Key) -> ReviewOut:
    """One request for a checker."""
    return _shown(response, app.reviews.view(RequestId(egress), by=by))


@router.post("/reviews/{egress}:review")
def review(response: Response, app: Services, by: By, egress: Key, mark: Mark, body: ReviewIn) -> ReviewOut:
    """Hand in one's review; it stands."""
    seen = _seen(app, egress, mark, by)
    judgements = {
        path: Judgement(decision=j.decision, reason=j.reason, acknowledged=frozenset(j.acknowledged))
        for path, j in body.outputs.items()
    }
    return _shown(response, app.reviews.review(seen, judgements, seen=mark, by=by))


@router.post("/reviews/{egress}:approve")
def approve(response: Response, app: Services, by: By, egress: Key, given: IfMatch, body: Reason) -> ReviewOut:
    """Write down the joint decision to release what every reviewer approved."""
    return _conclude(response, app, egress, "approve", given, body, by)


@router.post("/reviews/{egress}:return")
def send_back(response: Response, app: Services, by: By, egress: Key, given: IfMatch, body: Reason) -> ReviewOut:
    """Write down the joint decision to return the request to its author."""
    return _conclude(response, app, egress, "return", given, body, by)


@router.post("/reviews/{egress}:reject")
def reject(response: Response, app: Services, by: By, egress: Key, given: IfMatch, body: Reason) -> ReviewOut:
    """Write down the joint decision to reject the request."""
    return _conclude(response, app, egress, "reject", given, body, by)


@router.post("/reviews/{egress}:waive")
def waive(response: Response, app: Services, by: By, egress: Key, mark: Mark, body: WaiverIn) -> ReviewOut:
    """Waive blocking findings, each with its reason, where the policy allows it."""
    seen = _seen(app, egress, mark, by)
    return _shown(response, app.reviews.waive(seen, body.reasons, seen=mark, by=by))


def review_out(view: ReviewView) -> ReviewOut:
    """A review as the API shows it."""
    request = view.request
    return ReviewOut(
        request=request.id,
        permit=request.permit,
        workspace=request.workspace,
        author=request.author,
        purpose=request.purpose,
        state=request.state,
        round=request.round,
        version=request.version,
        verdict=request.verdict,
        reason=request.reason,
        mark=mark_of(request),
        outputs=[OutputOut.model_validate(o) for o in request.outputs],
        report=report_json(view.report),
        votes=[VoteOut.model_validate(v) for v in view.votes],
        standings={path: StandingOut.model_validate(s) for path, s in view.standings.items()},
        complete=view.complete,
        reviewed_by_me=view.reviewed_by_me,
        reviews_done=view.reviews_done,
        reviews_needed=view.reviews_needed,
        actions=actions(view.offers, f"reviews/{request.id}"),
    )


def _conclude(
    response: Response, app: App, egress: str, verb: str, given: str, body: Reason, by: Principal
) -> ReviewOut:
    mark = given.strip().strip('"') or mark_of(app.reviews.view(RequestId(egress), by=by).request)
    seen = _seen(app, egress, mark, by)
    return _shown(response, app.reviews.conclude(seen, verb, reason=body.reason, seen=mark, by=by))


def _seen(app: App, egress: str, given: str, by: Principal) -> RequestId:
    request = app.reviews.view(RequestId(egress), by=by).request
    expect(given, mark_of(request))
    return request.id


def _shown(response: Response, view: ReviewView) -> ReviewOut:
    mark_as(response, mark_of(view.request))
    return review_out(view)
