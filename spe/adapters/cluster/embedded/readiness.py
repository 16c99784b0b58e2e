"""Whether somebody listens: a port of the loopback or a Unix socket, asked again until a deadline.

A socket in a folder that a sandbox can write is opened as the file itself, never followed: a link put
in its place would lead to any socket of the host.
"""

import asyncio
import contextlib
import os
import socket
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_PAUSE = 0.02
_CONNECT = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Listening:
    """Ready when something accepts: a Unix socket's path, or a port of 127.0.0.1."""

    socket: Path | None = None
    port: int | None = None

    async def now(self) -> bool:
        """Whether a connection is accepted now."""
        if self.socket is not None:
            return await _accepts_unix(self.socket)
        if self.port is not None:
            return await _accepts_port(self.port)
        return True


async def _accepts_port(port: int) -> bool:
    try:
        _, writer = await asyncio.wait_for(asyncio.open_connection("127.0.0.1", port), _CONNECT)
    except (OSError, TimeoutError):
        return False
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return True


async def _accepts_unix(path: Path) -> bool:
    try:
        place = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        if not stat.S_ISSOCK(os.fstat(place).st_mode):
            return False
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as end:
            end.setblocking(False)
            loop = asyncio.get_running_loop()
            await asyncio.wait_for(loop.sock_connect(end, f"/proc/self/fd/{place}"), _CONNECT)
    except (OSError, TimeoutError):
        return False
    else:
        return True
    finally:
        os.close(place)


async def until(listening: Listening, *, seconds: float, alive: Callable[[], bool]) -> bool:
    """True when it listens; False when `alive` says no or the time is over."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while alive() and loop.time() < deadline:
        if await listening.now():
            return True
        await asyncio.sleep(_PAUSE)
    return False
