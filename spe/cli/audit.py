"""`spe audit`: the log as auditors read it; a pack verifies offline."""

import io
import zipfile
from pathlib import Path
from typing import Annotated

import typer

from spe.adapters.secrets import ed25519
from spe.cli.api import api
from spe.cli.output import Form, Output, show
from spe.domain.audit import verify_log
from spe.domain.errors import Invalid
from spe.domain.keys import TrustedKeys

app = typer.Typer(no_args_is_help=True, help="The audit log: list, verify, export.")

COLUMNS = ("index", "at", "event", "object_id", "before", "after")


@app.command("list")
def entries(
    subject: Annotated[str, typer.Option(help="Id of one object.")] = "",
    event: Annotated[str, typer.Option(help="Beginning of the event, such as egress.")] = "",
    output: Output = Form.AUTO,
) -> None:
    """Entries, newest first."""
    show(api().get("/audit/entries", subject=subject, event=event)["items"], COLUMNS, output)


@app.command()
def verify(
    pack: Annotated[Path | None, typer.Option(help="An audit pack of the whole log; no server is asked.")] = None,
    keys: Annotated[Path | None, typer.Option(help="Keys you trust; else those in the pack.")] = None,
) -> None:
    """Recompute the whole log, on the server or from a pack. Exit status 1 when anything is wrong."""
    if pack is None:
        answer = api().post("/audit:verify")
        size, problems = answer["entries"], [p["message"] for p in answer["problems"]]
    else:
        size, problems = verify_pack(pack, keys)
    for problem in problems:
        typer.echo(problem, err=True)
    typer.echo(f"{size} entries, {len(problems)} problem(s).")
    raise typer.Exit(1 if problems else 0)


@app.command()
def export(
    file: Annotated[Path, typer.Argument(help="Where the pack is written.")],
    subject: Annotated[str, typer.Option(help="Id of one object; else the whole log.")] = "",
) -> None:
    """Fetch an audit pack."""
    data = api().fetch("/audit:export", {"subject": subject})
    file.write_bytes(data)
    typer.echo(f"{len(data)} bytes in {file}.")


def verify_pack(pack: Path, keys: Path | None) -> tuple[int, list[str]]:
    """(entries, what is wrong) of a pack of the whole log. Raises `Invalid` when it is none."""
    try:
        with zipfile.ZipFile(io.BytesIO(pack.read_bytes())) as found:
            lines = found.read("entries.jsonl").splitlines()
            notes = found.read("checkpoints.txt").decode()
            trusted = TrustedKeys.read(keys.read_bytes() if keys else found.read("keys.json"))
    except (OSError, KeyError, zipfile.BadZipFile, UnicodeDecodeError) as error:
        raise Invalid({str(pack): f"This is not an audit pack: {error}"}) from error
    checkpoints = [f"{text}\n\n{rest}".encode() for text, rest in split_notes(notes)]
    problems = verify_log(lines, checkpoints, origin=trusted.origin, publics=trusted.log, verify=ed25519.verify)
    return len(lines), [p.message for p in problems]


def split_notes(text: str) -> list[tuple[str, str]]:
    """Signed notes, written one after the other: (text, signature line with its newline)."""
    parts = [part for part in text.split("\n\n") if part.strip()]
    return [(parts[i].lstrip("\n"), parts[i + 1].split("\n")[0] + "\n") for i in range(0, len(parts) - 1, 2)]
