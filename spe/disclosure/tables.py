"""Text to tables: delimited files, blocks of columns inside a text, and tables inside JSON.

Reading is strict about form and generous about content: what is malformed becomes a defect that a person
looks at, and the cells are still read, so that no odd row lets a small count slip by. What cannot be read
as cells at all is `Unreadable`.
"""

import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice, pairwise, zip_longest
from typing import Any, Final

from spe.disclosure.columns import MISSING, column, names_count, number, words
from spe.disclosure.content import Hit, Table, Unreadable
from spe.disclosure.outline import Outline
from spe.disclosure.regular import Regular, regular
from spe.disclosure.roles import with_roles
from spe.domain.verdict import Place

DELIMITERS: Final = (",", "\t", ";", "|")
MAX_COLUMNS: Final = 20_000
MAX_FOUND: Final = 50
MAX_HEADER_ROWS: Final = 4
_BLOCK_ROWS: Final = 3
# A row of a printed table shows a number or a sign of suppression; a line of prose mostly neither.
_CELL: Final = re.compile(r"[\d*<≤]|\bNA\b|NaN|redacted|suppressed")


def read_delimited(text: str, kind: str | None, outline: Outline | None = None) -> Table | Unreadable:
    """A whole file as one table. Faults of form become defects of TYP-06. `outline` is that of the text."""
    delimiter = _delimiter(text)
    form = regular(outline or Outline(text=text), delimiter, MAX_COLUMNS)
    return _regular_table(form, kind) if form else _any_table(text, delimiter, kind)


def _any_table(text: str, delimiter: str, kind: str | None) -> Table | Unreadable:
    try:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        rows = [(reader.line_num, row) for row in reader]
    except csv.Error as error:
        return Unreadable(rule="TYP-06", reason=f"it cannot be read as a table: {_plain_fault(str(error))}")
    filled = [one for one in rows if one[1] and (one[1][0].strip() or any(map(str.strip, one[1])))]
    if not filled:
        return Unreadable(rule="TYP-06", reason="it cannot be read as a table: there is no row in it")
    if max(len(row) for _, row in filled) > MAX_COLUMNS:
        return Unreadable(rule="TYP-06", reason=f"it has more than {MAX_COLUMNS} columns")
    return _table(filled, rows, kind)


def make_table(
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    kind: str | None = None,
    first_line: int | None = None,
    defects: tuple[Hit, ...] = (),
) -> Table:
    """Rows to columns with roles; short rows are filled, long ones get columns of their own."""
    cells = _transposed(rows) if rows else [() for _ in header]
    names = [*header, *("" for _ in range(len(cells) - len(header)))]
    cells += [("",) * len(rows)] * (len(names) - len(cells))
    columns = [column(at, name, values) for at, (name, values) in enumerate(zip(names, cells, strict=True))]
    return Table(
        columns=with_roles(columns, len(rows), kind),
        rows=len(rows),
        defects=defects,
        first_line=first_line,
        kind=kind,
    )


def _regular_table(form: Regular, kind: str | None) -> Table:
    """The table of a text without quotes, blank rows and ragged rows, whose cells need no CSV reader."""
    top = form.top()
    depth = _header_depth(top)
    header = _joined_header(top[:depth], form.width)
    columns = form.columns(header, depth)
    rows = len(columns[0].cells)
    defects = (*_odd_header(depth, 1), *_doubled_header(header))
    return Table(columns=with_roles(columns, rows, kind), rows=rows, defects=defects, kind=kind)


def _transposed(rows: Sequence[Sequence[str]]) -> list[tuple[str, ...]]:
    even = len(set(map(len, rows))) == 1
    return list(zip(*rows, strict=True)) if even else list(zip_longest(*rows, fillvalue=""))


def _table(filled: list[tuple[int, list[str]]], rows: list[tuple[int, list[str]]], kind: str | None) -> Table:
    width = Counter(len(row) for _, row in filled).most_common(1)[0][0]
    defects: list[Hit] = []
    start = next(at for at, (_, row) in enumerate(filled) if len(row) >= width)
    if start:
        defects.append(Hit(text="text stands before the header", place=Place(line=1)))
    body = filled[start:]
    depth = _header_depth([row for _, row in body])
    defects += _odd_header(depth, body[0][0])
    header = _joined_header([row for _, row in body[:depth]], width)
    data = body[depth:]
    ragged = [line for line, row in data if len(row) != width]
    if ragged:
        text = (
            f"{len(ragged)} rows have another number of cells than the header"
            if len(ragged) > 1
            else ("a row has another number of cells than the header")
        )
        defects.append(Hit(text=text, place=Place(line=ragged[0])))
    defects += _blank_line(rows, data) + _doubled_header(header)
    preamble = [row for _, row in filled[:start]]
    return make_table(header, [row for _, row in data] + preamble, kind=kind, defects=tuple(defects))


