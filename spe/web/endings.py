"""What the identity provider tells of ended sessions (OpenID Connect Back-Channel Logout 1.0).

A signed token in a form, from server to server. No cookie counts here; the signature is the whole proof.
"""

import logging
from typing import Annotated

from fastapi import APIRouter, Form
from fastapi.responses import JSONResponse, Response

from spe.domain.errors import NotFound
from spe.ports.identity import NotVouched
from spe.web.auth import Services

log = logging.getLogger("spe.logins")
router = APIRouter(prefix="/login", include_in_schema=False)


@router.post("/ended")
def ended(app: Services, logout_token: Annotated[str, Form()] = "") -> Response:
    """End the sessions that the token names. A token that proves nothing is refused in the words of section 2.8."""
    try:
        number = app.logins.ended(logout_token)
    except (NotVouched, NotFound) as error:
        log.warning("logout token refused: %s", error.reason if isinstance(error, NotVouched) else "no provider")
        return JSONResponse({"error": "invalid_request"}, status_code=400)
    log.info("%d sessions ended by the identity provider", number)
    return Response(status_code=200)
