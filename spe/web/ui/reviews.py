"""Output checkers: the inbox, and one request with its views beside the findings and the vote form."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response

from spe.domain.egress import EgressState
from spe.domain.errors import Invalid, NotFound, Refused
from spe.domain.ids import RequestId
from spe.domain.principal import Permission, Principal
from spe.domain.review import Decision
from spe.services.app import App
from spe.services.reviews import Judgement, ReviewView
from spe.services.story import StoryService
from spe.web.auth import Services, settings
from spe.web.ui.flash import done
from spe.web.ui.form import Form, Sent
from spe.web.ui.inbox import PILES, acts_of, sorted_inbox
from spe.web.ui.page import needs, page, wrong
from spe.web.ui.views import frames
from spe.web.ui.words import DECISIONS

router = APIRouter()
Checker = Annotated[Principal, Depends(needs(Permission.EGRESS_REVIEW))]
Given = dict[str, dict[str, Any]]


@router.get("/reviews")
def inbox(request: Request, app: Services, me: Checker) -> Response:
    """The requests in four piles."""
    return page(request, "reviews/inbox.html", piles=PILES, views=sorted_inbox(app.reviews.inbox(by=me)))


@router.get("/reviews/{request_id}")
def one(request: Request, request_id: RequestId, app: Services, me: Checker) -> Response:
    """One request as a checker sees it."""
    return review_page(request, app, request_id, me)


@router.post("/reviews/{request_id}")
def review(request: Request, request_id: RequestId, app: Services, me: Checker, form: Form) -> Response:
    """Hand in one's judgement on every output; it stands for the round."""
    view = app.reviews.view(request_id, by=me)
    given = _given(view, form)
    if form.text("round") != str(view.request.round):
        changed = {"refused-0": "The request was submitted anew since you opened it; look at it again."}
        return review_page(request, app, request_id, me, status=409, errors=changed)
    missing = {
        f"decision-{n}": f"Choose a decision on {output.path}."
        for n, output in enumerate(view.request.outputs)
        if given[output.path]["decision"] not in tuple(Decision)
    }
    if missing:
        return review_page(request, app, request_id, me, status=422, given=given, errors=missing)
    try:
        app.reviews.review(request_id, _judgements(given), by=me)
    except (Invalid, Refused) as error:
        errors = _anchored(error, view)
        return review_page(request, app, request_id, me, status=422, given=given, errors=errors)
    return done(request, f"/reviews/{request_id}", "review-done")


def review_page(
    request: Request,
    app: App,
    request_id: RequestId,
    me: Principal,
    *,
    status: int = 200,
    given: Given | None = None,
    **more: Any,
) -> Response:
    """The page of one request. Raises `NotFound` for a draft."""
    view = app.reviews.view(request_id, by=me)
    if view.request.state is EgressState.WITHDRAWN and not view.request.round:
        raise NotFound("There is no such egress request for you.")
    story = StoryService(app.house, app.egress)
    acts = acts_of(view)
    return page(
        request,
        "reviews/one.html",
        status=status,
        view=view,
        reports={o.path: o for o in view.report.outputs} if view.report else {},
        frames=frames(app, settings(request), view.request, me),
        milestones=story.milestones(request_id, by=me),
        earlier=story.earlier_votes(request_id, by=me),
        given=given or {},
        decisions=DECISIONS,
        may_review="review" in acts,
        may_decide=bool(acts & {"approve", "return", "reject"}),
        may_waive="waive" in acts,
        release=app.releases.of_request(request_id, by=me),
        **more,
    )


def _given(view: ReviewView, form: Sent) -> Given:
    """What the form says of each output. A ticked finding carries its key."""
    return {
        output.path: {
            "decision": form.text(f"decision-{n}"),
            "reason": form.text(f"reason-{n}"),
            "acknowledged": form.chosen(f"finding-{n}"),
        }
        for n, output in enumerate(view.request.outputs)
    }


def _judgements(given: Given) -> dict[str, Judgement]:
    return {
        path: Judgement(
            decision=Decision(fields["decision"]),
            reason=fields["reason"],
            acknowledged=frozenset(fields["acknowledged"]),
        )
        for path, fields in given.items()
    }


def _anchored(error: Invalid | Refused, view: ReviewView) -> dict[str, str]:
    """Errors about outputs under the id of the output's decision."""
    if isinstance(error, Refused):
        return dict(wrong(error))
    places = {o.path: f"decision-{n}" for n, o in enumerate(view.request.outputs)}
    return {places.get(name, "refused-0"): f"{name}: {text}" for name, text in error.fields.items()}
