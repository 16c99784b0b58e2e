"""What an operator watches: workspaces wanted and there, sessions, owed effects, the health of each part."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from spe.domain.errors import SpeError
from spe.domain.ids import WorkspaceId
from spe.domain.permit import ENDED
from spe.domain.principal import Permission, Principal
from spe.domain.workspace import WorkspaceState
from spe.ports.cluster import Observed
from spe.services.app import App
from spe.services.operations import OperationsService
from spe.services.workspaces import WorkspaceView
from spe.web.auth import Services
from spe.web.ui.flash import done
from spe.web.ui.page import needs, page

router = APIRouter()
Operator = Annotated[Principal, Depends(needs(Permission.WORKSPACE_OPERATE))]
CONFIRMED = ("stop",)


@router.get("/operations")
def overview(request: Request, app: Services, me: Operator) -> Response:
    """Everything on one page."""
    operations = OperationsService(app.house)
    views = app.workspaces.all(by=me)
    return page(
        request,
        "operations/overview.html",
        views=[(v, wanted(app, v)) for v in views[::-1]],
        sessions=[(s, v) for v in views for s in v.sessions if s.state in ("starting", "running")],
        owed=operations.owed(by=me),
        parts_=operations.health(by=me),
        given=operations.guarantees(by=me),
    )


@router.get("/operations/workspaces/{workspace}")
def one(request: Request, workspace: WorkspaceId, app: Services, me: Operator) -> Response:
    """One workspace: wanted, recorded, observed now, and the moves."""
    view = app.workspaces.view(workspace, by=me)
    seen, silent = _observed(app, workspace, me)
    return page(
        request,
        "operations/workspace.html",
        view=view,
        wanted=wanted(app, view),
        seen=seen,
        silent=silent,
        owed=[i for i in OperationsService(app.house).owed(by=me) if i.subject in (workspace, view.permit.id)],
        confirmed=CONFIRMED,
    )


@router.get("/operations/workspaces/{workspace}/stop")
def ask_stop(request: Request, workspace: WorkspaceId, app: Services, me: Operator) -> Response:
    """What stopping does, before it is done."""
    view = app.workspaces.view(workspace, by=me)
    offer = next((o for o in view.offers if o.verb == "stop"), None)
    live = [s for s in view.sessions if s.state in ("starting", "running")]
    return page(request, "operations/stop.html", view=view, offer=offer, live=live)


@router.post("/operations/workspaces/{workspace}/{verb}")
def move(request: Request, workspace: WorkspaceId, verb: str, app: Services, me: Operator) -> Response:
    """Stop, start or retry a workspace."""
    app.workspaces.move(workspace, verb, by=me)
    return done(request, f"/operations/workspaces/{workspace}", "workspace-moved")


def wanted(app: App, view: WorkspaceView) -> str:
    """What permit and operator ask of the workspace, in words."""
    if view.permit.state in ENDED:
        return "Gone"
    held = view.workspace.state is WorkspaceState.STOPPED or not view.permit.in_force(app.house.ports.clock.now())
    return "Kept, closed to everybody" if held else "Open to its researchers"


def _observed(app: App, workspace: WorkspaceId, me: Principal) -> tuple[Observed | None, str]:
    try:
        return OperationsService(app.house).observed(workspace, by=me), ""
    except SpeError as error:
        return None, " ".join(error.sentences)
