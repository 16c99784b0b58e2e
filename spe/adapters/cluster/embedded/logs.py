"""What a child says, kept within bounds: a pipe on our side, a file that never grows past its limit.

A pipe rather than the file itself, because a sandboxed process can open its own descriptors again and
would then hold a file of the host.
"""

import asyncio
import contextlib
import os
from pathlib import Path

from spe.adapters.cluster.embedded.layout import private

_CHUNK = 64 * 1024
_TAIL = 16 * 1024
_FILE = 2 * 1024 * 1024
_PER_SECOND = 1024 * 1024


class Log:
    """Reads a child's output until it ends. `tail` is its end as text; the file turns over at 2 MiB."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._recent = bytearray()
        self._window = 0.0
        self._taken = 0
        private(path.parent)
        self._file = self._open()
        self._read, self.write_end = os.pipe()
        os.set_blocking(self._read, False)
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._listen()

    def _open(self) -> int:
        return os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)

    def _listen(self) -> None:
        if not self.ended.done():
            asyncio.get_running_loop().add_reader(self._read, self._take)

    def started(self) -> None:
        """The child has its copy of the writing end; ours is closed, so that its end is seen."""
        os.close(self.write_end)

    def _take(self) -> None:
        try:
            data = os.read(self._read, _CHUNK)
        except BlockingIOError:
            return
        if not data:
            self._end()
            return
        self._recent = (self._recent + data)[-_TAIL:]
        self._store(data)
        self._slow_down(len(data))

    def _store(self, data: bytes) -> None:
        """A full disk loses lines, never the supervisor."""
        with contextlib.suppress(OSError):
            if os.fstat(self._file).st_size + len(data) > _FILE:
                os.replace(self._path, self._path.with_suffix(".log.1"))
                os.close(self._file)
                self._file = self._open()
            os.write(self._file, data)

    def _slow_down(self, taken: int) -> None:
        """More than 1 MiB in a second waits: whoever floods the log is stopped by a full pipe."""
        loop = asyncio.get_running_loop()
        if loop.time() - self._window > 1:
            self._window, self._taken = loop.time(), 0
        self._taken += taken
        if self._taken > _PER_SECOND:
            loop.remove_reader(self._read)
            loop.call_later(1, self._listen)

    def _end(self) -> None:
        asyncio.get_running_loop().remove_reader(self._read)
        os.close(self._read)
        os.close(self._file)
        self.ended.set_result(None)

    def close(self) -> None:
        """Stop reading, whoever still holds the other end."""
        if not self.ended.done():
            self._end()

    @property
    def tail(self) -> str:
        """The last lines, control characters removed."""
        text = self._recent.decode("utf-8", "replace")
        return "".join(c for c in text if c in "\n\t" or c.isprintable())[-4000:].strip()
