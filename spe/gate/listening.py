"""Unix sockets to listen on: bound beside and renamed into place, mode 0600, with a bound on connections.

A socket file left by a killed gate is replaced in one step, so that nobody ever finds the door missing or
owned by two. Malformed requests are answered here, in the gate's own words.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

from aiohttp import web

from spe.domain.errors import Denial
from spe.gate.pages import refusal

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
Fault = Callable[[int, BaseException | None], None]

BACKLOG = 128
LINGER_SECONDS = 1.0
KEEPALIVE_SECONDS = 75.0


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


class _Full(asyncio.Protocol):
    """Takes the connection that is one too many, and drops it."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()


class Listener:
    """A listening socket with its handler."""

    def __init__(self, path: Path, handler: Handler, *, fault: Fault, most: int) -> None:
        self.path = path
        self._server = web.Server(handler)
        self._fault = fault
        self._most = most
        self._sockets: asyncio.Server | None = None

    def _accept(self) -> asyncio.Protocol:
        if len(self._server.connections) >= self._most:
            return _Full()
        return _Connection(self._server, self._fault)

    async def open(self) -> None:
        """Listen. The path shows the new socket from one instant to the next. Raises OSError."""
        bound = bind_beside(self.path)
        self._sockets = await asyncio.get_running_loop().create_unix_server(self._accept, sock=bound, backlog=BACKLOG)
        beside(self.path).rename(self.path)

    async def close(self) -> None:
        """Stop listening, end the connections, take the path away."""
        if self._sockets is None:
            return
        self._sockets.close()
        self._sockets = None
        self.path.unlink(missing_ok=True)
        await self._server.shutdown(0.2)


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
