"""The supervisor's sandboxes: started, watched, ended; no orphan, no zombie, no stray.

The handle of a sandbox is its inner first process: killing that ends everything inside, while the outer
bubblewrap may be killed without harm to it. A start is complete when the notebook's socket accepts.
"""

import asyncio
import contextlib
import os
import select
import signal
from collections import OrderedDict
from collections.abc import Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from spe.adapters.bubblewrap import launch
from spe.adapters.bubblewrap.host import Host
from spe.adapters.bubblewrap.sandbox import SandboxSpec
from spe.adapters.cluster.embedded import process
from spe.adapters.cluster.embedded.cgroup import ControlGroups
from spe.adapters.cluster.embedded.logs import Log
from spe.adapters.cluster.embedded.readiness import Listening, until
from spe.adapters.cluster.embedded.usage import Unmeasurable, measured

_START_SECONDS = 10.0
_PAUSE = 0.002
_REMEMBERED = 256
_SLACK = 16 * 1024 * 1024


class StartFailed(Exception):
    """A sandbox did not come up; the text ends with its last log lines."""


class Differs(Exception):
    """A sandbox of this name runs with another specification."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a sandbox ended: exit status, last words, and the reason when the supervisor ended it."""

    exit: int
    log: str
    reason: str = ""


@dataclass(slots=True, kw_only=True)
class Sandbox:
    """One live sandbox."""

    spec: SandboxSpec
    digest: str
    child: process.Child
    log: Log
    handle: int | None = None
    inner: int | None = None
    group: Path | None = None
    reason: str = ""
    allowance: int = 0
    watch: asyncio.Task[None] | None = None
    done: asyncio.Event = field(default_factory=asyncio.Event)


