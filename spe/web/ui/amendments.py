"""Amending a permit in two steps: the form as it stands, then what acts at once and what needs confirmation."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response

from spe.domain.errors import Invalid, Refused
from spe.domain.ids import PermitId
from spe.domain.principal import Permission, Principal
from spe.services.app import App
from spe.web.auth import Services
from spe.web.ui.flash import done
from spe.web.ui.form import Form
from spe.web.ui.page import needs, page, wrong
from spe.web.ui.permits import choices
from spe.web.ui.terms_form import fields_of, fields_sent, in_order, terms_from

router = APIRouter()
Proposer = Annotated[Principal, Depends(needs(Permission.PERMIT_PROPOSE))]


@router.get("/permits/{permit}/amend")
def form_of(request: Request, permit: PermitId, app: Services, me: Proposer) -> Response:
    """The form, filled in with the terms that hold."""
    view = app.permits.view(permit, by=me)
    return _form(request, app, permit, me, given=fields_of(view.permit.terms))


@router.post("/permits/{permit}/amend")
def amend(request: Request, permit: PermitId, app: Services, me: Proposer, form: Form) -> Response:
    """First show what would happen; do it when the second page's button says so."""
    view = app.permits.view(permit, by=me)
    given = fields_sent(form)
    back = form.text("step") == "edit"
    try:
        if back:
            return _form(request, app, permit, me, given=given)
        terms = terms_from(given, old=view.permit.terms)
        if form.text("step") == "make":
            app.permits.amend(permit, terms, by=me)
            return done(request, f"/permits/{permit}", "permit-amended")
        app.permits.examine(terms, by=me)
    except (Invalid, Refused) as error:
        return _form(request, app, permit, me, given=given, status=422, errors=in_order(wrong(error)))
    effects = app.permits.preview(permit, "amend", terms, by=me)
    return page(request, "permits/preview.html", view=view, given=given, effects=effects)


def _form(request: Request, app: App, permit: PermitId, me: Principal, *, status: int = 200, **more: Any) -> Response:
    view = app.permits.view(permit, by=me)
    return page(request, "permits/amend.html", status=status, view=view, choices=choices(app, me), **more)
