"""Where bytes wait and stay: zones of objects named by their SHA-256.

An object is written once and never changed; its name is its digest, so what was reviewed and what is
released are the same bytes by construction. The way from zone to zone is a table: into the release
zone leads only a verified copy out of the airlock, never a direct write.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from types import TracebackType
from typing import Protocol

DEFAULT_LIMIT = 1024**3
"""Bytes that one object may have when the caller names no other limit."""


class Zone(StrEnum):
    """A place with rules of its own."""

    AIRLOCK = "airlock"
    RELEASE = "release"
    VIEWS = "views"
    EVIDENCE = "evidence"


ENTRANCES = frozenset({Zone.AIRLOCK, Zone.VIEWS, Zone.EVIDENCE})
"""Zones that bytes from outside may be put into."""

WAYS = frozenset(
    {
        (Zone.AIRLOCK, Zone.RELEASE),
        (Zone.AIRLOCK, Zone.EVIDENCE),
        (Zone.RELEASE, Zone.EVIDENCE),
        (Zone.VIEWS, Zone.EVIDENCE),
    }
)
"""(from, to) of every copy that is possible."""

PASSING = frozenset({Zone.AIRLOCK, Zone.VIEWS})
"""Zones whose objects may be deleted; released bytes and evidence stay until their retention ends."""


class StoreGuarantee(StrEnum):
    """What an object store may promise. All must give the first two."""

    WRITE_ONCE = "write-once"
    DIGEST_VERIFIED = "digest-verified"
    OBJECT_LOCK = "object-lock"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """An object that is there: SHA-256 in hexadecimal, size in bytes."""

    digest: str
    size: int


class ObjectReader(Protocol):
    """An open object. Close it, or use it in a `with` block."""

    @property
    def size(self) -> int:
        """Bytes in all."""
        ...

    def read(self, size: int = -1) -> bytes:
        """At most `size` bytes, or all the rest; empty at the end.

        The piece that holds the last byte is handed out only after the whole was found to have its
        digest; `Corrupt` is raised in its place. So whoever stops at the exception never holds a
        complete wrong object; whoever reads only a part has no such promise.
        """
        ...

    def __iter__(self) -> Iterator[bytes]:
        """The bytes in pieces, under the promise of `read`."""
        ...

    def close(self) -> None:
        """Let go of the object; repeating it is fine."""
        ...

    def __enter__(self) -> "ObjectReader": ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class ObjectStore(Protocol):
    """Content-addressed, write-once storage in zones.

    Every call may raise `Unavailable` when the store does not answer or is full, and `Invalid` for a
    digest that is not 64 hexadecimal digits. After any error nothing half-written is visible. One
    object may serve several requests: the caller deletes only what no request refers to.
    """

    @property
    def guarantees(self) -> frozenset[StoreGuarantee]:
        """What this adapter promises."""
        ...

    def put(self, zone: Zone, chunks: Iterable[bytes], *, limit: int = DEFAULT_LIMIT) -> Stored:
        """Store the bytes, durably when it returns; the same bytes again change nothing.

        More than `limit` bytes are `Invalid`; a zone outside `ENTRANCES` is `Rejected`; an object of
        this name that holds other bytes is `Corrupt`. What `chunks` raises passes through.
        """
        ...

    def open(self, zone: Zone, digest: str) -> ObjectReader:
        """The object, verified while it is read. Raises `NotFound`; repeatable."""
        ...

    def copy(self, digest: str, source: Zone, target: Zone) -> Stored:
        """Copy from zone to zone, hashed on the way and durable when it returns; again changes nothing.

        Raises `NotFound`, `Corrupt` when either side does not have its digest (then nothing is copied),
        `Rejected` for a way that is not in `WAYS`.
        """
        ...

    def has(self, zone: Zone, digest: str) -> bool:
        """Whether an object of that name is there; says nothing about its bytes."""
        ...

    def delete(self, zone: Zone, digest: str) -> bool:
        """Remove the object; False when it was not there, so repeating is fine.

        Only zones in `PASSING`; elsewhere `Rejected`.
        """
        ...

    def list(self, zone: Zone) -> Iterator[Stored]:
        """Every object in the zone, by digest in ascending order, found while iterating."""
        ...
