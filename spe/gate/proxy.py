"""One HTTP request from the browser to the notebook and its answer back, counted chunk by chunk.

The answer is written anew: status from a list, the gate's headers, a type forced by the route, a body no
longer than one answer may be. Nothing of it is sent before its bytes are paid for.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import aiohttp
from aiohttp import web
from yarl import URL

from spe.domain.errors import Denial, Refused
from spe.gate import headers
from spe.gate.budget import FRAME_COST
from spe.gate.config import GateConfig
from spe.gate.rules import Kind, Route
from spe.gate.session import Session
from spe.gate.target import Target

LARGEST_BODY = 256 * 1024 * 1024
SMALL_ANSWER = 64 * 1024
SAVING = frozenset({"PUT", "POST", "PATCH"})
STATUSES = frozenset({200, 201, 202, 204, 400, 401, 403, 404, 405, 409, 413, 422, 500, 502, 503})
REDIRECTS = frozenset({301, 302, 303, 307, 308})
NO_BODY = frozenset({204, 304})

ODD = Denial(code="notebook-odd", message="The notebook gave an answer that is not allowed through.")
TOO_LARGE = Denial(code="answer-too-large", message="The answer is larger than one answer may be in this workspace.")
OVER = Denial(code="over-budget", message="Today's allowance for data shown in the browser is used up.")
SAVED = Denial(
    code="saved-over-budget",
    message="Today's allowance for data shown in the browser is used up. What you sent was "
    "handed to the notebook and is kept in the workspace; its answer is withheld.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One request on its way: where it came from, what it may reach."""

    request: web.BaseRequest
    session: Session
    route: Route
    target: Target
    config: GateConfig


class BrokenOffError(ConnectionError):
    """The answer stops here: `denial` says why, and the browser sees a broken connection."""

    def __init__(self, denial: Denial) -> None:
        self.denial = denial
        super().__init__(denial.message)


async def forward(exchange: Exchange) -> web.StreamResponse:
    """Answer from the notebook. Raises Refused before the first byte, BrokenOffError after it."""
    session, request = exchange.session, exchange.request
    if request.method in SAVING and exchange.route.name == "contents":
        session.use()
    over = session.budget.remaining < FRAME_COST
    if over and not (request.method in SAVING and exchange.route.name == "contents"):
        raise Refused([OVER])
    try:
        async with _send(exchange) as upstream:
            if over:
                raise Refused([SAVED if upstream.status < 300 else OVER])
            return await _answer(exchange, upstream)
    except (aiohttp.ClientError, TimeoutError) as error:
        if request.writer.output_size > 0:
            raise BrokenOffError(session.place.silence()) from error
        raise Refused([session.place.silence()]) from error


def _send(exchange: Exchange) -> aiohttp.client._RequestContextManager:
    request, spec = exchange.request, exchange.session.spec
    pairs = headers.to_notebook(request.headers.items(), person=spec.person, workspace=exchange.config.workspace)
    length = request.content_length
    if length is not None and length > LARGEST_BODY:
        raise Refused([Denial(code="body-size", message=f"What is sent is larger than {LARGEST_BODY} bytes.")])
    if length is not None:
        pairs.append(("Content-Length", str(length)))
    return exchange.session.place.client.request(
        request.method,
        URL("http://notebook" + exchange.target.raw, encoded=True),
        headers=pairs,
        data=_body(request) if length else None,
        allow_redirects=False,
    )


async def _body(request: web.BaseRequest) -> AsyncIterator[bytes]:
    async for chunk in request.content.iter_any():
        yield chunk


async def _answer(exchange: Exchange, upstream: aiohttp.ClientResponse) -> web.StreamResponse:
    status, pairs = _head(exchange, upstream)
    length = 0 if status in NO_BODY else upstream.content_length
    _fits(exchange.session, length)
    cost = FRAME_COST + sum(len(name) + len(value) + 4 for name, value in pairs)
    _pay(exchange, cost, started=False)
    if length is not None and length <= SMALL_ANSWER:
        return await _small(exchange, upstream, status, pairs)
    return await _stream(exchange, upstream, status, pairs, length)


def _head(exchange: Exchange, upstream: aiohttp.ClientResponse) -> tuple[int, list[tuple[str, str]]]:
    """Status and the notebook's own headers that pass. Raises Refused for an answer of another shape."""
    config, spec = exchange.config, exchange.session.spec
    if upstream.headers.get("Content-Encoding", "identity") != "identity":
        raise Refused([ODD])
    pairs = [
        ("Set-Cookie", value)
        for value in headers.cookies_out(
            upstream.headers.getall("Set-Cookie", []),
            person=spec.person,
            workspace=config.workspace,
            base_url=spec.base_url,
            secure=config.secure,
        )
    ]
    if upstream.status in REDIRECTS:
        location = headers.location_out(
            upstream.headers.get("Location"), base_url=spec.base_url, origins=config.public_origins
        )
        if location is None:
            raise Refused([ODD])
        return 302, [*pairs, ("Location", location)]
    if upstream.status not in STATUSES:
        raise Refused([ODD])
    version = headers.version_out(upstream.headers.get("X-JupyterHub-Version"))
    if exchange.route.kind is Kind.VERSION and version:
        pairs.append(("X-JupyterHub-Version", version))
    return upstream.status, pairs


def _fits(session: Session, length: int | None) -> None:
    """Refuse an answer whose stated length is too much, while a sentence can still be sent instead."""
    if length is not None and length > session.spec.message_bytes:
        raise Refused([TOO_LARGE])
    if length is not None and length + FRAME_COST > session.budget.remaining:
        raise Refused([OVER])


def _pay(exchange: Exchange, size: int, *, started: bool) -> None:
    if exchange.session.budget.spend("http", exchange.route.name, size):
        return
    raise BrokenOffError(OVER) if started else Refused([OVER])


def _dress(response: web.StreamResponse, exchange: Exchange, pairs: list[tuple[str, str]]) -> None:
    """Put on the gate's headers, then the few of the notebook's."""
    kind = exchange.route.kind
    for name, value in [*headers.own_headers(kind), headers.NO_STORE]:
        response.headers[name] = value
    if response.status not in NO_BODY:
        response.headers["Content-Type"] = headers.content_type(kind, exchange.target.path)
    for name, value in pairs:
        response.headers.add(name, value)


async def _small(
    exchange: Exchange, upstream: aiohttp.ClientResponse, status: int, pairs: list[tuple[str, str]]
) -> web.StreamResponse:
    """An answer short enough to be read whole: one write."""
    body = b"" if status in NO_BODY else await upstream.read()
    _pay(exchange, len(body), started=False)
    response = web.Response(status=status, body=body)
    _dress(response, exchange, pairs)
    return response


async def _stream(
    exchange: Exchange,
    upstream: aiohttp.ClientResponse,
    status: int,
    pairs: list[tuple[str, str]],
    length: int | None,
) -> web.StreamResponse:
    """A long answer, or one that does not say how long: each chunk is paid for before it is written."""
    response = web.StreamResponse(status=status)
    _dress(response, exchange, pairs)
    response.content_length = length
    await response.prepare(exchange.request)
    total = 0
    async for chunk in upstream.content.iter_any():
        total += len(chunk)
        if total > exchange.session.spec.message_bytes:
            raise BrokenOffError(TOO_LARGE)
        denial = exchange.session.denial()
        if denial is not None:
            raise BrokenOffError(denial)
        _pay(exchange, len(chunk), started=True)
        await response.write(chunk)
    await response.write_eof()
    return response
