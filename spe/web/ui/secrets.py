"""Secrets as operators store them: names are shown, values go in and never come out."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response

from spe.domain.errors import Invalid
from spe.domain.principal import Permission, Principal
from spe.services.app import App
from spe.web.auth import Services
from spe.web.ui.flash import done
from spe.web.ui.form import Form
from spe.web.ui.page import needs, page

router = APIRouter()
Keeper = Annotated[Principal, Depends(needs(Permission.SECRET_STORE))]


@router.get("/secrets")
def all_of_them(request: Request, app: Services, me: Keeper) -> Response:
    """The names, who may borrow them, and the form for a new one."""
    return _page(request, app, me)


@router.post("/secrets")
def store(request: Request, app: Services, me: Keeper, form: Form) -> Response:
    """Store a secret; one of that name is replaced. What was typed is never shown again."""
    name = form.text("name")
    try:
        app.secrets.put(name, form.exact("value"), by=me)
    except Invalid as error:
        errors = {k if k in ("name", "value") else "name": v for k, v in error.fields.items()}
        return _page(request, app, me, status=422, given=name, errors=errors)
    return done(request, "/secrets", "secret-stored")


def _page(request: Request, app: App, me: Principal, *, status: int = 200, given: str = "", **more: Any) -> Response:
    permits = [v.permit for v in app.permits.all(by=me)]
    names = {name: [p for p in permits if name in p.terms.secrets] for name in app.secrets.names(by=me)}
    return page(request, "secrets/list.html", status=status, names=names, given=given, **more)
