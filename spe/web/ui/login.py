"""Signing in with the identity provider: away, and back with its answer; invitations that give a person an identity.

Nothing that an address carries is shown. Each way in which a sign-in can fail has its own sentence, and every one of
these pages says what to do next.
"""

import logging
import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from spe.domain.errors import Refused, SpeError, Unauthenticated, Unavailable
from spe.ports.identity import NotVouched, Why
from spe.services.app import App
from spe.services.logins import Entered, Unknown, name_of
from spe.web.auth import (
    LONGEST_SECRET,
    Services,
    forget_ticket,
    perhaps,
    remember_hint,
    remember_ticket,
    safe_next,
    session_of,
    set_session,
    ticket_name,
)
from spe.web.problems import request_id
from spe.web.ui.page import page

log = logging.getLogger("spe.logins")
router = APIRouter()
LONGEST_ANSWER = 8000


@dataclass(frozen=True, slots=True)
class Told:
    """What is said of a sign-in that came to nothing: title, sentence, and the status of the answer."""

    title: str
    sentence: str
    status: int = 401


SAID: Final = {
    Why.DECLINED: Told(
        "You did not sign in",
        "Your identity provider says that the sign-in was declined, or that you may not use it here.",
    ),
    Why.NOT_SIGNED_IN: Told("You are not signed in yet", "Your identity provider wants something from you first."),
    Why.BUSY: Told("Your identity provider is busy", "It cannot sign anybody in at the moment.", 503),
    Why.MISCONFIGURED: Told(
        "The sign-in does not work as it is set up",
        "Your identity provider and this environment do not understand each other. An operator can mend that.",
        502,
    ),
    Why.NOT_ASKED: Told("This sign-in was not begun here", "It was begun in another browser, or it is not yours."),
    Why.TOO_LATE: Told("That took too long", "A sign-in must be finished within ten minutes."),
    Why.USED: Told("This sign-in was used already", "An answer of your identity provider counts once."),
    Why.FORGED: Told("The sign-in is not valid", "What came back does not prove who you are, so nothing was done."),
    Why.SIGNED_OUT: Told("You were signed out meanwhile", "Your identity provider has ended this sign-in."),
}
SILENT: Final = Told(
    "Your identity provider does not answer", "Nothing is wrong with your account. Try again in a few minutes.", 503
)


def login_address(*, next: str = "/", invitation: str = "", fresh: bool = False) -> str:  # noqa: A002
    """The address that begins a sign-in."""
    query = {"next": next if next != "/" else "", "invitation": invitation, "fresh": "yes" if fresh else ""}
    given = {name: value for name, value in query.items() if value}
    return f"/login?{urlencode(given)}" if given else "/login"


SECRET = re.compile(r"[A-Za-z0-9_-]+")
"""What invitations are made of: the letters of URL-safe base64 (RFC 4648, section 5)."""


@router.get("/login")
def begin(request: Request, app: Services, next: str = "/", invitation: str = "", fresh: str = "") -> Response:  # noqa: A002
    """Send the browser to the identity provider."""
    place = safe_next(next)
    if not app.logins.offered:
        return RedirectResponse(f"/sign-in?{urlencode({'next': place})}", status_code=303)
    invited = invitation[:LONGEST_SECRET]
    if invited and request.headers.get("Sec-Fetch-Site", "same-origin") != "same-origin":
        return RedirectResponse(f"/invitation/{invited}" if SECRET.fullmatch(invited) else "/sign-in", 303)
    if perhaps(request) is not None and not invited and not fresh:
        return RedirectResponse(place, status_code=303)
    try:
        begun = app.logins.begin(next=place, invitation=invited, fresh=bool(fresh))
    except Unavailable as error:
        log.warning("sign-in not begun: %s", error)
        return _told(request, SILENT, place)
    response = RedirectResponse(begun.address, status_code=303)
    remember_ticket(request, response, begun.name, begun.ticket)
    return response


@router.get("/login/callback")
def back(request: Request, app: Services) -> Response:
    """Take the provider's answer, open a session, and go on to where the person wanted to go."""
    cookie = ticket_name(request, name_of(request.query_params.get("state", "")))
    try:
        entered = _finish(request, app, cookie)
    except (NotVouched, Unavailable, Refused, Unauthenticated) as error:
        response = _refused(request, error)
    else:
        if old := session_of(request):
            app.people.sign_out(old)
        response = RedirectResponse(safe_next(entered.next), status_code=303)
        set_session(request, response, entered.session)
        remember_hint(request, response, entered.hint)
    forget_ticket(request, response, cookie)
    return response


def _finish(request: Request, app: App, cookie: str) -> Entered:
    given = request.query_params.multi_items()
    answer = dict(given)
    if len(answer) != len(given) or sum(len(value) for value in answer.values()) > LONGEST_ANSWER:
        raise NotVouched(Why.FORGED, "query")
    if cookie not in request.cookies:
        raise NotVouched(Why.NOT_ASKED, "no-ticket")
    return app.logins.finish(request.cookies[cookie], answer)


def _refused(request: Request, error: SpeError) -> Response:
    """The page for a sign-in that came to nothing; the log gets the reason, never what was sent."""
    again = login_address(fresh=True)
    if isinstance(error, Unknown):
        return page(request, "entry/unknown.html", status=403, unknown=error, again=again)
    if isinstance(error, NotVouched | Unavailable):
        log.warning("sign-in refused: %s", error.reason if isinstance(error, NotVouched) else error)
        return _told(request, SAID[error.why] if isinstance(error, NotVouched) else SILENT, "/")
    return page(request, "entry/not_enough.html", status=403, sentences=error.sentences, again=again)


@router.get("/invitation/{secret}")
def invitation(request: Request, secret: str, app: Services) -> Response:
    """Ask before the invitation is used; nothing is looked up yet."""
    if not app.logins.offered:
        return RedirectResponse("/sign-in", status_code=303)
    return page(request, "entry/invitation.html", address=login_address(invitation=secret), issuer=app.logins.issuer)


def _told(request: Request, told: Told, place: str) -> Response:
    return page(
        request,
        "entry/failed.html",
        status=told.status,
        told=told,
        again=login_address(next=place),
        request_id=request_id(request),
    )
