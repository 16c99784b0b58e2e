"""Bytes on their way to and from the object service, piece by piece and within a time.

A part of a spooled file is sent without being held in memory; an answer is read so that a connection
that breaks is told apart from an object that is wrong.
"""

import io
import time
from typing import IO, Any

from botocore.exceptions import BotoCoreError
from urllib3.exceptions import HTTPError

from spe.adapters.objects.rules import PORT
from spe.domain.errors import Unavailable


class Deadline:
    """A moment after which we stop waiting, by the monotonic clock."""

    def __init__(self, seconds: float) -> None:
        self._until = time.monotonic() + seconds

    @property
    def left(self) -> float:
        """Seconds left, negative when over."""
        return self._until - time.monotonic()

    def check(self) -> None:
        """`Unavailable` when it is over."""
        if self.left <= 0:
            raise Unavailable(PORT, "it is too slow")


class Part(io.RawIOBase):
    """`size` bytes of a seekable file from `start` on, as a file of their own, within a deadline."""

    def __init__(self, file: IO[bytes], start: int, size: int, deadline: Deadline) -> None:
        self._file, self._start, self._size, self._deadline = file, start, size, deadline
        self._place = 0

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always: a part is sent again from its beginning."""
        return True

    def read(self, size: int | None = -1, /) -> bytes:
        """At most `size` bytes, or the rest."""
        self._deadline.check()
        left = max(self._size - self._place, 0)
        wanted = left if size is None or size < 0 else min(size, left)
        self._file.seek(self._start + self._place)
        piece = self._file.read(wanted)
        self._place += len(piece)
        return piece

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """As a file's."""
        self._place = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._size}[whence]
        return self._place

    def tell(self) -> int:
        """As a file's."""
        return self._place


class Download(io.RawIOBase):
    """The `size` bytes of an answer's body. A broken or too slow connection is `Unavailable`, and stays so.

    Only time spent waiting for the service counts, not that of a reader who is slow to come back.
    """

    def __init__(self, body: Any, *, size: int, seconds: float) -> None:
        self._body, self._left, self._seconds = body, size, seconds
        self._raw = body._raw_stream  # its `read1` returns what has come; the body's own `read` waits for all
        self._failed: Unavailable | None = None

    def readable(self) -> bool:
        """Always."""
        return True

    def read(self, size: int | None = -1, /) -> bytes:
        """At most `size` bytes, or the rest, as they come; empty at the end."""
        wanted = self._left if size is None or size < 0 else min(size, self._left)
        if self._failed:
            raise self._failed
        return self._next(wanted) if wanted else b""

    def _next(self, wanted: int) -> bytes:
        began = time.monotonic()
        try:
            piece: bytes = self._raw.read1(wanted)
        except (BotoCoreError, HTTPError, OSError) as error:
            raise self._fail("the connection broke while an object was read; read it again") from error
        self._seconds -= time.monotonic() - began
        if self._seconds < 0:
            raise self._fail("it is too slow")
        if not piece:
            raise self._fail("the connection broke while an object was read; read it again")
        self._left -= len(piece)
        return piece

    def _fail(self, reason: str) -> Unavailable:
        self._failed = Unavailable(PORT, reason)
        return self._failed

    def close(self) -> None:
        """Give the connection up."""
        if not self.closed:
            self._body.close()
        super().close()
