"""`spe`: noun then verb. This module only hangs up the commands that are installed; each is imported when called."""

import importlib
import sys
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import typer
from typer.core import TyperGroup

from spe.domain.errors import SpeError

# command → (module, attribute, one line of help). A Typer app becomes a group, a function a command.
COMMANDS: dict[str, tuple[str, str, str]] = {
    "up": ("spe.cli.up", "up", "Start the whole environment on this host."),
    "serve": ("spe.cli.serve", "serve", "Run the portal and its API; on one host the reconciler too."),
    "reconcile": ("spe.cli.reconcile", "reconcile", "Run the reconciler alone, on a cluster."),
    "doctor": ("spe.cli.doctor", "doctor", "Check whether this host can isolate; say how to mend it."),
    "verify": ("spe.cli.verify", "verify", "Look at a live cluster: what holds, what does not, what mends it."),
    "objects": ("spe.cli.objects", "app", "The buckets of an S3 service."),
    "cluster": ("spe.cli.cluster", "app", "A Kubernetes cluster: admission policies, made and seen to refuse."),
    "hub": ("spe.cli.hub", "app", "What the Hub's process reads when it starts."),
    "db": ("spe.cli.db", "app", "The database's schema."),
    "login": ("spe.cli.login", "login", "Keep an address and a token for the other commands."),
    "person": ("spe.cli.person", "app", "People: list, register, invite; the first operator."),
    "permit": ("spe.cli.permit", "app", "Permits: list, grant, confirm, suspend, revoke."),
    "workspace": ("spe.cli.workspace", "app", "Workspaces and notebook sessions."),
    "dataset": ("spe.cli.dataset", "app", "Datasets: register, verify, profile."),
    "egress": ("spe.cli.egress", "app", "Egress requests: submit, follow, review."),
    "check": ("spe.cli.check", "check", "Check a folder of outputs as the environment will."),
    "policy": ("spe.cli.policy", "app", "Disclosure policies: lint, explain, compare, replay."),
    "secret": ("spe.cli.secret", "app", "Secrets: store, list, get inside a notebook."),
    "vault": ("spe.cli.vault", "app", "Vault: set up what the environment needs there, check it."),
    "audit": ("spe.cli.audit", "app", "The audit log: list, verify, export."),
    "receipt": ("spe.cli.receipt", "app", "Receipts of releases: verify offline."),
}


def _installed(name: str) -> bool:
    """Whether the command is there: inside a workspace only those are that its gate can answer."""
    return name in COMMANDS and find_spec(COMMANDS[name][0]) is not None


class Commands(TyperGroup):
    """Imports a command's module only when the command is named."""

    def list_commands(self, ctx: typer.Context) -> list[str]:  # type: ignore[override]
        """Names in the order of the table."""
        del ctx
        return [name for name in COMMANDS if _installed(name)]

    def get_command(self, ctx: typer.Context, cmd_name: str) -> Any:  # type: ignore[override]
        """The command, or None when there is none of that name."""
        del ctx
        if not _installed(cmd_name):
            return None
        module, attribute, help_line = COMMANDS[cmd_name]
        if _asks_for_overview():
            return _named(typer.main.get_command(_hung_up(cmd_name, _nothing)), cmd_name, help_line)
        found: Any = getattr(importlib.import_module(module), attribute)
        # A noun keeps its verb, also when it has only one.
        group = isinstance(found, typer.Typer)
        made = typer.main.get_group(found) if group else typer.main.get_command(_hung_up(cmd_name, found))
        return _named(made, cmd_name, help_line)


def _named(command: Any, name: str, help_line: str) -> Any:
    command.name = name
    command.help = command.help or help_line
    command.short_help = help_line
    return command


def _hung_up(name: str, function: Callable[..., Any]) -> typer.Typer:
    single = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    single.command(name)(function)
    return single


def _nothing() -> None:
    """Stand in the overview for a command that is not imported."""


def _asks_for_overview() -> bool:
    return len(sys.argv) < 2 or sys.argv[1] in ("--help", "-h")


application = typer.Typer(cls=Commands, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


@application.callback()
def _root() -> None:
    """Secure processing environment manager: permits, sealed workspaces, reviewed outputs.

    Exit status: 0 it worked; 1 something else; 2 wrong input, nothing was changed; 3 not signed in; 4 a rule says no;
    5 not there; 6 a part does not answer or refused; 7 changed meanwhile; of checks 10 people look at findings, 20
    blocked.
    """


def main() -> None:
    """Entry point; an error of ours is its sentences and what to do next, never a trace."""
    try:
        application(prog_name="spe")
    except SpeError as error:
        from spe.cli.output import note

        note(*error.sentences, *([error.remedy] if error.remedy else []))
        sys.exit(exit_code(error))


def exit_code(error: SpeError) -> int:
    """The exit status of an error, or of what it is a kind of."""
    return next((EXIT_CODES[kind.__name__] for kind in type(error).__mro__ if kind.__name__ in EXIT_CODES), 1)


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
