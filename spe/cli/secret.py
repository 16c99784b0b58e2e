"""`spe secret`: borrow a secret inside a notebook; store and list them as an operator."""

import sys
from typing import Annotated

import typer

from spe import notebook
from spe.cli.api import api, inside

app = typer.Typer(no_args_is_help=True, help="Secrets: store, list, get inside a notebook.")


@app.command()
def get(name: Annotated[str, typer.Argument(help="A name that the permit lists.")]) -> None:
    """Print a secret's value, inside a notebook. Exit status 4 when the permit does not list it."""
    typer.echo(inside(lambda: notebook.secret(name)))


@app.command("list")
def names() -> None:
    """Names that permits may list; of a researcher, those on their own permits."""
    for name in api().get("/secrets")["names"]:
        typer.echo(name)


@app.command()
def put(
    name: Annotated[str, typer.Argument(help="Lower-case letters, digits and single hyphens.")],
) -> None:
    """Store a secret; its value is read from the standard input, never from the command line."""
    value = typer.prompt("Value", hide_input=True) if sys.stdin.isatty() else sys.stdin.read().rstrip("\n")
    api().post("/secrets", {"name": name, "value": value})
    typer.echo(f"“{name}” is stored; permits may list it.")
