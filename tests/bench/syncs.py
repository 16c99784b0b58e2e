"""How often a piece of work makes the disk write through: counted by the kernel, hence exact.

A filter of system calls hands each fsync and its like to a second thread, which counts it and lets it go on.
A process can have one such filter and never lose it again, so the work runs in a process of its own:
`python -m tests.bench.syncs MODULE FUNCTION FOLDER`.
"""

import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pyseccomp

_SYNCING = ("fsync", "fdatasync", "sync", "syncfs", "sync_file_range", "msync")
_GO_ON = 1  # SECCOMP_USER_NOTIF_FLAG_CONTINUE

Prepare = Callable[[Path], Callable[[], object]]
"""Makes, in a folder, the work to be counted; what it does itself is not counted. A function of a module."""


def syncs_of(prepare: Prepare, folder: Path) -> int:
    """How many calls that write through the prepared work makes."""
    command = [sys.executable, "-m", "tests.bench.syncs", prepare.__module__, prepare.__name__, str(folder)]
    return int(subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout)


def _count(work: Callable[[], object]) -> int:
    rules = pyseccomp.SyscallFilter(pyseccomp.ALLOW)
    for name in _SYNCING:
        rules.add_rule(pyseccomp.NOTIFY, name)
    loaded, finished, seen = threading.Event(), threading.Event(), 0

    def answer() -> None:
        nonlocal seen
        loaded.wait()
        while True:
            call = rules.receive_notify()
            last = finished.is_set()
            rules.respond_notify(pyseccomp.NotificationResponse(error=0, flags=_GO_ON, id=call.id, val=0))
            if last:
                return
            seen += 1

    clerk = threading.Thread(target=answer, daemon=True)
    clerk.start()
    rules.load()
    loaded.set()
    try:
        work()
    finally:
        finished.set()
        with open(os.devnull) as nothing, contextlib.suppress(OSError):
            os.fsync(nothing)  # the call that tells the clerk to stop
    clerk.join()
    return seen


if __name__ == "__main__":
    module, function, folder = sys.argv[1:]
    prepared = getattr(import_module(module), function)(Path(folder))
    print(_count(prepared), flush=True)
    os._exit(0)  # nobody answers any more: a file closed on the way out would wait for ever
