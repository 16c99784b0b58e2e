"""One child process on the event loop: started so that it dies with us, waited for by its handle.

A handle (pidfd) names the process itself, never a number that was used again. Everything here runs on
the supervisor's main thread: the kernel's parent-death signal follows the thread that forks.
"""

import asyncio
import contextlib
import ctypes
import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_libc = ctypes.CDLL(None, use_errno=True)
_prctl = _libc.prctl


def adopt_orphans() -> None:
    """Children of our dead children come to us, so that none is left behind as a stray or a zombie."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _before(parent: int | None, group: int | None) -> Callable[[], None]:
    """What a child does before it becomes another program: die with the parent, join its control group."""

    def tie() -> None:
        if parent is not None:
            _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            if os.getppid() != parent:
                os._exit(1)
        if group is not None:
            os.write(group, b"0")

    return tie


class Child:
    """A started process: `exited` resolves to its exit status (negative for a signal)."""

    def __init__(self, process: subprocess.Popen[bytes], handle: int) -> None:
        self._process = process
        self._handle = handle
        loop = asyncio.get_running_loop()
        self.exited: asyncio.Future[int] = loop.create_future()
        loop.add_reader(handle, self._collect)

    @property
    def pid(self) -> int:
        """The process id; valid as long as `running`."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return not self.exited.done()

    def _collect(self) -> None:
        status = self._process.poll()
        if status is None:
            return
        asyncio.get_running_loop().remove_reader(self._handle)
        os.close(self._handle)
        if not self.exited.done():
            self.exited.set_result(status)

    def send(self, number: signal.Signals) -> None:
        """Send a signal; nothing happens when it has ended."""
        if self.running:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._handle, number)

    def send_group(self, number: signal.Signals) -> None:
        """Send a signal to everything in its session; only while it has not been waited for."""
        if self.running:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, number)

    async def stop(self, *, grace: float) -> None:
        """SIGTERM, then SIGKILL after `grace` seconds; returns when it is gone and reaped."""
        self.send(signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(self.exited), grace)
        self.send_group(signal.SIGKILL)
        self.send(signal.SIGKILL)
        await asyncio.shield(self.exited)


def start(
    arguments: Sequence[str],
    *,
    environment: Mapping[str, str],
    folder: Path | None = None,
    output: int | None = None,
    stdin: int = subprocess.DEVNULL,
    pass_fds: Sequence[int] = (),
    group: int | None = None,
    ties_itself: bool = False,
) -> Child:
    """Start a program in a session of its own. `output` is a descriptor for both streams, None: ours.

    `group` is an open `cgroup.procs` to join. `ties_itself` is bubblewrap: killed by our death while it makes
    a sandbox, it would leave the inner half behind; it ties itself when that cannot happen. Raises `OSError`
    when it cannot be started.
    """
    process = subprocess.Popen(  # noqa: S603 - arguments come from our own configuration, no shell
        list(arguments),
        env=dict(environment),
        cwd=folder,
        stdin=stdin,
        stdout=output,
        stderr=output,
        pass_fds=tuple(pass_fds),
        start_new_session=True,
        preexec_fn=_before(None if ties_itself else os.getpid(), group),  # noqa: PLW1509 - the supervisor forks on its one thread
    )
    return Child(process, os.pidfd_open(process.pid))


def end_strays(known: frozenset[int]) -> None:
    """End and reap what was orphaned into our care: every child of ours that we did not start."""
    for pid in _children() - known:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)


def end_marked(mark: str) -> None:
    """End sandboxes that a killed predecessor left in the making: processes of ours with its word among their
    arguments. The caller holds the run folder's lock, so nobody else's live sandbox carries it.
    """
    for name in os.listdir("/proc"):
        if not name.isdecimal() or int(name) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            handle = os.pidfd_open(int(name))
            try:
                ours = os.stat(f"/proc/{name}").st_uid == os.geteuid()
                with open(f"/proc/{name}/cmdline", "rb") as file:
                    marked = mark.encode() in file.read().split(b"\0")
                if ours and marked:
                    signal.pidfd_send_signal(handle, signal.SIGKILL)
            finally:
                os.close(handle)


def _children() -> frozenset[int]:
    found: set[int] = set()
    with contextlib.suppress(OSError):
        for task in os.listdir("/proc/self/task"):
            with open(f"/proc/self/task/{task}/children", encoding="ascii") as file:
                found.update(map(int, file.read().split()))
    return frozenset(found)
