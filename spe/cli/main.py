"""`spe`: noun then verb. This module only hangs the commands up; each is imported when it is called."""

import importlib
import sys
from typing import Any

import click
import typer

from spe.domain.errors import SpeError

# command → (module, attribute, one line of help). A Typer app becomes a group, a function a command.
COMMANDS: dict[str, tuple[str, str, str]] = {
    "up": ("spe.cli.up", "up", "Start the whole environment on this host."),
    "serve": ("spe.cli.serve", "serve", "Run the portal, its API and the reconciler."),
    "doctor": ("spe.cli.doctor", "doctor", "Check whether this host can isolate; say how to mend it."),
    "db": ("spe.cli.db", "app", "The database's schema."),
    "login": ("spe.cli.login", "login", "Keep an address and a token for the other commands."),
    "permit": ("spe.cli.permit", "app", "Permits: list, grant, confirm, suspend, revoke."),
    "workspace": ("spe.cli.workspace", "app", "Workspaces and notebook sessions."),
    "dataset": ("spe.cli.dataset", "app", "Datasets: register, verify, profile."),
    "egress": ("spe.cli.egress", "app", "Egress requests: submit, follow, review."),
    "check": ("spe.cli.check", "check", "Check a folder of outputs as the environment will."),
    "policy": ("spe.cli.policy", "app", "Disclosure policies: lint, explain, compare, replay."),
    "secret": ("spe.cli.secret", "app", "Secrets: store, list, get inside a notebook."),
    "audit": ("spe.cli.audit", "app", "The audit log: list, verify, export."),
    "receipt": ("spe.cli.receipt", "app", "Receipts of releases: verify offline."),
}


class Commands(click.Group):
    """Imports a command's module only when the command is named."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of the table."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, or None when there is none of that name."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        module, attribute, help_line = COMMANDS[cmd_name]
        found: Any = getattr(importlib.import_module(module), attribute)
        command = _command(found, cmd_name)
        command.short_help = help_line
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The table, without importing anything."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, row[2]) for name, row in COMMANDS.items()])


def _command(found: Any, name: str) -> click.Command:
    if isinstance(found, typer.Typer):
        command = typer.main.get_command(found)
    else:
        single = typer.Typer(add_completion=False)
        single.command(name)(found)
        command = typer.main.get_command(single)
    command.name = name
    return command


def main(arguments: list[str] | None = None) -> None:
    """Entry point; an error of ours is one sentence and what to do next, never a trace."""
    try:
        Commands(name="spe", help="Secure processing environment manager.")(arguments, prog_name="spe")
    except SpeError as error:
        for sentence in error.sentences:
            print(sentence, file=sys.stderr)
        if error.remedy:
            print(error.remedy, file=sys.stderr)
        sys.exit(EXIT_CODES.get(type(error).__name__, 1))


EXIT_CODES = {
    "Invalid": 2,
    "Unauthenticated": 3,
    "Refused": 4,
    "NotFound": 5,
    "Unavailable": 6,
    "Rejected": 6,
    "Stale": 7,
}

if __name__ == "__main__":
    main()
