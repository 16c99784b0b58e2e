"""How values are shown: times in UTC, sizes in words, and text in which nothing can hide.

Text that people or files bring may hold characters that reverse, erase or hide what is read (security
note T117); `visible` marks them wherever a template prints a value.
"""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from markupsafe import Markup, escape

_HIDDEN: Final = re.compile(
    "[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u00ad\u061c\u115f\u1160\u17b4\u17b5\u180e"
    "\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\u3164\ufeff\uffa0\ufff9-\ufffb\ud800-\udfff"
    "\U000e0000-\U000e007f]"
)
UNITS: Final = ("bytes", "KiB", "MiB", "GiB", "TiB")


def visible(value: object) -> object:
    """Text with each control, direction or invisible character written out as `⟨U+…⟩`; the rest unchanged."""
    if isinstance(value, Markup) or not isinstance(value, str):
        return value
    return _HIDDEN.sub(lambda match: f"⟨U+{ord(match.group()):04X}⟩", value)


def moment(value: datetime) -> Markup:
    """A time to the minute, in UTC, as an HTML `time`."""
    utc = value.astimezone(UTC)
    return Markup('<time datetime="{}">{} UTC</time>').format(
        utc.strftime("%Y-%m-%dT%H:%M:%SZ"), f"{utc.day} {utc:%B %Y, %H:%M}"
    )


def day(value: datetime) -> Markup:
    """A date, in UTC."""
    utc = value.astimezone(UTC)
    return Markup('<time datetime="{}">{}</time>').format(utc.strftime("%Y-%m-%d"), f"{utc.day} {utc:%B %Y}")


def ago(value: datetime, now: datetime) -> str:
    """How long ago, or how far ahead, in the largest fitting unit."""
    seconds = (now - value).total_seconds()
    amount, unit = _largest(timedelta(seconds=abs(seconds)))
    if not amount:
        return "just now"
    words = f"{amount} {unit}{'' if amount == 1 else 's'}"
    return f"{words} ago" if seconds > 0 else f"in {words}"


def _largest(span: timedelta) -> tuple[int, str]:
    seconds = int(span.total_seconds())
    for size, unit in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size:
            return seconds // size, unit
    return 0, "minute"


def size(value: int) -> str:
    """Bytes in the unit that reads best, such as `4 GiB` or `812 bytes`."""
    amount, unit = float(value), 0
    while amount >= 1024 and unit < len(UNITS) - 1:
        amount, unit = amount / 1024, unit + 1
    text = f"{amount:.1f}".removesuffix(".0")
    return f"{text} {'byte' if value == 1 else UNITS[unit]}"


def plain(number: float) -> str:
    """A number as people write it in a form: no needless zeros."""
    return f"{number:.4f}".rstrip("0").rstrip(".")


def lines(text: str) -> Markup:
    """Text of several lines with its line ends kept."""
    rows = [escape(str(visible(row))) for row in text.splitlines()]
    return Markup("<br>").join(rows)


def digest(value: str) -> Markup:
    """A digest that may break anywhere, for reading aloud or comparing."""
    return Markup('<code class="digest">{}</code>').format(value)


def count(number: int, word: str, many: str = "") -> str:
    """`1 file`, `2 files`."""
    return f"{number} {word if number == 1 else many or word + 's'}"
