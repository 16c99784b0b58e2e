"""What the gate costs: the same requests and kernel messages straight to the notebook's socket and through it.

In front of the smallest server there is, the gate's share is largest; these figures bound what it can cost.
In front of a real Jupyter server and kernel it is what a person feels, and the goals of throughput are about
that. Gate, server and client are processes of their own, so that the direct way, which needs one less, has an
advantage where cores are few.
"""

import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp

from spe.gate.messages import SUBPROTOCOL, parse_message
from tests.bench.figures import SHORT, Figure, Goal, in_turn_async, paired
from tests.bench.load import milliseconds, requests_per_second
from tests.bench.small_server import ANSWER, flood
from tests.gate.support import BASE, CHANNELS, HEADERS, PERSON, World, client, until, world
from tests.gate.test_lab import AUTHORIZED, code, kernel, lab

NAME = "gate"
CLIENTS = 16
MEGABYTE = 1_000_000
EACH, ALONE, FRAMES = 60, 150, 60
TOY_EACH, TOY_ALONE, TOY_FRAMES = 2, 3, 2
REAL_SHARE = 4
"""A Jupyter server is asked so many times less: it is slower by more than that."""

RATE = Goal(bound=0.8, at_least=True)
ADDED = Goal(bound=1.0, added=True)
MUCH: dict[str, Any] = {"daily_bytes": 2**40, "message_bytes": 8 * MEGABYTE}
LISTING = "api/contents?content=1&type=directory"

OUTPUTS = frozenset({"stream", "display_data"})

Work = Callable[[], Awaitable[float]]
Ask = Callable[[int, int], bytes]
"""How many messages of how many bytes → the request for them."""


@contextlib.asynccontextmanager
async def small() -> AsyncIterator[World]:
    """The world of the gate's tests with the small server, a process, in the notebook's place."""
    async with world(**MUCH) as around:
        socket = _notebook(around)
        socket.unlink()
        server = await asyncio.create_subprocess_exec(sys.executable, "-m", "tests.bench.small_server", str(socket))
        try:
            await until(lambda: _is_up(around))
            yield around
        finally:
            server.terminate()
            await server.wait()


async def _is_up(around: World) -> bool:
    return (await around.get("api"))[0] == 200


def _notebook(around: World) -> Path:
    return around.root / "n" / PERSON / "nb.sock"


def doors(around: World) -> dict[str, Path]:
    """Both ways to the same server."""
    return {"ours": around.inbound, "theirs": _notebook(around)}


def http_works(around: World, headers: dict[str, str], *, each: int, alone: int) -> dict[str, Work]:
    """Requests per second of many clients, and milliseconds of one, for both ways."""
    target = BASE + LISTING
    works: dict[str, Work] = {}
    for name, path in doors(around).items():

        async def rate(path: Path = path) -> float:
            return await requests_per_second(path, target, headers, clients=CLIENTS, each=each)

        async def latency(path: Path = path) -> float:
            return await milliseconds(path, target, headers, count=alone)

        works |= {f"rate {name}": rate, f"time {name}": latency}
    return works


def socket_works(around: World, channels: str, headers: dict[str, str], ask: Ask, frames: int) -> dict[str, Work]:
    """Megabytes per second of kernel messages of one megabyte each, for both ways."""
    works: dict[str, Work] = {}
    for name, path in doors(around).items():

        async def rate(path: Path = path) -> float:
            return await _flooded(path, channels, headers, ask, frames)

        works[f"flood {name}"] = rate
    return works


async def _flooded(path: Path, channels: str, headers: dict[str, str], ask: Ask, frames: int) -> float:
    async with (
        client(path) as http,
        http.ws_connect("http://x" + BASE + channels, protocols=(SUBPROTOCOL,), headers=headers, max_msg_size=0) as ws,
    ):
        await ws.send_bytes(ask(1, 1))
        await _taken(ws, 1, 1)
        began = time.perf_counter()
        await ws.send_bytes(ask(frames, MEGABYTE))
        size = await _taken(ws, frames, MEGABYTE)
        return size / MEGABYTE / (time.perf_counter() - began)


async def _taken(ws: aiohttp.ClientWebSocketResponse, frames: int, size: int) -> int:
    """Read until the messages asked for have come, and the reply that says so; all bytes."""
    taken, replied = 0, False
    while frames or not replied:
        data = await ws.receive_bytes()
        taken += len(data)
        seen = parse_message(data)
        frames -= seen is not None and seen.kind in OUTPUTS and seen.size >= size
        replied = replied or (seen is not None and seen.kind == ANSWER)
    return taken


def printed(frames: int, size: int) -> bytes:
    """The request to a real kernel for messages of that size."""
    return code(
        f"from IPython.display import publish_display_data\nfor _ in range({frames}):\n"
        f"    publish_display_data({{'text/plain': 'x' * {size}}})"
    )


def measure(*, pairs: int | None = None, toy: bool = False) -> Iterator[Figure]:
    """Requests per second, milliseconds of one client and megabytes per second of messages."""
    return iter(asyncio.run(_measure(pairs or SHORT, toy)))


async def _measure(pairs: int, toy: bool) -> list[Figure]:
    each, alone, frames = (TOY_EACH, TOY_ALONE, TOY_FRAMES) if toy else (EACH, ALONE, FRAMES)
    async with small() as around:
        works = http_works(around, HEADERS, each=each, alone=alone)
        works |= socket_works(around, CHANNELS, HEADERS, flood, frames)
        figures = _figures("small server", await in_turn_async(works, pairs), goal=None)
    async with lab(**MUCH) as around:
        entered = HEADERS | AUTHORIZED
        works = http_works(around, entered, each=max(1, each // REAL_SHARE), alone=max(1, alone // REAL_SHARE))
        works |= socket_works(around, await kernel(around), entered, printed, frames)
        return [*figures, *_figures("Jupyter", await in_turn_async(works, pairs), goal=RATE)]


def _figures(what: str, found: dict[str, list[float]], *, goal: Goal | None) -> list[Figure]:
    table = (
        (f"{what}: listings, {CLIENTS} clients", "requests/s", "rate", goal),
        (f"{what}: listings, 1 client", "ms", "time", ADDED),
        (f"{what}: kernel messages of 1 MB", "MB/s", "flood", goal),
    )
    return [
        Figure(
            bench=NAME,
            name=name,
            against="direct",
            unit=unit,
            pairs=paired(found[f"{key} ours"], found[f"{key} theirs"]),
            goal=wanted,
        )
        for name, unit, key, wanted in table
    ]
