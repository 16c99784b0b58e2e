"""`spe egress`: submit from inside a notebook; follow, review and conclude through the API.

Exit status of `submit`: 0 the checks found nothing, 10 people look at findings, 20 blocked; else that of the
refusal (2 wrong input, 4 refused, 6 no answer).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer
import yaml

from spe import notebook
from spe.cli.api import api, inside
from spe.cli.output import Form, Output, document, note, on_terminal, plain, show, show_one
from spe.domain.errors import Invalid

app = typer.Typer(no_args_is_help=True, help="Egress requests: submit, follow, review.")

COLUMNS = ("id", "state", "verdict", "purpose", "created_at")
NO_ANSWER = 6
VERDICTS = {"pass": 0, "refer": 10, "block": 20}
NEXT = {
    "in-review": "Output checkers look at it now; `spe egress status` tells what they decide.",
    "blocked": "Change the files that the findings name and submit the folder again.",
    "submitted": "The checks have not finished; follow them with `spe egress status`.",
    "checking": "The checks have not finished; follow them with `spe egress status`.",
}
Request = Annotated[str, typer.Argument(help="Id of the request, eg-….", show_default=False)]
Reason = Annotated[str, typer.Option(help="The author reads it.")]


@app.command()
def submit(
    folder: Annotated[Path, typer.Argument(help="Folder of outputs, with `egress.yaml` if there is one.")],
    purpose: Annotated[str, typer.Option(help="One sentence; else that of `egress.yaml`.")] = "",
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait for the checks.")] = True,
    seconds: Annotated[float, typer.Option(help="How long to wait.", min=1)] = 300.0,
    output: Output = Form.AUTO,
) -> None:
    """Freeze the files of a folder and hand them to the checks, from inside a workspace."""
    patience = seconds if wait else 0.0
    found = inside(lambda: notebook.submit(folder, purpose=purpose, wait_seconds=patience, tell=note))
    show_one(found, COLUMNS, output)
    note(*(f"  {line}" for line in findings_of(found)), NEXT.get(found["state"], "Follow it with `spe egress status`."))
    late = wait and found["state"] in notebook.UNDER_WAY
    raise typer.Exit(NO_ANSWER if late else VERDICTS.get(found.get("verdict") or "pass", 1))


@app.command("list")
def requests(output: Output = Form.AUTO) -> None:
    """The requests you may see; inside a workspace, those of the workspace."""
    found = inside(notebook.requests) if notebook.inside() else api().all("/egress")
    show(found, COLUMNS, output)


@app.command()
def status(request: Request, output: Output = Form.AUTO) -> None:
    """One request with its findings. Exit status 0, whatever the verdict."""
    found = inside(lambda: notebook.request(request)) if notebook.inside() else api().get(f"/egress/{request}")
    show_one(found, (*COLUMNS, "round", "reason"), output)
    if on_terminal(output):
        typer.echo("\n".join(plain(line) for line in findings_of(found)))


@app.command()
def withdraw(request: Request) -> None:
    """Take a request back before it is reviewed."""
    if notebook.inside():
        inside(lambda: notebook.withdraw(request))
    else:
        api().post(f"/egress/{request}:withdraw")
    typer.echo("The request is withdrawn.")


@app.command()
def inbox(output: Output = Form.AUTO) -> None:
    """Requests that wait for output checkers."""
    show(api().all("/reviews"), ("request", "state", "verdict", "reviews_done", "reviewed_by_me"), output)


@app.command()
def review(
    request: Request,
    form: Annotated[
        Path | None, typer.Argument(help="The filled-in form; without it an empty one is printed.", show_default=False)
    ] = None,
) -> None:
    """Print the review form of a request, or hand in the filled-in one. It holds for the bytes it was made from."""
    desk, path = api(), f"/reviews/{request}"
    if form is None:
        typer.echo(form_of(desk.get(path)), nl=False)
        return
    filled = document(form)
    if filled.get("request") != request or not isinstance(filled.get("mark"), str):
        raise Invalid({str(form): f"This is not the form of {request}; print it with `spe egress review {request}`."})
    desk.holds(path, filled["mark"])
    desk.post(f"{path}:review", {"outputs": judgements_of(filled)})
    typer.echo("Your review is in; it stands.")


@app.command()
def approve(request: Request) -> None:
    """Write down the joint decision to release what every reviewer approved."""
    _conclude(request, "approve", "")


@app.command("return")
def send_back(request: Request, reason: Reason) -> None:
    """Write down the joint decision to return the request to its author."""
    _conclude(request, "return", reason)


@app.command()
def reject(request: Request, reason: Reason) -> None:
    """Write down the joint decision to reject the request."""
    _conclude(request, "reject", reason)


@app.command()
def releases(output: Output = Form.AUTO) -> None:
    """Releases that you may see."""
    show(api().all("/releases"), ("id", "request", "released_at", "links_until", "recalled_at"), output)


@app.command()
def download(
    release: Annotated[str, typer.Argument(help="Id of the release, rl-….", show_default=False)],
    folder: Annotated[Path, typer.Argument(help="Where its files are written; made when missing.")] = Path(),
) -> None:
    """Fetch the files of a release with its receipt and the keys that verify it. Nothing is written over."""
    desk = api()
    found = desk.get(f"/releases/{release}")
    for file in found["files"]:
        note(f"{file['path']} ({file['size']} bytes)")
        _fetch(desk, f"/releases/{release}/files/{quote(file['path'])}", inside_of(folder, file["path"]))
    _fetch(desk, f"/releases/{release}/receipt", folder / f"receipt-{release}.json")
    keys = folder / "spe-keys.json"
    if not keys.exists():
        _fetch(desk, "/audit/keys", keys)
    typer.echo(f"Check what you received: spe receipt verify {folder / f'receipt-{release}.json'} --files {folder}")


@app.command()
def recall(
    release: Annotated[str, typer.Argument(help="Id of the release, rl-….", show_default=False)], reason: Reason
) -> None:
    """Withdraw a release: no further download, the receipt stays as evidence."""
    api().post(f"/releases/{release}:recall", {"reason": reason})
    typer.echo("The release is recalled.")


def findings_of(found: Mapping[str, Any]) -> list[str]:
    """One line for each finding of a request."""
    report = found.get("report") or {}
    rows = [("request", f) for f in report.get("findings", [])]
    rows += [(o["path"], f) for o in report.get("outputs", []) for f in o["findings"]]
    return [f"{f['severity']:5} {f['check']} {path}: {f['message']}" for path, f in rows]


def form_of(seen: Mapping[str, Any]) -> str:
    """The review form: for each output a decision to write, and the findings to acknowledge by marking them."""
    report = {o["path"]: o["findings"] for o in (seen["report"] or {}).get("outputs", [])}
    outputs = {
        o["path"]: {
            "decision": "",
            "reason": "",
            "findings": [
                {"key": f["key"], "finding": f"{f['severity']} {f['check']}: {f['message']}", "acknowledged": False}
                for f in report.get(o["path"], [])
            ],
        }
        for o in seen["outputs"]
    }
    head = "# decision: approve, change or reject; set `acknowledged: true` for each finding you have judged.\n"
    body = {"request": seen["request"], "mark": seen["mark"], "outputs": outputs}
    return head + yaml.safe_dump(body, sort_keys=False, allow_unicode=True)


def judgements_of(filled: Mapping[str, Any]) -> dict[str, Any]:
    """The judgements in a filled-in form. Raises `Invalid` where something is missing."""
    found: dict[str, Any] = {}
    problems: dict[str, str] = {}
    outputs = filled.get("outputs")
    for path, said in (outputs if isinstance(outputs, dict) else {}).items():
        if not isinstance(said, dict) or said.get("decision") not in ("approve", "change", "reject"):
            problems[str(path)] = "Write approve, change or reject as its decision."
            continue
        findings = [f for f in said.get("findings") or [] if isinstance(f, dict)]
        found[str(path)] = {
            "decision": said["decision"],
            "reason": str(said.get("reason") or ""),
            "acknowledged": [str(f.get("key")) for f in findings if f.get("acknowledged") is True],
        }
    if problems or not found:
        raise Invalid(problems or {"outputs": "The form names no output."})
    return found


def inside_of(folder: Path, path: str) -> Path:
    """Where a released file is written, below the folder whatever its name. Raises `Invalid`."""
    parts = path.split("/")
    if path.startswith("/") or any(part in ("", ".", "..") for part in parts) or "\\" in path:
        raise Invalid({"path": f"{plain(path)} is not a plain relative path; it is not written."})
    return folder.joinpath(*parts)


def _fetch(desk: Any, path: str, target: Path) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        desk.save(path, target)
    except FileExistsError as error:
        raise Invalid({"folder": f"{target} is there already and stays as it is; name another folder."}) from error
    except OSError as error:
        raise Invalid({"folder": f"{target} cannot be written: {error.strerror}."}) from error


def _conclude(request: str, verb: str, reason: str) -> None:
    answer = api().post(f"/reviews/{request}:{verb}", {"reason": reason})
    typer.echo(f"The request is {answer['state']}.")
