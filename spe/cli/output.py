"""How commands answer: a table on a terminal, stable JSON in a pipe, or as `-o` says."""

import json
import sys
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Annotated, Any

import typer
import yaml
from rich.console import Console
from rich.table import Table


class Form(StrEnum):
    """How an answer is written."""

    AUTO = "auto"
    TABLE = "table"
    JSON = "json"
    YAML = "yaml"


Output = Annotated[Form, typer.Option("-o", "--output", help="How the answer is written.")]


def show(rows: Iterable[Mapping[str, Any]], columns: Iterable[str], form: Form) -> None:
    """Many things: the columns named on a terminal, everything for programs."""
    found = [dict(row) for row in rows]
    if _told(found, form):
        return
    names = list(columns)
    table = Table(*(name.replace("_", " ") for name in names))
    for row in found:
        table.add_row(*(_cell(row.get(name)) for name in names))
    Console().print(table)


def show_one(thing: Mapping[str, Any], columns: Iterable[str], form: Form) -> None:
    """One thing: a line for each column on a terminal, everything for programs."""
    if _told(dict(thing), form):
        return
    table = Table(show_header=False)
    for name in columns:
        table.add_row(name.replace("_", " "), _cell(thing.get(name)))
    Console().print(table)


def _told(value: Any, form: Form) -> bool:
    chosen = form if form is not Form.AUTO else (Form.TABLE if sys.stdout.isatty() else Form.JSON)
    if chosen is Form.JSON:
        typer.echo(json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False))
    elif chosen is Form.YAML:
        typer.echo(yaml.safe_dump(value, sort_keys=True, allow_unicode=True), nl=False)
    return chosen is not Form.TABLE


def _cell(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(_cell(one) for one in value)
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {_cell(one)}" for key, one in value.items())
    return "" if value is None else str(value)
