"""Starting bubblewrap: descriptors for contents, filter and answers, and an argument list without secrets.

All options travel through a descriptor (`--args`), because an argument list is readable by every
account of the host and the options hold the sandbox's environment. The caller starts the process
itself: the kernel ties its life to the thread that forks.

bubblewrap's two processes tie themselves to their parents only after some work, so a caller killed at the
wrong instant would leave a sandbox that lives on. Therefore the command inside waits at its standard input:
it says that it is there, and runs only after the caller, still alive, has seen that both are tied. When the
caller dies before, the input ends and so does the sandbox. For the same reason bubblewrap's answer goes to
memory and not into a pipe: writing to a dead reader would end its outer process and leave the inner waiting.
"""

import contextlib
import hashlib
import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from spe.adapters.bubblewrap import seccomp
from spe.adapters.bubblewrap.host import Host
from spe.adapters.bubblewrap.sandbox import Contents, SandboxSpec, bounded_command, options

OUTER_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}
"""What bubblewrap itself finds; nothing of it reaches the inside."""


HERE = b"here\n"
GO = b"go\n"

_WAIT_FOR_GO = 'echo here >&0; read -r go <&0 && [ "$go" = go ] && exec "$@" </dev/null'
_START_SECONDS = 10.0
_PAUSE = 0.002


class NotStarted(Exception):
    """bubblewrap ended, or was not ready in time, before the command ran."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """What to give to `subprocess.Popen`: arguments, descriptors, and `stdin` for the standard input.

    Afterwards the command says `HERE` at `line` and waits there for `GO`; `info` then holds bubblewrap's answer.
    """

    arguments: tuple[str, ...]
    pass_fds: tuple[int, ...]
    stdin: int
    info: int
    line: socket.socket

    def close(self) -> None:
        """Close what belongs to the caller; a sandbox that has not got its `GO` ends."""
        os.close(self.info)
        self.line.close()


def mark_of(run: Path) -> str:
    """A word in the argument list of every sandbox of one environment, by which a leftover is known."""
    return "spe-" + hashlib.sha256(str(run).encode()).hexdigest()[:16]


@contextmanager
def prepared(spec: SandboxSpec, host: Host, *, mark: str = "spe") -> Iterator[Prepared]:
    """Everything one start needs. On leaving, our copies are closed; `close()` is then the caller's.

    After an exception everything is closed. Raises `OSError`, `RuntimeError`, `ImportError` or `KeyError`
    when the filter cannot be built: then nothing may start.
    """
    with ExitStack() as stack, ExitStack() as on_error:
        info = os.memfd_create("info")
        on_error.callback(os.close, info)
        inherited = [info]
        line, inner_end = socket.socketpair()
        on_error.callback(line.close)
        stack.callback(inner_end.close)

        def contents(data: bytes) -> str:
            number = _memory_file(data)
            inherited.append(number)
            stack.callback(os.close, number)
            return str(number)

        words = [contents(o.data) if isinstance(o, Contents) else o for o in options(spec, host)]
        words += ["--seccomp", contents(seccomp.program()), "--info-fd", str(info)]
        listing = contents(b"".join(word.encode() + b"\0" for word in words))
        yield Prepared(
            arguments=(
                *(host.bwrap, "--args", listing, "--"),
                *("/bin/sh", "-c", _WAIT_FOR_GO, mark, *bounded_command(spec, host)),
            ),
            pass_fds=tuple(inherited),
            stdin=inner_end.fileno(),
            info=info,
            line=line,
        )
        on_error.pop_all()


def _memory_file(data: bytes) -> int:
    number = os.memfd_create("spe")
    with contextlib.ExitStack() as on_error:
        on_error.callback(os.close, number)
        view = memoryview(data)
        while view:
            view = view[os.write(number, view) :]
        os.lseek(number, 0, os.SEEK_SET)
        on_error.pop_all()
    return number


def inner_pid(answer: bytes) -> int | None:
    """The process id of the sandbox's first process, from bubblewrap's complete answer; None without one."""
    try:
        return int(json.loads(answer)["child-pid"])
    except (ValueError, KeyError, TypeError):
        return None


def inner_handle(pid: int, outer: int) -> int | None:
    """A pidfd of the inner process, or None when it is gone: `outer` must still be its parent.

    The parent is read after the handle is open, so a number used again for a stranger is noticed.
    """
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return None
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        fields = []
    if len(fields) > 1 and int(fields[1]) == outer:
        return handle
    os.close(handle)
    return None


def is_tied(inner: int) -> bool:
    """Whether the inner process has asked to die with its parent: bubblewrap does so just before the filter."""
    try:
        with open(f"/proc/{inner}/status", encoding="ascii", errors="replace") as file:
            return any(line.split() == ["Seccomp:", "2"] for line in file)
    except OSError:
        return False


def begin(process: "subprocess.Popen[bytes]", ready: Prepared, *, seconds: float = _START_SECONDS) -> int:
    """Let the command run, as soon as everything is tied; the handle (pidfd) of the sandbox's first process.

    Closes what `ready` holds. Raises `NotStarted`; the caller then ends `process`.
    """
    try:
        ready.line.settimeout(seconds)
        inner, handle = met(ready.line.recv(len(HERE)), ready, process.pid)
        with contextlib.ExitStack() as on_error:
            on_error.callback(os.close, handle)
            _wait_until_tied(process, inner, time.monotonic() + seconds)
            ready.line.sendall(GO)
            on_error.pop_all()
    except OSError as error:
        raise NotStarted("it ended or hung while it was made") from error
    else:
        return handle
    finally:
        ready.close()


def _wait_until_tied(process: "subprocess.Popen[bytes]", inner: int, deadline: float) -> None:
    while not is_tied(inner):
        if process.poll() is not None or time.monotonic() > deadline:
            raise NotStarted("it ended or hung while it was made")
        time.sleep(_PAUSE)


def met(said: bytes, ready: Prepared, outer: int) -> tuple[int, int]:
    """The inner process and its handle, once the command has said that it is there. Raises `NotStarted`."""
    pid = inner_pid(os.pread(ready.info, 4096, 0)) if said == HERE else None
    handle = inner_handle(pid, outer) if pid is not None else None
    if pid is None or handle is None:
        raise NotStarted("bubblewrap did not make it")
    return pid, handle
