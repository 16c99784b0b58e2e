"""Takes fields out of one JSON object, each against its grammar, and collects one sentence per wrong one.

Apart from what the fields mean, so that every document a gate reads is judged by the same few rules:
unknown fields, wrong types and values outside their grammar are `Invalid`, and nothing is guessed.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from spe.domain.errors import Invalid

LONGEST_SOCKET_PATH = 107


class Fields:
    """The fields of one object; `wrong` maps a field's name to its sentence."""

    def __init__(self, raw: Any) -> None:
        self.wrong: dict[str, str] = {}
        self._left: dict[str, Any] = dict(raw) if isinstance(raw, Mapping) else {}
        if not isinstance(raw, Mapping):
            self.wrong["file"] = "must be a JSON object."

    def take(self, name: str, default: Any = None) -> Any:
        """Whatever stands there; it counts as known from now on."""
        return self._left.pop(name, default)

    def text(self, name: str, grammar: re.Pattern[str], meaning: str) -> str:
        """Text of a grammar; `meaning` says what it is."""
        value = self.take(name)
        if not isinstance(value, str) or not grammar.fullmatch(value):
            self.wrong[name] = f"must be {meaning}."
            return ""
        return value

    def line(self, name: str, longest: int) -> str:
        """One line for people."""
        value = self.take(name)
        if not isinstance(value, str) or len(value) > longest or not value.isprintable():
            self.wrong[name] = f"must be text of at most {longest} printable characters."
            return ""
        return value

    def exactly(self, name: str, expected: str, whence: str) -> str:
        """A text that follows from something else; it is stated so that two readings cannot differ."""
        if self.take(name) != expected:
            self.wrong[name] = f"must be {expected!r}, {whence}."
        return expected

    def nothing(self, name: str) -> None:
        """A field that must be there and be null."""
        if self.take(name, "") is not None:
            self.wrong[name] = "must be null."

    def settled(self, name: str, value: str) -> None:
        """A field that may be left out, because the gate knows it; given, it must say the same."""
        if self.take(name, value) != value:
            self.wrong[name] = "is settled where this gate was started, and is another there."

    def folder(self, name: str, value: Any) -> Path:
        """An absolute path."""
        if not isinstance(value, str) or not value.startswith("/") or "\0" in value or "/../" in value + "/":
            self.wrong[name] = "must be an absolute path without `..`."
            return Path("/")
        return Path(value)

    def socket(self, name: str, suffix: str = "") -> Path:
        """An absolute path that still fits into a socket's address with `suffix` behind it."""
        path = self.folder(name, self.take(name))
        if len(bytes(path)) + len(suffix) > LONGEST_SOCKET_PATH:
            self.wrong[name] = f"is too long for a Unix socket (at most {LONGEST_SOCKET_PATH} bytes)."
        return path

    def whole(self, name: str, least: int) -> int:
        """A whole number."""
        value = self.take(name)
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            self.wrong[name] = f"must be a whole number of at least {least}."
            return 0
        return value

    def seconds(self, name: str) -> float:
        """A time span."""
        value = self.take(name)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 86400:
            self.wrong[name] = "must be a number of seconds, more than 0 and at most one day."
            return 0.0
        return float(value)

    def flag(self, name: str) -> bool:
        """True or false."""
        value = self.take(name)
        if not isinstance(value, bool):
            self.wrong[name] = "must be true or false."
        return value is True

    def moment(self, name: str) -> float:
        """A moment, as seconds since the epoch."""
        try:
            return moment(self.take(name))
        except ValueError:
            self.wrong[name] = "must be a time such as 2030-01-31T12:00:00Z (RFC 3339, with its zone)."
            return 0.0

    def base(self, name: str) -> str:
        """An http address to which paths are added."""
        value = self.take(name)
        parts = urlsplit(value) if isinstance(value, str) else None
        if parts is None or parts.scheme not in {"http", "https"} or not parts.hostname or parts.username:
            self.wrong[name] = "must be an http(s) address."
            return ""
        if parts.query or parts.fragment:
            self.wrong[name] = "must not carry a query."
        return str(value).rstrip("/")

    def optional_base(self, name: str) -> str | None:
        """Null, or an http address."""
        value = self.take(name)
        if value is None:
            return None
        self._left[name] = value
        return self.base(name)

    def names(self, name: str, grammar: re.Pattern[str]) -> frozenset[str]:
        """A list of names; none when it is left out."""
        value = self.take(name, [])
        if not isinstance(value, list) or not all(isinstance(v, str) and grammar.fullmatch(v) for v in value):
            self.wrong[name] = "must be a list of names in lower-case letters, digits and hyphens."
            return frozenset()
        return frozenset(value)

    def origins(self, name: str) -> tuple[str, ...]:
        """At least one origin."""
        value = self.take(name)
        if not isinstance(value, list) or not value or not all(_is_origin(item) for item in value):
            self.wrong[name] = "must be a list of at least one origin such as `https://host:port`."
            return ()
        return tuple(value)

    def finish(self) -> None:
        """Raises Invalid with every wrong field, those that nobody asked for among them."""
        self.wrong.update(dict.fromkeys(map(str, self._left), "is not a known field."))
        if self.wrong:
            raise Invalid(self.wrong)


def _is_origin(value: Any) -> bool:
    if not isinstance(value, str) or value != value.lower() or "@" in value:
        return False
    parts = urlsplit(value)
    return parts.scheme in {"http", "https"} and value == f"{parts.scheme}://{parts.netloc}" and "*" not in value


def moment(value: Any) -> float:
    """RFC 3339 text to seconds since the epoch. Raises ValueError, also for a time without a zone."""
    if not isinstance(value, str) or len(value) > 40:
        raise ValueError("not a time")
    parsed = datetime.fromisoformat(value)
    if parsed.tzinfo is None:
        raise ValueError("a time needs its zone")
    return parsed.timestamp()
