"""Tables that count people: small cells, empty and full cells, small numbers in prose.

Disclosure notes, section 1.6. Which columns and rows count people is told in `columns` and `roles`.
"""

import re
from collections.abc import Iterator
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
    for row, column in _counting_cells(table):
        cell = counted(column.cells[row])
        if cell is None:
            continue
        severity = p.assumed if column.role is Role.ASSUMED_COUNT else None
        if cell.value is not None and 0 < cell.value < p.minimum:
            yield Hit(text=f"a count below {p.minimum}", place=table.place(row, column), severity=severity)
        elif cell.below is not None and 1 < cell.below < p.minimum:
            yield Hit(
                text=f"a bound that says a count is below {cell.below}",
                place=table.place(row, column),
                severity=severity,
            )


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
        for row, column in _counting_cells(table):
            cell = counted(column.cells[row])
            if cell is not None and cell.value == 0:
                yield Hit(text="a cell with nobody in it", place=table.place(row, column))
    for row, column in _percent_cells(table):
        value = number(column.cells[row].rstrip("% "))
        if value == 100 or (p.zeros and value == 0):
            yield Hit(text="a share of none or all of a group", place=table.place(row, column))


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
    lower = layer.text.lower()
    for found in _N_EQUALS.finditer(layer.text) if any(form in lower for form in _N_FORMS) else ():
        if 0 < int(found.group(1).replace(",", "")) < p.minimum:
            yield Hit(text=f"a number of people below {p.minimum}{layer.suffix}", place=layer.place(found.start()))
    if not any(stem in lower for stem in _STEMS.split()):
        return
    for found in _SPOKEN.finditer(layer.text):
        said = found.group(1).lower()
        value = int(said) if said.isdigit() else _WORDS[said]
        if 0 < value < p.minimum:
            text = f"a number of people below {p.minimum}{layer.suffix}"
            yield Hit(text=text, place=layer.place(found.start()))


def _counting_cells(table: Table) -> Iterator[tuple[int, Column]]:
    """Every cell that counts: the counting columns, and the rows whose label says so."""
    columns = [column for column in table.columns if column.is_count]
    for column in columns:
        for row in range(table.rows):
            yield row, column
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


def _percent_cells(table: Table) -> Iterator[tuple[int, Column]]:
    """Cells of percent columns, without the margins, which are 100 by right."""
    label = table.columns[0] if table.columns else None
    for column in table.columns:
        if column.role is not Role.PERCENT or column.is_total or _single(column):
            continue
        for row in range(table.rows):
            if label is None or not is_total(label.cells[row]):
                yield row, column


def _single(column: Column) -> bool:
    return len(column.cells) == 1
