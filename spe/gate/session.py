"""One person's running notebook as the gate sees it now: may they pass, what is open, how to end it.

Whether somebody may pass is decided here and nowhere else: not cut, not expired, and the portal's last yes
is young enough. Time since a yes is measured on the clock that runs through suspend.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import aiohttp
from aiohttp import web

from spe.domain.errors import Denial
from spe.gate.budget import Budget
from spe.gate.config import SessionConfig

MOST_LINKS = 32
CUT_SECONDS = 0.04
SILENT = Denial(code="notebook-silent", message="The notebook does not answer.")


def boottime() -> float:
    """Seconds on the clock that cannot be set and does not stop while the machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@dataclass(frozen=True, slots=True, kw_only=True)
class Clocks:
    """The two clocks a gate reads: `wall` seconds since the epoch, `steady` seconds since boot."""

    wall: Callable[[], float] = time.time
    steady: Callable[[], float] = boottime


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """Why a websocket ends: a close code and a sentence. `patience` is how many seconds its last words may take."""

    code: int
    sentence: str
    patience: float


class Link(Protocol):
    """An open websocket."""

    def end(self, ending: Ending) -> None:
        """Begin to end it; returns at once."""

    def abort(self) -> None:
        """Drop the connection now, whatever is still to be said."""

    @property
    def finished(self) -> asyncio.Event:
        """Set when the browser's side is closed."""


_NO = "The permit does not let you into this workspace now."


class Place(Protocol):
    """Where a session's notebook is."""

    @property
    def client(self) -> aiohttp.ClientSession:
        """Speaks to the notebook, whatever host its addresses name."""

    def silence(self) -> Denial:
        """What to say when the notebook does not answer."""

    async def close(self) -> None:
        """End the connections."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmation:
    """The portal's last yes: until when it holds on the steady clock, and by its own word on the wall clock."""

    steady_until: float
    wall_until: float


class Session:
    """What the gate holds for one session."""

    def __init__(
        self,
        spec: SessionConfig,
        *,
        stamp: str,
        budget: Budget,
        place: Place,
        clocks: Clocks,
    ) -> None:
        self.spec = spec
        self.stamp = stamp
        self.budget = budget
        self.place = place
        self.clocks = clocks
        self.confirmation: Confirmation | None = None
        self.no: str | None = None
        self.cut_reason: str | None = None
        self.links: set[Link] = set()
        self._flights: set[asyncio.Transport] = set()
        self._used_at = clocks.steady()

    def use(self) -> None:
        """Note that the notebook is in use: a kernel message either way, or something saved. Polling is no use."""
        self._used_at = self.clocks.steady()

    @property
    def idle_seconds(self) -> float:
        """Seconds since the notebook was last in use."""
        return max(0.0, self.clocks.steady() - self._used_at)

    def denial(self) -> Denial | None:
        """Why this person may not pass now, or None."""
        if self.cut_reason is not None:
            return Denial(code="cut", message=f"This session was ended: {self.cut_reason}")
        wall = self.clocks.wall()
        if wall >= self.spec.expires:
            return Denial(code="expired", message="This session has reached its end.")
        if self.no is not None:
            said = f"This session was ended: {self.no}" if self.no else _NO
            return Denial(code="not-entitled", message=said)
        yes = self.confirmation
        if yes is None or self.clocks.steady() >= yes.steady_until or wall >= yes.wall_until:
            return Denial(code="not-confirmed", message="The portal has not confirmed your permit in time.")
        return None

    @property
    def busy(self) -> bool:
        """True while a websocket is open or a request is being answered."""
        return bool(self.links or self._flights)

    def seconds_left(self) -> float:
        """Seconds until `denial` would change by time alone; 0 when there is one already."""
        if self.denial() is not None or self.confirmation is None:
            return 0.0
        wall = self.clocks.wall()
        return min(
            self.spec.expires - wall,
            self.confirmation.wall_until - wall,
            self.confirmation.steady_until - self.clocks.steady(),
        )

    @contextmanager
    def flight(self, request: web.BaseRequest) -> Iterator[None]:
        """While a request is answered its connection is known, so that a cut can drop it."""
        transport = request.transport
        if transport is None:
            yield
            return
        self._flights.add(transport)
        try:
            yield
        finally:
            self._flights.discard(transport)

    async def close_open(self, ending: Ending) -> int:
        """End every websocket and drop every request under way. Returns how many websockets; ≤ 50 ms."""
        links = list(self.links)
        for link in links:
            link.end(ending)
        for transport in list(self._flights):
            transport.abort()
        self._flights.clear()
        if links:
            waits = [asyncio.ensure_future(link.finished.wait()) for link in links]
            _, late = await asyncio.wait(waits, timeout=CUT_SECONDS)
            for wait in late:
                wait.cancel()
        for link in links:
            if not link.finished.is_set():
                link.abort()
        return len(links)
