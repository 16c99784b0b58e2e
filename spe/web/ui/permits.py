"""Permits as the board works with them: list, proposal, page, confirmation, suspension, revocation, record."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response

from spe.domain.errors import Invalid, NotFound, Refused, Stale
from spe.domain.ids import ChangeId, PermitId
from spe.domain.permit import Change, narrowings, widenings
from spe.domain.principal import Permission, Principal, Role
from spe.services.app import App
from spe.services.permits import PermitView
from spe.services.story import StoryService
from spe.web.auth import Services
from spe.web.ui.flash import done
from spe.web.ui.form import Form
from spe.web.ui.page import needs, page, wrong
from spe.web.ui.pending import waiting_for
from spe.web.ui.terms_form import fields_sent, fresh_fields, in_order, terms_from
from spe.web.ui.words import ACCESS_MODES, PERMIT_KINDS

router = APIRouter()
Reader = Annotated[Principal, Depends(needs(Permission.PEOPLE_READ))]
Proposer = Annotated[Principal, Depends(needs(Permission.PERMIT_PROPOSE))]
Confirmer = Annotated[Principal, Depends(needs(Permission.PERMIT_CONFIRM))]
Narrower = Annotated[Principal, Depends(needs(Permission.PERMIT_NARROW))]
NARROWING = ("suspend", "revoke", "decline")


@router.get("/permits")
def all_of_them(request: Request, app: Services, me: Reader) -> Response:
    """Every permit, newest first."""
    return page(request, "permits/list.html", views=app.permits.all(by=me)[::-1])


@router.get("/permits/new")
def new(request: Request, app: Services, me: Proposer) -> Response:
    """The empty form."""
    given = fresh_fields(app.house.ports.clock.now())
    return _form(request, app, me, given=given, kind=PERMIT_KINDS[0][0], issuer="")


@router.post("/permits/new")
def propose(request: Request, app: Services, me: Proposer, form: Form) -> Response:
    """Propose a permit."""
    given, kind, issuer = fields_sent(form), form.text("kind"), form.text("issuer")
    try:
        view = app.permits.propose(kind=kind, issuer=issuer, terms=terms_from(given), by=me)
    except (Invalid, Refused) as error:
        errors = dict(wrong(error)) | ({} if issuer else {"issuer": "Say which body decided."})
        again = {"given": given, "kind": kind, "issuer": issuer, "errors": in_order(errors)}
        return _form(request, app, me, status=422, **again)
    return done(request, f"/permits/{view.permit.id}", "permit-proposed")


@router.get("/permits/{permit}")
def one(request: Request, permit: PermitId, app: Services, me: Reader) -> Response:
    """One permit: its terms, what waits, what one may do."""
    return _page(request, app, permit, me)


@router.get("/permits/{permit}/record")
def record(request: Request, permit: PermitId, app: Services, me: Reader) -> Response:
    """The decision record, to print."""
    return _page(request, app, permit, me, template="permits/record.html")


@router.get("/permits/{permit}/changes/{change}")
def ask_confirm(request: Request, permit: PermitId, change: ChangeId, app: Services, me: Confirmer) -> Response:
    """What the proposal would do, before it is confirmed."""
    return _confirm_page(request, app, permit, change, me)


@router.post("/permits/{permit}/changes/{change}")
def confirm(request: Request, permit: PermitId, change: ChangeId, app: Services, me: Confirmer) -> Response:
    """Confirm the proposal; the last confirmation that is needed carries it out."""
    _pending(app.permits.view(permit, by=me), change)
    try:
        app.permits.confirm(change, by=me)
    except (Refused, Invalid) as error:
        return _confirm_page(request, app, permit, change, me, status=409, errors=told(error))
    return done(request, f"/permits/{permit}", "permit-confirmed")


@router.get("/permits/{permit}/resume")
def ask_resume(request: Request, permit: PermitId, app: Services, me: Proposer) -> Response:
    """What resuming would do, before it is proposed."""
    return _verb_page(request, app, permit, "resume", me)


@router.post("/permits/{permit}/resume")
def resume(request: Request, permit: PermitId, app: Services, me: Proposer) -> Response:
    """Propose that the permit is active again."""
    app.permits.resume(permit, by=me)
    return done(request, f"/permits/{permit}", "permit-resume")


@router.get("/permits/{permit}/{verb}")
def ask_narrow(request: Request, permit: PermitId, verb: str, app: Services, me: Narrower) -> Response:
    """What suspending, revoking or declining would do, before it is done."""
    if verb not in NARROWING:
        raise NotFound("There is no such page.")
    return _verb_page(request, app, permit, verb, me)


@router.post("/permits/{permit}/{verb}")
def narrow(request: Request, permit: PermitId, verb: str, app: Services, me: Narrower, form: Form) -> Response:
    """Suspend, revoke or decline, at once, with a reason that the people on the permit read."""
    if verb not in NARROWING:
        raise NotFound("There is no such page.")
    reason = form.text("reason")
    try:
        app.permits.narrow(permit, verb, reason=reason, by=me)
    except Refused as refusal:
        if "reason-missing" not in refusal.codes:
            raise
        return _verb_page(request, app, permit, verb, me, status=422, errors={"reason": refusal.sentences[0]})
    return done(request, f"/permits/{permit}", f"permit-{verb}")


def choices(app: App, me: Principal) -> dict[str, Any]:
    """What the permit form lets one choose from."""
    people = [p for p in app.people.everyone(by=me) if p.active and Role.AUTHORISED_USER in p.roles]
    return {
        "people": sorted(people, key=lambda p: p.name),
        "datasets": [v for v in app.datasets.all(by=me) if not v.withdrawn],
        "secrets": app.secrets.names(by=me),
        "modes": ACCESS_MODES,
        "kinds": PERMIT_KINDS,
    }


def _form(request: Request, app: App, me: Principal, *, status: int = 200, **more: Any) -> Response:
    return page(request, "permits/new.html", status=status, choices=choices(app, me), **more)


def _page(
    request: Request, app: App, permit: PermitId, me: Principal, *, template: str = "permits/one.html"
) -> Response:
    view = app.permits.view(permit, by=me)
    versions = {v.key: v for v in app.datasets.all(by=me)}
    spaces = [v for v in app.workspaces.all(by=me) if v.permit.id == permit]
    return page(
        request,
        template,
        view=view,
        versions=versions,
        workspaces=spaces,
        acts=StoryService(app.house, app.egress).acts(permit, by=me),
        changes=[(c, waiting_for(view, c, me), differences(view, c)) for c in view.pending],
    )


def differences(view: PermitView, change: Change) -> tuple[str, ...]:
    """What a pending change would make different, one sentence each."""
    old, new = view.permit.terms, change.terms
    return (*widenings(old, new), *narrowings(old, new))


def _pending(view: PermitView, change: ChangeId) -> Change:
    found = next((c for c in view.pending if c.id == change), None)
    if found is None:
        raise Stale("This proposal is not waiting any more: it was carried out, replaced or dropped.")
    return found


def _confirm_page(
    request: Request, app: App, permit: PermitId, change: ChangeId, me: Principal, *, status: int = 200, **more: Any
) -> Response:
    view = app.permits.view(permit, by=me)
    found = _pending(view, change)
    return page(
        request,
        "permits/confirm.html",
        status=status,
        view=view,
        change=found,
        closed=waiting_for(view, found, me),
        effects=differences(view, found) or app.permits.preview(permit, found.verb, by=me),
        versions={v.key: v for v in app.datasets.all(by=me)},
        **more,
    )


def _verb_page(
    request: Request, app: App, permit: PermitId, verb: str, me: Principal, *, status: int = 200, **more: Any
) -> Response:
    view = app.permits.view(permit, by=me)
    offer = next((o for o in view.offers if o.verb == verb), None)
    if offer is None:
        raise Stale(f"A permit that is {view.permit.state} does not take this step.")
    effects = app.permits.preview(permit, verb, by=me)
    return page(request, "permits/verb.html", status=status, view=view, verb=verb, offer=offer, effects=effects, **more)


def told(error: Refused | Invalid) -> dict[str, str]:
    """Errors that belong to no field of the page."""
    return {f"refused-{number}": text for number, text in enumerate(error.sentences)}
