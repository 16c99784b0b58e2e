"""Only one loop acts: a lease in the database, with a fence that every write of the loops carries."""

import logging
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace

from spe.domain.errors import SpeError, Stale
from spe.domain.intent import Leadership
from spe.ports.store import Store, UnitOfWork
from spe.reconciler.outbox import Outbox, quick, slow
from spe.reconciler.timers import Timers
from spe.services.app import App
from spe.services.context import House

Rebind = Callable[[House], App]
Work = Callable[[dict[str, float]], None]

log = logging.getLogger("spe.reconciler")
LEASE_SECONDS = 15.0
RENEW_SECONDS = 5.0


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


class Loops:
    """The threads of the reconciler: `quick`, `slow` and timers, all only while this process leads."""

    def __init__(self, app: App, *, rebind: Rebind, holder: str, minute: float = 20.0) -> None:
        self._app = app
        self._rebind = rebind
        self._holder = holder
        self._minute = minute
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self._fence = -1
        self._led = app
        self._lock = threading.Lock()
        self._slow_bell = threading.Event()
        self.alive = 0.0

    def start(self) -> None:
        """Start the threads."""
        for name, work in (("quick", self._quick), ("slow", self._slow)):
            thread = threading.Thread(target=self._forever, args=(work,), name=f"spe-{name}", daemon=True)
            thread.start()
            self._threads.append(thread)

    def stop(self) -> None:
        """Ask the threads to end and wait for them."""
        self._stop.set()
        self._app.house.ring()
        self._slow_bell.set()
        for thread in self._threads:
            thread.join(timeout=10)

    def _forever(self, work: Work) -> None:
        state: dict[str, float] = {}
        while not self._stop.is_set():
            try:
                work(state)
            except Stale:
                log.info("somebody else leads now")
            except SpeError as error:
                log.warning("%s", error)
                self._stop.wait(1.0)
            except Exception:
                log.exception("unexpected; the loop goes on with the next round")
                self._stop.wait(1.0)

    def _lead(self) -> App | None:
        """The app with fenced writes while this process leads, else None."""
        now = time.monotonic()
        with self._lock:
            if now - self.alive < RENEW_SECONDS and self._fence >= 0:
                return self._led
            held = self._app.house.ports.store.lead(
                self._holder, now=self._app.house.ports.clock.now(), seconds=LEASE_SECONDS
            )
            if held is None:
                self._fence = -1
                return None
            self.alive = now
            if held.fence != self._fence:
                self._fence = held.fence
                ports = replace(self._app.house.ports, store=FencedStore(self._app.house.ports.store, held))
                self._led = self._rebind(replace(self._app.house, ports=ports))
            return self._led

    def _quick(self, state: dict[str, float]) -> None:
        bell = self._app.house.bell
        bell.wait(0.5)
        bell.clear()
        self._slow_bell.set()
        app = self._lead()
        if app is None:
            return
        timers = Timers(app)
        timers.second()
        while Outbox(app, quick(app)).drain(self._stop):
            pass
        if time.monotonic() - state.get("minute", -1e9) > self._minute:
            state["minute"] = time.monotonic()
            timers.minute()

    def _slow(self, _: dict[str, float]) -> None:
        self._slow_bell.wait(0.5)
        self._slow_bell.clear()
        app = self._lead()
        if app is not None:
            while Outbox(app, slow(app)).drain(self._stop):
                pass
