"""Places to listen on: Unix sockets bound beside and renamed into place, and ports; both with bounds on connections.

A socket file left by a killed gate is replaced in one step, so that nobody ever finds the door missing or
owned by two. At a port strangers may call: there each address has its own share of the connections. Malformed
requests are answered here, in the gate's own words.
"""

import asyncio
import socket
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from aiohttp import web

from spe.domain.errors import Denial
from spe.gate.pages import refusal

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
Fault = Callable[[int, BaseException | None], None]
Accept = Callable[[], asyncio.Protocol]

BACKLOG = 128
LINGER_SECONDS = 1.0
KEEPALIVE_SECONDS = 75.0


class Place(Protocol):
    """Where a listener stands."""

    async def bind(self, accept: Accept) -> asyncio.Server:
        """Listen. Raises OSError."""

    def clear(self) -> None:
        """Leave nothing behind."""


@dataclass(frozen=True, slots=True)
class AtPath:
    """A Unix socket of mode 0600."""

    path: Path

    async def bind(self, accept: Accept) -> asyncio.Server:
        """Listen. The path shows the new socket from one instant to the next."""
        bound = bind_beside(self.path)
        server = await asyncio.get_running_loop().create_unix_server(accept, sock=bound, backlog=BACKLOG)
        beside(self.path).rename(self.path)
        return server

    def clear(self) -> None:
        """Take the path away."""
        self.path.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class AtPort:
    """A TCP port of one address."""

    host: str
    port: int

    async def bind(self, accept: Accept) -> asyncio.Server:
        """Listen."""
        return await asyncio.get_running_loop().create_server(accept, self.host, self.port, backlog=BACKLOG)

    def clear(self) -> None:
        """A port leaves nothing behind."""


class Shares:
    """How many connections each address has; at most `each`."""

    def __init__(self, each: int) -> None:
        self._each = each
        self._open: Counter[str] = Counter()

    def take(self, address: str) -> bool:
        """Count one more; False when that is one too many."""
        if self._open[address] >= self._each:
            return False
        self._open[address] += 1
        return True

    def give(self, address: str) -> None:
        """Count one less."""
        self._open[address] -= 1
        if self._open[address] <= 0:
            del self._open[address]


class _Connection(web.RequestHandler):
    """One connection whose errors are told by the gate, not by the library."""

    __slots__ = ("_fault",)

    def __init__(self, server: web.Server, fault: Fault) -> None:
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            auto_decompress=False,
            lingering_time=LINGER_SECONDS,
            keepalive_timeout=KEEPALIVE_SECONDS,
            access_log=None,  # type: ignore[arg-type]  # None switches it off, as Server documents
        )
        self._fault = fault

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002  # the library's words quote the request
    ) -> web.StreamResponse:
        self._fault(status, exc)
        if request.writer.output_size > 0:
            raise ConnectionError("An answer was already under way.")
        if status < 500:
            return refusal(Denial(code="malformed", message="The request is not well-formed HTTP."), close=True)
        return refusal(Denial(code="unavailable", message="The gate could not answer this."), close=True)


class _Caller(_Connection):
    """A connection from an address that may be anybody's."""

    __slots__ = ("_address", "_shares")

    def __init__(self, server: web.Server, fault: Fault, shares: Shares) -> None:
        super().__init__(server, fault)
        self._shares = shares
        self._address: str | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        address = address_of(transport)
        if not self._shares.take(address):
            transport.abort()  # type: ignore[attr-defined]  # every TCP transport has it
            return  # never one of the server's connections, or a burst of these would fill the place for all
        self._address = address
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        if self._address is not None:
            self._shares.give(self._address)
            self._address = None
            super().connection_lost(exc)


class _Full(asyncio.Protocol):
    """Takes the connection that is one too many, and drops it."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()


class Listener:
    """A listening place with its handler. `each` is the share of one address, for places that strangers reach."""

    def __init__(self, place: Place, handler: Handler, *, fault: Fault, most: int, each: int | None = None) -> None:
        self._place = place
        self._server = web.Server(handler)
        self._fault = fault
        self._most = most
        self._shares = None if each is None else Shares(each)
        self._sockets: asyncio.Server | None = None

    def _accept(self) -> asyncio.Protocol:
        if len(self._server.connections) >= self._most:
            return _Full()
        if self._shares is None:
            return _Connection(self._server, self._fault)
        return _Caller(self._server, self._fault, self._shares)

    async def open(self) -> None:
        """Listen. Raises OSError."""
        self._sockets = await self._place.bind(self._accept)

    async def close(self) -> None:
        """Stop listening, end the connections, leave nothing behind."""
        if self._sockets is None:
            return
        self._sockets.close()
        self._sockets = None
        self._place.clear()
        await self._server.shutdown(0.2)


def address_of(transport: asyncio.BaseTransport | None) -> str:
    """The address at the other end of a connection, as the kernel knows it; empty when it is gone."""
    peer = transport.get_extra_info("peername") if transport is not None else None
    return str(peer[0]) if isinstance(peer, tuple) and peer else ""


def beside(path: Path) -> Path:
    """Where the socket waits before it is renamed into place."""
    return path.with_name(path.name + ".new")


def bind_beside(path: Path) -> socket.socket:
    """A Unix socket of mode 0600 bound next to `path`. Raises OSError."""
    place = beside(path)
    place.unlink(missing_ok=True)
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        bound.bind(str(place))
        place.chmod(0o600)
    except OSError:
        bound.close()
        raise
    return bound
