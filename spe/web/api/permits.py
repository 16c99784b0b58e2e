"""Permits: propose, confirm, amend, narrow; each effect can be previewed."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response, status
from pydantic import Field

from spe.domain.dataset import AccessMode
from spe.domain.ids import ChangeId, PermitId, PersonId
from spe.domain.permit import Change, Limits, Terms
from spe.domain.principal import Principal
from spe.services.app import App
from spe.services.permits import PermitView
from spe.web.api.bodies import ActionOut, Id, In, Line, Moment, Out, Reason, Text, Words, actions
from spe.web.api.conditions import IdempotencyKey, IfMatch, check, created, mark
from spe.web.api.paging import Page, PageOut, cut
from spe.web.auth import By, Services

router = APIRouter(tags=["permits"])
Key = Annotated[str, Path(max_length=40)]
Size = Annotated[int, Field(ge=1, le=2**50)]
Names = Annotated[list[Annotated[str, Field(max_length=100)]], Field(max_length=500)]
NamesIfAny = Annotated[Names, Field(default_factory=list)]


class LimitsIn(In):
    """What a session may use: bytes, cores, bytes of disk, bytes a day to the browser, idle minutes."""

    memory_bytes: Size = Limits().memory_bytes
    cpu: Annotated[float, Field(gt=0, le=1024)] = Limits().cpu
    disk_bytes: Size = Limits().disk_bytes
    daily_bytes: Size = Limits().daily_bytes
    idle_minutes: Annotated[int, Field(ge=1, le=10_000)] = Limits().idle_minutes


class TermsIn(In):
    """What a permit allows."""

    title: Text
    purpose: Text
    people: Annotated[list[Id], Field(max_length=500)]
    datasets: Names
    starts: Moment
    ends: Moment
    limits: LimitsIn = LimitsIn()
    access_mode: AccessMode = AccessMode.DIRECT
    secrets: NamesIfAny
    conditions: Text = ""

    def terms(self) -> Terms:
        """As the services take them."""
        return Terms(
            title=self.title,
            purpose=self.purpose,
            people=frozenset(PersonId(p) for p in self.people),
            datasets=frozenset(self.datasets),
            starts=self.starts,
            ends=self.ends,
            limits=Limits(**self.limits.model_dump()),
            access_mode=self.access_mode,
            secrets=frozenset(self.secrets),
            conditions=self.conditions,
        )


class NewPermit(In):
    """A permit as decided by the board."""

    kind: Annotated[str, Field(max_length=40)] = "data-permit"
    issuer: Line
    terms: TermsIn


class LimitsOut(Out):
    """Limits of a session."""

    memory_bytes: int
    cpu: float
    disk_bytes: int
    daily_bytes: int
    idle_minutes: int


class TermsOut(Out):
    """What a permit allows."""

    title: str
    purpose: str
    people: Words
    datasets: Words
    starts: datetime
    ends: datetime
    limits: LimitsOut
    access_mode: str
    secrets: Words
    conditions: str


class ChangeOut(Out):
    """A widening that waits for confirmation."""

    id: str
    permit: str
    verb: str
    terms: TermsOut
    proposed_by: str
    proposed_at: datetime
    confirmed_by: Words
    settled: str


class PermitOut(Out):
    """A permit, what waits, and what one may do."""

    id: str
    kind: str
    issuer: str
    state: str
    terms: TermsOut
    proposed_by: str
    confirmed_by: Words
    created_at: datetime
    reason: str
    in_force: bool
    version: int
    pending: list[ChangeOut]
    actions: list[ActionOut]


class PreviewOut(Out):
    """What would happen, one sentence each."""

    effects: list[str]


class AcceptedOut(Out):
    """The terms of use as accepted."""

    permit: str
    terms: str
    at: datetime


def permit_out(view: PermitView) -> PermitOut:
    """A permit as the API shows it."""
    permit = view.permit
    return PermitOut(
        id=permit.id,
        kind=permit.kind,
        issuer=permit.issuer,
        state=permit.state,
        terms=TermsOut.model_validate(permit.terms),
        proposed_by=permit.proposed_by,
        confirmed_by=sorted(permit.confirmed_by),
        created_at=permit.created_at,
        reason=permit.reason,
        in_force=view.in_force,
        version=permit.version,
        pending=[_change(c) for c in view.pending],
        actions=actions(view.offers, f"permits/{permit.id}"),
    )


@router.get("/permits")
def all_permits(app: Services, by: By, page: Page) -> PageOut[PermitOut]:
    """The permits that one may see, oldest first."""
    part, more = cut(app.permits.all(by=by), page, lambda v: v.permit.id)
    return PageOut[PermitOut](items=[permit_out(v) for v in part], next_page_token=more)


@router.post("/permits", status_code=status.HTTP_201_CREATED, response_model=PermitOut)
def propose(request: Request, app: Services, by: By, body: NewPermit, key: IdempotencyKey = "") -> Response:
    """Propose a permit; it gives nothing until others have confirmed."""

    def act() -> PermitOut:
        terms = body.terms.terms()
        return permit_out(app.permits.propose(kind=body.kind, issuer=body.issuer, terms=terms, by=by))

    return created(request, app, by, key, body, act)


@router.get("/permits/{permit}")
def one(response: Response, app: Services, by: By, permit: Key) -> PermitOut:
    """One permit."""
    return _shown(response, app.permits.view(PermitId(permit), by=by))


@router.get("/permits/{permit}/preview")
def preview(app: Services, by: By, permit: Key, verb: Annotated[str, Query(max_length=20)]) -> PreviewOut:
    """What a step would do, before it is done."""
    seen = app.permits.view(PermitId(permit), by=by)
    return PreviewOut(effects=list(app.permits.preview(seen.permit.id, verb, by=by)))


@router.post("/permits/{permit}:preview-amend")
def preview_amendment(app: Services, by: By, permit: Key, body: TermsIn) -> PreviewOut:
    """What an amendment would do at once, and what after confirmation."""
    seen = app.permits.view(PermitId(permit), by=by)
    return PreviewOut(effects=list(app.permits.preview(seen.permit.id, "amend", body.terms(), by=by)))


@router.post("/permits/{permit}:amend")
def amend(response: Response, app: Services, by: By, permit: Key, body: TermsIn, given: IfMatch) -> PermitOut:
    """Change the terms: what narrows acts at once, what widens waits."""
    seen = _seen(app, permit, given, by)
    return _shown(response, app.permits.amend(seen, body.terms(), by=by))


@router.post("/permits/{permit}:resume")
def resume(response: Response, app: Services, by: By, permit: Key, given: IfMatch) -> PermitOut:
    """Ask for a suspended permit to be active again."""
    return _shown(response, app.permits.resume(_seen(app, permit, given, by), by=by))


@router.post("/permits/{permit}:accept-terms")
def accept_terms(app: Services, by: By, permit: Key) -> AcceptedOut:
    """Accept the terms of use in the version in force."""
    return AcceptedOut.model_validate(app.people.accept_terms(PermitId(permit), by=by))


@router.post("/permits/{permit}:suspend")
def suspend(response: Response, app: Services, by: By, permit: Key, body: Reason, given: IfMatch) -> PermitOut:
    """Suspend at once: sessions end, the work stays."""
    return _narrow(response, app, permit, "suspend", body, given, by)


@router.post("/permits/{permit}:revoke")
def revoke(response: Response, app: Services, by: By, permit: Key, body: Reason, given: IfMatch) -> PermitOut:
    """Revoke at once and for good."""
    return _narrow(response, app, permit, "revoke", body, given, by)


@router.post("/permits/{permit}:decline")
def decline(response: Response, app: Services, by: By, permit: Key, body: Reason, given: IfMatch) -> PermitOut:
    """Decline a proposal."""
    return _narrow(response, app, permit, "decline", body, given, by)


@router.post("/permits/changes/{change}:confirm")
def confirm(response: Response, app: Services, by: By, change: Key) -> PermitOut:
    """Confirm a widening that somebody else proposed."""
    return _shown(response, app.permits.confirm(ChangeId(change), by=by))


def _narrow(response: Response, app: App, permit: str, verb: str, body: Reason, given: str, by: Principal) -> PermitOut:
    seen = _seen(app, permit, given, by)
    return _shown(response, app.permits.narrow(seen, verb, reason=body.reason, by=by))


def _seen(app: App, permit: str, given: str, by: Principal) -> PermitId:
    view = app.permits.view(PermitId(permit), by=by)
    check(given, view.permit.version)
    return view.permit.id


def _shown(response: Response, view: PermitView) -> PermitOut:
    mark(response, view.permit.version)
    return permit_out(view)


def _change(change: Change) -> ChangeOut:
    return ChangeOut.model_validate(change)
