"""Delimited text so regular that a plain cut gives the cells the CSV reader would give.

No quotation mark, no carriage return, no blank row, the same number of delimiters in each line: all of that is
told from the outline, and then millions of cells cost one `split`. Everything else goes to the CSV reader.
"""

import csv
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from spe.disclosure.columns import Column, outlined_column
from spe.disclosure.outline import Outline

_TOP: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Regular:
    """The text of a regular table, its delimiter, its number of columns, and its outline's filled lines."""

    text: str = field(repr=False)
    delimiter: str
    width: int
    lines: Counter[str] = field(repr=False)

    def top(self) -> list[list[str]]:
        """The first rows, enough to tell how many of them are a header."""
        return [line.split(self.delimiter) for line in self.text.split("\n", _TOP)[:_TOP]]

    def columns(self, header: Sequence[str], depth: int) -> list[Column]:
        """The columns without roles, below a header that took the first `depth` rows."""
        cells = self.text.replace("\n", self.delimiter).split(self.delimiter)
        found = [tuple(cells[at + depth * self.width :: self.width]) for at in range(self.width)]
        return list(map(outlined_column, range(self.width), header, found, self._outlines(depth)))

    def _outlines(self, depth: int) -> list[frozenset[str]]:
        """The different outlines in each column below the header."""
        head = Outline(text="\n".join(self.text.split("\n", depth)[:depth])).lines if depth else Counter[str]()
        rows = [line.split(self.delimiter) for line in self.lines - head]
        return [frozenset(cells) for cells in zip(*rows, strict=True)] or [frozenset()] * self.width


def regular(outline: Outline, delimiter: str, most_columns: int) -> Regular | None:
    """The form of the table that a text is, or None when it takes a reader of quotes and odd rows."""
    text = outline.text
    if '"' in text or "\r" in text or "\n\n" in text or text.startswith("\n"):
        return None
    lines = Counter({line: count for line, count in outline.lines.items() if line})
    splits = {line.count(delimiter) for line in lines}
    if len(splits) != 1 or max(splits) >= most_columns or any(_odd(line, delimiter) for line in lines):
        return None
    return Regular(text=text.removesuffix("\n"), delimiter=delimiter, width=max(splits) + 1, lines=lines)


def _odd(line: str, delimiter: str) -> bool:
    """Whether a row is blank, or longer than a cell may be: the CSV reader finds words for both."""
    return not line.replace(delimiter, "").strip() or len(line) > csv.field_size_limit()
