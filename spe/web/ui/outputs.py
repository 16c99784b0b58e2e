"""The outputs folder of a workspace: what lies in it, and a new egress request from what is ticked."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response

from spe.domain.errors import Invalid, NotFound
from spe.domain.ids import RequestId, WorkspaceId
from spe.domain.principal import Permission, Principal
from spe.services.app import App
from spe.web.auth import Services
from spe.web.ui.flash import done
from spe.web.ui.form import Form
from spe.web.ui.page import needs, page

router = APIRouter()
Author = Annotated[Principal, Depends(needs(Permission.EGRESS_AUTHOR))]
NOTHING = {"path": "Tick at least one file."}


@router.get("/workspaces/{workspace}/outputs")
def listing(
    request: Request, workspace: WorkspaceId, app: Services, me: Author, to: RequestId | None = None
) -> Response:
    """What lies in the outputs folder; `to` names a draft that files are added to."""
    return _page(request, app, workspace, me, to=to)


@router.post("/workspaces/{workspace}/outputs")
def take(request: Request, workspace: WorkspaceId, app: Services, me: Author, form: Form) -> Response:
    """Freeze the ticked files into a new draft, or into the draft that the form names."""
    paths, draft = form.chosen("path"), RequestId(form.text("to"))
    if not paths:
        return _page(request, app, workspace, me, to=draft or None, status=422, errors=NOTHING)
    made = not draft
    if made:
        draft = app.egress.create(workspace, by=me).id
    elif app.egress.view(draft, by=me).request.workspace != workspace:
        raise NotFound("There is no such draft in this workspace.")
    try:
        app.egress.take_from_workspace(draft, paths, by=me)
    except Invalid as error:
        errors = {"path": " ".join(error.fields.values())}
        return _page(request, app, workspace, me, to=draft, status=422, errors=errors, chosen=paths)
    return done(request, f"/egress/{draft}/edit", "draft-made" if made else "files-added")


def _page(
    request: Request,
    app: App,
    workspace: WorkspaceId,
    me: Principal,
    *,
    to: RequestId | None,
    status: int = 200,
    chosen: tuple[str, ...] = (),
    **more: Any,
) -> Response:
    found = app.egress.candidates(workspace, by=me)
    draft = app.egress.view(to, by=me).request if to else None
    return page(
        request,
        "outputs/list.html",
        status=status,
        view=app.workspaces.view(workspace, by=me),
        candidates=found,
        note=app.egress.folder_note,
        draft=draft if draft and draft.workspace == workspace else None,
        chosen=chosen,
        **more,
    )
