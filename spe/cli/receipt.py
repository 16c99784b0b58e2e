"""`spe receipt`: judge a receipt offline, with public keys only; no server is asked, no network used.

Exit codes: 0 the receipt is genuine (and the files compared are those released), 1 it is not, 2 the
command was called wrongly: a file is missing, or the key file is none.
"""

import hashlib
import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from spe.domain.canonical import moment_text
from spe.domain.errors import Invalid
from spe.domain.keys import TrustedKeys
from spe.domain.receipt import LARGEST, BadReceipt, ReceiptFacts, verify_receipt

KEYS_BESIDE = "spe-keys.json"
LARGEST_KEYS = 65536

app = typer.Typer(help="Receipts of releases.", no_args_is_help=True)


class Form(StrEnum):
    """How the answer is written."""

    TEXT = "text"
    JSON = "json"


@app.callback()
def receipt() -> None:
    """Receipts of releases."""


@app.command()
def verify(
    file: Annotated[Path, typer.Argument(help="The receipt.", exists=True, dir_okay=False, readable=True)],
    key: Annotated[
        Path | None,
        typer.Option(
            help=f"Public keys of the environment (spe.keys/1), got from a place you trust; "
            f"without it, {KEYS_BESIDE} beside the receipt.",
            exists=True,
            dir_okay=False,
            readable=True,
        ),
    ] = None,
    files: Annotated[
        Path | None,
        typer.Option(help="Compare the files in this folder with those released.", exists=True, file_okay=False),
    ] = None,
    output: Annotated[Form, typer.Option("--output", "-o", help="For people, or for programs.")] = Form.TEXT,
) -> None:
    """Verify a receipt without network or server: what was released, when, and under which permit."""
    from spe.adapters.secrets import ed25519

    beside = file.resolve().parent / KEYS_BESIDE
    keys = _trusted(key or beside)
    try:
        facts = verify_receipt(_bytes(file, LARGEST + 1), keys, ed25519.verify)
    except BadReceipt as error:
        typer.echo(f"Not genuine: {error}\n{error.remedy}", err=True)
        raise typer.Exit(1) from None
    differences = () if files is None else _differences(facts, files)
    if output is Form.JSON:
        typer.echo(json.dumps(_document(facts, key or beside, differences), indent=2))
    else:
        typer.echo(_summary(facts, keys.origin))
        typer.echo(_trust(key, beside))
        if files is not None and not differences:
            typer.echo(f"Files    All {len(facts.manifest.outputs)} files in {files} are those released.")
    for sentence in differences:
        typer.echo(f"Not the released file: {sentence}", err=True)
    if differences:
        raise typer.Exit(1)


def _trusted(path: Path) -> TrustedKeys:
    if not path.is_file():
        raise typer.BadParameter(
            f"There is no {KEYS_BESIDE} beside the receipt. Name the environment's public keys with --key FILE."
        )
    try:
        return TrustedKeys.read(_bytes(path, LARGEST_KEYS))
    except Invalid as error:
        raise typer.BadParameter(f"{path} is not a file of public keys (spe.keys/1). {error}") from None


def _bytes(path: Path, most: int) -> bytes:
    try:
        with path.open("rb") as opened:
            return opened.read(most)
    except OSError as error:
        raise typer.BadParameter(f"{path} cannot be read: {error.strerror}.") from None


def _summary(facts: ReceiptFacts, origin: str) -> str:
    manifest = facts.manifest
    permit = manifest.permit
    checkers = ", ".join(decision.checker for decision in manifest.decisions)
    lines = [
        "The receipt is genuine.",
        "",
        f"Released {manifest.released_at:%d %B %Y, %H:%M:%S} UTC, to {manifest.destination}",
        f"Permit   {permit.id} ({permit.kind}, version {permit.version}), issued by {_plain(permit.issuer)}",
        f"Request  {manifest.request}, workspace {manifest.workspace}, release {manifest.release}",
        f"Policy   {manifest.policy_name} {manifest.policy_digest}",
        f"Report   {manifest.report}",
        f"Checkers {checkers}",
        f"Log      entry {facts.entry.index} of {origin}, under a checkpoint of {facts.checkpoint.size} entries",
        "Files    (SHA-256, bytes, path)",
    ]
    lines += [f"  {o.sha256}  {o.size:>12}  {_plain(o.path)}" for o in manifest.outputs]
    return "\n".join(lines)


def _trust(key: Path | None, beside: Path) -> str:
    if key is not None:
        return f"Keys     {key}"
    return (
        f"Keys     {beside}, found beside the receipt. Whoever gave you both could have made both: trust comes "
        "from that file alone. Compare it with the environment's published keys, and name those with --key."
    )


def _document(facts: ReceiptFacts, keys: Path, differences: tuple[str, ...]) -> dict[str, object]:
    return {
        "genuine": True,
        "manifest": facts.manifest.document(),
        "log": {"index": facts.entry.index, "at": moment_text(facts.entry.at), "size": facts.checkpoint.size},
        "keys": {"file": str(keys), "release": facts.release_key, "log": facts.log_key},
        "differences": list(differences),
    }


def _differences(facts: ReceiptFacts, folder: Path) -> tuple[str, ...]:
    """One sentence for each released file that is not in the folder as it was released."""
    found = []
    for output in facts.manifest.outputs:
        name = _plain(output.path)
        try:
            with (folder / output.path).open("rb") as opened:
                digest = hashlib.file_digest(opened, "sha256").hexdigest()
        except OSError as error:
            found.append(f"{name} cannot be read ({error.strerror}).")
            continue
        if digest != output.sha256:
            found.append(f"{name} has another SHA-256 than the released one.")
    return tuple(found)


def _plain(text: str) -> str:
    """Text for a terminal: what cannot be printed, or would turn the line around, is escaped."""
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)
