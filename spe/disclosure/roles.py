"""Which columns of a table count people, told from the table as a whole.

Three ways in: the header says so; the researcher declared a frequency table; or the table has the shape of a
cross-tabulation, a label column with whole numbers beside it. The last is only assumed, and weighs less
where the declaration says that the table is something else.
"""

from collections.abc import Sequence
from dataclasses import replace
from math import prod
from typing import Final

from spe.disclosure.columns import (
    MISSING,
    Column,
    Form,
    Role,
    has_percent,
    names_count,
    names_level,
    names_percent,
    names_statistic,
    names_thing,
    names_topic,
    whole,
)

MOST_ROWS: Final = 500
FREQUENCY: Final = "frequency-table"


def with_roles(columns: Sequence[Column], rows: int, kind: str | None) -> tuple[Column, ...]:
    """The columns with their roles. `kind` is the declared kind of the output, when there is one."""
    named = [_with_role(one, _own_role(one, kind)) for one in columns]
    if any(one.role is Role.COUNT for one in named) and not _wide(named):
        return tuple(named)
    shape = _cross_tabulation(named, rows)
    role = Role.ASSUMED_COUNT if kind not in {None, FREQUENCY} else Role.COUNT
    return tuple(_with_role(one, role) if one.index in shape else one for one in named)


def _with_role(one: Column, role: Role) -> Column:
    return one if one.role is role else replace(one, role=role)


def _own_role(one: Column, kind: str | None) -> Role:
    if one.form is Form.TEXT or one.form is Form.EMPTY:
        return Role.COUNT if _pairs(one) else Role.OTHER
    if names_count(one.words):
        return Role.COUNT if one.form is Form.WHOLE and not _negative(one) else Role.OTHER
    if names_percent(one.words):
        return Role.PERCENT
    if one.form is Form.WHOLE and _pairs(one):
        return Role.COUNT
    if kind == FREQUENCY and one.form is Form.WHOLE and one.index > 0 and not _excluded(one) and not _negative(one):
        return Role.COUNT
    return Role.OTHER


def _pairs(one: Column) -> bool:
    """Cells such as `12 (34.5%)`: two of them make the column one of counts, whatever else stands in it."""
    return sum(1 for cell in one.distinct if cell.endswith((")", "]")) and has_percent(cell)) >= 2


def _negative(one: Column) -> bool:
    return any(cell.startswith("-") and cell not in MISSING for cell in one.distinct)


def _excluded(one: Column) -> bool:
    if names_level(one.words):
        return False
    return names_statistic(one.words) or names_topic(one.words) or names_thing(one.words)


def _wide(columns: Sequence[Column]) -> bool:
    """Only margins are named (`Total`), so the cells beside them still have to be told by shape."""
    return all(one.is_total for one in columns if one.role is Role.COUNT)


def _cross_tabulation(columns: Sequence[Column], rows: int) -> frozenset[int]:
    """The positions of the counting columns when the whole has the shape of a cross-tabulation."""
    if not 1 <= rows <= MOST_ROWS or len(columns) < 2:
        return frozenset()
    labels, body = _split(columns)
    if not labels or not body or (rows == 1 and labels[0].form is not Form.TEXT):
        return frozenset()
    if any(one.form is not Form.WHOLE or _negative(one) for one in body):
        return frozenset()
    if len(set(zip(*(one.cells for one in labels), strict=True))) < rows:
        return frozenset()  # rows that share their labels are records, not cells
    if len(body) == 1 and _grid(labels, rows) and (_generic(body[0]) or not _excluded(body[0])):
        return frozenset({body[0].index})
    inner = [one for one in body if not _excluded(one)]
    if len(inner) >= 2 or (len(inner) == 1 and (_value_counts(labels, inner[0]) or _adds_up(labels, inner[0]))):
        return frozenset(one.index for one in inner)
    return frozenset()


def _split(columns: Sequence[Column]) -> tuple[list[Column], list[Column]]:
    """Leading label columns, and the rest without statistics, percentages and empty columns."""
    count = 1
    while count < len(columns) and columns[count].form is Form.TEXT:
        count += 1
    body = [one for one in columns[count:] if one.form is not Form.EMPTY and not _statistic(one)]
    return list(columns[:count]), body


def _statistic(one: Column) -> bool:
    return one.role is Role.PERCENT or (names_statistic(one.words) and not names_level(one.words))


def _grid(labels: Sequence[Column], rows: int) -> bool:
    """Two label columns or more of which most combinations are there, once: a table written in long form."""
    return len(labels) >= 2 and rows * 2 >= prod(len(one.distinct) for one in labels)


def _generic(one: Column) -> bool:
    return one.words in {("value",), ("values",), ("amount",)}


def _value_counts(labels: Sequence[Column], one: Column) -> bool:
    """The form in which value counts are often written: the number has no header, `0`, or the label's own."""
    return one.name in {"", "0"} or (bool(one.name) and one.name == labels[-1].name)


def _adds_up(labels: Sequence[Column], one: Column) -> bool:
    """The last row is the sum of those above it, and there are at least two of them."""
    values = [whole(cell) for cell in one.cells]
    *parts, last = values
    known = [value for value in parts if value is not None]
    return len(labels) == 1 and len(known) >= 2 and len(known) == len(parts) and last == sum(known)
