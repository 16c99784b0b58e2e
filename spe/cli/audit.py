"""`spe audit`: the log as auditors read it; a pack verifies offline."""

import io
import json
import zipfile
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer

from spe.adapters.secrets import ed25519
from spe.cli.api import api
from spe.cli.output import Form, Output, show
from spe.domain.audit import verify_log
from spe.domain.checkpoint import Checkpoint, open_checkpoint
from spe.domain.errors import Invalid
from spe.domain.keys import TrustedKeys

app = typer.Typer(no_args_is_help=True, help="The audit log: list, verify, export.")

COLUMNS = ("index", "at", "event", "object_id", "by", "before", "after")


@app.command("list")
def entries(
    subject: Annotated[str, typer.Option(help="Id of one object.")] = "",
    event: Annotated[str, typer.Option(help="Beginning of the event, such as egress.")] = "",
    person: Annotated[str, typer.Option(help="Subject of who acted.")] = "",
    limit: Annotated[int, typer.Option(help="How many.", min=1)] = 100,
    output: Output = Form.AUTO,
) -> None:
    """Entries, newest first."""
    found = api().all("/audit/entries", subject=subject, event=event, person=person)
    show((_row(entry) for entry in islice(found, limit)), COLUMNS, output)


@app.command()
def verify(
    pack: Annotated[Path | None, typer.Option(help="An audit pack of the whole log; no server is asked.")] = None,
    keys: Annotated[Path | None, typer.Option(help="Keys you trust; else those in the pack.")] = None,
    seen: Annotated[Path | None, typer.Option(help="A checkpoint that you kept: shows what was cut off since.")] = None,
) -> None:
    """Recompute the whole log, on the server or from a pack. Exit status 1 when anything is wrong."""
    if pack is None:
        answer = api().post("/audit:verify")
        size, problems = answer["entries"], [p["message"] for p in answer["problems"]]
    else:
        size, problems = verify_pack(pack, keys, seen)
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
    try:
        with file.open("xb") as opened:
            opened.write(data)
    except OSError as error:
        raise Invalid({"file": f"{file} cannot be written: {error.strerror}."}) from error
    typer.echo(f"{len(data)} bytes in {file}.")


@app.command()
def checkpoints(output: Output = Form.AUTO) -> None:
    """The signed heads of the log. Keep the newest outside: with it a cut-off log is found out."""
    show(api().get("/audit/checkpoints")["items"], ("size", "note"), output)


@app.command("keys")
def public_keys() -> None:
    """The public keys that verify receipts and checkpoints (`spe.keys/1`)."""
    typer.echo(json.dumps(api().get("/audit/keys"), indent=2, sort_keys=True))


def verify_pack(pack: Path, keys: Path | None, seen: Path | None = None) -> tuple[int, list[str]]:
    """(entries, what is wrong) of a pack of the whole log. Raises `Invalid` when it is none."""
    try:
        with zipfile.ZipFile(io.BytesIO(pack.read_bytes())) as found:
            lines = found.read("entries.jsonl").splitlines()
            places = json.loads(found.read("entries.index"))
            notes = found.read("checkpoints.txt").decode()
            trusted = TrustedKeys.read(keys.read_bytes() if keys else found.read("keys.json"))
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise Invalid({str(pack): f"This is not an audit pack: {error}"}) from error
    if places != list(range(len(lines))):
        sentence = "The pack holds the entries of one object; only a pack of the whole log can be recomputed."
        raise Invalid({str(pack): f"{sentence} Export it without --subject."})
    notes_found = [f"{text}\n\n{rest}".encode() for text, rest in split_notes(notes)]
    problems = verify_log(
        lines,
        notes_found,
        origin=trusted.origin,
        publics=trusted.log,
        verify=ed25519.verify,
        seen=_kept(seen, trusted) if seen else None,
    )
    return len(lines), [p.message for p in problems]


def _kept(file: Path, trusted: TrustedKeys) -> Checkpoint:
    try:
        data = file.read_bytes()
        return open_checkpoint(data, origin=trusted.origin, publics=trusted.log, verify=ed25519.verify)[0]
    except OSError as error:
        raise Invalid({str(file): f"This file cannot be read: {error.strerror}."}) from error


def _row(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {**entry, "object_id": entry["object"]["id"], "by": entry["actor"]["subject"]}


def split_notes(text: str) -> list[tuple[str, str]]:
    """Signed notes, written one after the other: (text, signature line with its newline)."""
    parts = [part for part in text.split("\n\n") if part.strip()]
    return [(parts[i].lstrip("\n"), parts[i + 1].split("\n")[0] + "\n") for i in range(0, len(parts) - 1, 2)]
