"""`spe permit`: what boards do, from the command line; inside a workspace, the permit one works under."""

from pathlib import Path
from typing import Annotated

import typer

from spe import notebook
from spe.cli.api import api, inside
from spe.cli.output import Form, Output, document, note, plain, show, show_one

app = typer.Typer(no_args_is_help=True, help="Permits: list, grant, confirm, suspend, revoke.")

COLUMNS = ("id", "state", "kind", "issuer", "in_force", "version")
PROPOSED = (*COLUMNS, "pending")
Permit = Annotated[str, typer.Argument(help="Id of the permit, pm-….", show_default=False)]
Reason = Annotated[str, typer.Option(help="The people concerned read it.", prompt=True)]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
TermsFile = Annotated[
    Path,
    typer.Argument(
        help="YAML: title, purpose, people, datasets, starts, ends; limits, access_mode, secrets, conditions.",
        show_default=False,
    ),
]


@app.command("list")
def permits(output: Output = Form.AUTO) -> None:
    """The permits you may see."""
    show(api().all("/permits"), COLUMNS, output)


@app.command("show")
def one(
    permit: Annotated[str, typer.Argument(help="Not needed inside a workspace.")] = "", output: Output = Form.AUTO
) -> None:
    """One permit with its terms."""
    found = inside(notebook.permit) if notebook.inside() and not permit else api().get(f"/permits/{permit}")
    show_one(found, (*PROPOSED, "terms"), output)


@app.command()
def propose(
    file: TermsFile,
    issuer: Annotated[str, typer.Option(help="Who issues the permit.", prompt=True)],
    kind: Annotated[str, typer.Option(help="Such as data-permit.")] = "data-permit",
    output: Output = Form.AUTO,
) -> None:
    """Propose a permit from a file; it gives nothing until another member of the board confirms."""
    found = api().post("/permits", {"kind": kind, "issuer": issuer, "terms": document(file)})
    show_one(found, PROPOSED, output)
    note(*(f"Another member confirms it: spe permit confirm {c['id']}" for c in found["pending"]))


@app.command()
def confirm(
    change: Annotated[str, typer.Argument(help="Id of the proposal, ch-….", show_default=False)],
    output: Output = Form.AUTO,
) -> None:
    """Confirm what another member proposed."""
    show_one(api().post(f"/permits/changes/{change}:confirm"), COLUMNS, output)


@app.command()
def amend(permit: Permit, file: TermsFile, yes: Yes = False, output: Output = Form.AUTO) -> None:
    """Change the terms: what narrows acts at once, what widens waits for confirmation."""
    desk, terms = api(), document(file)
    _agree(desk.post(f"/permits/{permit}:preview-amend", terms)["effects"], yes)
    show_one(desk.post(f"/permits/{permit}:amend", terms), PROPOSED, output)


@app.command()
def preview(
    permit: Permit, verb: Annotated[str, typer.Argument(help="suspend, resume, revoke, decline or activate.")]
) -> None:
    """What would happen, one sentence each."""
    for sentence in _effects(permit, verb):
        typer.echo(plain(sentence))


@app.command()
def suspend(permit: Permit, reason: Reason, yes: Yes = False, output: Output = Form.AUTO) -> None:
    """Suspend at once: sessions end, the work stays; a resumption needs confirmation."""
    _narrow(permit, "suspend", reason, yes, output)


@app.command()
def resume(permit: Permit, output: Output = Form.AUTO) -> None:
    """Ask for a suspended permit to be active again; it waits for confirmation."""
    show_one(api().post(f"/permits/{permit}:resume"), PROPOSED, output)


@app.command()
def revoke(permit: Permit, reason: Reason, yes: Yes = False, output: Output = Form.AUTO) -> None:
    """Revoke for good: sessions end, secrets and data go, evidence stays."""
    _narrow(permit, "revoke", reason, yes, output)


@app.command()
def decline(permit: Permit, reason: Reason, yes: Yes = False, output: Output = Form.AUTO) -> None:
    """Decline a proposed permit."""
    _narrow(permit, "decline", reason, yes, output)


@app.command("accept-terms")
def accept_terms(permit: Permit) -> None:
    """Accept the terms of use of a permit that names you."""
    answer = api().post(f"/permits/{permit}:accept-terms")
    typer.echo(f"You accepted the terms of use, version {answer['terms']}.")


def _narrow(permit: str, verb: str, reason: str, yes: bool, output: Form) -> None:
    _agree([] if yes else _effects(permit, verb), yes)
    show_one(api().post(f"/permits/{permit}:{verb}", {"reason": reason}), COLUMNS, output)


def _effects(permit: str, verb: str) -> list[str]:
    found: list[str] = api().get(f"/permits/{permit}/preview", verb=verb)["effects"]
    return found


def _agree(effects: list[str], yes: bool) -> None:
    """Show what will happen and ask, unless told not to."""
    if not yes:
        note(*effects)
        typer.confirm("Go on?", abort=True, err=True)
