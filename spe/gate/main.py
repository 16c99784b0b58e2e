"""Starts one gate, keeps it until it is told to stop, and leaves nothing half done."""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from spe.domain.errors import Invalid, SpeError, Unavailable
from spe.gate.config import load_gate
from spe.gate.host import open_gate
from spe.gate.journal import Journal
from spe.gate.lock import take_lock
from spe.gate.ports import PodSettings, open_pod
from spe.gate.session import Clocks

EXIT_FAILED = 1
EXIT_INVALID = 2
EXIT_TAKEN = 75  # EX_TEMPFAIL: another gate holds this folder

Open = Callable[[AsyncExitStack], Awaitable[None]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a gate. Exit codes: 0 stopped, 1 failed, 2 wrong input, 75 another gate runs."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if len(given) != 1:
        sys.stderr.write("usage: python -m spe.gate FOLDER\n       python -m spe.gate --pod\n")
        return EXIT_INVALID
    os.umask(0o077)
    for name in ("aiohttp", "asyncio"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    if given == ["--pod"]:
        return run_pod()
    return run_on_host(Path(given[0]))


def run_on_host(folder: Path) -> int:
    """The gate of a folder."""

    def prepare() -> tuple[Journal, Open]:
        config = load_gate(folder / "gate.json")
        take_lock(folder / "gate.lock")
        journal = Journal(config.workspace)
        return journal, lambda stack: open_gate(folder, config, journal, Clocks(), stack)

    return _kept(Journal(folder.name), prepare)


def run_pod(settings: PodSettings | None = None) -> int:
    """The gate of the workspace in whose namespace this pod is; settings from the environment when none are given."""
    journal = Journal("pod")

    def prepare() -> tuple[Journal, Open]:
        known = settings or PodSettings.from_environment(os.environ)
        known.prepare()
        return journal, lambda stack: open_pod(known, journal, stack)

    return _kept(journal, prepare)


def _kept(journal: Journal, prepare: Callable[[], tuple[Journal, Open]]) -> int:
    try:
        journal, open_it = prepare()
        asyncio.run(serve(open_it, journal))
    except Invalid as error:
        journal.write("not-started", reason=str(error))
        return EXIT_INVALID
    except Unavailable as error:
        journal.write("not-started", reason=str(error))
        return EXIT_TAKEN
    except (SpeError, OSError) as error:
        journal.write("not-started", reason=str(error))
        return EXIT_FAILED
    return 0


async def serve(open_it: Open, journal: Journal) -> None:
    """Serve until SIGTERM or SIGINT. Raises SpeError or OSError when it cannot start."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack:
        await open_it(stack)
        journal.write("ready")
        await stop.wait()
        journal.write("stopping")
