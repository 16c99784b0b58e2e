"""Characters that a person does not see, or takes for others.

The classes follow the Unicode data of the standard library, not a list of known tricks: everything that is a
control, a format character, a variation selector, a filler or not a character at all is named by its code
point, in findings as in views (disclosure notes, PKG-03, TYP-07, HID-12).
"""

import re
import unicodedata
from typing import Final

BIDI: Final = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_FILLERS: Final = "\u115f\u1160\u3164\uffa0\u2800\u17b4\u17b5\u180b\u180c\u180d\u180e\u180f"
_SELECTORS: Final = "\ufe00-\ufe0f\U000e0100-\U000e01ef"
_HIDDEN_CATEGORIES: Final = frozenset({"Cf", "Co", "Cn", "Cs", "Zl", "Zp"})
_SUSPECT: Final = re.compile(f"[^\x00-\x7f\u00a0-\u00ac\u00ae-\u02ff]|[{_FILLERS}{_SELECTORS}]|\u00ad")
_EXTRA: Final = re.compile(f"[{_FILLERS}{_SELECTORS}\u034f]")
_CONTROL: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]|\r(?!\n)")
_PRINTABLE: Final = bytes([9, 10, *range(32, 127)])
_SPACES: Final = re.compile(r"[^\S \t\r\n]")

# Letters of other scripts that look like a Latin one: enough to spell most words with.
_LOOK_ALIKES: Final = frozenset("аеорсухіјѕԁһӏԛԝАВЕКМНОРСТХІЈЅԌΑΒΕΖΗΙΚΜΝΟΡΤΥΧονρ")


def controls(text: str) -> list[int]:
    """Positions of control characters other than tab and line ends; a lone carriage return is one."""
    if text.isascii() and "\r" not in text and not text.encode("ascii").translate(None, _PRINTABLE):
        return []
    return [match.start() for match in _CONTROL.finditer(text)]


def invisible(text: str) -> list[int]:
    """Positions of characters that show nothing: zero width, selectors, tags, fillers, non-characters."""
    if text.isascii():
        return []
    return [match.start() for match in _SUSPECT.finditer(text) if _is_invisible(match.group())]


def _is_invisible(char: str) -> bool:
    return unicodedata.category(char) in _HIDDEN_CATEGORIES or _EXTRA.match(char) is not None


def disguised(text: str) -> list[int]:
    """Positions of words that mix Latin letters with look-alikes from another script."""
    if text.isascii() or not any(char in text for char in _LOOK_ALIKES):
        return []
    return [match.start() for match in re.finditer(r"[^\W\d_]+", text) if _mixes(match.group())]


def _mixes(word: str) -> bool:
    if word.isascii():
        return False
    latin = any(char.isascii() for char in word)
    return latin and any(char in _LOOK_ALIKES for char in word)


def named(char: str) -> str:
    """The code point, such as `U+202E`."""
    return f"U+{ord(char):04X}"


def visible(text: str) -> str:
    """`text` with everything unseen written out as ⟨U+202E⟩; ordinary tabs and spaces stay."""
    return "".join(f"⟨{named(char)}⟩" if _unseen(char) else char for char in text) if not _plain(text) else text


def _plain(text: str) -> bool:
    return text.isascii() and text.isprintable()


def _unseen(char: str) -> bool:
    if char in " \t":
        return False
    return unicodedata.category(char) == "Cc" or _is_invisible(char) or _SPACES.match(char) is not None
