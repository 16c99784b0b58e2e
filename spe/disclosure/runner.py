"""`python -m spe.disclosure.runner JOBDIR`: the engine as a process of its own.

Meant for a child without network and credentials. It limits itself before it reads anything, writes the
report last, and on any fault leaves no report and a non-zero status; whoever started it makes a block of
that. Faults are named by kind only, because a trace could carry values from the data.
"""

import gc
import resource
import signal
import sys
from pathlib import Path
from typing import Final

from spe.disclosure.content import Opened
from spe.disclosure.engine import examine
from spe.disclosure.job import Limits, prepare_answer, read_job, read_limits, write_answer, write_view
from spe.disclosure.views import views_of
from spe.domain.errors import SpeError

COLLECT_AFTER: Final = 100_000
"""New objects before cycles are looked for. A table is millions of cells without one, and the usual 700 makes a
fifth of the whole check a walk over them."""


def confine(limits: Limits) -> None:
    """Lower this process's own limits; none is ever raised. No core file, no further process."""
    for kind, most in (
        (resource.RLIMIT_AS, limits.memory_bytes),
        (resource.RLIMIT_CPU, limits.cpu_seconds),
        (resource.RLIMIT_FSIZE, limits.file_bytes),
        (resource.RLIMIT_NOFILE, limits.open_files),
        (resource.RLIMIT_NPROC, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        _, hard = resource.getrlimit(kind)
        value = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (value, value))
    signal.alarm(limits.wall_seconds)


def run(root: Path) -> None:
    """Carry out the job in a folder."""
    making = prepare_answer(root)
    limits = read_limits(root)
    confine(limits)
    gc.disable()  # one short life over large tables: looking for cycles costs a fifth of it
    gc.set_threshold(COLLECT_AFTER)
    job = read_job(root, limits)

    def watch(number: int, opened: Opened, data: bytes | None) -> None:
        write_view(making, views_of(number, opened, data))

    report = examine(job.folder, job.policy, job.profiles, job.history, declaration_bytes=job.declaration, watch=watch)
    write_answer(root, making, report)


def main(arguments: list[str]) -> int:
    """0 with a report, 2 when the job is wrong, 1 on any other fault."""
    if len(arguments) != 1:
        print("usage: python -m spe.disclosure.runner JOBDIR", file=sys.stderr)
        return 2
    try:
        run(Path(arguments[0]))
    except SpeError as error:
        print(" ".join(error.sentences), file=sys.stderr)
        return 2
    except BaseException as error:
        print(f"The engine stopped: {type(error).__name__}.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
