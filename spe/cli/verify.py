"""`spe verify`: a live cluster against the isolation baseline, row by row, for operators and for programs.

Run by somebody who may read everything in the cluster and be taken for the Hub, such as its administrator: not to
be able to look is a failure.
"""

from collections import Counter
from dataclasses import asdict
from enum import StrEnum
from typing import Annotated

import typer

from spe.cli.output import Form, Output, note, on_terminal, show
from spe.settings import Settings


class Part(StrEnum):
    """What can be looked at by itself."""

    CLUSTER = "cluster"
    DATABASE = "database"
    VAULT = "vault"


def verify(
    trusted: Annotated[
        list[str] | None,
        typer.Option(
            help="Who else may have rights in workspaces, for a reason: Group:operators, User:ada,"
            " ServiceAccount:namespace:name. May be repeated."
        ),
    ] = None,
    part: Annotated[list[Part] | None, typer.Option(help="Look at this part only. May be repeated.")] = None,
    whole: Annotated[bool, typer.Option("--all", help="In the table, also what holds.")] = False,
    output: Output = Form.AUTO,
) -> None:
    """Look at the cluster, its workspaces, PostgreSQL and Vault. Exit status 0 when all holds, 4 when not.

    Nothing is changed: what must be refused is sent as a dry run. Programs get every row (-o json), with pass, fail
    or not applicable; people get those that fail, with what mends them.
    """
    from spe.bootstrap import verify as bound

    chosen = [bound.Part(one) for one in part or Part]
    found = bound.examine(Settings(), chosen, trusted=trusted or ())
    wrong = [one for one in found if one.state is bound.State.FAIL]
    told = found if whole or not on_terminal(output) else wrong
    rows = [{"state": one.state.value, **{k: v for k, v in asdict(one).items() if k != "state"}} for one in told]
    if rows or not on_terminal(output):
        show(rows, ("state", "row", "subject", "title", "seen", "remedy"), output)
    counted = Counter(one.state.value for one in found)
    note(", ".join(f"{counted[state.value]} {state.value}" for state in bound.State) + ".")
    raise typer.Exit(4 if wrong or not found else 0)
