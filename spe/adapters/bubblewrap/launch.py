"""Starting bubblewrap: descriptors for contents, filter and answers, and an argument list without secrets.

All options travel through a descriptor (`--args`), because an argument list is readable by every
account of the host and the options hold the sandbox's environment. The caller starts the process
itself: the kernel ties its life to the thread that forks.
"""

import contextlib
import json
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from spe.adapters.bubblewrap import seccomp
from spe.adapters.bubblewrap.host import Host
from spe.adapters.bubblewrap.sandbox import Contents, SandboxSpec, bounded_command, options

OUTER_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}
"""What bubblewrap itself finds; nothing of it reaches the inside."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """What to give to `subprocess.Popen`; from `info` bubblewrap's answer is read afterwards."""

    arguments: tuple[str, ...]
    pass_fds: tuple[int, ...]
    info: int


@contextmanager
def prepared(spec: SandboxSpec, host: Host) -> Iterator[Prepared]:
    """Everything one start needs. On leaving, our copies are closed; `info` then belongs to the caller.

    After an exception `info` is closed too. Raises `OSError`, `RuntimeError` or `KeyError` when the
    filter cannot be built: then nothing may start.
    """
    with ExitStack() as stack, ExitStack() as on_error:
        read_end, write_end = os.pipe()
        on_error.callback(os.close, read_end)
        inherited = [write_end]
        stack.callback(os.close, write_end)

        def contents(data: bytes) -> str:
            number = _memory_file(data)
            inherited.append(number)
            stack.callback(os.close, number)
            return str(number)

        words = [contents(o.data) if isinstance(o, Contents) else o for o in options(spec, host)]
        words += ["--seccomp", contents(seccomp.program()), "--info-fd", str(write_end)]
        listing = contents(b"".join(word.encode() + b"\0" for word in words))
        yield Prepared(
            arguments=(host.bwrap, "--args", listing, "--", *bounded_command(spec, host)),
            pass_fds=tuple(inherited),
            info=read_end,
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
