"""Signed tree heads: C2SP tlog-checkpoint in a C2SP signed note, with Ed25519.

A checkpoint says “the log `origin` has `size` entries with this root”. Whoever keeps an old one can
later tell whether history was rewritten. Exactly one signature line, by the log's key, is read and
written; nothing unsigned may ride along, so that no byte of a note can vary.

    spe.example/audit
    64
    <base64 of the root>

    — spe.example/audit <base64 of key id (4 bytes) and signature (64 bytes)>
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from spe.domain.canonical import read64, text64
from spe.domain.errors import Corrupt, Invalid
from spe.domain.keys import Sign, Verify, origin_is_valid
from spe.domain.merkle import HASH_SIZE

_ED25519 = b"\x01"
_TEXT = re.compile(r"([^\n]+)\n(0|[1-9][0-9]{0,15})\n([^\n]+)\n")


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteKey:
    """A public key that signs notes under a name; `public` is the raw 32 bytes."""

    name: str
    public: bytes

    def __post_init__(self) -> None:
        if not origin_is_valid(self.name) or len(self.public) != 32:
            raise Invalid({"key": "A note key is a name without space or plus, and 32 bytes."})

    @property
    def key_id(self) -> bytes:
        """Four bytes that tell keys of one name apart: SHA-256(name, newline, 0x01, key), cut."""
        return hashlib.sha256(self.name.encode() + b"\n" + _ED25519 + self.public).digest()[:4]


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """The head of a log: its name, how many entries it has, and their root."""

    origin: str
    size: int
    root: bytes

    def __post_init__(self) -> None:
        if not origin_is_valid(self.origin) or self.size < 0 or len(self.root) != HASH_SIZE:
            raise Invalid({"checkpoint": "A checkpoint has an origin, a size of 0 or more, and a root of 32 bytes."})

    def text(self) -> bytes:
        """The note's text: origin, size and root, one a line."""
        return f"{self.origin}\n{self.size}\n{text64(self.root)}\n".encode()

    @classmethod
    def read(cls, text: bytes) -> "Checkpoint":
        """The checkpoint that `text()` wrote; further lines or another spelling are `Invalid`."""
        try:
            found = _TEXT.fullmatch(text.decode())
        except UnicodeDecodeError:
            found = None
        if found is None:
            raise Invalid({"checkpoint": "Expected three lines: origin, size, root."})
        return cls(origin=found[1], size=int(found[2]), root=read64(found[3], HASH_SIZE))


def sign_note(text: bytes, key: NoteKey, sign: Sign) -> bytes:
    """`text` (UTF-8, ending in a newline) with one signature line by `key`."""
    return text + f"\n— {key.name} {text64(key.key_id + sign(text))}\n".encode()


def open_note(note: bytes, keys: Sequence[NoteKey], verify: Verify) -> tuple[bytes, NoteKey]:
    """The text of a note and the key of `keys` that signed it.

    Raises `Invalid` when it is no note with exactly one signature line, `Corrupt` when none of the
    keys made the signature.
    """
    text, blank, line = note.rpartition(b"\n\n")
    for key in keys:
        start = f"— {key.name} ".encode()
        if blank and line.startswith(start) and line.endswith(b"\n"):
            signature = read64(line[len(start) : -1].decode(errors="replace"), 68)
            if signature[:4] == key.key_id and verify(key.public, text + b"\n", signature[4:]):
                return text + b"\n", key
    if not blank or not line.startswith("— ".encode()):
        raise Invalid({"note": "Expected a text, an empty line and one signature line."})
    raise Corrupt("The checkpoint is not signed by the log's key.")


def sign_checkpoint(checkpoint: Checkpoint, public: bytes, sign: Sign) -> bytes:
    """The signed note of `checkpoint`; the key bears the log's own name."""
    return sign_note(checkpoint.text(), NoteKey(name=checkpoint.origin, public=public), sign)


def open_checkpoint(note: bytes, *, origin: str, publics: Sequence[bytes], verify: Verify) -> tuple[Checkpoint, bytes]:
    """The checkpoint of the log `origin` in a signed note, and the public key that signed it.

    Raises `Invalid` for a wrong form or another log, `Corrupt` for a wrong signature.
    """
    text, key = open_note(note, [NoteKey(name=origin, public=public) for public in publics], verify)
    checkpoint = Checkpoint.read(text)
    if checkpoint.origin != origin:
        raise Invalid({"checkpoint": "It belongs to another log."})
    return checkpoint, key.public
