"""Calls from where a notebook runs to the Hub, to the portal and to the package mirror: exactly the listed ones pass.

The door a call arrives at has settled whose session it is: the gate writes who calls, and drops whatever the
caller wrote about that.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import aiohttp
from aiohttp import web
from yarl import URL

from spe.domain.errors import Denial, Refused
from spe.gate.config import GateConfig
from spe.gate.headers import FROM_DOOR, TO_DOOR, through_door
from spe.gate.journal import Journal
from spe.gate.pages import refusal
from spe.gate.portal import Portal
from spe.gate.rules import hub_call, mirror_call, portal_call
from spe.gate.session import Session
from spe.gate.target import Target, parse_target

HUB_BODY = 64 * 1024
HUB_ANSWER = 1024 * 1024
CHUNK = 256 * 1024
FOR_HUB = FROM_DOOR | {"authorization"}
SILENT = Denial(code="unavailable", message="The other side does not answer.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call that may go on: where to, with which headers, and how many bytes each way (None: no limit here)."""

    client: aiohttp.ClientSession
    url: URL
    headers: list[tuple[str, str]]
    body_limit: int | None
    answer_limit: int | None


class Outbound:
    """Judges a call and passes it on; both kinds of doors hand over to it."""

    def __init__(self, config: GateConfig, *, portal: Portal, outside: aiohttp.ClientSession, journal: Journal) -> None:
        self._config = config
        self._portal = portal
        self._outside = outside
        self._journal = journal

    async def hub(self, session: Session, request: web.BaseRequest) -> web.StreamResponse:
        """Answer a call to the Hub's API."""
        denial = session.denial() or hub_call(request.method, request.raw_path, person=session.spec.person)
        if denial is not None:
            return self._refuse(session, request, denial, "hub")
        call = Call(
            client=self._outside,
            url=URL(self._config.hub + request.raw_path, encoded=True),
            headers=through_door(request.headers.items(), FOR_HUB),
            body_limit=HUB_BODY,
            answer_limit=HUB_ANSWER,
        )
        return await self._pass(session, request, call, "hub")

    async def spe(self, session: Session, request: web.BaseRequest) -> web.StreamResponse:
        """Answer a call to the portal's workspace API or to the mirror."""
        denial = session.denial()
        target = parse_target(request.raw_path)
        if denial is not None or isinstance(target, Denial):
            return self._refuse(session, request, denial or target, "spe")  # type: ignore[arg-type]  # one of both is a denial
        name = "mirror" if target.path.startswith("/mirror/") else "portal"
        call = self._mirror_call(request, target) if name == "mirror" else self._portal_call(session, request, target)
        if isinstance(call, Denial):
            return self._refuse(session, request, call, name)
        return await self._pass(session, request, call, name)

    def _portal_call(self, session: Session, request: web.BaseRequest, target: Target) -> Call | Denial:
        denial = portal_call(request.method, target.path)
        if denial is not None:
            return denial
        own = [("Authorization", self._portal.authorization), ("X-Spe-Person", session.spec.person)]
        return Call(
            client=self._portal.client,
            url=URL(self._portal.base + target.raw, encoded=True),
            headers=[*through_door(request.headers.items(), FROM_DOOR), *own],
            body_limit=None,
            answer_limit=None,
        )

    def _mirror_call(self, request: web.BaseRequest, target: Target) -> Call | Denial:
        if self._config.mirror is None:
            return Denial(code="no-mirror", message="This workspace has no package mirror.")
        denial = mirror_call(request.method, target.raw, names=self._config.mirror_names)
        if denial is not None:
            return denial
        return Call(
            client=self._outside,
            url=URL(self._config.mirror + target.raw.removeprefix("/mirror"), encoded=True),
            headers=[("Accept", "*/*")],
            body_limit=0,
            answer_limit=None,
        )

    def _refuse(self, session: Session, request: web.BaseRequest, denial: Denial, door: str) -> web.Response:
        path = request.raw_path.partition("?")[0]
        self._journal.write(
            "refused",
            door=door,
            person=session.spec.person,
            method=request.method,
            path=path,
            reason=denial.code,
        )
        return refusal(denial, close=request.can_read_body)

    async def _pass(self, session: Session, request: web.BaseRequest, call: Call, door: str) -> web.StreamResponse:
        denial = _too_much(request, call.body_limit)
        if denial is not None:
            return self._refuse(session, request, denial, door)
        with session.flight(request):
            try:
                async with self._send(request, call) as upstream:
                    return await _answer(request, upstream, call.answer_limit)
            except Refused as error:
                return self._refuse(session, request, error.denials[0], door)
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                self._journal.write("door-silent", door=door, person=session.spec.person, reason=type(error).__name__)
                if request.writer.output_size > 0:
                    raise ConnectionError("The answer broke off.") from error
                return refusal(SILENT, close=True)

    def _send(self, request: web.BaseRequest, call: Call) -> aiohttp.client._RequestContextManager:
        headers = list(call.headers)
        body = _body(request, call.body_limit) if request.can_read_body else None
        if body is not None and request.content_length is not None:
            headers.append(("Content-Length", str(request.content_length)))
        return call.client.request(request.method, call.url, headers=headers, data=body, allow_redirects=False)


def _too_much(request: web.BaseRequest, limit: int | None) -> Denial | None:
    if "Content-Encoding" in request.headers or "Expect" in request.headers:
        return Denial(code="framing", message="Send the body as it is, without encoding or conditions.")
    if limit is not None and (request.content_length or 0) > limit:
        return Denial(code="body-size", message=f"The body is larger than {limit} bytes.")
    return None


async def _body(request: web.BaseRequest, limit: int | None) -> AsyncIterator[bytes]:
    """The body as it comes, cut off by an error when it is longer than it may be."""
    total = 0
    async for chunk in request.content.iter_any():
        total += len(chunk)
        if limit is not None and total > limit:
            raise Refused([Denial(code="body-size", message=f"The body is larger than {limit} bytes.")])
        yield chunk


async def _answer(request: web.BaseRequest, upstream: aiohttp.ClientResponse, limit: int | None) -> web.StreamResponse:
    """Stream an answer back into the sandbox."""
    response = web.StreamResponse(status=upstream.status)
    for name, value in through_door(upstream.headers.items(), TO_DOOR):
        response.headers[name] = value
    response.headers["Cache-Control"] = "no-store"
    response.content_length = upstream.content_length
    await response.prepare(request)
    total = 0
    async for chunk in upstream.content.iter_chunked(CHUNK):
        total += len(chunk)
        if limit is not None and total > limit:
            raise ConnectionError("The answer is larger than it may be.")
        await response.write(chunk)
    await response.write_eof()
    return response
