"""`spe permit`: what boards do, from the command line; inside a workspace, the permit one works under."""

from pathlib import Path
from typing import Annotated

import typer
import yaml

from spe import notebook
from spe.cli.api import api
from spe.cli.output import Form, Output, show, show_one
from spe.domain.errors import Invalid

app = typer.Typer(no_args_is_help=True, help="Permits: list, grant, confirm, suspend, revoke.")

COLUMNS = ("id", "state", "kind", "issuer", "in_force", "version")
Reason = Annotated[str, typer.Option(help="The people concerned read it.", prompt=True)]


@app.command("list")
def permits(output: Output = Form.AUTO) -> None:
    """The permits you may see."""
    show(api().get("/permits")["items"], COLUMNS, output)


@app.command("show")
def one(
    permit: Annotated[str, typer.Argument(help="Not needed inside a workspace.")] = "", output: Output = Form.AUTO
) -> None:
    """One permit with its terms."""
    found = notebook.permit() if notebook.inside() and not permit else api().get(f"/permits/{permit}")
    show_one(found, (*COLUMNS, "terms"), output)


@app.command()
def propose(
    file: Annotated[Path, typer.Argument(help="YAML: kind, issuer, terms.")], output: Output = Form.AUTO
) -> None:
    """Propose a permit from a file; it gives nothing until another member of the board confirms."""
    show_one(api().post("/permits", _read(file)), (*COLUMNS, "pending"), output)


@app.command()
def amend(
    permit: str, file: Annotated[Path, typer.Argument(help="YAML: the terms.")], output: Output = Form.AUTO
) -> None:
    """Change the terms: what narrows acts at once, what widens waits for confirmation."""
    show_one(api().post(f"/permits/{permit}:amend", _read(file)), (*COLUMNS, "pending"), output)


@app.command()
def confirm(change: str, output: Output = Form.AUTO) -> None:
    """Confirm what another member proposed."""
    show_one(api().post(f"/permits/changes/{change}:confirm"), COLUMNS, output)


@app.command()
def preview(permit: str, verb: str) -> None:
    """What would happen, one sentence each."""
    for sentence in api().get(f"/permits/{permit}/preview", verb=verb)["sentences"]:
        typer.echo(sentence)


@app.command()
def suspend(permit: str, reason: Reason, output: Output = Form.AUTO) -> None:
    """Suspend at once; a resumption needs confirmation."""
    show_one(api().post(f"/permits/{permit}:suspend", {"reason": reason}), COLUMNS, output)


@app.command()
def resume(permit: str, output: Output = Form.AUTO) -> None:
    """Ask for a suspended permit to be active again."""
    show_one(api().post(f"/permits/{permit}:resume"), (*COLUMNS, "pending"), output)


@app.command()
def revoke(permit: str, reason: Reason, output: Output = Form.AUTO) -> None:
    """Revoke for good: sessions end, secrets and data go, evidence stays."""
    show_one(api().post(f"/permits/{permit}:revoke", {"reason": reason}), COLUMNS, output)


def _read(file: Path) -> dict[str, object]:
    try:
        found = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise Invalid({str(file): f"This cannot be read as YAML: {error}"}) from error
    if not isinstance(found, dict):
        raise Invalid({str(file): "Expected keys and values; see the guide's page for boards."})
    return found
