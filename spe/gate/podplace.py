"""A notebook in a pod: at the address that the portal names, found anew for each connection that is opened.

When the address changes everything open to the old one ends at once, and nothing is taken from the store of open
connections again.
"""

import socket
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Self

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from spe.domain.errors import Denial
from spe.gate.addresses import AddressBook
from spe.gate.notebook import MOST_CONNECTIONS, TIMES, client
from spe.gate.session import CUT_SECONDS, SILENT, Ending, Session

NOTEBOOK_PORT = 8888
CONNECT_SECONDS = 2.0
KEPT_SECONDS = 60.0
AWAY = 1001
GONE = Denial(code="ended", message="This session was ended: its notebook does not run any more.")
NOT_THERE = Denial(code="ended", message="No notebook runs for this session: it was ended, or is still starting.")
UNSAID = Denial(code="notebook-silent", message="The portal has not said in time where the notebook is.")
MOVED = "The notebook was started anew."


class _Resolver(AbstractResolver):
    """Answers every name with the one person's address."""

    def __init__(self, person: str, book: AddressBook) -> None:
        self._person = person
        self._book = book

    async def resolve(
        self,
        host: str,
        port: int = 0,  # noqa: ARG002  # the library's signature
        family: socket.AddressFamily = socket.AF_UNSPEC,  # noqa: ARG002  # the library's signature
    ) -> list[ResolveResult]:
        address = await self._book.find(self._person)
        if address is None:
            raise OSError("no address is known")
        kind = socket.AF_INET6 if ":" in address else socket.AF_INET
        flags = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
        return [
            ResolveResult(hostname=host, host=address, port=NOTEBOOK_PORT, family=kind, proto=0, flags=flags),
        ]

    async def close(self) -> None:
        """Nothing is open here."""


class PodPlace:
    """Where one person's pod is."""

    def __init__(self, person: str, book: AddressBook) -> None:
        self._person = person
        self._book = book
        self.was_there = False
        self.client = self._client()

    def _client(self) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(
            resolver=_Resolver(self._person, self._book),
            use_dns_cache=False,
            limit=MOST_CONNECTIONS,
            keepalive_timeout=KEPT_SECONDS,
        )
        times = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=TIMES.sock_read)
        return client(connector, times)

    def silence(self) -> Denial:
        """Whether it is silent, or not there."""
        if not self._book.is_valid:
            return UNSAID
        if self._book.address_of(self._person) is not None:
            return SILENT
        return GONE if self.was_there else NOT_THERE

    def leave(self) -> aiohttp.ClientSession:
        """Use no connection of before any more; whoever calls this closes the client that is returned."""
        self.was_there = True
        old, self.client = self.client, self._client()
        return old

    async def close(self) -> None:
        """End the connections."""
        await self.client.close()


class Residence(AbstractAsyncContextManager["Residence"]):
    """A session's entry in the address book while it is entered: this is its door, for it makes its calls known."""

    def __init__(self, session: Session, place: PodPlace, book: AddressBook) -> None:
        self.session = session
        self._place = place
        self._book = book

    async def __aenter__(self) -> Self:
        self._book.enter(self.session.spec.person, self)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._book.leave(self.session.spec.person)

    async def moved(self) -> None:
        """End what is open to the old address, either way."""
        old = self._place.leave()
        sentence = MOVED if self._book.address_of(self.session.spec.person) else GONE.message
        try:
            await self.session.close_open(Ending(code=AWAY, sentence=sentence, patience=CUT_SECONDS / 2))
        finally:
            await old.close()
