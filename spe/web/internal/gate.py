"""What a gate asks and tells for itself; no notebook reaches these paths."""

import re
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from spe.domain.ids import PersonId, WorkspaceId
from spe.web.api.bodies import Done, Out
from spe.web.auth import Services
from spe.web.internal.callers import Account, Gate

router = APIRouter(prefix="/gate")
MOST_FACTS = 20
LARGEST_NUMBER = 2**53 - 1
_NOT_TOKEN = re.compile(r"[^A-Za-z0-9._:/@+=-]+")
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,39}")


class Event(BaseModel):
    """One event as the gate kept it; `id` makes a second delivery harmless."""

    model_config = ConfigDict(extra="ignore")

    event: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,39}$")]
    id: Annotated[str, Field(max_length=300)] = ""
    person: Annotated[str, Field(max_length=40)] | None = None
    detail: Annotated[dict[str, JsonValue], Field(max_length=100)] = {}


class EntitledOut(Out):
    """Whether the person may be inside, and until when, or why not."""

    entitled: bool
    until: datetime | None = None
    reason: str = ""


class Code(BaseModel):
    """What a browser brought from the portal, and the verifier that the gate had given it."""

    model_config = ConfigDict(extra="forbid")

    code: Annotated[str, Field(max_length=200)]
    verifier: Annotated[str, Field(max_length=200)]


class NamedOut(Out):
    """Whose gate it is, and the token by which it is known from now on."""

    workspace: WorkspaceId
    token: str


class PersonOut(Out):
    """The person who uses the browser."""

    person: PersonId


@router.post("/hello")
def hello(app: Services, shown: Account) -> NamedOut:
    """Who a gate in a cluster is: it shows the token of its pod's account."""
    named = app.gates.hello(shown)
    return NamedOut(workspace=named.workspace, token=named.token)


@router.get("/addresses")
def addresses(app: Services, workspace: Gate) -> dict[PersonId, str]:
    """The address of each notebook that runs in this workspace now."""
    return dict(app.gates.addresses(workspace))


@router.post("/events")
def event(app: Services, workspace: Gate, body: Event) -> Done:
    """Write down what the gate reports: numbers and short words only, no content."""
    person = PersonId(body.person) if body.person else None
    app.sessions.gate_event(workspace, person, body.event, facts_of(body.detail), identity=body.id)
    return Done()


@router.get("/entitled")
def entitled(app: Services, workspace: Gate, person: Annotated[str, Query(max_length=40)]) -> EntitledOut:
    """Whether this person may be in this workspace now."""
    until = app.sessions.entitled_until(workspace, PersonId(person))
    reason = app.sessions.why_not(workspace, PersonId(person)) if until is None else ""
    return EntitledOut(entitled=until is not None, until=until, reason=reason)


@router.post("/passes")
def redeem(app: Services, workspace: Gate, body: Code) -> PersonOut:
    """Who stands behind the code that a browser brought."""
    return PersonOut(person=app.passes.redeem(workspace, code=body.code, verifier=body.verifier))


def facts_of(detail: dict[str, JsonValue]) -> dict[str, str | int]:
    """Details as the audit log takes them: whole numbers, and texts cut down to short tokens."""
    facts: dict[str, str | int] = {}
    for name, value in list(detail.items())[:MOST_FACTS]:
        if not _NAME.fullmatch(name) or value is None or isinstance(value, dict | list):
            continue
        if isinstance(value, int):
            facts[name] = max(-LARGEST_NUMBER, min(value, LARGEST_NUMBER))
        elif isinstance(value, float):
            facts[name] = int(max(-LARGEST_NUMBER, min(value, LARGEST_NUMBER)))
        else:
            facts[name] = _NOT_TOKEN.sub("-", value)[:100].lstrip("._:/@+=-") or "other"
    return facts
