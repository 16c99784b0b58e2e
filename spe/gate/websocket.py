"""Websockets between browser and notebook: every frame is judged, paid for, then passed on.

Kernel channels carry Jupyter messages in one framing only; events and terminals carry text. When the
allowance ends in the middle of a flood the person is told in the notebook itself, then the connection ends.
"""

import asyncio
import contextlib
from dataclasses import dataclass, replace

import aiohttp
from aiohttp import WSMsgType, web
from yarl import URL

from spe.domain.errors import Denial, Refused, SpeError
from spe.gate import headers, messages
from spe.gate.budget import FRAME_COST
from spe.gate.journal import Journal
from spe.gate.messages import Direction, Message
from spe.gate.notice import Conversation
from spe.gate.portal import Reporter
from spe.gate.proxy import ODD, OVER, Exchange
from spe.gate.rules import Kind
from spe.gate.session import MOST_LINKS, Ending

LARGEST_FROM_BROWSER = 16 * 1024 * 1024
LARGEST_EVENT = 64 * 1024
LARGEST_READ = 64 * 1024 * 1024
"""What the gate takes in at most to look at it: between the cap and this, printed text is divided and anything
else left out; beyond it the connection ends."""
MOST_LEFT_OUT = 10
HEARTBEAT_SECONDS = 30.0
CLOSE_SECONDS = 2.0
LONGEST_REASON = 120
"""Bytes; a close frame has room for 123."""

OVER_BUDGET = 4429
TOO_LARGE = 4413
NOT_ALLOWED = 4400
NOTEBOOK_GONE = 1001
WENT_WELL = 1000

SENTENCES = {
    OVER_BUDGET: "Today's allowance for data shown in the browser is used up until 00:00 UTC. "
    "Results leave by egress request. Run `spe egress submit` or open the portal.",
    TOO_LARGE: "An output was larger than this workspace lets through at once and was left out. Show less of it, or "
    "take it out through an egress request: run `spe egress submit` or open the portal.",
    NOT_ALLOWED: "The connection carried something that is not a Jupyter message.",
    NOTEBOOK_GONE: "The notebook closed the connection.",
}

