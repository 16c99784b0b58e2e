"""Workspaces and one's own notebook session in them; a start is followed by server-sent events."""

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path, Response, status
from fastapi.responses import StreamingResponse
from pydantic import Field

from spe.domain.errors import SpeError
from spe.domain.ids import WorkspaceId
from spe.domain.principal import Permission, Principal
from spe.domain.workspace import Session
from spe.services.app import App
from spe.services.workspaces import WorkspaceView
from spe.web.api.bodies import ActionOut, DenialOut, Out, actions
from spe.web.api.conditions import IfMatch, check, mark
from spe.web.api.paging import Page, PageOut, cut
from spe.web.auth import By, Services, Web
from spe.web.settings import WebSettings

router = APIRouter(tags=["workspaces"])
Key = Annotated[str, Path(max_length=40)]


class ConditionOut(Out):
    """One observed fact."""

    name: str
    holds: bool
    reason: str
    since: datetime


class SessionOut(Out):
    """One's own session: where it stands, where it opens, and why one may not start it."""

    workspace: str
    person: str
    state: str
    message: str
    since: datetime | None
    url: str = ""
    denials: Annotated[list[DenialOut], Field(default_factory=list)]


class WorkspaceOut(Out):
    """A workspace, what is observed of it, who is inside, and what one may do."""

    id: str
    permit: str
    permit_title: str
    state: str
    created_at: datetime
    version: int
    conditions: list[ConditionOut]
    sessions: list[SessionOut]
    actions: list[ActionOut]


class CandidateOut(Out):
    """One entry of the outputs folder; `problem` says why it cannot be taken."""

    path: str
    size: int
    problem: str


class OutputsOut(Out):
    """One's own outputs folder; `note` says what to do where it cannot be looked at from outside."""

    items: list[CandidateOut]
    note: str


def notebook_url(web: WebSettings, workspace: str, person: str) -> str:
    """Where a session opens in the browser."""
    return f"{web.hub_url}/user/{person}/{workspace}/lab"


@router.get("/workspaces")
def all_workspaces(app: Services, by: By, page: Page) -> PageOut[WorkspaceOut]:
    """The workspaces that one may see."""
    part, more = cut(app.workspaces.all(by=by), page, lambda v: v.workspace.id)
    return PageOut[WorkspaceOut](items=[_out(v, by=by) for v in part], next_page_token=more)


@router.get("/workspaces/{workspace}")
def one(response: Response, app: Services, by: By, workspace: Key) -> WorkspaceOut:
    """One workspace."""
    return _shown(response, app.workspaces.view(WorkspaceId(workspace), by=by), by=by)


@router.post("/workspaces/{workspace}:stop")
def stop(response: Response, app: Services, by: By, workspace: Key, given: IfMatch) -> WorkspaceOut:
    """Stop a workspace: sessions end, the work stays."""
    return _move(response, app, workspace, "stop", given, by)


@router.post("/workspaces/{workspace}:start")
def start(response: Response, app: Services, by: By, workspace: Key, given: IfMatch) -> WorkspaceOut:
    """Start a stopped workspace."""
    return _move(response, app, workspace, "start", given, by)


@router.post("/workspaces/{workspace}:retry")
def retry(response: Response, app: Services, by: By, workspace: Key, given: IfMatch) -> WorkspaceOut:
    """Try a failed workspace again."""
    return _move(response, app, workspace, "retry", given, by)


@router.get("/workspaces/{workspace}/session")
def session(app: Services, web: Web, by: By, workspace: Key) -> SessionOut:
    """One's own session, and why it may not be started now."""
    seen = app.workspaces.view(WorkspaceId(workspace), by=by).workspace.id
    mine = app.sessions.mine(seen, by=by)
    denials = app.sessions.denials(seen, by.person)
    state = mine.state.value if mine else "none"
    return SessionOut(
        workspace=seen,
        person=by.person,
        state=state,
        message=mine.message if mine else "",
        since=mine.since if mine else None,
        url=notebook_url(web, seen, by.person) if state == "running" else "",
        denials=[DenialOut(code=d.code, message=d.message) for d in denials],
    )