def _blank_line(rows: list[tuple[int, list[str]]], data: list[tuple[int, list[str]]]) -> list[Hit]:
    last = data[-1][0] if data else 0
    empty = (line for line, row in rows if not (row and row[0]) and line < last and not any(map(str.strip, row)))
    blank = next(empty, None)
    return [] if blank is None else [Hit(text="an empty row stands between rows", place=Place(line=blank))]


def _odd_header(depth: int, line: int) -> list[Hit]:
    if depth == 1:
        return []
    text = f"the header has {depth} rows" if depth else "there is no header row"
    return [Hit(text=text, place=Place(line=line))]


def _doubled_header(header: Sequence[str]) -> list[Hit]:
    names = [name.strip() for name in header if name.strip()]
    return [Hit(text="two columns have the same header")] if len(set(names)) < len(names) else []


def _header_depth(rows: Sequence[Sequence[str]]) -> int:
    """How many rows are header: none when the first is numbers like the rest, more for stacked headers."""
    if len(rows) == 1:
        return 1
    if _numbers(rows[0]) and not _names_levels(rows[0]):
        return 0
    first = next((at for at, row in enumerate(rows[: MAX_HEADER_ROWS + 2]) if at and _numbers(row)), 0)
    depth = 1
    while depth < min(first, MAX_HEADER_ROWS) and not _label_row(rows[depth]):
        depth += 1
    return depth


def _numbers(row: Sequence[str]) -> bool:
    """Whether a row carries numbers beyond its first cell."""
    return any(number(cell.strip()) is not None for cell in row[1:]) or (
        len(row) == 1 and number(row[0].strip()) is not None
    )


def _label_row(row: Sequence[str]) -> bool:
    """A data row whose numbers were all suppressed is not a second header."""
    return any(re.search(r"[*<≤\[]|redacted|suppressed", cell, re.IGNORECASE) for cell in row[1:])


def _names_levels(row: Sequence[str]) -> bool:
    """A header may name numeric categories: whole numbers, each once, rising, beside a worded first cell."""
    rest = [number(cell.strip()) for cell in row[1:]]
    named = number(row[0].strip()) is None
    known = [value for value in rest if value is not None]
    rising = all(left < right for left, right in pairwise(known))
    return named and rising and all(value.is_integer() for value in known)


def _joined_header(rows: Sequence[Sequence[str]], width: int) -> list[str]:
    if not rows:
        return [""] * width
    parts = list(zip_longest(*rows, fillvalue=""))
    return [" ".join(part.strip() for part in stack if part.strip()) for stack in parts]


def _delimiter(text: str) -> str:
    """The delimiter that splits the first lines most evenly; a comma when none does."""
    lines = [line for line in text[: 64 * 1024].splitlines() if line.strip()][:50]
    scores = {one: _evenness(lines, one) for one in DELIMITERS}
    best = max(DELIMITERS, key=lambda one: scores[one])
    return best if scores[best][0] else ","


def _evenness(lines: Sequence[str], delimiter: str) -> tuple[int, int]:
    counts = Counter(line.count(delimiter) for line in lines)
    counts.pop(0, None)
    if not counts:
        return (0, 0)
    splits, same = counts.most_common(1)[0]
    return (same, splits)


def _plain_fault(message: str) -> str:
    """The reader's complaint without any part of the text."""
    if "larger" in message:
        return "a cell is too long"
    if "expected" in message or "end of data" in message:
        return "a quotation mark is not closed or stands in a wrong place"
    return "its form is broken"


def tables_in_text(text: str, kind: str | None) -> Iterator[Table]:
    """Runs of lines with equally many fields and at least one column of numbers, at most fifty."""
    for start, rows in islice(_blocks(text.splitlines()), MAX_FOUND):
        headed = not _numbers(rows[0]) or _names_levels(rows[0])
        header = rows[0] if headed else [""] * len(rows[0])
        body = rows[1:] if headed else rows
        yield make_table(header, body, kind=kind, first_line=start + (2 if headed else 1))


def _blocks(lines: Sequence[str]) -> Iterator[tuple[int, list[list[str]]]]:
    """Runs of three or more lines that split evenly, by each delimiter and then, elsewhere, by blanks."""
    taken: set[int] = set()
    for splitter in (*DELIMITERS, None):
        if splitter is not None and sum(1 for line in lines if splitter in line) < _BLOCK_ROWS:
            continue
        for start, rows in _runs(lines, splitter):
            if start not in taken and _has_numbers(rows[1:]):
                taken.update(range(start, start + len(rows)))
                yield start, rows


