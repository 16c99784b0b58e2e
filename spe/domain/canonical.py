"""One value, one spelling: what is hashed or signed is written here and read back strictly.

Canonical JSON after RFC 8785, restricted so that the standard library writes it exactly: ASCII keys,
text, whole numbers below 2**53, true, false, null, lists and objects; no fractions. Moments, base64
and digests likewise have one spelling each, so that no byte of a signed file can vary unnoticed.
"""

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import NoReturn, TypeAlias

from spe.domain.errors import Invalid

Json: TypeAlias = "bool | int | str | Sequence[Json] | Mapping[str, Json] | None"

_WRITER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False)
_LARGEST_NUMBER = 2**53 - 1
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", re.ASCII)
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
HEX_DIGEST = re.compile(r"[0-9a-f]{64}")


def canonical(value: Json) -> bytes:
    """The RFC 8785 bytes of `value`; `Invalid` when it holds something without an exact spelling here."""
    try:
        return _WRITER.encode(_plain(value)).encode()
    except UnicodeEncodeError:
        _refuse("Text holds half of a surrogate pair, which is no character.")
    except RecursionError:
        _refuse("It is nested too deeply.")


def parse(data: bytes, *, exact: bool = True) -> Json:
    """The value spelled by `data`; doubled keys and fractions are refused.

    With `exact` (what is hashed or signed) the bytes must be the canonical ones: another order,
    spacing or escape is refused as well. `Invalid` names what is wrong.
    """
    try:
        value: Json = json.loads(
            data.decode(), object_pairs_hook=_unique, parse_float=_no_fraction, parse_constant=_no_fraction
        )
    except UnicodeDecodeError:
        _refuse("It is not UTF-8 text.")
    except RecursionError:
        _refuse("It is nested too deeply.")
    except ValueError:
        _refuse("It is not JSON.")
    if exact and canonical(value) != data:
        _refuse("It is not in canonical form (RFC 8785): a space, an order or an escape differs.")
    return value


def digest_of(data: bytes) -> str:
    """`sha256:` and the digest of `data` in hexadecimal."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def moment_text(moment: datetime) -> str:
    """UTC, RFC 3339, always with microseconds and `Z`; a moment without a time zone is `Invalid`."""
    if moment.tzinfo is None:
        raise Invalid({"time": "A moment without a time zone could mean several instants; give it in UTC."})
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def read_moment(text: str) -> datetime:
    """The moment that `moment_text` wrote; any other spelling is `Invalid`."""
    if _MOMENT.fullmatch(text):
        try:
            return datetime.fromisoformat(text)
        except ValueError:
            pass  # a thirteenth month has the right form and is refused with the rest
    raise Invalid({"time": "A moment is written like 2026-03-01T09:30:00.000000Z."})


def text64(data: bytes) -> str:
    """Standard base64 with padding."""
    return base64.b64encode(data).decode()


def read64(text: str, length: int) -> bytes:
    """Exactly `length` bytes from their one base64 spelling; loose trailing bits are `Invalid`."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        data = b""
    if len(data) != length or text64(data) != text:
        raise Invalid({"base64": f"Expected {length} bytes in base64."})
    return data


class Reader:
    """Typed reading of one JSON object that has exactly `keys`: no more, no fewer.

    Every method raises `Invalid` naming `where` and the key, never the value.
    """

    def __init__(self, value: Json, where: str, keys: frozenset[str]) -> None:
        if not isinstance(value, Mapping):
            raise Invalid({where: "Expected an object."})
        unknown, missing = sorted(value.keys() - keys), sorted(keys - value.keys())
        if missing:
            raise Invalid({where: f"Missing: {', '.join(missing)}."})
        if unknown:
            raise Invalid({where: f"{len(unknown)} unknown key(s); only {', '.join(sorted(keys))} may stand here."})
        self._value = value
        self._where = where

    def text(self, key: str) -> str:
        """Text."""
        found = self._value[key]
        return found if isinstance(found, str) else self._wrong(key, "text")

    def text_or_none(self, key: str) -> str | None:
        """Text or null."""
        return None if self._value[key] is None else self.text(key)

    def number(self, key: str) -> int:
        """A whole number; true and false are none."""
        found = self._value[key]
        return found if isinstance(found, int) and not isinstance(found, bool) else self._wrong(key, "a whole number")

    def value(self, key: str) -> Json:
        """Whatever stands there, for a reader of its own."""
        return self._value[key]

    def items(self, key: str) -> Sequence[Json]:
        """A list."""
        found = self._value[key]
        return found if isinstance(found, list) else self._wrong(key, "a list")

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of texts."""
        return tuple(item if isinstance(item, str) else self._wrong(key, "a list of texts") for item in self.items(key))

    def flat(self, key: str) -> dict[str, str | int | bool]:
        """An object whose values are texts, whole numbers, true or false."""
        found = self._value[key]
        if not isinstance(found, Mapping):
            self._wrong(key, "an object")
        result: dict[str, str | int | bool] = {}
        for name, item in found.items():
            result[name] = item if isinstance(item, str | int) else self._wrong(key, "a flat object")
        return result

    def _wrong(self, key: str, expected: str) -> NoReturn:
        raise Invalid({f"{self._where}.{key}": f"Expected {expected}."})


def _plain(value: Json) -> Json:
    kind = type(value)
    if value is None or kind is str or kind is bool:  # the common cases first: each audited act passes here
        return value
    if isinstance(value, int):
        return value if abs(value) <= _LARGEST_NUMBER else _refuse("A whole number is 2**53 or larger.")
    if kind is dict or isinstance(value, Mapping):
        return _plain_object(value)
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, str):
        return value
    return _refuse("It holds something other than text, whole numbers, true, false, null, lists and objects.")


def _plain_object(value: Json) -> Json:
    assert isinstance(value, Mapping)
    try:
        ascii_only = "".join(value).isascii()
    except TypeError:
        ascii_only = False
    if not ascii_only:
        _refuse("A key is not plain ASCII text.")
    return {key: _plain(item) for key, item in value.items()}


def _unique(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    found = dict(pairs)
    return found if len(found) == len(pairs) else _refuse("A key stands twice in one object.")


def _no_fraction(_: str) -> NoReturn:
    _refuse("Only whole numbers are allowed.")


def _refuse(sentence: str) -> NoReturn:
    raise Invalid({"json": sentence})
