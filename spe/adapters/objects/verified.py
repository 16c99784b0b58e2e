"""Reading an object so that a wrong one is never handed out whole; shared by the adapters.

The source is any binary stream of known length. The bytes are hashed as they pass, and the piece
with the last byte is held back until the digest was found right.
"""

import hashlib
import os
from collections.abc import Iterator
from types import TracebackType
from typing import Protocol

from spe.domain.errors import Corrupt, Unavailable

CHUNK = 1024 * 1024


class Source(Protocol):
    """Any binary stream; what it raises but `OSError` passes through."""

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes; empty at the end."""
        ...

    def close(self) -> None:
        """Let go of it; repeating it is fine."""
        ...


class VerifiedReader:
    """An `ObjectReader` over `source`, which must hold `size` bytes with the SHA-256 `digest`."""

    def __init__(self, source: Source, *, digest: str, size: int, place: str) -> None:
        self._source = source
        self._digest = digest
        self._size = size
        self._place = place
        self._seen = 0
        self._hash = hashlib.sha256()
        if size == 0:
            self._verify()

    @property
    def size(self) -> int:
        """Bytes in all."""
        return self._size

    def read(self, size: int = -1) -> bytes:
        """At most `size` bytes (all the rest when negative); the last piece only when the whole is right."""
        left = self._size - self._seen
        wanted = left if size < 0 else min(size, left)
        if wanted == 0:
            return b""
        piece = self._take(wanted)
        if len(piece) != wanted:
            raise self._corrupt()
        self._hash.update(piece)
        self._seen += len(piece)
        if self._seen == self._size:
            self._verify()
        return piece

    def __iter__(self) -> Iterator[bytes]:
        """The bytes in pieces of at most one mebibyte."""
        while piece := self.read(CHUNK):
            yield piece

    def close(self) -> None:
        """Close the source; repeating it is fine."""
        self._source.close()

    def __enter__(self) -> "VerifiedReader":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _take(self, wanted: int) -> bytes:
        """Exactly `wanted` bytes, or fewer when the source ends too early."""
        pieces, left = [], wanted
        try:
            while left and (piece := self._source.read(left)):
                pieces.append(piece)
                left -= len(piece)
        except OSError as error:
            raise Unavailable("object store", os.strerror(error.errno or 0)) from error
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _verify(self) -> None:
        if self._hash.hexdigest() != self._digest:
            raise self._corrupt()

    def _corrupt(self) -> Corrupt:
        self.close()
        return Corrupt(
            f"The object {self._digest} in the {self._place} zone does not have its digest any more; "
            "restore it from a backup. Nothing of it was used."
        )
