"""The portal as the Hub's OAuth issuer on the wire (RFC 6749 with PKCE): three addresses over one service.

The browser comes to `authorize` with its session; the Hub itself comes to the other two, which the internal
application has as well: in a cluster the Hub's pod does not reach the address that browsers open.
"""

from base64 import b64decode
from binascii import Error
from typing import Annotated
from urllib.parse import unquote_plus, urlencode

from fastapi import APIRouter, Form, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response

from spe.domain.errors import Unauthenticated
from spe.services.oauth import TOKEN_LIFE
from spe.web.auth import Services, current
from spe.web.problems import to_sign_in

router = APIRouter(prefix="/oauth", include_in_schema=False)
of_the_hub = APIRouter(prefix="/oauth", include_in_schema=False)
LONGEST = 2000


@router.get("/authorize")
def authorize(
    request: Request,
    app: Services,
    client_id: str = "",
    redirect_uri: str = "",
    response_type: str = "",
    code_challenge: str = "",
    code_challenge_method: str = "",
    state: str = "",
) -> Response:
    """Send the signed-in person back to the Hub with a code, or to the sign-in page first."""
    try:
        person = current(request)
    except Unauthenticated:
        return to_sign_in(request)
    code = app.oauth.authorize(
        client=client_id,
        redirect=redirect_uri,
        challenge=code_challenge,
        method=code_challenge_method,
        response_type=response_type,
        by=person,
    )
    query = urlencode({"code": code, "state": state[:LONGEST]})
    return RedirectResponse(f"{redirect_uri}?{query}", status_code=303)


@of_the_hub.post("/token")
def token(
    request: Request,
    app: Services,
    grant_type: Annotated[str, Form()] = "",
    code: Annotated[str, Form()] = "",
    redirect_uri: Annotated[str, Form()] = "",
    code_verifier: Annotated[str, Form()] = "",
    client_id: Annotated[str, Form()] = "",
    client_secret: Annotated[str, Form()] = "",
) -> Response:
    """Exchange a code; errors in the words of RFC 6749 section 5.2."""
    if grant_type != "authorization_code":
        return JSONResponse({"error": "unsupported_grant_type"}, status_code=400)
    client, secret = _basic(request) or (client_id, client_secret)
    try:
        issued = app.oauth.token(client=client, secret=secret, code=code, redirect=redirect_uri, verifier=code_verifier)
    except Unauthenticated as error:
        return JSONResponse({"error": "invalid_grant", "error_description": str(error)}, status_code=400)
    lives = int(TOKEN_LIFE.total_seconds())
    return JSONResponse({"access_token": issued, "token_type": "Bearer", "expires_in": lives, "scope": "openid"})


@of_the_hub.get("/userinfo")
def userinfo(request: Request, app: Services) -> Response:
    """Who the token speaks for; refused as soon as that person may not enter anywhere."""
    scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
    try:
        person = app.oauth.userinfo(secret.strip() if scheme.lower() == "bearer" else "")
    except Unauthenticated as error:
        return JSONResponse({"error": "invalid_token", "error_description": str(error)}, status_code=401)
    return JSONResponse({"sub": person.id, "name": person.name})


def _basic(request: Request) -> tuple[str, str] | None:
    scheme, _, value = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        client, _, secret = b64decode(value, validate=True).decode().partition(":")
    except (Error, UnicodeDecodeError):
        return None
    return unquote_plus(client), unquote_plus(secret)
