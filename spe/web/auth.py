"""Who asks: the session cookie on pages and API, an API token on the API only; and whether the question
comes from our own pages.

Cookies are `SameSite=Lax`, `HttpOnly` and never shared with notebooks (another host). Unsafe methods must come
from this origin and carry the form's token, which is bound to the session (security note T95).
"""

import hmac
from typing import Annotated

from fastapi import Depends, Request, Response

from spe.domain.errors import Denial, Refused, Unauthenticated
from spe.domain.principal import Principal
from spe.ports.secrets import KeyName
from spe.services.app import App
from spe.services.people import digest_of
from spe.web.settings import WebSettings

COOKIE = "spe_session"
NEXT_COOKIE = "spe_next"
TICKET_COOKIE = "spe_login_"
HINT_COOKIE = "spe_hint"
CSRF_FIELD = "csrf"
CSRF_HEADER = "X-CSRF-Token"
API = "/api/v1/"
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")
NEXT_SECONDS = 600
LONGEST_SECRET = 200
LONGEST_HINT = 3500
NO_HINT = "-"
MOST_TICKET_BYTES = 4000
"""Together with one more they fit the 8 KiB that proxies give a header."""


def services(request: Request) -> App:
    """The use cases behind this application."""
    app: App = request.app.state.services
    return app


def settings(request: Request) -> WebSettings:
    """The settings of this application."""
    web: WebSettings = request.app.state.web
    return web


def bearer_of(request: Request) -> str:
    """The API token of the request; empty when there is none, or off the API, where tokens do not count."""
    scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
    on_api = request.url.path.startswith(API)
    return secret.strip()[:LONGEST_SECRET] if on_api and scheme.lower() == "bearer" else ""


def session_of(request: Request) -> str:
    """The secret of the session cookie, empty without one."""
    return request.cookies.get(COOKIE, "")[:LONGEST_SECRET]


def current(request: Request) -> Principal:
    """Who asks. Raises `Unauthenticated`. A token, where given, is the whole answer: the cookie is not looked at."""
    known = getattr(request.state, "principal", None)
    if isinstance(known, Principal):
        return known
    people = services(request).people
    if token := bearer_of(request):
        found = people.bearer(token)
    elif secret := session_of(request):
        found = people.session(secret)
    else:
        raise Unauthenticated("You are not signed in.")
    request.state.principal = found
    return found


def perhaps(request: Request) -> Principal | None:
    """Who asks, or None when nobody is signed in."""
    try:
        return current(request)
    except Unauthenticated:
        return None


def csrf_token(request: Request) -> str:
    """The token that forms of this session carry in their field `csrf`."""
    session = digest_of(session_of(request))
    return services(request).house.ports.secrets.mac(KeyName.LINKS, f"csrf:{session}".encode()).hex()


async def same_site(request: Request) -> None:
    """Refuse an unsafe method that another site caused, or that lacks the form's token."""
    if request.method in SAFE or bearer_of(request):
        return
    if _is_foreign(request):
        raise Refused([_denial("foreign-origin", "The request came from another site, so nothing was done.")])
    if request.url.path.startswith(API) and not session_of(request):
        raise Unauthenticated("You are not signed in: send an API token as `Authorization: Bearer …`.")
    given = request.headers.get(CSRF_HEADER, "")
    if not given and request.headers.get("Content-Type", "").startswith(FORMS):
        field = (await request.form()).get(CSRF_FIELD)
        given = field if isinstance(field, str) else ""
    if not hmac.compare_digest(given.encode(), csrf_token(request).encode()):
        raise Refused([_denial("form-token", "The form is too old or not ours; load the page again and repeat.")])


def _is_foreign(request: Request) -> bool:
    site = request.headers.get("Sec-Fetch-Site")
    origin = request.headers.get("Origin")
    return (site is not None and site not in ("same-origin", "none")) or (
        origin is not None and origin != settings(request).portal_url
    )


def _denial(code: str, message: str) -> Denial:
    return Denial(code=code, message=message)


def set_session(request: Request, response: Response, secret: str) -> None:
    """Give the browser its session. The cookie lives as long as the browser; the server ends it when idle."""
    response.set_cookie(COOKIE, secret, path="/", httponly=True, samesite="lax", secure=settings(request).secure)


def clear_session(response: Response) -> None:
    """Take the session cookie away."""
    response.delete_cookie(COOKIE, path="/", httponly=True, samesite="lax")


def ticket_name(request: Request, name: str) -> str:
    """The cookie of a sign-in under way; over https browsers let no other host set it (`__Host-`)."""
    return f"{'__Host-' if settings(request).secure else ''}{TICKET_COOKIE}{name}"


def remember_ticket(request: Request, response: Response, name: str, ticket: str) -> None:
    """Keep the ticket of a sign-in while the browser is away; many that were left lying about are forgotten."""
    kept = {name: value for name, value in request.cookies.items() if name.startswith(ticket_name(request, ""))}
    if sum(len(name) + len(value) for name, value in kept.items()) > MOST_TICKET_BYTES:
        for old in kept:
            forget_ticket(request, response, old)
    response.set_cookie(
        ticket_name(request, name),
        ticket,
        max_age=NEXT_SECONDS,
        path="/",
        httponly=True,
        samesite="lax",
        secure=settings(request).secure,
    )


def forget_ticket(request: Request, response: Response, cookie: str) -> None:
    """Take the cookie of a sign-in away."""
    response.delete_cookie(cookie, path="/", httponly=True, samesite="lax", secure=settings(request).secure)


def remember_hint(request: Request, response: Response, hint: str) -> None:
    """Let the browser keep what the provider wants to see at sign-out; one that fits no cookie is left out."""
    kept = hint if len(hint) <= LONGEST_HINT else NO_HINT
    response.set_cookie(
        HINT_COOKIE, kept, path="/sign-out", httponly=True, samesite="strict", secure=settings(request).secure
    )


def remember_next(request: Request, response: Response, address: str) -> None:
    """Keep where the person wanted to go until they have signed in by their link."""
    response.set_cookie(
        NEXT_COOKIE,
        safe_next(address),
        max_age=NEXT_SECONDS,
        path="/sign-in",
        httponly=True,
        samesite="lax",
        secure=settings(request).secure,
    )


def safe_next(address: str) -> str:
    """`address` if it is a path of this server, else the start page: a sign-in never leads elsewhere."""
    plain = address.isascii() and address.isprintable() and "\\" not in address and len(address) <= 2000
    return address if plain and address.startswith("/") and not address.startswith("//") else "/"


Services = Annotated[App, Depends(services)]
Web = Annotated[WebSettings, Depends(settings)]
By = Annotated[Principal, Depends(current)]
