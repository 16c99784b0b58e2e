"""Signing in by one-time link, and out; signing in with an identity provider is `login`.

Opening a link only asks: programs that fetch addresses ahead of people must not use it up; redeeming is a form of
our own page.
"""

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from spe.domain.errors import Unauthenticated, Unavailable
from spe.services.app import App
from spe.web.auth import (
    HINT_COOKIE,
    NEXT_COOKIE,
    NO_HINT,
    Services,
    clear_session,
    perhaps,
    remember_next,
    safe_next,
    services,
    session_of,
    set_session,
)
from spe.web.ui.flash import COOKIE as FLASH
from spe.web.ui.login import login_address
from spe.web.ui.page import page

router = APIRouter()


@router.get("/sign-in")
def where_from(request: Request, next: str = "/") -> Response:  # noqa: A002  # the word that addresses use
    """How to sign in, for somebody who came without a link."""
    if perhaps(request) is not None:
        return RedirectResponse(safe_next(next), status_code=303)
    if services(request).logins.offered:
        return page(request, "entry/provider.html", address=login_address(next=safe_next(next)))
    response = page(request, "entry/where.html")
    remember_next(request, response, next)
    return response


@router.get("/sign-in/{secret}")
def ask(request: Request, secret: str) -> Response:
    """Ask before the link is used; nothing is looked up yet."""
    del secret
    return page(request, "entry/link.html")


@router.post("/sign-in/{secret}")
def redeem(request: Request, secret: str, app: Services) -> Response:
    """Use the link up and open a session; one that was used or is over is told with its sentence."""
    try:
        session = app.people.redeem(secret)
    except Unauthenticated:
        return page(request, "entry/used.html", status=401)
    if old := session_of(request):
        app.people.sign_out(old)
    response = RedirectResponse(safe_next(request.cookies.get(NEXT_COOKIE, "/")), status_code=303)
    set_session(request, response, session)
    response.delete_cookie(NEXT_COOKIE, path="/sign-in")
    return response


@router.post("/sign-out")
def leave(request: Request, app: Services) -> Response:
    """End the session here and in the browser."""
    app.people.sign_out(session_of(request))
    address = _farewell(app, request.cookies.get(HINT_COOKIE, ""))
    if address:
        # A page and not a redirect: forms of ours may lead to no other origin, and this one is left by its own refresh.
        response = page(request, "entry/leaving.html", address=address, me=None)
    else:
        response = RedirectResponse("/signed-out", status_code=303)
    clear_session(response)
    response.delete_cookie(FLASH, path="/")
    response.delete_cookie(HINT_COOKIE, path="/sign-out")
    return response


def _farewell(app: App, hint: str) -> str:
    """Where to sign out of the provider as well; nowhere when the session was not made there, or it is silent."""
    if not hint or not app.logins.offered:
        return ""
    try:
        return app.logins.farewell("" if hint == NO_HINT else hint)
    except Unavailable:
        return ""


@router.get("/signed-out")
def signed_out(request: Request) -> Response:
    """The page after signing out."""
    return page(request, "entry/signed_out.html", provider=services(request).logins.offered)
