"""The audit log for auditors: read, verify, export; keys and signed heads for anybody who checks."""

import json
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from pydantic import Field

from spe.domain.audit import AuditEntry
from spe.domain.errors import Invalid
from spe.web.api.bodies import In, Out
from spe.web.api.paging import Page, PageOut, token_of
from spe.web.api.releases import attachment
from spe.web.auth import By, Services

router = APIRouter(tags=["audit"])
Filter = Annotated[str, Query(max_length=255)]


class EntryOut(Out):
    """One entry as it stands in the log."""

    index: int
    at: datetime
    actor: dict[str, str]
    event: str
    object: dict[str, str]
    before: str | None
    after: str | None
    digests: dict[str, str]
    details: dict[str, str | int | bool]
    request: str | None
    reason: str | None
    policy: str | None


class ProblemOut(Out):
    """Something wrong with the log."""

    code: str
    message: str
    index: int | None


class VerifiedOut(Out):
    """What a recomputation of the whole log found."""

    entries: int
    intact: bool
    problems: list[ProblemOut]


class CheckpointOut(Out):
    """A signed head of the log."""

    size: int
    note: str


class CheckpointsOut(Out):
    """Signed heads, oldest first."""

    items: list[CheckpointOut]


class Subject(In):
    """What a pack is about: the id of one object, or nothing for the whole log."""

    subject: Annotated[str, Field(max_length=100)] = ""


@router.get("/audit/entries")
def entries(
    app: Services, by: By, page: Page, subject: Filter = "", event: Filter = "", person: Filter = ""
) -> PageOut[EntryOut]:
    """Entries, newest first; by object id, by the beginning of the event, by the actor's subject."""
    if page.after and not page.after.isdecimal():
        raise Invalid({"page_token": "Use the token of the page before, or leave it out for the first page."})
    before = int(page.after) if page.after else None
    found = app.audit.entries(subject=subject, event=event, person=person, before=before, limit=page.size + 1, by=by)
    part = found[: page.size]
    more = token_of(str(part[-1].index)) if len(found) > page.size else ""
    return PageOut[EntryOut](items=[_out(e) for e in part], next_page_token=more)


@router.post("/audit:verify")
def verify(app: Services, by: By) -> VerifiedOut:
    """Recompute the whole log now."""
    size, problems = app.audit.verify(by=by)
    told = [ProblemOut.model_validate(p) for p in problems]
    return VerifiedOut(entries=size, intact=not problems, problems=told)


@router.post("/audit:export", response_class=Response)
def export(app: Services, by: By, body: Subject) -> Response:
    """An audit pack (ZIP) to check offline; making one is audited."""
    data = app.audit.export(subject=body.subject, by=by)
    return Response(data, media_type="application/zip", headers=attachment("audit-pack.zip"))


@router.get("/audit/keys")
def keys(app: Services) -> dict[str, Any]:
    """The public keys that verify receipts and checkpoints; open to everybody."""
    document: dict[str, Any] = json.loads(app.audit.keys().data())
    return document


@router.get("/audit/checkpoints")
def checkpoints(app: Services, by: By) -> CheckpointsOut:
    """The signed heads, to be kept outside."""
    del by  # anybody who is signed in
    with app.house.ports.store.read() as uow:
        heads = uow.audit.checkpoints()
    return CheckpointsOut(items=[CheckpointOut(size=head.size, note=note) for head, note in heads])


def _out(entry: AuditEntry) -> EntryOut:
    return EntryOut(
        index=entry.index,
        at=entry.at,
        actor={"issuer": entry.actor.issuer, "subject": entry.actor.subject, "role": entry.actor.role},
        event=entry.event,
        object={"kind": entry.object_kind, "id": entry.object_id},
        before=entry.before,
        after=entry.after,
        digests=dict(entry.digests),
        details=dict(entry.details),
        request=entry.request,
        reason=entry.reason,
        policy=entry.policy,
    )
