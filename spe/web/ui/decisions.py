"""After the votes: the joint decision with its manifest, an exception to blocking findings, and recall."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response

from spe.domain.egress import EgressState
from spe.domain.errors import Invalid, Refused, Stale
from spe.domain.ids import RequestId
from spe.domain.principal import Permission, Principal
from spe.domain.verdict import Severity
from spe.services.app import App
from spe.services.reviews import ReviewView
from spe.web.auth import Services
from spe.web.ui.flash import done
from spe.web.ui.form import Form
from spe.web.ui.inbox import acts_of
from spe.web.ui.page import needs, page, wrong

router = APIRouter()
Checker = Annotated[Principal, Depends(needs(Permission.EGRESS_REVIEW))]
Recaller = Annotated[Principal, Depends(needs(Permission.EGRESS_RECALL))]
VERBS = ("approve", "return", "reject")


@router.get("/reviews/{request_id}/decision")
def ask_decision(request: Request, request_id: RequestId, app: Services, me: Checker) -> Response:
    """What would be released, how each output stands, and the three ways on."""
    return _decision_page(request, app, request_id, me)


@router.post("/reviews/{request_id}/decision")
def decide(request: Request, request_id: RequestId, app: Services, me: Checker, form: Form) -> Response:
    """Write down the joint decision."""
    verb, reason = form.text("verb"), form.text("reason")
    again = {"chosen": verb, "reason": reason}
    if verb not in VERBS:
        errors = {"verb": "Choose what you decided."}
        return _decision_page(request, app, request_id, me, status=422, errors=errors, **again)
    try:
        app.reviews.conclude(request_id, verb, reason=reason, by=me)
    except Refused as refusal:
        errors = {
            "reason" if denial.code == "reason-missing" else f"refused-{n}": denial.message
            for n, denial in enumerate(refusal.denials)
        }
        return _decision_page(request, app, request_id, me, status=422, errors=errors, **again)
    return done(request, f"/reviews/{request_id}", f"review-{verb}")


@router.get("/reviews/{request_id}/waive")
def ask_waive(request: Request, request_id: RequestId, app: Services, me: Checker) -> Response:
    """The blocking findings, each with a place for its reason."""
    return _waive_page(request, app, request_id, me)


@router.post("/reviews/{request_id}/waive")
def waive(request: Request, request_id: RequestId, app: Services, me: Checker, form: Form) -> Response:
    """Write down an exception to every blocking finding."""
    view = app.reviews.view(request_id, by=me)
    reasons = {key: form.text(f"reason-{key}") for key in blocking(view)}
    missing = {f"reason-{key}": "Give a reason for this exception." for key, text in reasons.items() if not text}
    if missing:
        return _waive_page(request, app, request_id, me, status=422, errors=missing, given=reasons)
    try:
        app.reviews.waive(request_id, reasons, by=me)
    except (Invalid, Refused) as error:
        errors = {f"refused-{n}": text for n, text in enumerate(error.sentences)}
        return _waive_page(request, app, request_id, me, status=409, errors=errors, given=reasons)
    return done(request, f"/reviews/{request_id}", "review-waived")


@router.get("/reviews/{request_id}/recall")
def ask_recall(request: Request, request_id: RequestId, app: Services, me: Recaller) -> Response:
    """What a recall does, before it is done."""
    return _recall_page(request, app, request_id, me)


@router.post("/reviews/{request_id}/recall")
def recall(request: Request, request_id: RequestId, app: Services, me: Recaller, form: Form) -> Response:
    """Withdraw the release, with a reason."""
    try:
        app.releases.recall(request_id, reason=form.text("reason"), by=me)
    except Refused as refusal:
        if "reason-missing" not in refusal.codes:
            return _recall_page(request, app, request_id, me, status=409, errors=wrong(refusal))
        return _recall_page(request, app, request_id, me, status=422, errors={"reason": refusal.sentences[0]})
    return done(request, f"/reviews/{request_id}", "release-recalled")


def blocking(view: ReviewView) -> dict[str, Any]:
    """The blocking findings by key."""
    found = view.report.all_findings if view.report else ()
    return {f.key: f for f in found if f.severity is Severity.BLOCK}


def _decision_page(
    request: Request, app: App, request_id: RequestId, me: Principal, *, status: int = 200, **more: Any
) -> Response:
    view = app.reviews.view(request_id, by=me)
    if view.request.state is not EgressState.IN_REVIEW:
        raise Stale(f"The request is {view.request.state}; there is nothing to decide now.")
    context: dict[str, Any] = {"chosen": "", "reason": "", **more}
    return page(
        request,
        "reviews/decision.html",
        status=status,
        view=view,
        offers=[o for o in view.offers if o.verb in VERBS],
        passing={p for p, s in view.standings.items() if s.approved(view.reviews_needed)},
        **context,
    )


def _waive_page(
    request: Request, app: App, request_id: RequestId, me: Principal, *, status: int = 200, **more: Any
) -> Response:
    view = app.reviews.view(request_id, by=me)
    if view.request.state is not EgressState.BLOCKED:
        raise Stale(f"The request is {view.request.state}; no finding blocks it now.")
    offer = next((o for o in view.offers if o.verb == "waive"), None)
    return page(
        request,
        "reviews/waive.html",
        status=status,
        view=view,
        offer=offer,
        may="waive" in acts_of(view),
        findings=blocking(view),
        **{"given": {}, **more},
    )


def _recall_page(
    request: Request, app: App, request_id: RequestId, me: Principal, *, status: int = 200, **more: Any
) -> Response:
    view = app.reviews.view(request_id, by=me)
    offer = next((o for o in view.offers if o.verb == "recall"), None)
    if offer is None:
        raise Stale(f"The request is {view.request.state}; there is no release to recall.")
    return page(
        request,
        "reviews/recall.html",
        status=status,
        view=view,
        offer=offer,
        release=app.releases.of_request(request_id, by=me),
        **more,
    )