@router.post("/workspaces/{workspace}/session:start", status_code=status.HTTP_202_ACCEPTED)
def start_session(app: Services, web: Web, by: By, workspace: Key) -> SessionOut:
    """Ask for one's notebook; `session/progress` tells how it goes."""
    seen = app.workspaces.view(WorkspaceId(workspace), by=by).workspace.id
    app.sessions.start(seen, by=by)
    return session(app, web, by, seen)


@router.post("/workspaces/{workspace}/session:stop")
def stop_session(app: Services, web: Web, by: By, workspace: Key) -> SessionOut:
    """End one's own session."""
    seen = app.workspaces.view(WorkspaceId(workspace), by=by).workspace.id
    app.sessions.stop(seen, by=by)
    return session(app, web, by, seen)


@router.get(
    "/workspaces/{workspace}/session/progress",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {}}}},
)
def progress(app: Services, web: Web, by: By, workspace: Key) -> StreamingResponse:
    """Server-sent events: `progress` with percent and message, then `ready` with the address, or `failed`."""
    seen = app.workspaces.view(WorkspaceId(workspace), by=by).workspace.id
    return StreamingResponse(
        events(app, web, seen, by=by),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


@router.get("/workspaces/{workspace}/outputs")
def outputs(app: Services, by: By, workspace: Key) -> OutputsOut:
    """What lies in one's own outputs folder."""
    seen = app.workspaces.view(WorkspaceId(workspace), by=by).workspace.id
    found = app.egress.candidates(seen, by=by)
    return OutputsOut(items=[CandidateOut.model_validate(c) for c in found], note=app.egress.folder_note)


def events(app: App, web: WebSettings, workspace: WorkspaceId, *, by: Principal) -> Iterator[str]:
    """A start as server-sent events; a silent Hub ends them with `failed`."""
    try:
        for step in app.sessions.progress(workspace, by=by):
            facts: dict[str, str | int] = {"percent": step.percent, "message": step.message}
            kind = "ready" if step.ready else "failed" if step.failed else "progress"
            if step.ready:
                facts["url"] = notebook_url(web, workspace, by.person)
            yield _event(kind, facts)
    except SpeError as error:
        yield _event("failed", {"percent": 100, "message": " ".join([*error.sentences, error.remedy]).strip()})


def _event(kind: str, facts: dict[str, str | int]) -> str:
    return f"event: {kind}\ndata: {json.dumps(facts)}\n\n"


def _move(response: Response, app: App, workspace: str, verb: str, given: str, by: Principal) -> WorkspaceOut:
    seen = app.workspaces.view(WorkspaceId(workspace), by=by).workspace
    check(given, seen.version)
    return _shown(response, app.workspaces.move(seen.id, verb, by=by), by=by)


def _shown(response: Response, view: WorkspaceView, *, by: Principal) -> WorkspaceOut:
    mark(response, view.workspace.version)
    return _out(view, by=by)


def _out(view: WorkspaceView, *, by: Principal) -> WorkspaceOut:
    space = view.workspace
    operates = by.may(Permission.WORKSPACE_OPERATE)
    shown = [s for s in view.sessions if operates or s.person == by.person]
    return WorkspaceOut(
        id=space.id,
        permit=space.permit,
        permit_title=view.permit.terms.title,
        state=space.state,
        created_at=space.created_at,
        version=space.version,
        conditions=[ConditionOut.model_validate(c) for c in space.conditions],
        sessions=[_session(s) for s in shown],
        actions=actions(view.offers, f"workspaces/{space.id}"),
    )


def _session(session: Session) -> SessionOut:
    return SessionOut(
        workspace=session.workspace,
        person=session.person,
        state=session.state,
        message=session.message,
        since=session.since,
        denials=[],
    )
