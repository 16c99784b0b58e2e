"""Sign in by one-time link, and out. Opening the link only asks: what fetches addresses ahead of people
must not use it up. Redeeming is a form of our own page.
"""

import html

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from spe.web.auth import (
    NEXT_COOKIE,
    Services,
    clear_session,
    csrf_token,
    remember_next,
    safe_next,
    session_of,
    set_session,
)

router = APIRouter()


@router.get("/sign-in")
def where_from(request: Request, next: str = "/") -> Response:  # noqa: A002  # the word that addresses use
    """How to sign in, for somebody who came without a link."""
    page = _page("Sign in", "<p>Open the sign-in link that you were given. An operator makes a new one.</p>")
    remember_next(request, page, next)
    return page


@router.get("/sign-in/{secret}")
def ask(request: Request, secret: str) -> Response:
    """Ask before the link is used; nothing is looked up yet."""
    del secret
    token = html.escape(csrf_token(request))
    return _page(
        "Sign in",
        f'<form method="post"><input type="hidden" name="csrf" value="{token}"><button>Sign in</button></form>',
    )


@router.post("/sign-in/{secret}")
def redeem(request: Request, secret: str, app: Services) -> Response:
    """Use the link up and open a session. Raises `Unauthenticated` for one that was used or is over."""
    session = app.people.redeem(secret)
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
    response = RedirectResponse("/sign-in", status_code=303)
    clear_session(response)
    return response


def _page(title: str, body: str) -> HTMLResponse:
    return HTMLResponse(
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
        f"<main><h1>{title}</h1>{body}</main></html>"
    )
