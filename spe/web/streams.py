"""A request's body handed to a synchronous use case piece by piece, from the event loop into a thread.

The thread asks for the next piece when it is done with the last, so at most one piece is held in memory and a slow
store slows the sender. Uploads have threads of their own: however many there are, pages still answer.
"""

from collections.abc import AsyncIterator, Callable, Iterator
from typing import TypeVar

import anyio
import anyio.from_thread
import anyio.to_thread
from fastapi import Request

T = TypeVar("T")
PIECE = 1024**2
UPLOADS = 8


async def pour(request: Request, act: Callable[[Iterator[bytes]], T]) -> T:
    """Call `act` in a thread with an iterator over the body; what breaks the body off is raised inside it."""
    return await anyio.to_thread.run_sync(lambda: act(_pieces(request)), limiter=_limiter(request))


def _pieces(request: Request) -> Iterator[bytes]:
    stream = request.stream()
    while piece := anyio.from_thread.run(_next, stream):
        yield piece


async def _next(stream: AsyncIterator[bytes]) -> bytes:
    held = bytearray()
    async for chunk in stream:
        held += chunk
        if len(held) >= PIECE:
            break
    return bytes(held)


def _limiter(request: Request) -> anyio.CapacityLimiter:
    state = request.app.state
    limiter: anyio.CapacityLimiter | None = getattr(state, "uploads", None)
    if limiter is None:
        limiter = state.uploads = anyio.CapacityLimiter(UPLOADS)
    return limiter