class Sandboxes:
    """All sandboxes of this supervisor, by name (`workspace/person`)."""

    def __init__(
        self, *, host: Host, logs: Path, groups: ControlGroups | None, watch_seconds: float = 5.0, mark: str = "spe"
    ) -> None:
        self._host = host
        self._mark = mark
        self._logs = logs
        self._groups = groups
        self._watch_seconds = watch_seconds
        self._live: dict[str, Sandbox] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self._ended: OrderedDict[str, Ended] = OrderedDict()
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing = False

    @property
    def live(self) -> dict[str, Sandbox]:
        """The sandboxes that run now."""
        return dict(self._live)

    def pids(self) -> frozenset[int]:
        """The outer processes, which are our children."""
        return frozenset(box.child.pid for box in self._live.values())

    def ended(self, name: str) -> Ended | None:
        """How the sandbox of this name ended last, if it is remembered."""
        return self._ended.get(name)

    def _lock(self, name: str) -> asyncio.Lock:
        return self._locks.setdefault(name, asyncio.Lock())

    async def start(self, spec: SandboxSpec, *, ready: Listening | None, seconds: float) -> Sandbox:
        """Start and wait until it is ready. A running equal one is returned; another raises `Differs`.

        Raises `StartFailed` when it ended or was not ready in time; then nothing of it is left.
        """
        async with self._lock(spec.name):
            box = self._live.get(spec.name)
            if box is not None and box.digest != spec.digest:
                raise Differs(spec.name)
            if box is None:
                box = await self._launch(spec, ready)
            if ready is not None:
                await self._wait_ready(box, ready, seconds)
            return box

    async def _wait_ready(self, box: Sandbox, ready: Listening, seconds: float) -> None:
        if await until(ready, seconds=seconds, alive=lambda: box.child.running):
            return
        timed_out = box.child.running
        reason = f"It was not ready after {seconds:.0f} seconds." if timed_out else "It ended at once."
        if timed_out:
            await self._kill(box, reason)
        await box.done.wait()
        ended = self._ended.get(box.spec.name)
        raise StartFailed(f"{reason} {ended.log if ended is not None else ''}".strip())

    async def run(self, spec: SandboxSpec, *, seconds: float) -> Ended:
        """Run a sandbox to its end, at most so long. Raises `StartFailed` when it could not be started."""
        async with self._lock(spec.name):
            if spec.name in self._live:
                raise StartFailed("It is running already.")
            box = await self._launch(spec, None)
        try:
            await asyncio.wait_for(box.done.wait(), seconds)
        except TimeoutError:
            await self._kill(box, f"It took longer than {seconds:.0f} seconds.")
        return self._ended[spec.name]

    async def _launch(self, spec: SandboxSpec, ready: Listening | None) -> Sandbox:
        if self._closing:
            raise StartFailed("The environment is being stopped.")
        if ready is not None and ready.socket is not None:
            with contextlib.suppress(OSError):
                ready.socket.unlink()
        try:
            box, made = self._spawn(spec)
        except (OSError, RuntimeError, ImportError, KeyError) as error:
            raise StartFailed(f"The sandbox cannot be made: {error}") from error
        self._live[spec.name] = box
        self._ended.pop(spec.name, None)
        self._background(self._collect(box))
        await self._begin(box, made)
        if spec.watched and spec.bounds.disk_bytes:
            box.watch = self._background(self._watch(box))
        return box

    def _spawn(self, spec: SandboxSpec) -> tuple[Sandbox, launch.Prepared]:
        group = self._groups.make(spec.name, spec.bounds) if self._groups is not None else None
        procs = os.open(group / "cgroup.procs", os.O_WRONLY | os.O_CLOEXEC) if group is not None else None
        log = Log(self._logs / ("session-" + spec.name.replace("/", "-") + ".log"))
        try:
            with launch.prepared(spec, self._host, mark=self._mark) as made:
                child = process.start(
                    made.arguments,
                    environment=launch.OUTER_ENVIRONMENT,
                    output=log.write_end,
                    stdin=made.stdin,
                    pass_fds=made.pass_fds,
                    ties_itself=True,
                    group=procs,
                )
        except BaseException:
            log.close()
            raise
        finally:
            log.started()
            if procs is not None:
                os.close(procs)
        return Sandbox(spec=spec, digest=spec.digest, child=child, log=log, group=group), made

    async def _begin(self, box: Sandbox, made: launch.Prepared) -> None:
        """Let the command run once everything is tied to us. Raises `StartFailed`; then it is gone."""
        try:
            async with asyncio.timeout(_START_SECONDS):
                await self._meet(box, made)
        except (TimeoutError, OSError, launch.NotStarted) as error:
            await self._kill(box, "")
            raise StartFailed(f"bubblewrap did not start it. {self._ended[box.spec.name].log}".strip()) from error
        finally:
            made.close()

    async def _meet(self, box: Sandbox, made: launch.Prepared) -> None:
        made.line.setblocking(False)
        said = await asyncio.get_running_loop().sock_recv(made.line, len(launch.HERE))
        if not box.child.running:
            raise launch.NotStarted
        box.inner, box.handle = launch.met(said, made, box.child.pid)
        while box.child.running and not launch.is_tied(box.inner):
            await asyncio.sleep(_PAUSE)
        if not box.child.running:
            raise launch.NotStarted
        made.line.send(launch.GO)

    def _background(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _collect(self, box: Sandbox) -> None:
        """Wait for the end, make sure that nothing inside outlived it, and note how it ended."""
        status = await asyncio.shield(box.child.exited)
        if box.handle is not None:
            _send_kill(box.handle)
            await _gone(box.handle)
            os.close(box.handle)
            box.handle = None
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(box.log.ended), 0.5)
        self._note_end(box, status)

    def _note_end(self, box: Sandbox, status: int) -> None:
        name = box.spec.name
        if box.watch is not None:
            box.watch.cancel()
        log = " ".join(part for part in (box.reason, box.log.tail) if part)
        box.log.close()
        if self._groups is not None and box.group is not None:
            self._groups.remove(box.group)
        if self._live.get(name) is box:
            del self._live[name]
        self._ended[name] = Ended(exit=status, log=log, reason=box.reason)
        self._ended.move_to_end(name)
        while len(self._ended) > _REMEMBERED:
            self._ended.popitem(last=False)
        box.done.set()

    async def _kill(self, box: Sandbox, reason: str) -> None:
        box.reason = box.reason or reason
        if box.handle is not None:
            _send_kill(box.handle)
        else:
            box.child.send(signal.SIGKILL)
        await box.done.wait()

    async def stop(self, name: str, *, reason: str = "") -> bool:
        """End it and wait until it is gone; whether there was one.

        Takes no lock: a stop must not wait for a start that waits for a notebook.
        """
        box = self._live.get(name)
        if box is None:
            return False
        await self._kill(box, reason)
        return True

    async def stop_all(self) -> None:
        """End all of them; none can be started afterwards."""
        self._closing = True
        await asyncio.gather(*(self._kill(box, "The environment was stopped.") for box in self.live.values()))

    async def _watch(self, box: Sandbox) -> None:
        """End a session whose folders grow past the permit's limit.

        One that starts over the limit may shrink, so that a person can tidy up.
        """
        limit = box.spec.bounds.disk_bytes
        try:
            box.allowance = max(limit, await measured(box.spec.watched) + _SLACK)
            while True:
                await asyncio.sleep(self._watch_seconds)
                used = await measured(box.spec.watched)
                box.allowance = max(limit, min(box.allowance, used + _SLACK))
                if used > box.allowance:
                    break
        except Unmeasurable as error:
            reason = f"The workspace's folders cannot be measured: {error}. Ask an operator to look."
        else:
            reason = (
                f"The workspace's folders hold {used // 2**20} MiB and the permit allows {limit // 2**20} MiB; "
                "start again, delete what is not needed, and go on."
            )
        box.reason = box.reason or reason
        if box.handle is not None:
            _send_kill(box.handle)


def _send_kill(handle: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(handle, signal.SIGKILL)


async def _gone(handle: int) -> None:
    """Return when the process of a handle has ended."""
    poll = select.poll()
    poll.register(handle, select.POLLIN)
    while not poll.poll(0):
        await asyncio.sleep(0.005)
