"""Starts one gate for one folder, keeps it until it is told to stop, and leaves nothing half done.

Order matters: the lock first, counters next, sessions after them, and the two sockets others look for last,
so that whoever finds them finds a gate that is ready.
"""

import asyncio
import fcntl
import logging
import os
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp

from spe.domain.errors import Invalid, SpeError, Unavailable
from spe.gate import assets
from spe.gate.config import GateConfig, load_gate
from spe.gate.control import Control
from spe.gate.door import FrontDoor
from spe.gate.doors import Doors
from spe.gate.journal import Journal
from spe.gate.ledger import Ledger
from spe.gate.listening import Listener
from spe.gate.passes import Passes
from spe.gate.portal import Portal, Reporter
from spe.gate.roster import Roster, settle_now_and_then
from spe.gate.session import Clocks, Session

LOCK_SECONDS = 5.0
LOCK_PAUSE = 0.05
MOST_INBOUND = 512
MOST_CONTROL = 16

EXIT_FAILED = 1
EXIT_INVALID = 2
EXIT_TAKEN = 75  # EX_TEMPFAIL: another gate holds this folder


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the gate of the folder named. Exit codes: 0 stopped, 1 failed, 2 wrong input, 75 another gate runs."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if len(given) != 1:
        sys.stderr.write("usage: python -m spe.gate FOLDER\n")
        return EXIT_INVALID
    os.umask(0o077)
    for name in ("aiohttp", "asyncio"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    folder = Path(given[0])
    journal = Journal(folder.name)
    try:
        config = load_gate(folder / "gate.json")
        take_lock(folder / "gate.lock")
        asyncio.run(serve(folder, config, Journal(config.workspace)))
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


def take_lock(path: Path) -> int:
    """Take the lock at `path` for the life of this process; a gate that is ending gets some seconds to end.

    Returns the open file. Raises Unavailable when another gate keeps it.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    until = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() >= until:
                os.close(handle)
                raise Unavailable("folder of the gate", "another gate of this workspace is running") from error
            time.sleep(LOCK_PAUSE)
        else:
            return handle


async def serve(folder: Path, config: GateConfig, journal: Journal, clocks: Clocks | None = None) -> None:
    """Serve until SIGTERM or SIGINT. Raises SpeError or OSError when it cannot start."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack:
        await open_gate(folder, config, journal, clocks or Clocks(), stack)
        journal.write("ready")
        await stop.wait()
        journal.write("stopping")


async def open_gate(folder: Path, config: GateConfig, journal: Journal, clocks: Clocks, stack: AsyncExitStack) -> None:
    """Put the parts together; `stack` takes them apart again in the opposite order."""
    config.state.mkdir(mode=0o700, parents=True, exist_ok=True)
    take_lock(config.state / "gate.lock")
    files = assets.index(config.assets)
    ledger = Ledger(config.state / "gate.sqlite")
    stack.callback(ledger.close)
    portal = Portal(config.portal, config.token)
    stack.push_async_callback(portal.close)
    outside = _outside()
    stack.push_async_callback(outside.close)
    reporter = Reporter(ledger, portal, journal, clocks, config.permit)

    def fault(status: int, error: BaseException | None) -> None:
        if not isinstance(error, ConnectionError):
            journal.write("malformed" if status < 500 else "failed", status=status, reason=type(error).__name__)

    def open_doors(session: Session) -> Doors:
        return Doors(session, config, portal=portal, outside=outside, journal=journal, fault=fault)

    roster = Roster(
        folder,
        config,
        ledger=ledger,
        portal=portal,
        reporter=reporter,
        journal=journal,
        clocks=clocks,
        open_doors=open_doors,
    )
    stack.push_async_callback(roster.close)
    for work in (reporter.run(), settle_now_and_then(roster)):
        task = asyncio.create_task(work)
        stack.callback(task.cancel)
    await roster.reload()
    passes = Passes(config, ledger=ledger, portal=portal, clocks=clocks)
    door = FrontDoor(config, roster, files, passes=passes, reporter=reporter, journal=journal)
    for name, handler, most in (
        ("in.sock", door, MOST_INBOUND),
        ("control.sock", Control(config.workspace, roster, door), MOST_CONTROL),
    ):
        listener = Listener(folder / name, handler, fault=fault, most=most)
        await listener.open()
        stack.push_async_callback(listener.close)
    stack.callback(roster.settle)  # the figures first: whoever stops a gate may not wait for the rest


def _outside() -> aiohttp.ClientSession:
    """Client towards the Hub and the mirror: redirects are never followed, nothing is kept or decoded."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=128),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=60),
        auto_decompress=False,
        trust_env=False,
    )
