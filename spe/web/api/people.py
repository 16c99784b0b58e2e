"""People: who there is, who one is oneself, one-time links and API tokens."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path, Request, Response, status
from pydantic import Field

from spe.domain.ids import PersonId
from spe.domain.person import Person
from spe.domain.principal import Permission, Role
from spe.services.people import INVITATION_HOURS, LINK_HOURS, TOKEN_DAYS
from spe.services.transact import demand
from spe.web.api.bodies import In, Line, Out, Words
from spe.web.api.conditions import IdempotencyKey, created
from spe.web.api.paging import Page, PageOut, cut
from spe.web.auth import By, Services, Web

router = APIRouter(tags=["people"])
Key = Annotated[str, Path(max_length=40)]


class PersonOut(Out):
    """Somebody who may sign in."""

    id: str
    name: str
    organisation: str
    roles: Words
    active: bool
    trained_until: datetime | None


class MeOut(Out):
    """Oneself, with what one's roles permit."""

    person: str
    name: str
    roles: Words
    permissions: Words


class NewPerson(In):
    """A person as their identity provider knows them."""

    issuer: Annotated[str, Field(min_length=1, max_length=255)]
    subject: Annotated[str, Field(min_length=1, max_length=255)]
    name: Line
    organisation: Line = ""
    roles: Annotated[list[Role], Field(max_length=10)]


class LinkLife(In):
    """How long a one-time link lives."""

    hours: Annotated[float, Field(gt=0, le=24 * 14)] = LINK_HOURS


class InvitationLife(In):
    """How long an invitation lives."""

    hours: Annotated[float, Field(gt=0, le=24 * 14)] = INVITATION_HOURS


class TokenLife(In):
    """How long an API token lives."""

    days: Annotated[int, Field(ge=1, le=365)] = TOKEN_DAYS


class LinkOut(Out):
    """A one-time link, shown this once."""

    link: str


class TokenOut(Out):
    """An API token, shown this once."""

    token: str


@router.get("/people")
def everyone(app: Services, by: By, page: Page) -> PageOut[PersonOut]:
    """All people, for those who name or manage them."""
    part, more = cut(app.people.everyone(by=by), page, lambda p: p.id)
    return PageOut[PersonOut](items=[_out(p) for p in part], next_page_token=more)


@router.get("/people/me")
def me(by: By) -> MeOut:
    """Who the request speaks for."""
    return MeOut.model_validate(by)


@router.post("/people", status_code=status.HTTP_201_CREATED, response_model=PersonOut)
def register(request: Request, app: Services, by: By, body: NewPerson, key: IdempotencyKey = "") -> Response:
    """Make a person known; an issuer and subject that are known already give the person who has them."""

    def act() -> PersonOut:
        return _out(
            app.people.register(
                issuer=body.issuer,
                subject=body.subject,
                name=body.name,
                organisation=body.organisation,
                roles=body.roles,
                by=by,
            )
        )

    return created(request, app, by, key, body, act)


@router.post("/people/{person}/links", status_code=status.HTTP_201_CREATED)
def link(app: Services, web: Web, by: By, person: Key, body: LinkLife) -> LinkOut:
    """A one-time sign-in link; whoever opens it first is that person."""
    return LinkOut(link=f"{web.portal_url}/sign-in/{app.people.link(PersonId(person), hours=body.hours, by=by)}")


@router.post("/people/{person}/invitations", status_code=status.HTTP_201_CREATED)
def invite(app: Services, web: Web, by: By, person: Key, body: InvitationLife) -> LinkOut:
    """An invitation: the first identity that signs in with it is this person's from then on."""
    return LinkOut(link=f"{web.portal_url}/invitation/{app.people.invite(PersonId(person), hours=body.hours, by=by)}")


@router.post("/people/{person}/tokens", status_code=status.HTTP_201_CREATED)
def token(app: Services, by: By, person: Key, body: TokenLife) -> TokenOut:
    """An API token that acts as the person: for oneself, or by whoever manages people."""
    return TokenOut(token=app.people.token(PersonId(person), days=body.days, by=by))


@router.post("/people/{person}:deactivate")
def deactivate(app: Services, by: By, person: Key) -> PersonOut:
    """Switch an account off; sessions end with the next look."""
    return _out(app.people.switch(PersonId(person), active=False, by=by))


@router.post("/people/{person}:activate")
def activate(app: Services, by: By, person: Key) -> PersonOut:
    """Switch an account on again."""
    return _out(app.people.switch(PersonId(person), active=True, by=by))


@router.get("/people/{person}")
def one(app: Services, by: By, person: Key) -> PersonOut:
    """One person."""
    if by.person != person:
        demand(by, Permission.PEOPLE_READ)
    return _out(app.people.person(PersonId(person)))


def _out(person: Person) -> PersonOut:
    return PersonOut.model_validate(person)
