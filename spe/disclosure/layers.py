"""Text inside text: coded runs that are long enough to carry something, and what the shorter ones decode to.

A run of base64, base85, hexadecimal or uuencoded characters of two hundred or more is itself the finding
(HID-10); shorter ones are decoded here and scanned for secrets and identifiers like any other text.
"""

import binascii
import re
from collections.abc import Iterator
from typing import Final

from spe.disclosure.content import Layer
from spe.disclosure.outline import Outline

MAX_LAYERS: Final = 200
MAX_DEPTH: Final = 3
_ALPHABET: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=_-"
_TO_BLANKS: Final = bytes(code if code in _ALPHABET else 0x20 for code in range(256))
_TOKEN: Final = re.compile(r"[A-Za-z0-9+/_-]{16,}={0,2}")
_UUENCODED: Final = re.compile(r"^begin(-base64)? [0-7]{3,4} \S", re.MULTILINE)
_SHORTEST: Final = 16
_SHORTEST_LINE: Final = 20


def long_runs(outline: Outline, length: int) -> Iterator[int]:
    """Positions of coded runs of at least `length` characters, also when wrapped over lines."""
    text = outline.text
    if outline.holds("begin") and (match := _UUENCODED.search(text)):
        yield match.start()
    if outline.longest_word >= length:
        yield from _single_runs(text, length)
        yield from _dense_runs(text, text.split(), length)
    if outline.longest_word >= _SHORTEST_LINE and _has_coded_line(outline):
        yield from _wrapped_runs(text, length)


def decoded_layers(outline: Outline) -> Iterator[Layer]:
    """What the shorter coded runs decode to when that is text, at most two hundred of them."""
    if not _has_coded_word(outline.joined):
        return
    text, count = outline.text, 0
    for match in _TOKEN.finditer(text):
        inner = _decoded(match.group())
        if inner is None:
            continue
        yield Layer(text=inner, origin="decoded from a coded run", line=text.count("\n", 0, match.start()) + 1)
        count += 1
        if count == MAX_LAYERS:
            return


def _has_coded_word(text: str) -> bool:
    blanked = text.encode("ascii", "replace").translate(_TO_BLANKS)
    return max(map(len, blanked.split()), default=0) >= _SHORTEST


def _has_coded_line(outline: Outline) -> bool:
    return any(_coded(line) for lines in outline.lines for line in lines.splitlines())


def _coded(line: str) -> str | None:
    """The word that a line consists of, when it is one of coded characters."""
    word = line.strip().strip("\"',")
    return word if len(word) >= _SHORTEST_LINE and _TOKEN.fullmatch(word) else None


def _single_runs(text: str, length: int) -> Iterator[int]:
    raw = text.encode("ascii", "replace").translate(_TO_BLANKS)
    position = 0
    for word in raw.split():
        if len(word) >= length and len(set(word)) >= 10:
            position = raw.find(word, position)
            yield position
            position += len(word)


def _wrapped_runs(text: str, length: int) -> Iterator[int]:
    """Lines that are one coded word each and equally long but for the last, as mail and PEM wrap them."""
    start, total, width, position = 0, 0, 0, 0
    for line in text.splitlines(keepends=True):
        word = _coded(line) or ""
        coded = len(set(word)) >= 10
        if coded and (not total or len(word) == width):
            start, width = (start, width) if total else (position, len(word))
            total += len(word)
        else:
            if total >= length and total > width:
                yield start
            start, width, total = (position, len(word), len(word)) if coded else (0, 0, 0)
        position += len(line)
    if total >= length and total > width:
        yield start


def _dense_runs(text: str, words: list[str], length: int) -> Iterator[int]:
    """Long words of many different signs, as base85 writes them; numbers and prose use far fewer."""
    position = 0
    for word in words:
        if len(word) >= length and len(set(word)) >= 60:
            position = text.find(word, position)
            yield position
            position += len(word)


def _decoded(token: str, depth: int = 1) -> str | None:
    for decode in (_from_hex, _from_base64):
        raw = decode(token)
        text = _printable(raw) if raw else None
        if text is not None:
            inner = _decoded(text, depth + 1) if depth < MAX_DEPTH and _TOKEN.fullmatch(text) else None
            return f"{text}\n{inner}" if inner else text
    return None


def _from_hex(token: str) -> bytes | None:
    try:
        return bytes.fromhex(token) if len(token) % 2 == 0 else None
    except ValueError:
        return None


def _from_base64(token: str) -> bytes | None:
    plain = token.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return binascii.a2b_base64(plain + "=" * (-len(plain) % 4), strict_mode=True)
    except (binascii.Error, ValueError):
        return None


def _printable(raw: bytes) -> str | None:
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        return None
    return text if len(text) >= 6 and all(char.isprintable() or char in "\n\r\t" for char in text) else None
