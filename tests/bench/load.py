"""Clients that ask over a Unix socket as fast as they are answered, with as little work of their own as can be.

A full HTTP client would cost as much as the servers it measures and so hide the difference between them.
"""

import asyncio
import time
from pathlib import Path

_LENGTH = b"content-length:"


class Asker:
    """One connection that is kept open; each `ask` sends the same request and reads the whole answer."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> None:
        self._reader = reader
        self._writer = writer
        self._request = request

    @classmethod
    async def open(cls, path: Path, target: str, headers: dict[str, str]) -> "Asker":
        """Connect. The answer must say its length."""
        lines = [f"GET {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
        reader, writer = await asyncio.open_unix_connection(str(path))
        return cls(reader, writer, ("\r\n".join(lines) + "\r\n\r\n").encode())

    async def ask(self) -> int:
        """Bytes of the body. Raises ConnectionError for anything but a plain answer of status 200."""
        self._writer.write(self._request)
        head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        at = head.find(_LENGTH)
        if not head.startswith(b"http/1.1 200") or at < 0:
            raise ConnectionError(head.decode("latin-1"))
        size = int(head[at + len(_LENGTH) : head.index(b"\r\n", at)])
        await self._reader.readexactly(size)
        return size

    def close(self) -> None:
        """Let go of the connection."""
        self._writer.close()


async def requests_per_second(path: Path, target: str, headers: dict[str, str], *, clients: int, each: int) -> float:
    """`clients` connections at once, each with `each` requests one after the other."""
    askers = [await Asker.open(path, target, headers) for _ in range(clients)]

    async def one(asker: Asker) -> None:
        for _ in range(each):
            await asker.ask()

    try:
        began = time.perf_counter()
        await asyncio.gather(*(one(asker) for asker in askers))
        return clients * each / (time.perf_counter() - began)
    finally:
        for asker in askers:
            asker.close()


async def milliseconds(path: Path, target: str, headers: dict[str, str], *, count: int) -> float:
    """The median time of an answer when nobody else asks."""
    asker = await Asker.open(path, target, headers)
    times = []
    try:
        for _ in range(count):
            began = time.perf_counter()
            await asker.ask()
            times.append(time.perf_counter() - began)
    finally:
        asker.close()
    return sorted(times)[len(times) // 2] * 1000
