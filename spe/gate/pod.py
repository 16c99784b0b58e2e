"""A gate in a pod: reached by ports, told what to do over one of them, and nobody until the portal said who it is.

What it was told stays in memory beyond its process, so that a container that was started again goes on where it
was; whether people may pass it asks anew. A changed `gate` part takes the sessions apart and puts them together
again, as on a host, where the process is started anew for it.
"""

import asyncio
from contextlib import AsyncExitStack, suppress
from pathlib import Path

from aiohttp import web

from spe.domain.errors import Denial, Invalid, SpeError, Unavailable
from spe.gate.addresses import AddressBook
from spe.gate.assembly import Gate, Parts, assemble
from spe.gate.config import GateConfig, SessionConfig, Settled
from spe.gate.configuration import Configuration, parse_configuration
from spe.gate.hello import Identity
from spe.gate.journal import Journal
from spe.gate.kept import Kept
from spe.gate.pages import refusal
from spe.gate.poddoor import PodDoor, hello, is_hello
from spe.gate.podplace import PodPlace, Residence
from spe.gate.roster import Applied
from spe.gate.session import Clocks, Session
from spe.gate.surroundings import Surroundings, Wanted

HELD_SECONDS = 9.0
"""How long the Hub's question whether a notebook is up is held; the Hub itself waits for ten."""

NOT_YET = Denial(code="unavailable", message="This gate was not told yet what it is for.")


class Pod:
    """Who this gate is, what it was told, and the gate made from that."""

    def __init__(self, *, portal: str, state: Path, kept: Kept, journal: Journal, clocks: Clocks) -> None:
        self._portal = portal
        self._state = state
        self._kept = kept
        self._journal = journal
        self._clocks = clocks
        self._one_at_a_time = asyncio.Lock()
        self._inside = AsyncExitStack()
        self._door: PodDoor | None = None
        self.identity: Identity | None = None
        self.configuration: Configuration | None = None
        self.gate: Gate | None = None

    # who it is

    def remember(self) -> None:
        """Take up who this gate was; asked again it may be another one."""
        with suppress(Invalid):
            self._name(Identity.read(self._kept.read("identity")))

    async def go_on(self) -> None:
        """Take up what this gate was told; what cannot be used any more is left alone."""
        document = self._kept.read("configuration")
        if self.identity is None or document is None:
            return
        try:
            await self.configure(parse_configuration(document, self.settled()))
        except SpeError as error:
            self._journal.write("not-kept", reason=str(error))

    async def become(self, identity: Identity) -> None:
        """The portal's word on who this gate is. A gate that is another one now starts with nothing."""
        if identity == self.identity:
            return
        async with self._one_at_a_time:
            await self._take_apart()
            self.configuration = None
            try:
                self._kept.forget("configuration")
                self._kept.write("identity", identity.to_json())
            except OSError as error:
                self._journal.write("not-kept", reason=str(error.strerror))
            self._name(identity)
        self._journal.write("named")

    def _name(self, identity: Identity) -> None:
        self.identity = identity
        self._journal.workspace = identity.workspace

    def complain(self, error: SpeError) -> None:
        """Nobody said who this gate is."""
        self._journal.write("hello-failed", reason=str(error))

    # what it is told

    def settled(self) -> Settled:
        """What no configuration changes. Raises Unavailable before the portal said who this gate is."""
        if self.identity is None:
            raise Unavailable("portal", "it has not said yet who this gate is")
        return Settled(
            workspace=self.identity.workspace, token=self.identity.token, portal=self._portal, state=self._state
        )

    async def configure(self, configuration: Configuration) -> list[str]:
        """Make it so; answers with the people whose sessions went. Raises Unavailable when a part did not work."""
        async with self._one_at_a_time:
            if configuration.gate.token != self.settled().token:
                raise Unavailable("portal", "it said meanwhile that this gate is another one")
            self._keep(configuration)  # first: a process that is killed now may not go on with less than this
            self.configuration = configuration
            if self.gate is not None and self.gate.config == configuration.gate:
                applied = await self.gate.roster.reload()
            else:
                await self._take_apart()
                applied = await self._put_together(configuration.gate)
        if applied.refused:
            raise Unavailable("gate", " ".join(f"{who}: {' '.join(why)}" for who, why in applied.refused.items()))
        return applied.removed

    def _keep(self, configuration: Configuration) -> None:
        try:
            self._kept.write("configuration", configuration.document)
        except OSError as error:
            raise Unavailable("gate's memory", str(error.strerror)) from error

    async def _put_together(self, config: GateConfig) -> Applied:
        try:
            gate = await assemble(
                config,
                self._surround,
                self._inside,
                journal=self._journal,
                clocks=self._clocks,
                patience=HELD_SECONDS,
            )
        except (SpeError, OSError) as error:
            await self._take_apart()
            raise Unavailable("gate", str(error)) from error
        self.gate = gate
        return gate.roster.applied

    def _surround(self, parts: Parts) -> Surroundings:
        book = AddressBook(
            lambda: parts.portal.addresses(within=parts.config.deadline_seconds),
            clocks=parts.clocks,
            deadline=parts.config.deadline_seconds,
            journal=parts.journal,
        )
        self._inside.push_async_callback(book.close)
        task = asyncio.create_task(book.keep())
        self._inside.callback(task.cancel)
        self._door = PodDoor(book, self._session_of, parts.outbound, parts.journal)

        def place(spec: SessionConfig) -> PodPlace:
            return PodPlace(spec.person, book)

        def doors(session: Session) -> Residence:
            assert isinstance(session.place, PodPlace)
            return Residence(session, session.place, book)

        return Surroundings(wanted=self._wanted, place=place, doors=doors)

    def _session_of(self, person: str) -> Session | None:
        return self.gate.roster.of(person) if self.gate is not None else None

    def _wanted(self) -> Wanted:
        return self.configuration.wanted if self.configuration is not None else Wanted()

    async def _take_apart(self) -> None:
        self.gate = self._door = None
        inside, self._inside = self._inside, AsyncExitStack()
        await inside.aclose()

    async def ready(self) -> Gate | None:
        """The gate, after a configuration under way; None when there is none."""
        if self.gate is None:
            async with self._one_at_a_time:
                return self.gate
        return self.gate

    # what it answers

    async def inbound(self, request: web.BaseRequest) -> web.StreamResponse:
        """From the Hub and its proxy."""
        if self.gate is None:
            return refusal(NOT_YET, accept=request.headers.get("Accept", "")[:200], close=True)
        return await self.gate.front(request)

    async def door(self, request: web.BaseRequest) -> web.StreamResponse:
        """From notebooks."""
        if is_hello(request) and self.identity is not None:
            return hello(self.identity.workspace)
        if self.gate is None or self._door is None:
            return refusal(NOT_YET, close=True)
        return await self._door(request)

    async def spare(self, request: web.BaseRequest) -> web.StreamResponse:
        """Behind the port that no policy opens: whoever hears this has no seal."""
        return await self.door(request) if is_hello(request) else refusal(NOT_YET, close=True)

    def settle(self) -> None:
        """Write every counter."""
        if self.gate is not None:
            self.gate.roster.settle()

    async def close(self) -> None:
        """End everything; the counters are exact afterwards."""
        async with self._one_at_a_time:
            await self._take_apart()
