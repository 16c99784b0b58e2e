"""Who may speak to a session from a browser: whoever shows a pass that this gate gave out.

The sign-in of the notebook server is not enough, because researchers may run another server in its place
and let anybody in. A page without a pass is sent to the portal, which knows who is signed in; it comes
back with a code that works once, in this workspace, for the browser that was sent (the challenge of RFC 7636).
Passes are kept by digest, also over a restart of the gate, and end with their session.
"""

import hashlib
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error
from dataclasses import dataclass
from urllib.parse import parse_qs, urlencode

from aiohttp import web

from spe.domain.errors import Denial, Refused
from spe.gate import headers, rules
from spe.gate.config import GateConfig
from spe.gate.ledger import Ledger
from spe.gate.portal import Portal, Word
from spe.gate.rules import Kind
from spe.gate.session import Clocks, Session
from spe.gate.target import Target

PASS_COOKIE = "spe-pass"
ASKED_COOKIE = "spe-asked"
PASS_SECONDS = 12 * 3600
ASKED_SECONDS = 300
ASK_SECONDS = 5.0
FIRST_PAGE = "lab"
HOPS = ("x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "forwarded")

NO_PASS = Denial(code="no-pass", message="This browser has not shown who is using it.")
NOT_ASKED = Denial(code="no-pass", message="This browser did not ask to come in here, or too long ago.")
SOMEBODY_ELSE = Denial(code="somebody-else", message="This session belongs to somebody else.")
UNHEARD = Denial(code="not-confirmed", message="The portal does not say who is using this browser.")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """What the browser keeps while it is at the portal: the verifier and the page it wanted."""

    verifier: str
    page: str

    def cookie(self) -> str:
        return f"{self.verifier}.{urlsafe_b64encode(self.page.encode()).decode().rstrip('=')}"


class Passes:
    """The passes of one gate."""

    def __init__(self, config: GateConfig, *, ledger: Ledger, portal: Portal, clocks: Clocks) -> None:
        self._config = config
        self._ledger = ledger
        self._portal = portal
        self._clocks = clocks

    def shown(self, request: web.BaseRequest, session: Session) -> bool:
        """Whether the request shows a pass for this session."""
        now = self._clocks.wall()
        return any(
            self._ledger.has_pass(session.spec.person, _digest(value), now)
            for value in headers.cookies_named(request.headers.items(), PASS_COOKIE)
        )

    def to_portal(self, session: Session, target: Target) -> web.Response:
        """Send a page's browser to the portal; it comes back to `spe/enter`."""
        asked = _Asked(verifier=secrets.token_urlsafe(32), page=target.raw.removeprefix(session.spec.base_url))
        challenge = urlsafe_b64encode(hashlib.sha256(asked.verifier.encode()).digest()).decode().rstrip("=")
        place = f"{self._config.portal_url}/enter/{self._config.workspace}/{session.spec.person}"
        response = _redirect(f"{place}?{urlencode({'challenge': challenge})}")
        response.headers.add("Set-Cookie", self._cookie(session, ASKED_COOKIE, asked.cookie(), ASKED_SECONDS))
        return response

    async def take(self, request: web.BaseRequest, session: Session, target: Target) -> web.Response:
        """Exchange the portal's code for a pass. Raises Refused when it is not for this browser and this session."""
        asked = next(
            (a for v in headers.cookies_named(request.headers.items(), ASKED_COOKIE) if (a := _asked(v))), None
        )
        page = asked.page if asked and _is_page(asked.page) else FIRST_PAGE
        if self.shown(request, session):
            return _redirect(session.spec.base_url + page)
        if asked is None:
            raise Refused([NOT_ASKED])
        code = parse_qs(target.raw.partition("?")[2]).get("code", [""])[0]
        word, person = await self._portal.redeem(code, asked.verifier, within=ASK_SECONDS)
        if word is not Word.YES:
            raise Refused([NOT_ASKED if word is Word.NO else UNHEARD])
        if person != session.spec.person:
            raise Refused([SOMEBODY_ELSE])
        value = secrets.token_urlsafe(32)
        self._ledger.keep_pass(person, _digest(value), self._clocks.wall() + PASS_SECONDS)
        response = _redirect(session.spec.base_url + page)
        response.headers.add("Set-Cookie", self._cookie(session, PASS_COOKIE, value, PASS_SECONDS))
        return response

    def _cookie(self, session: Session, name: str, value: str, seconds: int) -> str:
        secure = "; Secure" if self._config.secure else ""
        return f"{name}={value}; Max-Age={seconds}; Path={session.spec.base_url}; SameSite=Lax; HttpOnly{secure}"


def by_the_hub(request: web.BaseRequest, kind: Kind) -> bool:
    """Whether this is the Hub asking if the notebook is up: it comes itself, and not by way of its proxy."""
    return kind is Kind.VERSION and not any(name in request.headers for name in HOPS)


def is_check(request: web.BaseRequest, target: Target) -> bool:
    """Whether this looks like that question, before it is known whose notebook is meant."""
    return request.method == "GET" and target.raw.endswith("/api") and by_the_hub(request, Kind.VERSION)


def _is_page(path: str) -> bool:
    route = rules.classify("GET", path.partition("?")[0], terminals=False)
    return not isinstance(route, Denial) and route.kind is Kind.PAGE and route.name == "page"


def _asked(value: str) -> _Asked | None:
    verifier, mark, rest = value.partition(".")
    try:
        page = urlsafe_b64decode(rest + "=" * (-len(rest) % 4)).decode("ascii")
    except (Error, ValueError):
        return None
    return _Asked(verifier=verifier, page=page) if mark and verifier else None


def _digest(value: str) -> str:
    return hashlib.sha256(value.encode()).hexdigest()


def _redirect(location: str) -> web.Response:
    response = web.Response(status=303)
    for name, value in [*headers.own_headers(None), headers.NO_STORE, ("Location", location)]:
        response.headers[name] = value
    return response
