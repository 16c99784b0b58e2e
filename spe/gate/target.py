"""The request target as it stands on the wire, taken apart without interpreting anything.

A path that two programs could read differently (encoded slashes and dots, double encoding, empty or dot
segments, backslashes, absolute form) is refused rather than cleaned: the bytes that were judged are the
bytes that are handed on. Knows no route.
"""

import re
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote

from spe.domain.errors import Denial

LONGEST_TARGET = 4096
MOST_PARAMETERS = 64
SECRET_PARAMETERS = frozenset({"token", "auth_token", "access_token", "download"})

_PATH = re.compile(r"/[A-Za-z0-9\-._~!$&'()*+,=:@%/]*")
_QUERY = re.compile(r"[A-Za-z0-9\-._~!$&'()*+,;=:@%/?\[\]|]*")
_BROKEN_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_FORBIDDEN_ESCAPE = re.compile(r"%(?:[01][0-9A-Fa-f]|7[Ff]|2[EeFf]|5[Cc]|25[0-9A-Fa-f]{2})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One accepted target: `raw` goes on unchanged, `path` is its part before the question mark."""

    raw: str
    path: str


def parse_target(raw: str) -> Target | Denial:
    """Accept a target in origin form, or say in one sentence why not."""
    if len(raw) > LONGEST_TARGET:
        return Denial(code="target-too-long", message=f"The address is longer than {LONGEST_TARGET} characters.")
    path, mark, query = raw.partition("?")
    reason = _wrong_path(path)
    if reason:
        return Denial(code="odd-path", message=f"The address {reason}.")
    if mark:
        denial = _wrong_query(query)
        if denial is not None:
            return denial
    return Target(raw=raw, path=path)


def _wrong_path(path: str) -> str | None:
    if not path.startswith("/"):
        return "does not begin with a slash"
    if not _PATH.fullmatch(path):
        return "holds a character that does not belong in a path"
    if _BROKEN_ESCAPE.search(path):
        return "holds a percent sign that encodes nothing"
    if _FORBIDDEN_ESCAPE.search(path):
        return "hides a slash, dot, backslash, control character or second encoding behind a percent sign"
    if not _is_text(path):
        return "does not decode to text"
    if any(segment in {".", ".."} for segment in path.split("/")) or "//" in path:
        return "has an empty or dotted segment"
    return None


def _is_text(path: str) -> bool:
    try:
        unquote(path, errors="strict")
    except UnicodeDecodeError:
        return False
    return True


def _wrong_query(query: str) -> Denial | None:
    if not _QUERY.fullmatch(query) or _BROKEN_ESCAPE.search(query):
        return Denial(
            code="odd-query",
            message="The question part of the address holds a character that is not allowed.",
        )
    try:
        pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=MOST_PARAMETERS, encoding="latin-1")
    except ValueError:
        return Denial(code="odd-query", message="The address asks with too many parameters.")
    for name, _ in pairs:
        if name.strip().lower() in SECRET_PARAMETERS or not name.isprintable():
            return Denial(code="secret-query", message="Tokens and downloads by address are closed in this workspace.")
    return None
