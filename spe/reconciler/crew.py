"""Hands that work side by side, each on what is owed for one permit at a time, in its order.

Apart from the lanes, because it knows nothing of what the effects do: only that two of one permit never overlap.
"""

import logging
import threading
from collections.abc import Callable
from queue import SimpleQueue

from spe.domain.errors import SpeError, Stale
from spe.domain.intent import Intent
from spe.reconciler.outbox import Outbox

log = logging.getLogger("spe.reconciler")
_Job = tuple[Outbox, str, list[Intent]]


class Crew:
    """`size` threads; `ring` wakes whoever hands out, when something waits that was put off."""

    def __init__(self, name: str, size: int, *, stop: threading.Event, ring: Callable[[], None]) -> None:
        self._name = name
        self._size = size
        self._stop = stop
        self._ring = ring
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._busy: set[str] = set()
        self._put_off: set[str] = set()

    def start(self) -> list[threading.Thread]:
        """Start the threads, and name them to who waits for their end."""
        names = [f"spe-{self._name}-{number}" for number in range(self._size)]
        threads = [threading.Thread(target=self._work, name=name, daemon=True) for name in names]
        for thread in threads:
            thread.start()
        return threads

    def dismiss(self) -> None:
        """Have the threads end after what they have in hand; the event to stop is set before."""
        for _ in range(self._size):
            self._jobs.put(None)

    def hand_out(self, outbox: Outbox) -> None:
        """Give what is due to free hands; what is due for a permit in hand is put off until that is done."""
        with self._lock:
            before = frozenset(self._busy)  # what is due may have been carried out between this and the look
        owed = outbox.due_by_permit()
        with self._lock:
            for permit, intents in owed.items():
                if permit in before or permit in self._busy:
                    self._put_off.add(permit)
                else:
                    self._busy.add(permit)
                    self._jobs.put((outbox, permit, intents))

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            outbox, permit, intents = job
            try:
                outbox.carry_out(intents, self._stop)
            except Stale:
                log.info("somebody else leads now")
            except SpeError as error:
                log.warning("%s", error)
            except Exception:
                log.exception("unexpected; it is owed still")
            finally:
                self._free(permit)

    def _free(self, permit: str) -> None:
        with self._lock:
            self._busy.discard(permit)
            waits = permit in self._put_off
            self._put_off.discard(permit)
        if waits:
            self._ring()