MORE_THAN_IS_LEFT = (
    "This output is larger than what is left of today's allowance for data shown in the browser. Results leave through "
    "an egress request: run `spe egress submit` or open the portal."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Protocol:
    """How one class of websocket is spoken."""

    subprotocols: tuple[str, ...]
    channel: str
    largest_out: int | None
    takes_input: bool


PROTOCOLS = {
    Kind.KERNEL_SOCKET: Protocol(subprotocols=(messages.SUBPROTOCOL,), channel="", largest_out=None, takes_input=True),
    Kind.EVENTS_SOCKET: Protocol(subprotocols=(), channel="events", largest_out=LARGEST_EVENT, takes_input=False),
    Kind.TERMINAL_SOCKET: Protocol(subprotocols=(), channel="terminal", largest_out=None, takes_input=True),
}


def denial_of_handshake(exchange: Exchange) -> Denial | None:
    """Why a websocket is not opened, apart from what every request must satisfy."""
    wanted = PROTOCOLS[exchange.route.kind].subprotocols
    offered = exchange.request.headers.get("Sec-WebSocket-Protocol", "")
    if wanted and wanted[0] not in [item.strip() for item in offered.split(",")]:
        return Denial(code="subprotocol", message=f"Kernel connections speak {messages.SUBPROTOCOL} only.")
    if len(exchange.session.links) >= MOST_LINKS:
        return Denial(code="busy", message="Too many connections are open; close some tabs.")
    return OVER if exchange.session.budget.remaining < FRAME_COST else None


async def bridge(exchange: Exchange, *, reporter: Reporter, journal: Journal) -> web.StreamResponse:
    """Open both sides and carry frames until one ends. Raises Refused before the browser's side is open."""
    denial = denial_of_handshake(exchange)
    if denial is not None:
        raise Refused([denial])
    upstream = await _connect(exchange)
    try:
        protocol = PROTOCOLS[exchange.route.kind]
        browser = web.WebSocketResponse(
            protocols=protocol.subprotocols,
            compress=False,
            max_msg_size=LARGEST_FROM_BROWSER,
            heartbeat=HEARTBEAT_SECONDS,
            timeout=CLOSE_SECONDS,
        )
        for name, value in headers.own_headers(exchange.route.kind):
            browser.headers[name] = value
        await browser.prepare(exchange.request)
        await SocketLink(exchange, browser, upstream, reporter=reporter, journal=journal).run()
        return browser
    finally:
        await _leave(upstream)


async def _connect(exchange: Exchange) -> aiohttp.ClientWebSocketResponse:
    spec = exchange.session.spec
    protocol = PROTOCOLS[exchange.route.kind]
    pairs = headers.to_notebook(
        exchange.request.headers.items(), person=spec.person, workspace=exchange.config.workspace
    )
    try:
        upstream = await exchange.session.place.client.ws_connect(
            URL("http://notebook" + exchange.target.raw, encoded=True),
            protocols=protocol.subprotocols,
            headers=[pair for pair in pairs if pair[0] != "Accept-Encoding"],
            compress=0,
            max_msg_size=min(protocol.largest_out, spec.message_bytes)
            if protocol.largest_out
            else max(LARGEST_READ, spec.message_bytes),
            timeout=aiohttp.ClientWSTimeout(ws_close=CLOSE_SECONDS),
        )
    except aiohttp.WSServerHandshakeError as error:
        raise Refused([Denial(code="handshake", message="The notebook does not open this connection.")]) from error
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise Refused([exchange.session.place.silence()]) from error
    if protocol.subprotocols and upstream.protocol not in protocol.subprotocols:
        await _leave(upstream)
        raise Refused([ODD])
    return upstream


async def _leave(upstream: aiohttp.ClientWebSocketResponse) -> None:
    """Close the notebook's side without waiting long for a notebook that does not answer."""
    with contextlib.suppress(aiohttp.ClientError, TimeoutError, OSError):
        async with asyncio.timeout(CLOSE_SECONDS):
            await upstream.close()


class SocketLink:
    """One open websocket: two pumps, and a way to end them from outside."""

    def __init__(
        self,
        exchange: Exchange,
        browser: web.WebSocketResponse,
        upstream: aiohttp.ClientWebSocketResponse,
        *,
        reporter: Reporter,
        journal: Journal,
    ) -> None:
        self._exchange = exchange
        self._session = exchange.session
        self._browser = browser
        self._upstream = upstream
        self._reporter = reporter
        self._journal = journal
        self._protocol = PROTOCOLS[exchange.route.kind]
        self._talk = Conversation()
        self._left_out = 0
        self._ending: asyncio.Future[Ending] = asyncio.get_running_loop().create_future()
        self.finished = asyncio.Event()

    def end(self, ending: Ending) -> None:
        """Begin to end it; the first reason given stays."""
        if not self._ending.done():
            self._ending.set_result(ending)

    def abort(self) -> None:
        """Drop the browser's connection now."""
        transport = self._exchange.request.transport
        if transport is not None:
            transport.abort()

    async def run(self) -> None:
        """Carry frames until either side ends, the rules end it, or somebody calls `end`."""
        self._session.links.add(self)
        pumps = [asyncio.create_task(self._out()), asyncio.create_task(self._in())]
        try:
            denial = self._session.denial()
            if denial is not None:  # cut while the handshake was under way
                self.end(_ended(4403, denial.message))
            await asyncio.wait([*pumps, self._ending], return_when=asyncio.FIRST_COMPLETED)
            ending = self._result(pumps)
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            await self._say_goodbye(ending)
        finally:
            for pump in pumps:
                pump.cancel()
            self.abort()
            self._session.links.discard(self)
            self.finished.set()

    def _result(self, pumps: list[asyncio.Task[Ending]]) -> Ending:
        if self._ending.done():
            return self._ending.result()
        done = next(pump for pump in pumps if pump.done())
        error = done.exception()
        if error is None:
            return done.result()
        self._journal.write("websocket-broke", person=self._session.spec.person, reason=type(error).__name__)
        sentence = str(error) if isinstance(error, SpeError) else SENTENCES[NOTEBOOK_GONE]
        return _ended(NOTEBOOK_GONE, sentence)

    async def _say_goodbye(self, ending: Ending) -> None:
        """The sentence as a line in the notebook, where there is one, then the close code; in the time it may take."""
        try:
            async with asyncio.timeout(ending.patience):
                if self._exchange.route.kind is Kind.KERNEL_SOCKET and ending.code >= 4000:
                    await self._browser.send_bytes(self._talk.notice(ending.sentence))
                await self._browser.close(code=ending.code, message=brief(ending.sentence))
        except (TimeoutError, ConnectionError, RuntimeError):
            self.abort()

    # towards the browser

    async def _out(self) -> Ending:
        while True:
            frame = await self._upstream.receive()
            if frame.type not in {WSMsgType.BINARY, WSMsgType.TEXT}:
                return self._upstream_ended(frame)
            ending = await self._one_out(frame)
            if ending is not None:
                return ending

    def _upstream_ended(self, frame: aiohttp.WSMessage) -> Ending:
        too_big = self._upstream.close_code == aiohttp.WSCloseCode.MESSAGE_TOO_BIG
        if frame.type is WSMsgType.ERROR and not too_big:
            return self._stop(NOT_ALLOWED, "message-refused", "not a frame")
        if too_big and self._session.budget.remaining < LARGEST_READ and not self._protocol.largest_out:
            return replace(self._stop(OVER_BUDGET, "budget-exceeded", "output"), sentence=MORE_THAN_IS_LEFT)
        if too_big:
            return self._stop(TOO_LARGE, "message-too-large", self._protocol.channel or "kernel")
        return _ended(NOTEBOOK_GONE)

    async def _one_out(self, frame: aiohttp.WSMessage) -> Ending | None:
        denial = self._session.denial()
        if denial is not None:
            return _ended(4403, denial.message)
        if self._exchange.route.kind is not Kind.KERNEL_SOCKET:
            return await self._text_out(frame)
        message = messages.parse_message(frame.data) if frame.type is WSMsgType.BINARY else None
        if message is None:
            return self._stop(NOT_ALLOWED, "message-refused", "not a Jupyter message")
        if not messages.is_allowed(Direction.OUT, message, self._session.spec.message_families):
            await self._drop(Direction.OUT, message)
            return None
        self._session.use()
        cap = self._session.spec.message_bytes
        pieces = [frame.data]
        if message.size > cap:
            pieces = messages.split_stream(frame.data, cap) if message.kind == "stream" else []
        if not pieces:
            return await self._leave_out(message)
        for piece in pieces:
            if not self._session.budget.spend(message.channel, message.kind, len(piece) + FRAME_COST):
                return self._over()
            await self._browser.send_bytes(piece)
        return None

    async def _text_out(self, frame: aiohttp.WSMessage) -> Ending | None:
        if frame.type is not WSMsgType.TEXT:
            return self._stop(NOT_ALLOWED, "message-refused", "binary")
        size = len(frame.data.encode())
        if size > self._session.spec.message_bytes:
            return self._stop(TOO_LARGE, "message-too-large", self._protocol.channel)
        if not self._session.budget.spend(self._protocol.channel, "text", size + FRAME_COST):
            return self._over()
        await self._browser.send_str(frame.data)
        return None

    # towards the notebook

    async def _in(self) -> Ending:
        while True:
            frame = await self._browser.receive()
            if frame.type not in {WSMsgType.BINARY, WSMsgType.TEXT}:
                return _ended(WENT_WELL, "")
            if self._session.denial() is None:
                await self._one_in(frame)

    async def _one_in(self, frame: aiohttp.WSMessage) -> None:
        if self._exchange.route.kind is not Kind.KERNEL_SOCKET:
            if self._protocol.takes_input and frame.type is WSMsgType.TEXT:
                await self._upstream.send_str(frame.data)
            return
        message = messages.parse_message(frame.data) if frame.type is WSMsgType.BINARY else None
        if message is None:
            self._journal.write("message-refused", person=self._session.spec.person, direction="in", reason="framing")
        elif messages.is_allowed(Direction.IN, message, self._session.spec.message_families):
            self._session.use()
            self._talk.heard(message)
            await self._upstream.send_bytes(frame.data)
        else:
            await self._drop(Direction.IN, message)

    # refusing

    async def _drop(self, direction: Direction, message: Message) -> None:
        """Leave a message out; say so once in the notebook, once a day in the audit."""
        family = messages.family_of(message.kind)
        person = self._session.spec.person
        self._journal.write(
            "message-refused",
            person=person,
            direction=direction.value,
            channel=message.channel,
            kind=message.kind,
        )
        if direction is Direction.OUT:
            self._reporter.report("message-refused", person, once=family or "other", kind=family or "other")
        sentence = self._talk.first_refusal(family) if direction is Direction.OUT else None
        if sentence:
            await self._browser.send_bytes(self._talk.notice(sentence))

    async def _leave_out(self, message: Message) -> Ending | None:
        """An output over the cap: a line in its place; a connection that keeps on doing this ends."""
        self._left_out += 1
        ending = self._stop(TOO_LARGE, "message-too-large", message.kind)
        if self._left_out > MOST_LEFT_OUT:
            return ending
        await self._browser.send_bytes(self._talk.notice(ending.sentence))
        return None

    def _over(self) -> Ending:
        ending = self._stop(OVER_BUDGET, "budget-exceeded", "day")
        self._session.budget.exhaust()
        return ending

    def _stop(self, code: int, event: str, what: str) -> Ending:
        spec = self._session.spec
        detail = {"used": self._session.budget.used, "limit": spec.daily_bytes, "what": what}
        self._reporter.report(event, spec.person, once=what, **detail)
        return _ended(code)


def _ended(code: int, sentence: str | None = None) -> Ending:
    return Ending(code=code, sentence=SENTENCES[code] if sentence is None else sentence, patience=CLOSE_SECONDS)


def brief(sentence: str) -> bytes:
    """As many whole sentences as a close frame has room for; the beginning of one that is too long by itself."""
    fitting = sentence.encode()
    while len(fitting) > LONGEST_REASON:
        head, mark, _ = fitting.rstrip(b".").rpartition(b". ")
        if not mark:
            room = LONGEST_REASON - len("…".encode())
            return fitting[:room].decode(errors="ignore").encode() + "…".encode()
        fitting = head + b"."
    return fitting
