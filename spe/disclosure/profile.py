"""What the checks know about a dataset without holding any of it.

A profile carries sizes, the outer form of identifiers, and keyed fingerprints (HMAC-SHA256, cut to 64 bits) of
identifiers, canaries and value triples that are unique in the data. The key stands in the profile, so a
profile is pseudonymous data: it stays in the control plane, is written readable by its owner only, and is
never part of a release.
"""

import base64
import hmac
import json
import re
import struct
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from hashlib import md5, sha1, sha256
from typing import Any, Final

from spe.domain.errors import Invalid

SCHEMA: Final = "spe.profile/1"
_WIDTH: Final = 8
_JUNK: Final = re.compile(r"[\W_]+")
_SHAPE: Final = str.maketrans("0123456789", "9" * 10)
_OTHER: Final = re.compile("[^9]")
_DIGEST: Final = re.compile(r"[0-9a-f]{32}|[0-9a-f]{40}|[0-9a-f]{64}")
MOST_SHAPES: Final = 500
_WRAPPED: Final = re.compile(
    r"(?:id|x|s|p|v|sample|subject|patient|participant)?(.+?)(?:v\d{1,2}|r\d|t\d|rep\d|bam|vcf|fastq|cram)?"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TableSize:
    """One table of the dataset: path, number of rows, and the names of its columns."""

    path: str
    rows: int
    columns: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Profile:
    """The facts about one dataset version. `samples` are the sizes of its lists of people."""

    key: bytes = field(repr=False)
    tables: tuple[TableSize, ...] = ()
    samples: tuple[int, ...] = ()
    shapes: frozenset[str] = frozenset()
    strong: frozenset[bytes] = field(default=frozenset(), repr=False)
    weak: frozenset[bytes] = field(default=frozenset(), repr=False)
    digests: frozenset[bytes] = field(default=frozenset(), repr=False)
    canaries: frozenset[bytes] = field(default=frozenset(), repr=False)
    canary_shapes: frozenset[str] = frozenset()
    triples: frozenset[bytes] = field(default=frozenset(), repr=False)
    bounded: bool = False

    @cached_property
    def sizes(self) -> frozenset[int]:
        """Every size that a copied list of people would have."""
        return frozenset({table.rows for table in self.tables} | set(self.samples))

    @property
    def cohort(self) -> int:
        """The number of people: the longest list of them, else the longest table."""
        return max(self.samples or [table.rows for table in self.tables], default=0)

    @cached_property
    def worth_asking(self) -> Callable[[str], bool]:
        """A quick test that drops most words before anything is hashed: nothing in them has the known form."""
        shapes = self.shapes | self.canary_shapes
        if not shapes and not self.digests:
            return lambda _: False
        fewest = shortest(shapes) if len(shapes) <= MOST_SHAPES else None

        def worth(token: str) -> bool:
            word = plain(token)
            outer = shape(word)
            known = len(word) >= 4 if fewest is None else any(form in outer for form in fewest)
            return known or _DIGEST.search(word) is not None

        return worth

    def fingerprint(self, value: str) -> bytes:
        """The keyed fingerprint of a text, eight bytes."""
        return hmac.digest(self.key, value.encode("utf-8", "surrogatepass"), "sha256")[:_WIDTH]

    def knows(self, token: str) -> bool:
        """Whether a word is an identifier of the dataset, also wrapped, joined or simply hashed."""
        lower = token.lower()
        if _DIGEST.fullmatch(lower):
            return self.fingerprint(lower) in self.digests
        return any(self.fingerprint(form) in self.strong for form in self._forms(token))

    def knows_weakly(self, token: str) -> bool:
        """Whether a word is a short number used as an identifier; telling only for whole columns."""
        return self.fingerprint(plain(token)) in self.weak

    def knows_canary(self, token: str) -> bool:
        """Whether a word is a planted value."""
        form = plain(token)
        return shape(form) in self.canary_shapes and self.fingerprint(form) in self.canaries

    def _forms(self, token: str) -> Iterable[str]:
        """The spellings of a word whose outer form is that of an identifier."""
        return {form for form in spellings(token) if shape(form) in self.shapes}

    def to_json(self) -> dict[str, Any]:
        """The profile as a document of schema `spe.profile/1`."""
        return {
            "schema": SCHEMA,
            "key": base64.b64encode(self.key).decode(),
            "tables": [
                {"path": table.path, "rows": table.rows, "columns": list(table.columns)} for table in self.tables
            ],
            "samples": sorted(self.samples),
            "identifiers": {
                "shapes": sorted(self.shapes),
                **{name: _pack(getattr(self, name)) for name in ("strong", "weak", "digests")},
            },
            "canaries": {"shapes": sorted(self.canary_shapes), "fingerprints": _pack(self.canaries)},
            "triples": _pack(self.triples),
            "bounded": self.bounded,
        }

    @staticmethod
    def from_json(document: object) -> "Profile":
        """Read a profile from a mapping, or JSON text or bytes. Raises Invalid: nothing is checked without it."""
        try:
            parsed: Any = json.loads(document) if isinstance(document, str | bytes) else document
            return _read(parsed)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise Invalid({"dataset": "This is no dataset profile; make one with `spe dataset profile`."}) from error


def plain(token: str) -> str:
    """A word without case and without anything but letters and digits."""
    return _JUNK.sub("", token).casefold()


def shape(form: str) -> str:
    """The outer form of a plain word: digits as 9, letters as a."""
    return _OTHER.sub("a", form.translate(_SHAPE))


def shortest(forms: Iterable[str]) -> tuple[str, ...]:
    """The outer forms that hold no other one: whatever holds any of `forms` holds one of these."""
    found: list[str] = []
    for form in sorted(forms, key=lambda one: (len(one), one)):
        if not any(inner in form for inner in found):
            found.append(form)
    return tuple(found)


@lru_cache(maxsize=4096)
def spellings(token: str) -> frozenset[str]:
    """The plain forms under which a word could be an identifier: whole, parts, and without wrapping."""
    parts = [part for part in _JUNK.split(token.casefold()) if part]
    forms = {"".join(parts)}
    if len(parts) <= 12:
        forms |= {"".join(parts[at : at + count]) for at in range(len(parts)) for count in range(1, 5)}
    for form in tuple(forms):
        if match := _WRAPPED.fullmatch(form):
            forms.add(match.group(1))
    return frozenset(forms)


def is_strong(value: str) -> bool:
    """Whether an identifier is unlikely to be met by chance: letters with digits, or seven digits or more."""
    form = plain(value)
    letters, digits = any(map(str.isalpha, form)), any(map(str.isdigit, form))
    return (letters and digits and len(form) >= 4) or (digits and len(form) >= 7)


def hashed_forms(value: str) -> tuple[str, ...]:
    """The plain digests by which an identifier is often thought to be hidden."""
    raw = value.encode("utf-8", "surrogatepass")
    return tuple(make(raw, usedforsecurity=False).hexdigest() for make in (md5, sha1, sha256))


def _pack(values: frozenset[bytes]) -> str:
    return base64.b64encode(b"".join(sorted(values))).decode()


def _unpack(text: str) -> frozenset[bytes]:
    raw = base64.b64decode(text, validate=True)
    if len(raw) % _WIDTH:
        raise ValueError("a fingerprint is cut off")
    return frozenset(part for (part,) in struct.iter_unpack(f"{_WIDTH}s", raw))


def _read(document: Mapping[str, Any]) -> Profile:
    if document["schema"] != SCHEMA:
        raise ValueError("another schema")
    key = base64.b64decode(document["key"], validate=True)
    if len(key) < 16:
        raise ValueError("the key is too short")
    ids, canaries = document["identifiers"], document["canaries"]
    return Profile(
        key=key,
        tables=tuple(
            TableSize(path=str(one["path"]), rows=int(one["rows"]), columns=tuple(map(str, one["columns"])))
            for one in document["tables"]
        ),
        samples=tuple(map(int, document["samples"])),
        shapes=frozenset(map(str, ids["shapes"])),
        strong=_unpack(ids["strong"]),
        weak=_unpack(ids["weak"]),
        digests=_unpack(ids["digests"]),
        canaries=_unpack(canaries["fingerprints"]),
        canary_shapes=frozenset(map(str, canaries["shapes"])),
        triples=_unpack(document["triples"]),
        bounded=bool(document["bounded"]),
    )
