"""The way out of a sandbox: two sockets per person, to the Hub and to the portal (and the package mirror).

The socket a call arrives on is the person.
"""

from contextlib import AbstractAsyncContextManager
from functools import partial
from types import TracebackType
from typing import Self

from spe.gate.config import Sockets
from spe.gate.listening import AtPath, Fault, Listener
from spe.gate.outbound import Outbound
from spe.gate.session import Session

MOST_CONNECTIONS = 32


class Doors(AbstractAsyncContextManager["Doors"]):
    """`hub.sock` and `spe.sock` in one person's door folder, while it is entered."""

    def __init__(self, session: Session, sockets: Sockets, outbound: Outbound, *, fault: Fault) -> None:
        self._folder = sockets.door
        self._listeners = tuple(
            Listener(AtPath(self._folder / name), partial(handler, session), fault=fault, most=MOST_CONNECTIONS)
            for name, handler in (("hub.sock", outbound.hub), ("spe.sock", outbound.spe))
        )

    async def __aenter__(self) -> Self:
        """Listen on both. Raises OSError."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            for listener in self._listeners:
                await listener.open()
        except OSError:
            await self._close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop listening on both."""
        await self._close()

    async def _close(self) -> None:
        for listener in self._listeners:
            await listener.close()
