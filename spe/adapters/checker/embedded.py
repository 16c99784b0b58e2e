"""Automatic checks in a sandbox of this host: no network, read-only input, one writable folder, limits.

The engine parses files that somebody chose, so it is treated as if they had taken it over: it is ended
after its time, its answer is read without following links, and only so much of it. It is started by
module name; nothing of it is imported here.
"""

import contextlib
import json
import os
import select
import shutil
import signal
import stat
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from spe.adapters.bubblewrap import launch
from spe.adapters.bubblewrap.host import Host
from spe.adapters.bubblewrap.sandbox import Bind, Bounds, SandboxSpec
from spe.adapters.checker.answer import AnswerLimits, bytes_below, read_answer
from spe.domain.errors import Rejected, Unavailable
from spe.ports.checker import CheckJob, CheckResult

_ENGINE = "spe.disclosure.runner"
_JOB = "/job"
_OUT = f"{_JOB}/out"
_MOST_FILES = 5000
_LOOK_SECONDS = 0.2


class EmbeddedChecker:
    """Runs the engine in bubblewrap; implements `spe.ports.checker.Checker`.

    `at_once` checks run side by side, more wait; `mark` is `launch.mark_of` the run folder.

    Called on any thread: the caller's thread lives as long
    as its check, and the kernel ends the sandbox when that thread or this process ends.
    """

    def __init__(
        self,
        *,
        host: Host,
        scratch: Path | None = None,
        at_once: int = 2,
        limits: AnswerLimits | None = None,
        engine: tuple[str, ...] = ("-m", _ENGINE, _JOB),
        mark: str = "spe",
    ) -> None:
        self._mark = mark
        self._host = host
        self._scratch = scratch
        self._limits = limits or AnswerLimits()
        self._turns = threading.BoundedSemaphore(at_once)
        self._engine = engine

    def check(self, job: CheckJob) -> CheckResult:
        """Run the checks. Raises `Rejected` on a crash, a time-out, an answer that cannot be read."""
        with self._turns, self._folder() as folder:
            out = folder / "out"
            out.mkdir(mode=0o700)
            spec = self._spec(job, out)
            status, said = self._run(spec, out, job.seconds)
            if status != 0:
                raise Rejected("checker", f"The checks ended with status {status}. {said}".strip())
            return read_answer(out, self._limits)

    @contextlib.contextmanager
    def _folder(self) -> Iterator[Path]:
        try:
            folder = Path(tempfile.mkdtemp(prefix="spe-check-", dir=self._scratch))
        except OSError as error:
            raise Unavailable("checker", f"no folder for a check can be made: {error.strerror}") from error
        try:
            yield folder
        finally:
            _remove(folder)

    def _spec(self, job: CheckJob, out: Path) -> SandboxSpec:
        texts = {
            f"{_JOB}/declaration.yaml": job.declaration,
            f"{_JOB}/policy.json": json.dumps(job.policy),
            **{f"{_JOB}/profiles/{n}.json": _text(profile) for n, profile in enumerate(job.profiles)},
        }
        binds = [*_binds(job.files, f"{_JOB}/input")]
        for number, release in enumerate(job.history):
            binds += _binds(release, f"{_JOB}/history/{number:04}")
        if len(binds) > _MOST_FILES:
            raise Rejected("checker", f"There are more than {_MOST_FILES} files; put them into fewer.")
        return SandboxSpec(
            name="check",
            command=(self._host.python.executable, *self._engine),
            read_only=tuple(binds),
            writable=(Bind(source=str(out), target=_OUT),),
            files=texts,
            folders=(f"{_JOB}/input", f"{_JOB}/profiles", f"{_JOB}/history", "/home/researcher"),
            bounds=Bounds(
                memory_bytes=job.memory_bytes,
                cpu=1.0,
                processes=64,
                open_files=1024,
                disk_bytes=self._limits.views,
                cpu_seconds=int(job.seconds) + 5,
            ),
            hostname="checker",
            work_folder=_JOB,
        )

    def _run(self, spec: SandboxSpec, out: Path, seconds: float) -> tuple[int, str]:
        """Exit status and last words. Raises `Rejected` when time or space is over."""
        said = os.memfd_create("checker-output")
        try:
            with launch.prepared(spec, self._host, mark=self._mark) as ready:
                process = subprocess.Popen(  # noqa: S603 - our own arguments, no shell
                    ready.arguments,
                    env=launch.OUTER_ENVIRONMENT,
                    pass_fds=ready.pass_fds,
                    stdin=ready.stdin,
                    stdout=said,
                    stderr=said,
                    start_new_session=True,
                )
            try:
                handle = launch.begin(process, ready)
                problem = self._wait(process, out, seconds)
                _end(process, handle)
            finally:
                process.kill()
                process.wait()
        except (OSError, RuntimeError, ImportError, KeyError, launch.NotStarted) as error:
            raise Rejected("checker", f"The sandbox of the checks cannot be made: {error}. {_tail(said)}") from error
        else:
            if problem:
                raise Rejected("checker", problem)
            return process.returncode, _tail(said)
        finally:
            os.close(said)

    def _wait(self, process: subprocess.Popen[bytes], out: Path, seconds: float) -> str:
        """Wait for the end; a sentence when it has to be ended instead."""
        deadline = time.monotonic() + seconds
        outer = os.pidfd_open(process.pid)
        poll = select.poll()
        poll.register(outer, select.POLLIN)
        try:
            while not poll.poll(_LOOK_SECONDS * 1000):
                if time.monotonic() > deadline:
                    return f"The checks took longer than {seconds:.0f} seconds."
                if bytes_below(out) > self._limits.folder:
                    return "The checks wrote more than an answer may hold."
            return ""
        finally:
            os.close(outer)


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise Rejected("checker", "A dataset's profile is not text; make it again.") from error


def _binds(files: Mapping[str, Path], root: str) -> Iterator[Bind]:
    for name, place in sorted(files.items()):
        parts = PurePosixPath(name).parts
        if not parts or name.startswith("/") or ".." in parts or "\0" in name or str(PurePosixPath(name)) != name:
            raise Rejected("checker", f"{name[:100]!r} is not a path inside a request.")
        if not _is_regular(place):
            raise Rejected("checker", f"{name[:100]!r} is not a regular file.")
        yield Bind(source=str(place.absolute()), target=f"{root}/{name}")


def _is_regular(place: Path) -> bool:
    try:
        return stat.S_ISREG(os.lstat(place).st_mode)
    except OSError:
        return False


def _end(process: subprocess.Popen[bytes], handle: int) -> None:
    """End everything inside, then wait for the outer process."""
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(handle, signal.SIGKILL)
    os.close(handle)
    process.wait()


def _remove(folder: Path) -> None:
    """Remove a job's folder, also one that the engine has closed to its owner."""
    for place, names, _ in os.walk(folder):
        for name in names:
            inner = os.path.join(place, name)
            if not os.path.islink(inner):
                os.chmod(inner, 0o700)
    shutil.rmtree(folder, ignore_errors=True)


def _tail(number: int) -> str:
    size = os.fstat(number).st_size
    data = os.pread(number, 2000, max(0, size - 2000))
    return "".join(c if c.isprintable() else " " for c in data.decode("utf-8", "replace"))[-600:].strip()
