"""Where a gate sends a browser that has not shown who is using it: whoever is signed in goes back with a code.

The way back is made from the portal's own settings, never from the request.
"""

from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import RedirectResponse, Response

from spe.domain.errors import Unauthenticated
from spe.domain.ids import PersonId, WorkspaceId
from spe.web.auth import Services, current, settings
from spe.web.problems import to_sign_in

router = APIRouter(include_in_schema=False)
Key = Annotated[str, Path(max_length=40, pattern=r"^[a-z0-9-]+$")]


@router.get("/enter/{workspace}/{person}")
def enter(
    request: Request, app: Services, workspace: Key, person: Key, challenge: Annotated[str, Query(max_length=128)] = ""
) -> Response:
    """Send the signed-in person back to their session's gate, or to the sign-in page first."""
    try:
        by = current(request)
    except Unauthenticated:
        return to_sign_in(request)
    app.workspaces.view(WorkspaceId(workspace), by=by)  # for others there is no such workspace
    code = app.passes.issue(WorkspaceId(workspace), PersonId(person), challenge=challenge, by=by)
    gate = f"{settings(request).hub_url}/user/{person}/{workspace}/spe/enter"
    return RedirectResponse(f"{gate}?{urlencode({'code': code})}", status_code=303)
