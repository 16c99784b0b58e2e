"""Which signs a text that people read may have: none that nobody sees, or that change how the rest is shown.

Control and format characters (among them those that turn a line around, Unicode TR 36 section 3.1),
private and broken ones do not belong into a title, a purpose or a file's name.
"""

import unicodedata
from typing import Final

_UNSEEN: Final = frozenset({"Cc", "Cf", "Co", "Cs", "Zl", "Zp"})


def has_unseen(text: str, *, besides: str = "") -> bool:
    """Whether the text has a character that is not seen, other than those in `besides`."""
    return any(ch not in besides and unicodedata.category(ch) in _UNSEEN for ch in text)
