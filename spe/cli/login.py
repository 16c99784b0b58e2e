"""`spe login`: keep an address and an API token for the other commands, in a file of mode 0600."""

import json
import sys
from typing import Annotated

import typer

from spe.adapters.hub.settings import write_private
from spe.cli.api import desk_at, kept_file


def login(url: Annotated[str, typer.Argument(help="The portal's address, such as http://127.0.0.1:9000.")]) -> None:
    """Ask for an API token (or read it from the standard input), try it, and keep it."""
    token = typer.prompt("Token", hide_input=True) if sys.stdin.isatty() else sys.stdin.readline().strip()
    me = desk_at(url, token).get("/people/me")
    write_private(kept_file(), json.dumps({"url": url.rstrip("/"), "token": token}))
    typer.echo(f"Signed in as {me['name']} ({', '.join(me['roles'])}).")
