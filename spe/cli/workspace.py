"""`spe workspace`: workspaces and one's own notebook session."""

import time

import typer

from spe.cli.api import api
from spe.cli.output import Form, Output, show, show_one

app = typer.Typer(no_args_is_help=True, help="Workspaces and notebook sessions.")

COLUMNS = ("id", "state", "permit_title", "permit")


@app.command("list")
def workspaces(output: Output = Form.AUTO) -> None:
    """The workspaces you may see."""
    show(api().get("/workspaces")["items"], COLUMNS, output)


@app.command("show")
def one(workspace: str, output: Output = Form.AUTO) -> None:
    """One workspace with what is observed of it."""
    show_one(api().get(f"/workspaces/{workspace}"), (*COLUMNS, "conditions", "sessions"), output)


@app.command()
def start(workspace: str, output: Output = Form.AUTO) -> None:
    """Start your notebook session and wait until it runs."""
    desk = api()
    desk.post(f"/workspaces/{workspace}/session:start")
    found = desk.get(f"/workspaces/{workspace}/session")
    while found["state"] == "starting":
        time.sleep(0.3)
        found = desk.get(f"/workspaces/{workspace}/session")
    show_one(found, ("state", "message", "url"), output)
    raise typer.Exit(0 if found["state"] == "running" else 1)


@app.command()
def stop(workspace: str) -> None:
    """Stop your notebook session."""
    api().post(f"/workspaces/{workspace}/session:stop")
    typer.echo("The session is stopped.")


@app.command()
def move(workspace: str, verb: str, output: Output = Form.AUTO) -> None:
    """Stop, start or retry a workspace, as an operator."""
    show_one(api().post(f"/workspaces/{workspace}:{verb}"), COLUMNS, output)
