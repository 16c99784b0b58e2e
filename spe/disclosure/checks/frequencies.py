"""Tables that count people: small cells, empty and full cells, small numbers in prose.

Disclosure notes, section 1.6. Which columns and rows count people is told in `columns` and `roles`.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from spe.disclosure.columns import Column, Form, Role, counted, is_total, names_count, names_percent, number, words
from spe.disclosure.content import Hit, Layer, Table
from spe.disclosure.parameters import Stricter, parameter
from spe.disclosure.registry import check
from spe.domain.verdict import Severity

_WORDS: Final = {
    "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10,
    "eleven": 11, "twelve": 12, "thirteen": 13, "fourteen": 14, "fifteen": 15, "sixteen": 16, "seventeen": 17,
    "eighteen": 18, "nineteen": 19,
}  # fmt: skip
# A table whose rows are statistics is short; in longer ones labels are categories.
MOST_LABELLED_ROWS: Final = 2000
_PEOPLE: Final = (
    r"(?:patients?|participants?|persons?|people|individuals?|subjects?|women|men|woman|man|girls?|boys?|children|child|"
    r"carriers?|cases|deaths?|donors?|survivors?|females|males|families|family|respondents?)"
)
_N_EQUALS: Final = re.compile(r"(?<![\w.])n\s?[=≈:]\s?(\d{1,3}(?:,\d{3})+|\d+)(?![\w.]*\d)", re.IGNORECASE)
# Every word of the list holds one of these, and looking for a literal costs next to nothing.
_STEMS: Final = (
    "patient participant person people individual subject wom man men girl boy child carrier case death donor "
    "survivor female male famil respondent"
)
_N_FORMS: Final = ("n=", "n =", "n≈", "n ≈", "n:", "n :", "n\u00a0")
_SPOKEN: Final = re.compile(rf"(?<![\w.,-])(\d+|{'|'.join(_WORDS)})\s+(?:(?!per\b)\w+\s+)?{_PEOPLE}\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class SmallCounts:
    """The smallest count that may be shown."""

    minimum: int = parameter(
        10, stricter=Stricter.HIGHER, says="persons in the smallest cell that may be shown", at_least=2
    )
    assumed: Severity = parameter(
        Severity.REFER, stricter=Stricter.WORSE, says="how a small number weighs that only seems to count people"
    )


@check(
    "FRQ-01",
    applies_to=Table,
    parameters=SmallCounts,
    sentence="A cell that counts people shows 0 or at least {minimum}; where counting is only assumed: {assumed}.",
    remedy="Suppress or merge small cells (and a second one, so that no margin gives them back), or round all counts.",
)
def small_counts(table: Table, p: SmallCounts) -> Iterator[Hit]:
    """No count from 1 to below the minimum, in long tables, cross-tabulations, and rows labelled as counts."""
    for row, column, text in _counting_cells(table, lambda cell: _too_small(cell, p.minimum)):
        severity = p.assumed if column.role is Role.ASSUMED_COUNT else None
        yield Hit(text=text, place=table.place(row, column), severity=severity)


def _too_small(cell: str, minimum: int) -> str | None:
    said = counted(cell)
    if said is None:
        return None
    if said.value is not None and 0 < said.value < minimum:
        return f"a count below {minimum}"
    if said.below is not None and 1 < said.below < minimum:
        return f"a bound that says a count is below {said.below}"
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Extremes:
    """Whether empty and full cells are looked at."""

    zeros: bool = parameter(True, stricter=Stricter.YES, says="whether cells without anybody are found")


@check(
    "FRQ-02",
    applies_to=Table,
    parameters=Extremes,
    severity=Severity.REFER,
    sentence="A cell with nobody or everybody tells something about each of its group; zeros are looked at: {zeros}.",
    remedy="Merge categories so that no group is empty or full, or say why an empty cell is there by design.",
)
def empty_or_full(table: Table, p: Extremes) -> Iterator[Hit]:
    """Class disclosure: 0 or 100 % of a group (ACRO counts zeros as disclosive by default)."""
    if p.zeros:
        for row, column, text in _counting_cells(table, _nobody):
            yield Hit(text=text, place=table.place(row, column))
    extremes = {0, 100} if p.zeros else {100}
    for row, column in _percent_cells(table, lambda cell: number(cell.rstrip("% ")) in extremes):
        yield Hit(text="a share of none or all of a group", place=table.place(row, column))


def _nobody(cell: str) -> str | None:
    said = counted(cell)
    return "a cell with nobody in it" if said is not None and said.value == 0 else None


@dataclass(frozen=True, slots=True, kw_only=True)
class SpokenCounts:
    """The smallest number of people that prose may name."""

    minimum: int = parameter(10, stricter=Stricter.HIGHER, says="persons that a text may name", at_least=2, at_most=20)


@check(
    "FRQ-08",
    applies_to=Layer,
    parameters=SpokenCounts,
    severity=Severity.REFER,
    sentence="Titles, captions and prose name no group of fewer than {minimum} people.",
    remedy="Write `fewer than the minimum` instead of the number, or leave the group out.",
)
def small_numbers_in_prose(layer: Layer, p: SpokenCounts) -> Iterator[Hit]:
    """`n = 3` and `two patients` disclose as much as a table's cell; code is not prose."""
    if layer.code:
        return
    for found in _N_EQUALS.finditer(layer.text) if any(map(layer.outline.holds, _N_FORMS)) else ():
        if 0 < int(found.group(1).replace(",", "")) < p.minimum:
            yield Hit(text=f"a number of people below {p.minimum}{layer.suffix}", place=layer.place(found.start()))
    if not any(map(layer.outline.holds, _STEMS.split())):
        return
    for found in _SPOKEN.finditer(layer.text):
        said = found.group(1).lower()
        value = int(said) if said.isdigit() else _WORDS[said]
        if 0 < value < p.minimum:
            text = f"a number of people below {p.minimum}{layer.suffix}"
            yield Hit(text=text, place=layer.place(found.start()))