def _runs(lines: Sequence[str], delimiter: str | None) -> Iterator[tuple[int, list[list[str]]]]:
    run: list[list[str]] = []
    start = 0
    for at, line in enumerate([*lines, ""]):
        if run and _rule(line):
            continue  # the line of dashes below a header
        fields = _fields(line, delimiter)
        if run and (len(fields) != len(run[-1]) or (delimiter is None and _CELL.search(line) is None)):
            if len(run) == 1 and delimiter is None and len(fields) == len(run[0]) + 1:
                run = [["", *run[0]]]  # a printed data frame leaves the header of its row labels empty
            else:
                if len(run) >= _BLOCK_ROWS:
                    yield start, run
                run = []
        if len(fields) > 1:
            start = at if not run else start
            run.append(fields)


def _fields(line: str, delimiter: str | None) -> list[str]:
    if delimiter is None:
        return line.split()
    stripped = line.strip().strip(delimiter) if delimiter == "|" else line
    return [cell.strip().strip('"') for cell in stripped.split(delimiter)]


def _rule(line: str) -> bool:
    return ("---" in line or "===" in line) and re.fullmatch(r"[\s|+:=-]*[-=]{3}[\s|+:=-]*", line) is not None


def _has_numbers(rows: Sequence[Sequence[str]]) -> bool:
    """Whether some column beyond the first holds only numbers (or nothing), at least two of them."""
    for cells in list(zip(*rows, strict=False))[1:]:
        present = [cell.strip() for cell in cells if cell.strip() not in MISSING]
        if len(present) > 1 and sum(1 for cell in present if number(cell) is not None) * 5 >= len(present) * 4:
            return True
    return False


def tables_in_json(value: object, kind: str | None) -> list[Table]:
    """Lists of objects, objects of equally long lists, objects of objects, and counts by name, anywhere."""
    found: list[Table] = []
    pending: list[tuple[str, object]] = [("", value)]
    while pending and len(found) < MAX_FOUND:
        name, node = pending.pop()
        table = _json_table(name, node, kind)
        if table is not None:
            found.append(table)
        if isinstance(node, Mapping):
            pending += [(str(key), part) for key, part in node.items() if isinstance(part, list | dict)]
        elif isinstance(node, list):
            pending += [(name, part) for part in node if isinstance(part, list | dict)]
    return found


def _json_table(name: str, node: object, kind: str | None) -> Table | None:
    if isinstance(node, list) and len(node) > 1 and all(isinstance(row, Mapping) for row in node):
        names = list(dict.fromkeys(str(key) for row in node for key in row))[:MAX_COLUMNS]
        return make_table(names, [[_cell(row.get(key)) for key in names] for row in node], kind=kind)
    if isinstance(node, list) and len(node) > 1 and all(isinstance(row, list) and len(row) > 1 for row in node):
        return _json_rows(node, kind)
    if isinstance(node, Mapping) and node:
        return _json_scalars(name, node, kind) or _json_columns(node, kind)
    return None


def _json_scalars(name: str, node: Mapping[str, Any], kind: str | None) -> Table | None:
    """An object of plain values: counts by name below a key such as `counts`, else one row of a table."""
    if any(isinstance(part, list | dict) for part in node.values()):
        return None
    if names_count(words(name)):
        return make_table(["", name], [(str(key), _cell(part)) for key, part in node.items()], kind=kind)
    return make_table(list(node), [[_cell(part) for part in node.values()]], kind=kind)


def _json_rows(node: list[Any], kind: str | None) -> Table | None:
    rows = [[_cell(cell) for cell in row] for row in node]
    headed = not _numbers(rows[0])
    return make_table(rows[0], rows[1:], kind=kind) if headed else make_table([], rows, kind=kind)


def _json_columns(node: Mapping[str, Any], kind: str | None) -> Table | None:
    parts = list(node.values())
    if all(isinstance(part, list) and len(part) > 1 and _plain(part) for part in parts):
        if len({len(part) for part in parts}) > 1:
            return None
        rows = list(zip(*([_cell(cell) for cell in part] for part in parts), strict=True))
        return make_table(list(node), rows, kind=kind)
    if len(parts) > 1 and all(isinstance(part, Mapping) and part and _plain(part.values()) for part in parts):
        keys = list(dict.fromkeys(key for part in parts for key in part))
        rows = [(str(key), *(_cell(part.get(key)) for part in parts)) for key in keys]
        return make_table(["", *node], rows, kind=kind)
    return None


def _plain(values: Iterable[object]) -> bool:
    return not any(isinstance(value, list | dict) for value in values)


def _cell(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else str(value)
