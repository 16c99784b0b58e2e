"""What holds for every request before any handler: its host, the size of its body, its id and its log line;
and for every answer: the headers that browsers obey.
"""

import asyncio
import contextlib
import json
import logging
import secrets
import time
from collections.abc import Callable, Mapping

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from spe.domain.ids import is_id
from spe.services.egress import LARGEST_FILE
from spe.services.journal import under
from spe.web.problems import Misdirected, TooLarge, answer, told
from spe.web.settings import WebSettings

log = logging.getLogger("spe.access")
VIEWS = "/views/"
UPLOADS = ("/api/v1/egress/", "/workspace/egress/")
LARGER = {"/api/v1/datasets": 16 * 1024**2}
"""Addresses whose documents may be larger: a dataset comes with its profile."""
DRAINED = 8 * 1024**2
DRAIN_SECONDS = 1.0
SLACK = 64 * 1024
"""Bytes beyond the largest file that an upload may have, so that the store's own sentence is the one heard."""


def portal_headers(web: WebSettings) -> dict[str, str]:
    """Headers of the portal's answers. Forms may lead on to the Hub, frames may show the other origin only."""
    policy = (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "font-src 'self'",
        "connect-src 'self'",
        f"form-action 'self' {web.hub_url}",
        f"frame-src {web.views_url}",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    )
    return {
        "Content-Security-Policy": "; ".join(policy),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "same-origin",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
        "Cache-Control": "no-store",
    }


def views_headers(web: WebSettings) -> dict[str, str]:
    """Headers of the other origin: a sandboxed page that loads nothing but its own picture."""
    policy = (
        "sandbox",
        "default-src 'none'",
        "style-src 'unsafe-inline'",
        "img-src 'self'",
        f"frame-ancestors {web.portal_url}",
        "base-uri 'none'",
        "form-action 'none'",
    )
    return {
        "Content-Security-Policy": "; ".join(policy),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cache-Control": "no-store",
    }


class Shield:
    """Outermost layer of both applications. Whatever a handler lets fall ends here as an answer without a trace."""

    def __init__(self, app: ASGIApp, *, web: WebSettings, public: bool) -> None:
        self._app = app
        self._web = web
        self._public = public
        self._portal = portal_headers(web)
        self._views = views_headers(web)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; anything but HTTP (and the server's own life cycle) is not spoken here."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        scope["spe.request"] = secrets.token_hex(8)
        begun = time.monotonic()
        on_views = self._public and Headers(scope=scope).get("host", "") == self._web.views_host
        meter = Meter(receive, most=self._most(scope))
        sent = Sent(scope, send, meter, self._views if on_views else self._portal)
        try:
            with under(scope["spe.request"]):
                problem = await self._serve(scope, meter, sent, on_views=on_views)
            if problem is not None:
                if isinstance(problem, TooLarge):
                    await meter.drain()
                await _refuse(problem, scope, receive, sent)
        finally:
            _note(scope, sent.status, time.monotonic() - begun)

    async def _serve(self, scope: Scope, meter: "Meter", sent: "Sent", *, on_views: bool) -> Exception | None:
        """Let the application answer; what kept it from answering is handed back."""
        try:
            self._admit(scope, on_views=on_views)
            meter.declared(Headers(scope=scope))
            await self._app(scope, meter, sent)
        except ClientDisconnect:
            return None  # nobody is left to be answered
        except Exception as error:
            if sent.status:
                raise
            return meter.taken() or error
        return None if sent.status else meter.taken()

    def _admit(self, scope: Scope, *, on_views: bool) -> None:
        if not self._public:
            return
        host = Headers(scope=scope).get("host", "")
        if len(Headers(scope=scope).getlist("host")) != 1 or host not in (self._web.portal_host, self._web.views_host):
            raise Misdirected("The host is not one of this server.")
        if scope["path"].startswith(VIEWS) != on_views:
            raise Misdirected("This address belongs to the other host.")

    def _most(self, scope: Scope) -> int:
        if scope["method"] == "PUT" and scope["path"].startswith(UPLOADS):
            return LARGEST_FILE + SLACK
        return LARGER.get(scope["path"], self._web.body_bytes)


class Meter:
    """Counts what comes in and stops at the limit, whatever length was declared."""

    def __init__(self, receive: Receive, *, most: int) -> None:
        self._receive = receive
        self._most = most
        self._seen = 0
        self.problem: TooLarge | None = None

    def declared(self, headers: Headers) -> None:
        """Refuse by the declared length, before a byte is read."""
        length = headers.get("content-length", "0")
        if not length.isdecimal() or len(length) > 18 or int(length) > self._most:
            raise self._too_large()

    async def __call__(self) -> Message:
        """The next message; raises `TooLarge` beyond the limit."""
        message = await self._receive()
        if message["type"] == "http.request":
            self._seen += len(message.get("body", b""))
            if self._seen > self._most:
                raise self._too_large()
        return message

    async def drain(self) -> None:
        """Read on a little and keep nothing: a connection closed on unread bytes takes the answer with it."""
        left = DRAINED
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_SECONDS):
                while left > 0:
                    message = await self._receive()
                    if not message.get("more_body"):
                        return
                    left -= len(message.get("body", b""))

    def taken(self) -> TooLarge | None:
        """The problem with the body, once."""
        problem, self.problem = self.problem, None
        return problem

    def _too_large(self) -> TooLarge:
        most = f"{self._most // 1024**2} MiB"
        self.problem = TooLarge({"body": f"At most {most} may be sent here; nothing was stored. Send less."})
        return self.problem


class Sent:
    """Adds the headers that a handler did not set itself, and remembers the status."""

    def __init__(self, scope: Scope, send: Send, meter: Meter, headers: Mapping[str, str]) -> None:
        self._scope = scope
        self._send = send
        self._meter = meter
        self._headers = headers
        self.status = 0

    async def __call__(self, message: Message) -> None:
        """Send one message on; what a handler says about a body that was cut off is not: `Shield` tells why."""
        if self._meter.problem and not self.status:
            return
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            for name, value in self._headers.items():
                headers.setdefault(name, value)
            headers["X-Request-Id"] = self._scope["spe.request"]
        await self._send(message)


async def _refuse(error: Exception, scope: Scope, receive: Receive, send: Send) -> None:
    response = answer(Request(scope), told(error, scope["spe.request"]))
    response.headers["Connection"] = "close"
    await response(scope, receive, send)


def _note(scope: Scope, status: int, seconds: float) -> None:
    """One line of JSON: the route and ids, never a query, a path's free part, or a secret in it."""
    route: Callable[[], object] | None = scope.get("route")
    line = {
        "request": scope["spe.request"],
        "method": scope["method"][:10],
        "route": str(getattr(route, "path", "unmatched")),
        "ids": [v for v in scope.get("path_params", {}).values() if isinstance(v, str) and is_id(v)],
        "status": status,
        "ms": round(seconds * 1000, 1),
    }
    log.info("%s", json.dumps(line, separators=(",", ":")))