def _counting_cells(table: Table, fault: Callable[[str], str | None]) -> Iterator[tuple[int, Column, str]]:
    """The cells that count and have a fault, with what it is: each different cell is asked once."""
    for column in table.columns:
        if not column.is_count:
            continue
        faults = {cell: text for cell in column.distinct if (text := fault(cell)) is not None}
        if faults:
            yield from ((row, column, faults[cell]) for row, cell in enumerate(column.cells) if cell in faults)
    for row, column in _labelled_cells(table):
        if (text := fault(column.cells[row])) is not None:
            yield row, column, text


def _labelled_cells(table: Table) -> Iterator[tuple[int, Column]]:
    """The cells of rows whose label says that they count, outside the counting columns."""
    if len(table.columns) < 2:
        return
    label = table.columns[0]
    if label.form is not Form.TEXT or table.rows > MOST_LABELLED_ROWS:
        return
    others = [column for column in table.columns[1:] if not column.is_count and not names_percent(column.words)]
    for row, cell in enumerate(label.cells):
        if names_count(words(cell)) and not any(_fraction(column.cells[row]) for column in others):
            yield from ((row, column) for column in others)


def _fraction(cell: str) -> bool:
    """A decimal: no row of counts holds one."""
    value = number(cell)
    return value is not None and not value.is_integer()


def _percent_cells(table: Table, test: Callable[[str], bool]) -> Iterator[tuple[int, Column]]:
    """The cells of percent columns that pass a test, without the margins, which are 100 by right."""
    label = table.columns[0] if table.columns else None
    for column in table.columns:
        if column.role is not Role.PERCENT or column.is_total or _single(column):
            continue
        passed = {cell for cell in column.distinct if test(cell)}
        for row, cell in enumerate(column.cells) if passed else ():
            if cell in passed and (label is None or not is_total(label.cells[row])):
                yield row, column


def _single(column: Column) -> bool:
    return len(column.cells) == 1
