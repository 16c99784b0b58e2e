"""`spe cluster`: what a Kubernetes cluster must refuse, installed and seen to be refused.

The chart runs `setup` before each installation and upgrade; an administrator may run it too, or print what it
would make and apply that.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import typer
import yaml

from spe.cli.output import Form, Output, note, plain, show
from spe.settings import Settings

if TYPE_CHECKING:
    from spe.adapters.cluster.kubernetes.admission import Observation

app = typer.Typer(no_args_is_help=True, help="A Kubernetes cluster: admission policies, made and seen to refuse.")


@app.command()
def setup(
    only_print: Annotated[
        bool, typer.Option("--print", help="Print what would be made, as YAML, and change nothing.")
    ] = False,
    output: Output = Form.AUTO,
) -> None:
    """Install the admission policies of the settings' instance, and see the cluster refuse by each of them.

    What is tried is never made: dry runs as the Hub's account, in a namespace where nothing runs. Safe to repeat.
    Exit status 6 when anything gets in that must not, or the canonical notebook does not.
    """
    from spe.bootstrap.admission import admission

    wanted = admission(Settings())
    if only_print:
        typer.echo(
            yaml.safe_dump_all([*wanted.space, *wanted.documents], sort_keys=False, allow_unicode=True), nl=False
        )
        note("Nothing was changed. Apply it, then run `spe cluster check`.")
        return
    wanted.install()
    note(f"{len(wanted.documents)} policies and bindings of {wanted.places.instance} are installed.")
    _tell(wanted.observe(), output)


@app.command()
def check(output: Output = Form.AUTO) -> None:
    """See the cluster refuse by exactly these policies; nothing is changed. Exit status 6 when it does not.

    Needs an account that may impersonate the Hub's, such as the cluster's administrator's.
    """
    from spe.bootstrap.admission import admission

    _tell(admission(Settings()).observe(seconds=5.0), output)


def _tell(observations: Iterable["Observation"], output: Form) -> None:
    seen = tuple(observations)
    if output is Form.AUTO:
        for one in seen:
            typer.echo(f"{'ok    ' if one.holds else 'FAILED'} {one.name}: {_outcome(one)}")
    else:
        rows = [{"well": o.holds, "attempt": o.name, "rule": o.rule, "seen": _outcome(o)} for o in seen]
        show(rows, ("well", "attempt", "seen"), output)
    if not all(one.holds for one in seen):
        note("The policies do not hold: no workspace may be made here before they do.")
        raise typer.Exit(6)


def _outcome(one: "Observation") -> str:
    """In words which rule said no; a refusal that is none of ours is told as it came."""
    if one.rule:
        return f"refused by {one.rule}"
    return plain(f"refused, by none of our rules: {one.said}") if one.said else "let in"
