"""Which signs a text or a file's path may have: none that nobody sees, or that change how the rest is shown.

Control and format characters (among them those that turn a line around, Unicode TR 36 section 3.1),
private and broken ones do not belong into a title, a purpose or a file's name.
"""

import unicodedata
from typing import Final

LONGEST_PATH: Final = 512
LONGEST_NAME: Final = 255
"""Bytes in UTF-8."""
DEEPEST_PATH: Final = 12
_UNSEEN: Final = frozenset({"Cc", "Cf", "Co", "Cs", "Zl", "Zp"})


def has_unseen(text: str, *, besides: str = "") -> bool:
    """Whether the text has a character that is not seen, other than those in `besides`."""
    return any(ch not in besides and unicodedata.category(ch) in _UNSEEN for ch in text)


def is_plain_path(path: str) -> bool:
    """Whether a path is relative, without tricks, and of a depth and length that every store takes."""
    parts = path.split("/")
    return not (
        not path
        or "\\" in path
        or len(path) > LONGEST_PATH
        or len(parts) > DEEPEST_PATH
        or any(p in ("", ".", "..") or len(p.encode(errors="surrogatepass")) > LONGEST_NAME for p in parts)
        or has_unseen(path)
    )
