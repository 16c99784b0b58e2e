"""Children that are kept: portal, Hub, proxy, gates. One that ends is started again, ever more slowly.

A service that stayed up for a while starts again at once; one that keeps falling waits longer each time.
A decisive one (the demo's story) is never started again: its end is the end of everything.
"""

import asyncio
import contextlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from spe.adapters.cluster.embedded import process
from spe.adapters.cluster.embedded.logs import Log
from spe.adapters.cluster.embedded.readiness import Listening, until

PAUSES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
"""Seconds before each next start; the last repeats."""

_STEADY = 20.0
_AT_ONCE = Listening()


class ServiceState(StrEnum):
    """Where a service stands."""

    STARTING = "starting"
    READY = "ready"
    WAITING = "waiting"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceSpec:
    """A child to keep: its program, environment (all of it), and how one sees that it is ready.

    `sockets` are removed before each start, because a killed process leaves them. `decisive`: its end
    ends the supervisor, with its exit status. `restarts` False: a task that ends by itself and is done.
    `shows_output`: it writes to our own terminal.
    """

    name: str
    arguments: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    folder: Path | None = None
    ready: Listening = _AT_ONCE
    sockets: tuple[Path, ...] = ()
    start_seconds: float = 60.0
    grace: float = 5.0
    decisive: bool = False
    restarts: bool = True
    shows_output: bool = False


class Service:
    """One kept child."""

    def __init__(self, spec: ServiceSpec, *, log: Path, on_decisive_end: Callable[[int], None]) -> None:
        self.spec = spec
        self.state = ServiceState.STARTING
        self.starts = 0
        self.last_exit: int | None = None
        self._log_path = log
        self._log: Log | None = None
        self._child: process.Child | None = None
        self._on_decisive_end = on_decisive_end
        self._changed = asyncio.Event()
        self._task = asyncio.get_running_loop().create_task(self._keep(), name=spec.name)

    @property
    def pid(self) -> int | None:
        """The child's process id while it runs."""
        return self._child.pid if self._child is not None and self._child.running else None

    @property
    def ready(self) -> bool:
        """Whether it answers: it was seen ready, and that very process still runs."""
        return self.state is ServiceState.READY and self.pid is not None

    @property
    def tail(self) -> str:
        """The end of what it said."""
        return self._log.tail if self._log is not None else ""

    @property
    def stopped(self) -> bool:
        """Whether it was stopped for good."""
        return self.state is ServiceState.STOPPED

    def _become(self, state: ServiceState) -> None:
        """Nothing leads out of `stopped`."""
        if not self.stopped:
            self.state = state
        self._changed.set()
        self._changed = asyncio.Event()

    async def _keep(self) -> None:
        falls = 0
        loop = asyncio.get_running_loop()
        while not self.stopped:
            began = loop.time()
            await self._run_once()
            if self.spec.decisive and not self.stopped:
                self._become(ServiceState.STOPPED)
                self._on_decisive_end(self.last_exit if self.last_exit is not None else 1)
                return
            if not self.spec.restarts and not self.stopped:
                self._become(ServiceState.STOPPED)
                return
            falls = 0 if loop.time() - began > _STEADY else falls + 1
            if not self.stopped:
                self._become(ServiceState.WAITING)
                await asyncio.sleep(PAUSES[min(max(falls - 1, 0), len(PAUSES) - 1)])

    async def _run_once(self) -> None:
        self._become(ServiceState.STARTING)
        for path in self.spec.sockets:
            with contextlib.suppress(OSError):
                path.unlink()
        try:
            self._child = child = self._start()
        except OSError as error:
            self._note(f"{self.spec.name} cannot be started: {error.strerror}.\n")
            return
        self.starts += 1
        if await until(self.spec.ready, seconds=self.spec.start_seconds, alive=lambda: child.running):
            self._become(ServiceState.READY)
        elif child.running:
            self._note(f"{self.spec.name} was not ready after {self.spec.start_seconds:.0f} seconds.\n")
            await child.stop(grace=self.spec.grace)
        self.last_exit = await asyncio.shield(child.exited)

    def _start(self) -> process.Child:
        if self.spec.shows_output:
            return process.start(self.spec.arguments, environment=self.spec.environment, folder=self.spec.folder)
        if self._log is not None:
            self._log.close()
        self._log = log = Log(self._log_path)
        try:
            return process.start(
                self.spec.arguments,
                environment=self.spec.environment,
                folder=self.spec.folder,
                output=log.write_end,
            )
        finally:
            log.started()

    def _note(self, text: str) -> None:
        with contextlib.suppress(OSError), open(self._log_path, "a", encoding="utf-8") as file:
            file.write(text)

    async def wait_ready(self, *, seconds: float) -> bool:
        """Wait until it is ready; False when it was stopped or the time is over."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while not (self.ready or self.stopped) and loop.time() < deadline:
            changed = self._changed
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(changed.wait(), deadline - loop.time())
        return self.ready

    async def stop(self) -> None:
        """Stop it for good and wait until it is gone."""
        self._become(ServiceState.STOPPED)
        if self._child is not None:
            await self._child.stop(grace=self.spec.grace)
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        if self._log is not None:
            self._log.close()


def inherited(**changes: str) -> dict[str, str]:
    """A small environment for a child of ours: what programs need to run, and the changes; no secrets."""
    kept = ("PATH", "LANG", "LC_ALL", "HOME", "TMPDIR", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE", "TZ")
    return {**{name: os.environ[name] for name in kept if name in os.environ}, **changes}
