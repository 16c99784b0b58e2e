"""The start page by role (what needs me now), the profile, and the accessibility statement."""

from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response

from spe.domain.egress import EgressState
from spe.domain.permit import PermitState
from spe.domain.principal import Permission, Principal
from spe.domain.workspace import WorkspaceState
from spe.services.app import App
from spe.services.operations import OperationsService
from spe.web.auth import By, Services, current
from spe.web.ui.inbox import sorted_inbox
from spe.web.ui.page import page
from spe.web.ui.pending import waiting_for

router = APIRouter()
SOON = timedelta(days=30)
WITH_AUTHOR = frozenset({EgressState.DRAFT, EgressState.RETURNED, EgressState.BLOCKED})


@router.get("/")
def start(request: Request, app: Services, me: Annotated[Principal, Depends(current)]) -> Response:
    """What needs this person now, for each of their roles."""
    parts = (
        (Permission.SESSION_START, researcher),
        (Permission.PERMIT_CONFIRM, board),
        (Permission.EGRESS_REVIEW, checker),
        (Permission.WORKSPACE_OPERATE, operator),
        (Permission.AUDIT_READ, auditor),
    )
    facts = {gather.__name__: gather(app, me) for permission, gather in parts if me.may(permission)}
    return page(request, "home/start.html", roles_now=facts)


def researcher(app: App, me: Principal) -> dict[str, Any]:
    """Workspaces of one's own permits with what keeps one out, and requests that wait for their author."""
    spaces = [v for v in app.workspaces.all(by=me) if v.permit.names(me.person) and v.workspace.state != "closed"]
    requests = [v.request for v in app.egress.all(by=me)]
    return {
        "workspaces": [(v, app.sessions.denials(v.workspace.id, me.person)) for v in spaces],
        "mine": [r for r in requests if r.author == me.person and r.state in WITH_AUTHOR],
        "under_way": [r for r in requests if r.author == me.person and r.state in UNDER_WAY],
        "releases": [v for v in app.releases.all(by=me) if _open_to(v.release, me, app)],
    }


UNDER_WAY = frozenset({EgressState.SUBMITTED, EgressState.CHECKING, EgressState.IN_REVIEW, EgressState.APPROVED})


def _open_to(release: Any, me: Principal, app: App) -> bool:
    now = app.house.ports.clock.now()
    return bool(release.recipient == me.person and release.recalled_at is None and now < release.links_until)


def board(app: App, me: Principal) -> dict[str, Any]:
    """Proposals that this member may confirm, those of their own that wait, and permits that end soon."""
    permits = app.permits.all(by=me)
    now = app.house.ports.clock.now()
    waiting = [(view, change) for view in permits for change in view.pending]
    return {
        "to_confirm": [(v, c) for v, c in waiting if not waiting_for(v, c, me)],
        "own": [(v, c) for v, c in waiting if waiting_for(v, c, me)],
        "ending": [
            v for v in permits if v.permit.state is PermitState.ACTIVE and now < v.permit.terms.ends <= now + SOON
        ],
        "suspended": [v for v in permits if v.permit.state is PermitState.SUSPENDED],
    }


def checker(app: App, me: Principal) -> dict[str, Any]:
    """The reviews that need this checker, and how many wait for others."""
    box = sorted_inbox(app.reviews.inbox(by=me))
    return {"needs_me": box["needs-me"], "waiting": len(box["waiting"])}


def operator(app: App, me: Principal) -> dict[str, Any]:
    """Parts that are not well, workspaces that failed, effects with an error."""
    operations = OperationsService(app.house)
    return {
        "unwell": [p for p in operations.health(by=me) if not p.well],
        "failed": [v for v in app.workspaces.all(by=me) if v.workspace.state is WorkspaceState.FAILED],
        "errors": [i for i in operations.owed(by=me) if i.last_error],
    }


def auditor(app: App, me: Principal) -> dict[str, Any]:
    """The newest entries."""
    return {"entries": app.audit.entries(limit=8, by=me)}


@router.get("/profile")
def profile(request: Request, app: Services, me: By) -> Response:
    """Who one is here, and what one may do."""
    return page(request, "home/profile.html", person=app.people.person(me.person))


@router.get("/accessibility")
def accessibility(request: Request) -> Response:
    """The accessibility statement."""
    return page(request, "home/accessibility.html")
