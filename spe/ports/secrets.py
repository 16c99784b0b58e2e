"""Dataset credentials and the environment's own keys, behind one door.

A secret leaves only as a lease: named, short, bound to a workspace and a permit, revocable. Which
secret a permit names is the caller's question; this port only keeps, counts and withdraws. Values
travel as `SecretValue`, which no `repr`, log line, JSON writer or pickle can show.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NoReturn, Protocol


class KeyName(StrEnum):
    """The environment's own keys, each for one purpose. The first two are Ed25519, the others HMAC-SHA-256."""

    RELEASE = "release"
    LOG = "log"
    LINKS = "links"
    PSEUDONYMS = "pseudonyms"


SIGNING_KEYS = frozenset({KeyName.RELEASE, KeyName.LOG})
MAC_KEYS = frozenset({KeyName.LINKS, KeyName.PSEUDONYMS})


class SecretValue:
    """A text that shows itself only to `reveal()`."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The value itself: hand it on at once, keep it nowhere."""
        return self._text

    def __repr__(self) -> str:
        return "SecretValue(hidden)"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("A secret value is not written down.")


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseFacts:
    """What may be told about a lease: whose it is and until when, never the value."""

    id: str
    name: str
    workspace: str
    permit: str
    holder: str
    expires: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease(LeaseFacts):
    """A lease as it is handed out, once, with the value."""

    value: SecretValue


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """An Ed25519 signature: 64 bytes, and the raw public key (32 bytes) that verifies it."""

    key: KeyName
    public: bytes
    value: bytes


class SecretStore(Protocol):
    """Keeps secrets, leases them, signs with keys that never leave.

    Every call may raise `Unavailable` when the store does not answer or is sealed, and `Corrupt` when
    what it keeps was changed from outside. Then nothing is granted; revocation is tried again by the caller.
    """

    def put(self, name: str, value: SecretValue) -> None:
        """Store a secret under a name; an earlier value is replaced, leases of it stay as they are.

        `Invalid` unless the name is 1–63 of a-z, 0-9 and single hyphens and the value has 1–65536 bytes.
        """
        ...

    def remove(self, name: str) -> None:
        """Forget a secret and revoke its leases; an unknown name raises `NotFound`."""
        ...

    def names(self) -> tuple[str, ...]:
        """The names of all secrets, sorted."""
        ...

    def lease(self, workspace: str, permit: str, name: str, *, ttl: timedelta, holder: str) -> Lease:
        """A new lease at each call. `NotFound` for an unknown name, `Invalid` unless 0 < ttl ≤ 24 hours."""
        ...

    def revoke(self, lease_id: str) -> None:
        """End a lease now; one that has ended is fine, an unknown one raises `NotFound`.

        A store may forget a lease a week after its expiry.
        """
        ...

    def revoke_all(self, workspace: str) -> int:
        """End every lease of the workspace; returns how many were live, so 0 when repeated."""
        ...

    def confirm_revoked(self, workspace: str) -> bool:
        """Look afresh whether no lease of the workspace is live."""
        ...

    def leases(self, workspace: str) -> tuple[LeaseFacts, ...]:
        """The live leases of the workspace, the earliest expiry first."""
        ...

    def sign(self, key: KeyName, data: bytes) -> Signature:
        """Sign with one of `SIGNING_KEYS`; the same data gives the same signature. Else `Invalid`."""
        ...

    def public_key(self, key: KeyName) -> bytes:
        """The raw 32 bytes with which the newest signatures verify. `Invalid` outside `SIGNING_KEYS`."""
        ...

    def mac(self, key: KeyName, data: bytes) -> bytes:
        """HMAC-SHA-256 (32 bytes) with one of `MAC_KEYS`; compare in constant time. Else `Invalid`."""
        ...
