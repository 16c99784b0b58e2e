"""The researcher's workspaces: what they are, what is in them, terms of use, and the session with its progress."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import HTMLResponse

from spe.domain.errors import NotFound, SpeError, Unavailable
from spe.domain.ids import WorkspaceId
from spe.domain.principal import Permission, Principal
from spe.domain.workspace import SessionState
from spe.services.app import App
from spe.services.workspaces import WorkspaceView
from spe.web.auth import Services, settings
from spe.web.ui.flash import done
from spe.web.ui.page import needs, page, render, wrong
from spe.web.ui.starts import starts_of

router = APIRouter()
Researcher = Annotated[Principal, Depends(needs(Permission.SESSION_START))]


@router.get("/workspaces")
def all_of_them(request: Request, app: Services, me: Researcher) -> Response:
    """The workspaces of one's own permits."""
    return page(
        request, "workspaces/list.html", views=[v for v in app.workspaces.all(by=me) if v.permit.names(me.person)]
    )


@router.get("/workspaces/{workspace}")
def one(request: Request, workspace: WorkspaceId, app: Services, me: Researcher) -> Response:
    """One workspace with everything its researcher needs."""
    return _page(request, app, workspace, me)


@router.get("/workspaces/{workspace}/progress")
def progress(request: Request, workspace: WorkspaceId, app: Services, me: Researcher) -> Response:
    """Only the part of the page about the session, for a page that keeps itself current."""
    view = _own(app, workspace, me)
    return HTMLResponse(render(request, "workspaces/session.html", **_session(request, app, view, me)))


@router.post("/workspaces/{workspace}/start")
def start(request: Request, workspace: WorkspaceId, app: Services, me: Researcher) -> Response:
    """Start one's notebook session; the page then shows how it goes."""
    _own(app, workspace, me)
    try:
        app.sessions.start(workspace, by=me)
    except SpeError as error:
        return _page(request, app, workspace, me, status=409, errors=wrong(error))
    starts_of(request).listen(app, workspace, by=me)
    return done(request, f"/workspaces/{workspace}", "session-requested")


@router.post("/workspaces/{workspace}/stop")
def stop(request: Request, workspace: WorkspaceId, app: Services, me: Researcher) -> Response:
    """End one's session."""
    _own(app, workspace, me)
    app.sessions.stop(workspace, by=me)
    return done(request, f"/workspaces/{workspace}", "session-stopped")


@router.get("/workspaces/{workspace}/terms")
def terms(request: Request, workspace: WorkspaceId, app: Services, me: Researcher) -> Response:
    """The terms of use with the permit's own conditions, and the box to accept them."""
    view = _own(app, workspace, me)
    version = app.house.policies().rules.terms_version
    return page(request, "workspaces/terms.html", view=view, accepted=_accepted(app, view, me), version=version)


@router.post("/workspaces/{workspace}/terms")
def accept(request: Request, workspace: WorkspaceId, app: Services, me: Researcher) -> Response:
    """Accept the terms of use in the version in force."""
    view = _own(app, workspace, me)
    app.people.accept_terms(view.permit.id, by=me)
    return done(request, f"/workspaces/{workspace}", "terms-accepted")


def _own(app: App, workspace: WorkspaceId, me: Principal) -> WorkspaceView:
    view = app.workspaces.view(workspace, by=me)
    if not view.permit.names(me.person):
        raise NotFound("There is no such workspace for you.")
    return view


def _accepted(app: App, view: WorkspaceView, me: Principal) -> bool:
    return not any(d.code == "terms-not-accepted" for d in app.sessions.denials(view.workspace.id, me.person))


def _page(
    request: Request, app: App, workspace: WorkspaceId, me: Principal, *, status: int = 200, **more: Any
) -> Response:
    view = _own(app, workspace, me)
    terms = view.permit.terms
    datasets = [v for v in app.datasets.all(by=me) if v.key in terms.datasets]
    return page(
        request,
        "workspaces/one.html",
        status=status,
        view=view,
        datasets=sorted(datasets, key=lambda v: v.title),
        accepted=_accepted(app, view, me),
        leases=_leases(app, workspace, me),
        **_session(request, app, view, me),
        **more,
    )


def _leases(app: App, workspace: WorkspaceId, me: Principal) -> list[tuple[str, str]] | None:
    try:
        held = app.secrets.held(workspace, by=me)
    except Unavailable:
        return None
    return [(name, until) for name, holder, until in held if holder == me.person]


def _session(request: Request, app: App, view: WorkspaceView, me: Principal) -> dict[str, Any]:
    workspace = view.workspace.id
    session = app.sessions.mine(workspace, by=me)
    starting = session is not None and session.state is SessionState.STARTING
    starts = starts_of(request)
    if starting:
        starts.listen(app, workspace, by=me)
    heard = starts.of(workspace, me.person)
    return {
        "workspace": view.workspace,
        "session": session,
        "starting": starting,
        "steps": list(heard.steps) if heard else [],
        "percent": heard.percent if heard else 0,
        "denials": app.sessions.denials(workspace, me.person),
        "notebook": f"{settings(request).hub_url}/user/{me.person}/{workspace}/lab",
    }
