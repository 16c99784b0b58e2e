"""`spe egress`: submit from inside a notebook; follow, review and conclude through the API.

Exit status of `submit`: 0 the checks found nothing, 10 people look at findings, 20 blocked, 4 refused.
"""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from spe import notebook
from spe.cli.api import api
from spe.cli.output import Form, Output, show, show_one

app = typer.Typer(no_args_is_help=True, help="Egress requests: submit, follow, review.")

COLUMNS = ("id", "state", "verdict", "purpose", "created_at")
VERDICTS = {"pass": 0, "refer": 10, "block": 20}


def _inside(act: Any) -> Any:
    try:
        return act()
    except notebook.Refused as refusal:
        print(*refusal.sentences, sep="\n", file=sys.stderr)
        raise typer.Exit(4 if refusal.status else 6) from refusal


@app.command()
def submit(
    folder: Annotated[Path, typer.Argument(help="Folder of outputs, with `egress.yaml` if there is one.")],
    purpose: Annotated[str, typer.Option(help="One sentence; else that of `egress.yaml`.")] = "",
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait for the checks.")] = True,
    output: Output = Form.AUTO,
) -> None:
    """Freeze the files of a folder and hand them to the checks, from inside a workspace."""
    print(f"Submitting {folder} …", file=sys.stderr)
    found = _inside(lambda: notebook.submit(folder, purpose=purpose, wait_seconds=120.0 if wait else 0.0))
    show_one(found, COLUMNS, output)
    for finding in findings_of(found):
        print(f"  {finding}", file=sys.stderr)
    print(NEXT.get(found["state"], "Follow it with `spe egress list`."), file=sys.stderr)
    raise typer.Exit(VERDICTS.get(found.get("verdict") or "pass", 1))


NEXT = {
    "in-review": "Two output checkers look at it now; you are told what they decide.",
    "blocked": "Change the files that the findings name and submit the folder again.",
}


def findings_of(found: dict[str, Any]) -> list[str]:
    """One line for each finding of a request."""
    report = found.get("report") or {}
    rows = [(o["path"], f) for o in report.get("outputs", []) for f in o["findings"]]
    rows += [("request", f) for f in report.get("findings", [])]
    return [f"{f['severity']:5} {f['check']} {path}: {f['message']}" for path, f in rows]


@app.command("list")
def requests(output: Output = Form.AUTO) -> None:
    """Your requests; inside a workspace, those of the workspace."""
    found = _inside(notebook.requests) if notebook.inside() else api().get("/egress")["items"]
    show(found, COLUMNS, output)


@app.command("show")
def one(request: str, output: Output = Form.AUTO) -> None:
    """One request with its report."""
    found = _inside(lambda: notebook.request(request)) if notebook.inside() else api().get(f"/egress/{request}")
    show_one(found, (*COLUMNS, "round", "reason"), output)
    if sys.stdout.isatty():
        print(*findings_of(found), sep="\n")


@app.command()
def inbox(output: Output = Form.AUTO) -> None:
    """Requests that wait for output checkers."""
    show(api().get("/reviews")["items"], ("request", "state", "verdict", "reviews_done", "reviewed_by_me"), output)


@app.command()
def review(
    request: str,
    votes: Annotated[Path, typer.Argument(help="JSON: path → decision, reason, acknowledged finding keys.")],
) -> None:
    """Hand in your judgement on every output."""
    api().post(f"/reviews/{request}:review", {"outputs": json.loads(votes.read_text(encoding="utf-8"))})
    typer.echo("Your review is in; it stands.")


@app.command()
def conclude(
    request: str,
    verb: Annotated[str, typer.Argument(help="approve, return or reject.")],
    reason: Annotated[str, typer.Option(help="The author reads it.")] = "",
) -> None:
    """Write down the joint decision."""
    answer = api().post(f"/reviews/{request}:{verb}", {"reason": reason} if verb != "approve" else {})
    typer.echo(f"The request is {answer['state']}.")


@app.command()
def withdraw(request: str) -> None:
    """Take a request back before it is reviewed."""
    api().post(f"/egress/{request}:withdraw")
    typer.echo("The request is withdrawn.")
