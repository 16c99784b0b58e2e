"""Public keys that outsiders trust, and the file in which they travel (`spe.keys/1`).

The domain holds no cryptography: signing and verifying come in as callables of the types below, so
that everything that needs judging here can be read with the standard library alone. A key is named
by its fingerprint; several keys of a kind may be trusted at once, which is how keys are exchanged.

    {"schema": "spe.keys/1", "origin": "spe.example/audit",
     "release": ["<base64 of 32 bytes>", …], "log": ["<base64 of 32 bytes>", …]}
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from spe.domain.canonical import Reader, canonical, digest_of, parse, read64, text64
from spe.domain.errors import Invalid

Sign: TypeAlias = Callable[[bytes], bytes]
"""message → 64-byte Ed25519 signature."""
Verify: TypeAlias = Callable[[bytes, bytes, bytes], bool]
"""public key, message, signature → whether the signature is right; never raises."""

SCHEMA = "spe.keys/1"
_KEYS = frozenset({"schema", "origin", "release", "log"})
_ORIGIN = re.compile(r"[!-*,-~]{1,200}")


def fingerprint(public: bytes) -> str:
    """`sha256:` and the digest of the 32 raw bytes of an Ed25519 public key."""
    return digest_of(public)


def origin_is_valid(origin: str) -> bool:
    """Whether `origin` may name a log and its key: 1–200 printable ASCII characters, no space, no plus (C2SP)."""
    return _ORIGIN.fullmatch(origin) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustedKeys:
    """The keys of one environment: `release` sign receipts, `log` sign checkpoints of the log `origin`."""

    origin: str
    release: tuple[bytes, ...]
    log: tuple[bytes, ...]

    def __post_init__(self) -> None:
        if not origin_is_valid(self.origin):
            raise Invalid({"origin": "Name the log in 1-200 printable ASCII characters without space or plus."})
        for name, keys in (("release", self.release), ("log", self.log)):
            if not keys or any(len(key) != 32 for key in keys):
                raise Invalid({name: "Give at least one Ed25519 public key of 32 bytes."})
        if set(self.release) & set(self.log):
            raise Invalid({"log": "One key may not sign both receipts and checkpoints."})

    @classmethod
    def read(cls, data: bytes) -> "TrustedKeys":
        """The keys in a `spe.keys/1` file; spacing and order are free, all else is `Invalid`."""
        fields = Reader(parse(data, exact=False), "keys", _KEYS)
        if fields.text("schema") != SCHEMA:
            raise Invalid({"schema": f"Expected {SCHEMA}."})
        return cls(
            origin=fields.text("origin"),
            release=_raw(fields.texts("release")),
            log=_raw(fields.texts("log")),
        )

    def data(self) -> bytes:
        """The canonical bytes of the file."""
        return canonical(
            {
                "schema": SCHEMA,
                "origin": self.origin,
                "release": [text64(key) for key in self.release],
                "log": [text64(key) for key in self.log],
            }
        )

    def release_key(self, name: str) -> bytes | None:
        """The trusted release key with the fingerprint `name`, or None."""
        return next((key for key in self.release if fingerprint(key) == name), None)


def _raw(texts: Sequence[str]) -> tuple[bytes, ...]:
    return tuple(read64(text, 32) for text in texts)
