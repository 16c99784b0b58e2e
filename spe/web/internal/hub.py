"""What the Hub and its spawner ask: who may stay, start this session, does it run, end it."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query
from pydantic import BaseModel, ConfigDict, Field

from spe.domain.ids import PersonId, WorkspaceId
from spe.web.api.bodies import Done, Out
from spe.web.auth import Services
from spe.web.internal.callers import hub

router = APIRouter(prefix="/hub", dependencies=[Depends(hub)])
Key = Annotated[str, Path(max_length=40)]


class Start(BaseModel):
    """What the spawner hands over: the notebook's environment, arguments and base path."""

    model_config = ConfigDict(extra="ignore")

    env: Annotated[dict[str, str], Field(max_length=200)] = {}
    args: Annotated[list[str], Field(max_length=100)] = []
    base_url: Annotated[str, Field(max_length=200)]


class EntitledOut(Out):
    """Whether the person may be anywhere."""

    entitled: bool


class StartedOut(Out):
    """Where the Hub's proxy enters: the gate; and in a cluster what the notebook's pod is made of."""

    url: str
    pod: dict[str, Any] | None = None


class RunningOut(Out):
    """Whether the session runs, and how it ended; `percent` and `message` during a start."""

    running: bool
    exit: int | None = None
    url: str = ""
    percent: int | None = None
    message: str | None = None


@router.get("/entitled")
def entitled(app: Services, user: Annotated[str, Query(max_length=40)]) -> EntitledOut:
    """Whether this person may enter any workspace now."""
    return EntitledOut(entitled=app.sessions.entitled_anywhere(PersonId(user)))


@router.post("/sessions/{workspace}/{person}:start")
def start(app: Services, workspace: Key, person: Key, body: Start) -> StartedOut:
    """Start the sandbox, if the start was asked for in the portal and the person may enter now."""
    environment = dict(body.env)
    started = app.sessions.launch(
        WorkspaceId(workspace), PersonId(person), environment=environment, base_url=body.base_url
    )
    return StartedOut(url=started.url, pod=dict(started.pod) if started.pod is not None else None)


@router.get("/sessions/{workspace}/{person}")
def poll(app: Services, workspace: Key, person: Key) -> RunningOut:
    """Whether the sandbox runs now."""
    state = app.sessions.poll(WorkspaceId(workspace), PersonId(person))
    return RunningOut(running=state.running, exit=state.exit, url=state.url)


@router.post("/sessions/{workspace}/{person}:opened")
def opened(app: Services, workspace: Key, person: Key) -> Done:
    """The session's address is open in the Hub's proxy."""
    app.sessions.opened(WorkspaceId(workspace), PersonId(person))
    return Done()


@router.post("/sessions/{workspace}/{person}:stop")
def stop(app: Services, workspace: Key, person: Key) -> RunningOut:
    """End the sandbox and wait until it is gone."""
    app.sessions.halt(WorkspaceId(workspace), PersonId(person))
    return RunningOut(running=False)
