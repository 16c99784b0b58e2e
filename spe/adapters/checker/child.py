"""One run of the engine where no sandbox can be made: a child that may do less than the process that starts it.

In a checker's pod the network is closed from outside and the root file system is read-only. The child besides
has no sockets, cannot look into, signal or start other processes, and everything of its session ends with it.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import spe
from spe.adapters.bubblewrap import seccomp
from spe.adapters.checker.answer import AnswerLimits, bytes_below
from spe.domain.errors import Rejected, Unavailable

ENGINE = "spe.disclosure.runner"
ANSWERS = AnswerLimits()
_CONFINED = "spe.adapters.checker.confined"
_PR_SET_DUMPABLE = 4
_LAST_WORDS = 600
_LOOK_SECONDS = 0.2


def hide_self() -> None:
    """Close this process to ptrace and /proc/PID/mem of the same account, which the child has."""
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def run_engine(
    folder: Path, *, seconds: float, memory_bytes: int, most_bytes: int = ANSWERS.folder, engine: str = ENGINE
) -> None:
    """Run the engine over a job's folder. Raises `Rejected` on a crash, a time-out or a refusal of the job.

    `engine`: the module. Raises `Unavailable` where the filter cannot be made: without it nothing runs.
    """
    try:
        instructions = seccomp.program(alone=True)
    except (OSError, RuntimeError, ImportError, KeyError) as error:
        raise Unavailable("checker", f"the system call filter cannot be made: {error}") from error
    number = os.memfd_create("filter")
    said = os.memfd_create("said")
    try:
        os.pwrite(number, instructions, 0)
        bounds = (os.getpid(), number, memory_bytes, int(seconds) + 5)
        command = (sys.executable, "-B", "-s", "-m", _CONFINED, *map(str, bounds), engine, str(folder))
        child = _start(command, folder, said, number)
        problem = _wait(child, folder, seconds, most_bytes)
        words = _last_words(said)
    finally:
        os.close(number)
        os.close(said)
    if problem:
        raise Rejected("checker", problem)
    if child.returncode != 0:
        raise Rejected("checker", f"The checks ended with status {child.returncode}. {words}".strip())


def _start(command: tuple[str, ...], folder: Path, said: int, number: int) -> subprocess.Popen[bytes]:
    environment: Mapping[str, str] = {
        "PATH": os.environ.get("PATH", ""),
        "PYTHONPATH": str(Path(spe.__file__).resolve().parent.parent),
        "LANG": "C.UTF-8",
        "HOME": str(folder),
        "TMPDIR": str(folder),
    }
    return subprocess.Popen(  # noqa: S603 - our own arguments, no shell
        command,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=said,
        stderr=said,
        pass_fds=(number,),
        start_new_session=True,
    )


def _wait(child: subprocess.Popen[bytes], folder: Path, seconds: float, most_bytes: int) -> str:
    """Wait for the end; a sentence when it had to be ended. Nothing of its session is left."""
    deadline = time.monotonic() + seconds
    began_with = bytes_below(folder)
    try:
        while True:
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(_LOOK_SECONDS)
                return ""
            if time.monotonic() > deadline:
                return f"The checks took longer than {seconds:.0f} seconds."
            if bytes_below(folder) - began_with > most_bytes:
                return "The checks wrote more than an answer may hold."
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()


def _last_words(said: int) -> str:
    size = os.fstat(said).st_size
    data = os.pread(said, 2000, max(0, size - 2000))
    return "".join(c if c.isprintable() else " " for c in data.decode("utf-8", "replace"))[-_LAST_WORDS:].strip()
