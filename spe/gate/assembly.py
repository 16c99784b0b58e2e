"""Puts the parts of a gate together, from a configuration and what surrounds it; the listening places come on top.

Order matters: counters first, sessions after them, and nothing that others could reach before all is there.
"""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass

import aiohttp

from spe.gate import assets
from spe.gate.config import GateConfig
from spe.gate.control import Calls, usual_calls
from spe.gate.door import FrontDoor
from spe.gate.journal import Journal
from spe.gate.ledger import Ledger
from spe.gate.listening import Fault
from spe.gate.outbound import Outbound
from spe.gate.passes import Passes
from spe.gate.portal import Portal, Reporter
from spe.gate.roster import Roster, settle_now_and_then
from spe.gate.session import Clocks
from spe.gate.surroundings import Surroundings


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What surroundings are made from."""

    config: GateConfig
    portal: Portal
    outbound: Outbound
    clocks: Clocks
    journal: Journal


Surround = Callable[[Parts], Surroundings]


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """A gate that is ready: its sessions, the browser's side, the way out, what it can be asked."""

    config: GateConfig
    roster: Roster
    front: FrontDoor
    outbound: Outbound
    calls: Calls


async def assemble(
    config: GateConfig,
    surround: Surround,
    stack: AsyncExitStack,
    *,
    journal: Journal,
    clocks: Clocks,
    patience: float = 0.0,
) -> Gate:
    """A gate with its sessions; `stack` takes it apart again in the opposite order.

    `patience` is how many seconds the Hub's question whether a notebook is up may wait for a yes.
    Raises SpeError or OSError.
    """
    config.state.mkdir(mode=0o700, parents=True, exist_ok=True)
    files = assets.index(config.assets)
    ledger = Ledger(config.state / "gate.sqlite")
    stack.callback(ledger.close)
    portal = Portal(config.portal, config.token)
    stack.push_async_callback(portal.close)
    outside = _outside()
    stack.push_async_callback(outside.close)
    reporter = Reporter(ledger, portal, journal, clocks, config.permit)
    outbound = Outbound(config, portal=portal, outside=outside, journal=journal)
    parts = Parts(config=config, portal=portal, outbound=outbound, clocks=clocks, journal=journal)
    roster = Roster(
        config, surround(parts), ledger=ledger, portal=portal, reporter=reporter, journal=journal, clocks=clocks
    )
    stack.push_async_callback(roster.close)
    for work in (reporter.run(), settle_now_and_then(roster)):
        task = asyncio.create_task(work)
        stack.callback(task.cancel)
    await roster.reload()
    passes = Passes(config, ledger=ledger, portal=portal, clocks=clocks)
    front = FrontDoor(config, roster, files, passes=passes, reporter=reporter, journal=journal, patience=patience)
    stack.callback(roster.settle)  # the figures first: whoever stops a gate may not wait for the rest
    calls = usual_calls(config.workspace, roster, front)
    return Gate(config=config, roster=roster, front=front, outbound=outbound, calls=calls)


def fault_of(journal: Journal) -> Fault:
    """What is written down when a connection fails by itself."""

    def fault(status: int, error: BaseException | None) -> None:
        if not isinstance(error, ConnectionError):
            journal.write("malformed" if status < 500 else "failed", status=status, reason=type(error).__name__)

    return fault


def _outside() -> aiohttp.ClientSession:
    """Client towards the Hub and the mirror: redirects are never followed, nothing is kept or decoded."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=128),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=60),
        auto_decompress=False,
        trust_env=False,
    )
