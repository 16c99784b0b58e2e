"""`spe workspace`: workspaces and one's own notebook session; operators stop, start and retry them."""

import time
from typing import Annotated, Any

import typer

from spe.cli.api import api
from spe.cli.output import Form, Output, note, plain, show, show_one

app = typer.Typer(no_args_is_help=True, help="Workspaces and notebook sessions.")

COLUMNS = ("id", "state", "permit_title", "permit")
SESSION = ("state", "message", "url")
Workspace = Annotated[str, typer.Argument(help="Id of the workspace, ws-….", show_default=False)]


@app.command("list")
def workspaces(output: Output = Form.AUTO) -> None:
    """The workspaces you may see."""
    show(api().all("/workspaces"), COLUMNS, output)


@app.command("show")
def one(workspace: Workspace, output: Output = Form.AUTO) -> None:
    """One workspace with what is observed of it."""
    show_one(api().get(f"/workspaces/{workspace}"), (*COLUMNS, "conditions", "sessions"), output)


@app.command("open")
def start_session(
    workspace: Workspace,
    seconds: Annotated[float, typer.Option(help="How long to wait.", min=1)] = 120.0,
    output: Output = Form.AUTO,
) -> None:
    """Start your notebook session and wait until it runs. Exit status 1 when it failed, 6 when it takes too long."""
    desk, path = api(), f"/workspaces/{workspace}/session"
    found = desk.post(f"{path}:start")
    deadline, said = time.monotonic() + seconds, ""
    while found["state"] == "starting" and time.monotonic() < deadline:
        said = _say(found, said)
        time.sleep(0.3)
        found = desk.get(path)
    show_one(found, SESSION, output)
    raise typer.Exit({"running": 0, "starting": 6}.get(found["state"], 1))


@app.command("close")
def stop_session(workspace: Workspace) -> None:
    """End your notebook session."""
    api().post(f"/workspaces/{workspace}/session:stop")
    typer.echo("The session is stopped.")


@app.command()
def outputs(workspace: Workspace, output: Output = Form.AUTO) -> None:
    """What lies in your outputs folder."""
    show(api().get(f"/workspaces/{workspace}/outputs")["items"], ("path", "size", "problem"), output)


@app.command()
def stop(workspace: Workspace, output: Output = Form.AUTO) -> None:
    """Stop a workspace, as an operator: sessions end, the work stays."""
    _move(workspace, "stop", output)


@app.command()
def start(workspace: Workspace, output: Output = Form.AUTO) -> None:
    """Start a stopped workspace, as an operator."""
    _move(workspace, "start", output)


@app.command()
def retry(workspace: Workspace, output: Output = Form.AUTO) -> None:
    """Try a failed workspace again, as an operator."""
    _move(workspace, "retry", output)


def _move(workspace: str, verb: str, output: Form) -> None:
    show_one(api().post(f"/workspaces/{workspace}:{verb}"), COLUMNS, output)


def _say(found: dict[str, Any], said: str) -> str:
    message = plain(str(found["message"]))
    if message != said:
        note(message)
    return message
