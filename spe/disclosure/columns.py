"""What a column of cells holds, and which of them count people.

Nearly every rule about tables hangs on the roles of columns, so they are told once, here: from the words of
the header, from the form of the cells, and from the shape of the whole table (a cross-tabulation is a label
column and whole numbers). Precision matters as much as recall: years, ages, estimates and row labels are
not counts.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Final

from spe.disclosure.vocabulary import (
    COUNT_WORDS,
    COUNTING_HEADERS,
    PEOPLE_WORDS,
    SHORT_LEVELS,
    STATISTIC_WORDS,
    THINGS,
    TOPIC_WORDS,
)

MISSING: Final = frozenset({"", "NA", "N/A", "NaN", "nan", "<NA>", "None", "null", "NULL", ".", "-", "–", "—"})
SUPPRESSED: Final = re.compile(
    r"\*+|c|x|\[?(redacted|suppressed|masked|hidden|low)\]?|[<≤]\s*=?\s*\d+|\d+\s*or fewer|\[\s*[<≤]?\s*\d*\s*\]",
    re.IGNORECASE,
)
_NUMBER: Final = re.compile(r"[+-]?((\d{1,3}(,\d{3})+|\d+)(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
_PAIR: Final = re.compile(r"(\d{1,3}(?:,\d{3})+|\d+)\s*[(\[]\s*[<≤]?\s*(\d+(?:\.\d+)?)\s*(%?)\s*[)\]]")
_OF: Final = re.compile(r"(\d+)\s*/\s*(\d+)(?:\s*\(.*\))?")
_BOUND: Final = re.compile(r"\[?\s*([<≤])\s*(=?)\s*(\d+)\s*\]?")

# A cell whose digits are all 9, of a size at which no reader of numbers stumbles.
_PLAIN: Final = re.compile(r"-?9{1,15}(\.9{1,17})?")
_LEVEL: Final = re.compile(r"\d+|[ivx]+|[a-d]|low|high|yes|no")
_HUMP: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_WORD: Final = re.compile(r"[^\W_]+|%")
_TOTAL: Final = re.compile(
    r"(grand\s+)?(total|totals|all|overall|sum|any|margin|gesamt|summe|insgesamt)", re.IGNORECASE
)


class Form(StrEnum):
    """What the cells of a column look like."""

    EMPTY = "empty"
    WHOLE = "whole numbers"
    DECIMAL = "decimals"
    TEXT = "text"


class Role(StrEnum):
    """What a column is for. `assumed` counts are told by the table's shape alone."""

    COUNT = "count"
    ASSUMED_COUNT = "assumed count"
    PERCENT = "percent"
    OTHER = "other"


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column: its header, its cells as text without outer blanks, and what was told about them.

    `numeric` columns are known to hold nothing but digits with a sign and a point, and signs of missing values.
    """

    index: int
    name: str
    cells: tuple[str, ...]
    form: Form
    role: Role = Role.OTHER
    numeric: bool = False

    @cached_property
    def distinct(self) -> frozenset[str]:
        """Every cell once. A long column of decimals is best left alone: its form says enough."""
        return frozenset(self.cells)

    @property
    def label(self) -> str:
        """The header when it reads like a name, else the number: a header can hold data too."""
        plain = re.fullmatch(r"[^\W\d_][\w .,:()%/<>=+-]{0,60}", self.name)
        return self.name if plain and len(re.findall(r"\d", self.name)) < 4 else f"#{self.index + 1}"

    @property
    def words(self) -> tuple[str, ...]:
        """The header in lower-case words."""
        return words(self.name)

    @property
    def is_count(self) -> bool:
        """Whether the cells count something that may be people."""
        return self.role in {Role.COUNT, Role.ASSUMED_COUNT}

    @property
    def is_total(self) -> bool:
        """Whether the header says that this is a margin."""
        return is_total(self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """A cell that counts: an exact number, or only an upper bound such as `<10` (then `below` is 10)."""

    value: int | None = None
    below: int | None = None


def words(name: str) -> tuple[str, ...]:
    """`medianSurvival_months` as `median survival months`."""
    return tuple(_WORD.findall(_HUMP.sub(" ", name).lower()))


def is_total(text: str) -> bool:
    """Whether a label names a margin: total, all, overall."""
    return _TOTAL.fullmatch(text.strip(" :()")) is not None


def number(cell: str) -> float | None:
    """The number a cell spells, with thousands separators; None for anything else."""
    return float(cell.replace(",", "")) if _NUMBER.fullmatch(cell) else None


def whole(cell: str) -> int | None:
    """The whole number a cell spells (`12`, `12.0`, `1,204`); None for anything else."""
    value = number(cell)
    return int(value) if value is not None and value.is_integer() and abs(value) < 1e15 else None


def counted(cell: str) -> Counted | None:
    """What a cell of a count column says: `12`, `12 (34%)`, `3/120`, `<10`; None when it says no number."""
    exact = whole(cell)
    if exact is not None:
        return Counted(value=exact)
    pair = _PAIR.fullmatch(cell) or _OF.fullmatch(cell)
    if pair:
        return Counted(value=int(pair.group(1).replace(",", "")))
    bound = _BOUND.fullmatch(cell)
    if bound:
        inclusive = bound.group(1) == "≤" or bound.group(2) == "="
        return Counted(below=int(bound.group(3)) + (1 if inclusive else 0))
    return None


def has_percent(cell: str) -> bool:
    """Whether a cell is a count beside a percentage, such as `12 (34.5%)` or `12 (34.5)`."""
    pair = _PAIR.fullmatch(cell)
    return pair is not None and (pair.group(3) == "%" or ("." in pair.group(2) and float(pair.group(2)) <= 100))


def column(index: int, name: str, cells: Sequence[str]) -> Column:
    """A column without a role yet."""
    stripped = tuple(map(str.strip, cells))
    return Column(index=index, name=name.strip(), cells=stripped, form=_form(frozenset(stripped)))


def outlined_column(index: int, name: str, cells: tuple[str, ...], outlines: frozenset[str]) -> Column:
    """`column` for cells of which the outlines (digits as 9) are known."""
    present = outlines - MISSING
    if not present or not all(map(_PLAIN.fullmatch, present)):
        return column(index, name, cells)
    return Column(index=index, name=name.strip(), cells=cells, form=_plain_form(cells, present), numeric=True)


def _plain_form(cells: Sequence[str], outlines: frozenset[str]) -> Form:
    if not any("." in outline for outline in outlines):
        return Form.WHOLE
    values = (float(cell) for cell in cells if cell not in MISSING)
    return Form.WHOLE if all(map(float.is_integer, values)) else Form.DECIMAL


def _form(distinct: frozenset[str]) -> Form:
    present = distinct - MISSING
    if not present:
        return Form.EMPTY
    try:
        numbers: Iterable[float] = list(map(float, present))
    except ValueError:
        return _mixed_form([cell for cell in present if not SUPPRESSED.fullmatch(cell)])
    return Form.WHOLE if all(map(float.is_integer, numbers)) else Form.DECIMAL


def _mixed_form(present: Sequence[str]) -> Form:
    """A column is numeric when four fifths of its written cells are; one stray word does not hide the rest."""
    if not present:
        return Form.EMPTY
    sample = present[:2000]
    numbers = [found for found in map(number, sample) if found is not None]
    pairs = sum(1 for cell in sample if _PAIR.fullmatch(cell) or _OF.fullmatch(cell))
    if (len(numbers) + pairs) * 5 < len(sample) * 4:
        return Form.TEXT
    fractions = sum(1 for value in numbers if not value.is_integer())
    return Form.WHOLE if fractions * 5 <= len(numbers) else Form.DECIMAL


def names_statistic(name: tuple[str, ...]) -> bool:
    """Whether a header speaks of a statistic other than a count."""
    return any(word in STATISTIC_WORDS or word == "%" for word in name) and not _n_and_percent(name)


def names_level(name: tuple[str, ...]) -> bool:
    """Whether a header is a category rather than a quantity: `grade 2`, `stage IV`, `F`, `low`."""
    if len(name) == 1:
        return name[0] in SHORT_LEVELS
    return len(name) > 1 and _LEVEL.fullmatch(name[-1]) is not None


def names_topic(name: tuple[str, ...]) -> bool:
    """Whether a header speaks of a quantity that is not people: a year, an age, a position."""
    return any(word in TOPIC_WORDS for word in name)


def names_thing(name: tuple[str, ...]) -> bool:
    """Whether a header speaks of things that are counted but are not people: exons, variants."""
    return any(word in THINGS for word in name)


def names_count(name: tuple[str, ...]) -> bool:
    """Whether a header says that its cells count people or events."""
    if names_statistic(name) or (name and name[0] in {"id", "ids"}):
        return False
    if name in COUNTING_HEADERS or name[:2] == ("at", "risk") or _n_and_percent(name):
        return True
    strong = any(word in COUNT_WORDS for word in name) and not names_thing(name)
    weak = any(word in PEOPLE_WORDS for word in name)
    return strong or (weak and not names_topic(name))


def names_percent(name: tuple[str, ...]) -> bool:
    """Whether a header says percent."""
    return any(word in {"pct", "percent", "percentage", "perc", "%"} for word in name)


def _n_and_percent(name: tuple[str, ...]) -> bool:
    """The header `n (%)` of a baseline table counts, though it also speaks of a percentage."""
    return len(name) >= 2 and name[-1] in {"%", "pct", "percent"} and name[-2] in COUNT_WORDS
