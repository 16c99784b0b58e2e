"""Only one process acts: a lease in the database, with a fence that every write of the loops carries.

A thread of its own renews the lease, so that a long step does not lose it. Whoever could not renew it in time stops
acting on the world by its own watch, before it has asked who leads now; what it still writes the fence refuses.
"""

import logging
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace

from spe.domain.errors import SpeError, Stale
from spe.domain.intent import Leadership
from spe.ports.store import Store, UnitOfWork
from spe.reconciler.crew import Crew
from spe.reconciler.outbox import Outbox, cuts, slow, spaces
from spe.reconciler.timers import Timers
from spe.services.app import App
from spe.services.context import House

Rebind = Callable[[House], App]
Work = Callable[[], None]

log = logging.getLogger("spe.reconciler")
LEASE_SECONDS = 15.0
RENEW_SECONDS = 5.0
HANDS = 4
STOP_SECONDS = 10.0
LOOK_SECONDS = 1.0
"""How often somebody who does not lead looks whether the lead is free."""


def ticks() -> float:
    """Seconds since boot; they go on while this process is stopped or the machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class FencedStore:
    """A store whose writes are refused as soon as somebody else leads."""

    def __init__(self, store: Store, leadership: Leadership) -> None:
        self._store = store
        self._leadership = leadership
        self.read = store.read
        self.lead = store.lead
        self.fenced = store.fenced
        self.problems = store.problems

    def begin(self) -> AbstractContextManager[UnitOfWork]:
        """A writing transaction that carries the fence. Raises `Stale` for an old leader."""
        return self._store.fenced(self._leadership)


class Lease:
    """How long this process may act, by its own watch: counted from before it asked, so never longer than granted."""

    def __init__(self, *, tick: Callable[[], float] = ticks) -> None:
        self._tick = tick
        self._until = 0.0

    def hold(self, *, began: float, seconds: float) -> None:
        """It was granted, or renewed, for so long; asked for at `began`."""
        self._until = began + seconds

    def lose(self) -> None:
        """Somebody else leads."""
        self._until = 0.0

    @property
    def holds(self) -> bool:
        """Whether this process may act now."""
        return self._tick() < self._until

    def demand(self) -> None:
        """Raises `Stale` when this process may not act."""
        if not self.holds:
            raise Stale("Another process may lead by now; this one stops acting.")


class Loops:
    """The threads of the reconciler: two crews for workspaces, one lane for what is slow, timers; all only while
    this process leads.

    `holder` names this process among all that use the database; `hands` is how many permits are worked on at once.
    """

    def __init__(self, app: App, *, rebind: Rebind, holder: str, minute: float = 20.0, hands: int = HANDS) -> None:
        self._app = app
        self._rebind = rebind
        self._holder = holder
        self._minute = minute
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self._lease = Lease()
        self._fence = -1
        self._led = app
        self._renewed = 0.0
        self._slow_bell = threading.Event()
        ring = app.house.ring
        self._cuts = Crew("cuts", hands, stop=self._stop, ring=ring)
        self._spaces = Crew("spaces", hands, stop=self._stop, ring=ring)

    @property
    def alive(self) -> float:
        """When this process last made sure that it leads, in seconds since boot; 0 when it does not lead."""
        return self._renewed if self._lease.holds else 0.0

    def start(self) -> None:
        """Start the threads."""
        loops = {"lead": self._keep, "quick": self._quick, "slow": self._slow, "minute": self._minutes}
        for name, work in loops.items():
            thread = threading.Thread(target=self._forever, args=(work,), name=f"spe-{name}", daemon=True)
            thread.start()
            self._threads.append(thread)
        self._threads += [*self._cuts.start(), *self._spaces.start()]

    def stop(self) -> None:
        """Ask the threads to end, wait for them, and let somebody else lead at once."""
        self._stop.set()
        self._app.house.ring()
        self._slow_bell.set()
        self._cuts.dismiss()
        self._spaces.dismiss()
        until = time.monotonic() + STOP_SECONDS
        for thread in self._threads:
            thread.join(timeout=max(0.0, until - time.monotonic()))
        if self._lease.holds and not any(thread.is_alive() for thread in self._threads):
            self._resign()

    def _resign(self) -> None:
        self._lease.lose()
        try:
            self._ask(seconds=0)
        except SpeError as error:
            log.info("%s; the lead ends by itself", error)

    def _forever(self, work: Work) -> None:
        while not self._stop.is_set():
            try:
                work()
            except Stale:
                log.info("somebody else leads now")
            except SpeError as error:
                log.warning("%s", error)
                self._stop.wait(1.0)
            except Exception:
                log.exception("unexpected; the loop goes on with the next round")
                self._stop.wait(1.0)

    def _keep(self) -> None:
        """Take the lead when it is free, and renew it in time."""
        began = ticks()
        held = self._ask(seconds=LEASE_SECONDS)
        if held is None:
            self._lease.lose()
        else:
            self._follow(held)
            self._renewed = began
            self._lease.hold(began=began, seconds=LEASE_SECONDS)
        self._stop.wait(LOOK_SECONDS if held is None else RENEW_SECONDS)

    def _ask(self, *, seconds: float) -> Leadership | None:
        house = self._app.house
        return house.ports.store.lead(self._holder, now=house.ports.clock.now(), seconds=seconds)

    def _follow(self, held: Leadership) -> None:
        """Bind the use cases over writes that carry this fence."""
        if held.fence != self._fence:
            ports = replace(self._app.house.ports, store=FencedStore(self._app.house.ports.store, held))
            self._led = self._rebind(replace(self._app.house, ports=ports, may_act=self._lease.demand))
            self._fence = held.fence

    def _lead(self) -> App | None:
        """The app with fenced writes while this process leads, else None."""
        return self._led if self._lease.holds else None

    def _quick(self) -> None:
        bell = self._app.house.bell
        bell.wait(0.5)
        bell.clear()
        self._slow_bell.set()
        app = self._lead()
        if app is not None:
            Timers(app).second()
            self._cuts.hand_out(Outbox(app, cuts(app)))
            self._spaces.hand_out(Outbox(app, spaces(app)))

    def _minutes(self) -> None:
        app = self._lead()
        if app is not None:
            Timers(app).minute()
        self._stop.wait(0.2 if app is None else self._minute)

    def _slow(self) -> None:
        self._slow_bell.wait(0.5)
        self._slow_bell.clear()
        app = self._lead()
        if app is not None:
            while Outbox(app, slow(app)).drain(self._stop):
                pass
