"""People as operators manage them: register, one-time sign-in links, switching accounts."""

from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response

from spe.domain.errors import Invalid, NotFound, Refused
from spe.domain.ids import PersonId
from spe.domain.person import LOCAL_ISSUER, Person
from spe.domain.principal import Permission, Principal, Role
from spe.services.app import App
from spe.services.people import INVITATION_HOURS, LINK_HOURS
from spe.web.auth import Services, services, settings
from spe.web.ui.flash import done
from spe.web.ui.form import Form
from spe.web.ui.page import needs, page, wrong
from spe.web.ui.words import ROLES

router = APIRouter()
Manager = Annotated[Principal, Depends(needs(Permission.PEOPLE_MANAGE))]
FIELDS = ("name", "organisation", "issuer", "subject")


@router.get("/people")
def all_of_them(request: Request, app: Services, me: Manager) -> Response:
    """Everybody."""
    people = sorted(app.people.everyone(by=me), key=lambda p: p.name)
    return page(request, "people/list.html", people=people)


@router.get("/people/new")
def new(request: Request, app: Services, me: Manager) -> Response:
    """The empty form."""
    del me
    return _form(request, {**dict.fromkeys(FIELDS, ""), "issuer": app.logins.issuer}, ())


@router.post("/people/new")
def register(request: Request, app: Services, me: Manager, form: Form) -> Response:
    """Register a person."""
    given = {name: form.text(name) for name in FIELDS}
    chosen = form.chosen("roles")
    errors = {name: f"Give the {name}." for name in ("issuer", "subject") if not given[name]}
    if any((p.issuer, p.subject) == (given["issuer"], given["subject"]) for p in app.people.everyone(by=me)):
        errors["subject"] = "Somebody with this issuer and subject is registered already; see the list."
    if errors:
        return _form(request, given, chosen, status=422, errors=errors)
    try:
        person = app.people.register(roles=[Role(r) for r in chosen if r in tuple(ROLES)], by=me, **given)
    except Invalid as error:
        return _form(request, given, chosen, status=422, errors=wrong(error))
    return done(request, f"/people/{person.id}", "person-registered")


@router.get("/people/{person}")
def one(request: Request, person: PersonId, app: Services, me: Manager) -> Response:
    """One person."""
    return _page(request, app, person, me)


@router.post("/people/{person}/link")
def link(request: Request, person: PersonId, app: Services, me: Manager) -> Response:
    """Make a one-time link and show it this once: it is nowhere stored, so there is no page to go back to."""
    _known(app, person, me)
    try:
        secret = app.people.link(person, by=me)
    except Refused as refusal:
        return _page(request, app, person, me, status=409, errors=wrong(refusal))
    until = app.house.ports.clock.now() + timedelta(hours=LINK_HOURS)
    return _page(request, app, person, me, link=f"{settings(request).portal_url}/sign-in/{secret}", until=until)


@router.post("/people/{person}/invitation")
def invite(request: Request, person: PersonId, app: Services, me: Manager) -> Response:
    """Make an invitation and show it this once."""
    _known(app, person, me)
    try:
        secret = app.people.invite(person, by=me)
    except Refused as refusal:
        return _page(request, app, person, me, status=409, errors=wrong(refusal))
    until = app.house.ports.clock.now() + timedelta(hours=INVITATION_HOURS)
    return _page(request, app, person, me, link=f"{settings(request).portal_url}/invitation/{secret}", until=until)


@router.get("/people/{person}/switch")
def ask_switch(request: Request, person: PersonId, app: Services, me: Manager) -> Response:
    """What switching the account does, before it is done."""
    return page(request, "people/switch.html", person=_known(app, person, me))


@router.post("/people/{person}/switch")
def switch(request: Request, person: PersonId, app: Services, me: Manager, form: Form) -> Response:
    """Switch the account off or on."""
    active = form.text("active") == "yes"
    _known(app, person, me)
    try:
        app.people.switch(person, active=active, by=me)
    except Refused as refusal:
        return _page(request, app, person, me, status=409, errors=wrong(refusal))
    return done(request, f"/people/{person}", "person-on" if active else "person-off")


def _known(app: App, person: PersonId, me: Principal) -> Person:
    found = next((p for p in app.people.everyone(by=me) if p.id == person), None)
    if found is None:
        raise NotFound("There is no such person.")
    return found


def _page(request: Request, app: App, person: PersonId, me: Principal, *, status: int = 200, **more: Any) -> Response:
    known = _known(app, person, me)
    context: dict[str, Any] = {"link": "", "until": None, "entry": _entry(app, known), **more}
    return page(request, "people/one.html", status=status, person=known, **context)


def _entry(app: App, person: Person) -> str:
    """What an operator can make for the person to come in with: a link, an invitation, or nothing."""
    if not person.active:
        return ""
    if not app.logins.offered:
        return "link"
    return "invitation" if person.issuer == LOCAL_ISSUER else ""


def _form(
    request: Request, given: dict[str, str], chosen: tuple[str, ...], *, status: int = 200, **more: Any
) -> Response:
    offered = services(request).logins.offered
    context = {"given": given, "chosen": chosen, "roles_": ROLES, "provider": offered, **more}
    return page(request, "people/new.html", status=status, **context)
