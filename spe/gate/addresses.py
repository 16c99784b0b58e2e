"""Which person's notebook is at which address, by the portal's word alone; a pod never says so itself.

The portal is asked when something unknown comes, again before anything new is opened on an old answer, and now
and then; callers share one question, and questions keep a distance, so that a flood of strangers is no flood for
the portal. An answer holds no longer than a yes of the portal does. An address that the portal gives to two
people is nobody's.
"""

import asyncio
import ipaddress
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from spe.gate.config import SLUG
from spe.gate.journal import Journal
from spe.gate.session import Clocks

FRESH_SECONDS = 1.0
"""An address may be another pod's after its pod is gone: no connection is opened on an older answer than this."""
WAITING_PAUSE = 0.15
"""Between questions while a start is waited for."""
STRANGER_PAUSE = 0.5
"""Between questions because of addresses that nobody knows."""
ASK_SECONDS = 2.0
ASKS_A_DEADLINE = 3

Ask = Callable[[], Awaitable[Mapping[str, str] | None]]


class Resident(Protocol):
    """Whoever must hear at once that a person's notebook is elsewhere, or nowhere."""

    async def moved(self) -> None:
        """The address is another one now; answers when nothing goes to the old one any more."""


class AddressBook:
    """The table of one gate. `ask` gives the portal's table, or None when it is silent."""

    def __init__(self, ask: Ask, *, clocks: Clocks, deadline: float, journal: Journal) -> None:
        self._ask = ask
        self._clocks = clocks
        self._deadline = deadline
        self._journal = journal
        self._table: dict[str, str] = {}
        self._people: dict[str, str] = {}
        self._residents: dict[str, Resident] = {}
        self._begun = float("-inf")  # when the last question began
        self._settled = float("-inf")  # when the last question that was settled, by an answer or by silence, began
        self._answered = float("-inf")  # when the last question that was answered began
        self._asking: asyncio.Task[None] | None = None

    def enter(self, person: str, resident: Resident) -> None:
        """Tell `resident` from now on."""
        self._residents[person] = resident

    def leave(self, person: str) -> None:
        """Tell them no more."""
        self._residents.pop(person, None)

    def address_of(self, person: str) -> str | None:
        """Where the person's notebook is, as far as it is known and confirmed."""
        return self._table.get(person) if self.is_valid else None

    def person_at(self, address: str) -> str | None:
        """Whose notebook has the address, as far as it is known and confirmed."""
        return self._people.get(address) if self.is_valid else None

    @property
    def is_valid(self) -> bool:
        """Whether the portal's last answer is young enough to go by."""
        return self._clocks.steady() < self._answered + self._deadline

    async def find(self, person: str) -> str | None:
        """Where the person's notebook is now; asks unless the portal said so a moment ago."""
        now = self._clocks.steady()
        if self.address_of(person) is None:
            await self._since(now, WAITING_PAUSE)
        else:
            await self._since(now - FRESH_SECONDS, WAITING_PAUSE)
        return self.address_of(person)

    async def recognise(self, address: str) -> str | None:
        """Whose notebook speaks from the address now; asks unless the portal said so a moment ago."""
        now = self._clocks.steady()
        if self.person_at(address) is None:
            await self._since(now, STRANGER_PAUSE)
        else:
            await self._since(now - FRESH_SECONDS, WAITING_PAUSE)
        return self.person_at(address)

    async def keep(self) -> None:
        """Ask now and then while there is somebody to tell, for ever."""
        while True:
            await asyncio.sleep(self._deadline / ASKS_A_DEADLINE)
            if self._residents:
                await self._since(self._clocks.steady(), WAITING_PAUSE)

    async def _since(self, moment: float, pause: float) -> None:
        """Return when a question that began at `moment` or later is settled; a new one keeps `pause` to the last."""
        while self._settled < moment:
            if self._asking is None:
                early = self._begun + pause - self._clocks.steady()
                if early > 0:
                    await asyncio.sleep(early)
                    continue
                self._begun = self._clocks.steady()
                self._asking = asyncio.create_task(self._question(self._begun))
            await asyncio.shield(self._asking)

    async def _question(self, begun: float) -> None:
        try:
            async with asyncio.timeout(min(ASK_SECONDS, self._deadline / ASKS_A_DEADLINE)):
                table = await self._ask()
        except TimeoutError:
            table = None
        try:
            if table is not None:
                self._answered = begun
                await self._take(unambiguous(table))
        except Exception as error:  # whoever waits must not wait for ever
            self._journal.write("addresses-failed", reason=type(error).__name__)
        finally:
            self._settled = begun
            self._asking = None

    async def _take(self, table: dict[str, str]) -> None:
        """The new table holds before anybody is told, so that nothing new is opened on the old one."""
        old, self._table = self._table, table
        self._people = {address: person for person, address in table.items()}
        moved = [p for p, address in old.items() if table.get(p) != address]
        for person in moved:
            self._journal.write("moved" if person in table else "address-gone", person=person, address=old[person])
        await asyncio.gather(*(self._residents[p].moved() for p in moved if p in self._residents))

    async def close(self) -> None:
        """Stop asking."""
        if self._asking is not None:
            self._asking.cancel()


def unambiguous(table: Mapping[str, str]) -> dict[str, str]:
    """What of the portal's table can be used: people, and addresses of one pod each."""
    usable = {p: str(ipaddress.ip_address(a)) for p, a in table.items() if SLUG.fullmatch(p) and _is_pods(a)}
    owners = Counter(usable.values())
    return {person: address for person, address in usable.items() if owners[address] == 1}


def _is_pods(address: str) -> bool:
    """Not an address by which a node, a group or the gate's own cloud is meant."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    return not (found.is_link_local or found.is_multicast or found.is_unspecified or found.is_reserved)
