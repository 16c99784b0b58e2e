"""What is left of a text when every digit is a 9 and every line and every cell is told once.

Tables of results differ in little but their digits: megabytes have an outline of a few hundred cells. A rule
that treats all ten digits alike says the same of the outline as of the text, so it asks here first and reads
the text itself only where the outline leaves something to find. The outline never decides on a finding.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

_NINES: Final = str.maketrans("0123456789", "9" * 10)
_NINE_BYTES: Final = bytes.maketrans(b"0123456789", b"9" * 10)
_BETWEEN_CELLS: Final = str.maketrans(",;|\t", "\n" * 4)
_PARTS: Final = re.compile(r"\{[\d,]+\}|\[[^\]]*\d[^\]]*\]|\d")


@dataclass(frozen=True, kw_only=True)
class Outline:
    """The outline of one text; what was made is kept."""

    text: str = field(repr=False)

    @cached_property
    def lines(self) -> Counter[str]:
        """Each different line, digits as 9, and how often it stands there. Only the line feed ends a line."""
        return Counter(nines(self.text).split("\n"))

    @cached_property
    def cells(self) -> frozenset[str]:
        """Each different part of a line between commas, semicolons, bars and tabs."""
        return frozenset("\n".join(self.lines).translate(_BETWEEN_CELLS).split("\n"))

    @cached_property
    def joined(self) -> str:
        """The cells as one text, a line each: whatever stands within a cell of the text stands here as well."""
        return "\n".join(self.cells)

    @cached_property
    def lower(self) -> str:
        """`joined` in lower case."""
        return self.joined.lower()

    @cached_property
    def longest_word(self) -> int:
        """The length of the longest run of characters without a blank, commas and the like included."""
        return max((len(word) for line in self.lines for word in line.split()), default=0)

    def beginning(self, length: int) -> "Outline":
        """The outline of the first so many characters."""
        return self if len(self.text) <= length else Outline(text=self.text[:length])

    @cached_property
    def _words(self) -> str:
        return "\n".join(set(self.lower.split()))

    def holds(self, literal: str) -> bool:
        """Whether the text may hold a lower-case literal in either case; the literal has no cell's end in it."""
        return nines(literal) in (self.lower if any(map(str.isspace, literal)) else self._words)

    def words(self, pattern: re.Pattern[str], likely: Callable[[str], bool]) -> Iterator[str]:
        """The different words of the text that are likely, in their order.

        `pattern` finds words within cells and `likely` judges a word; both must treat all digits alike.
        """
        outlines = {word for word in set(pattern.findall(self.joined)) if likely(word)}
        if outlines:
            told = zip(pattern.findall(self.text), pattern.findall(nines(self.text)), strict=True)
            yield from dict.fromkeys(word for word, outline in told if outline in outlines)


def nines(text: str) -> str:
    """`text` with 9 for every ASCII digit."""
    if text.isascii():
        return text.translate(_NINES)
    return text.encode("utf-8", "surrogatepass").translate(_NINE_BYTES).decode("utf-8", "surrogatepass")


def digit_blind(pattern: str) -> str:
    """A pattern that accepts the outline of whatever `pattern` accepts: each digit and class with digits takes 9."""
    return _PARTS.sub(_blind, pattern)


def _blind(found: re.Match[str]) -> str:
    part = found.group()
    if part.startswith("{"):
        return part
    return part[:-1] + "9]" if part.startswith("[") else "9"
