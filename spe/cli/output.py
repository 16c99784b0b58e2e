"""How commands answer: a table on a terminal, stable JSON in a pipe, or as `-o` says.

What a server sent is text, never markup or control sequences for the terminal.
"""

import json
import math
import sys
from collections.abc import Iterable, Mapping
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml
from rich.console import Console
from rich.table import Table
from rich.text import Text

from spe.domain.errors import Invalid
from spe.policy.plainyaml import read_yaml

LARGEST_DOCUMENT = 1024**2


class Form(StrEnum):
    """How an answer is written."""

    AUTO = "auto"
    TABLE = "table"
    JSON = "json"
    YAML = "yaml"


Output = Annotated[
    Form, typer.Option("-o", "--output", help="How the answer is written; auto: table on a terminal, else JSON.")
]


def show(rows: Iterable[Mapping[str, Any]], columns: Iterable[str], form: Form) -> None:
    """Many things: the columns named on a terminal, everything for programs."""
    found = [dict(row) for row in rows]
    if _told(found, form):
        return
    names = list(columns)
    table = Table(*(name.replace("_", " ") for name in names))
    for row in found:
        table.add_row(*(Text(_cell(row.get(name))) for name in names))
    Console().print(table)


def show_one(thing: Mapping[str, Any], columns: Iterable[str], form: Form) -> None:
    """One thing: a line for each column on a terminal, everything for programs."""
    if _told(dict(thing), form):
        return
    table = Table(show_header=False)
    for name in columns:
        table.add_row(name.replace("_", " "), Text(_cell(thing.get(name))))
    Console().print(table)


def on_terminal(form: Form) -> bool:
    """Whether the answer is for people."""
    return form is Form.TABLE or (form is Form.AUTO and sys.stdout.isatty())


def plain(text: str) -> str:
    """Text for a terminal: what cannot be printed, or would turn the line around, is escaped."""
    return "".join(ch if ch.isprintable() or ch == "\n" else ch.encode("unicode_escape").decode() for ch in text)


def note(*sentences: str) -> None:
    """Progress and what to do next, on standard error."""
    for sentence in sentences:
        print(plain(sentence), file=sys.stderr)


def document(file: Path) -> dict[str, Any]:
    """The mapping in a YAML (or JSON) file, as JSON can carry it. Raises `Invalid`."""
    found = read_yaml(file, most=LARGEST_DOCUMENT)
    if not isinstance(found, dict):
        raise Invalid({str(file): "Expected keys and values."})
    whole: dict[str, Any] = _carried(found, str(file))
    return whole


def _carried(value: Any, place: str) -> Any:
    """The value with dates as text. Raises `Invalid` for what JSON has no form for, such as NaN."""
    if isinstance(value, Mapping):
        return {str(name): _carried(one, f"{place}: {name}") for name, one in value.items()}
    if isinstance(value, list):
        return [_carried(one, place) for one in value]
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, float) and not math.isfinite(value):
        raise Invalid({place: "Write a finite number."})
    if value is None or isinstance(value, str | int | float):
        return value
    raise Invalid({place: "Write text, a number, a list, or keys and values."})


def _told(value: Any, form: Form) -> bool:
    if on_terminal(form):
        return False
    if form is Form.YAML:
        typer.echo(yaml.safe_dump(value, sort_keys=True, allow_unicode=True), nl=False)
    else:
        typer.echo(json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False))
    return True


def _cell(value: Any) -> str:
    if isinstance(value, list):
        return "\n".join(_cell(one) for one in value)
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {_cell(one)}" for key, one in value.items())
    return "" if value is None else plain(str(value))
