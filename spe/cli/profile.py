"""`spe dataset profile`: the facts about a dataset that the checks use, without any of its values."""

import json
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from spe.disclosure.profiling import make_profile
from spe.domain.errors import Invalid


def profile(
    folder: Annotated[Path, typer.Argument(help="Folder with the dataset's files.", show_default=False)],
    output: Annotated[Path, typer.Option(help="Where the profile is written.", show_default=False)],
    id_column: Annotated[
        str | None, typer.Option(help="Column that identifies people; found by name and form when not given.")
    ] = None,
    canaries: Annotated[
        Path | None, typer.Option(help="File with planted values, one a line, that must never be in an output.")
    ] = None,
) -> None:
    """Make a dataset's profile: sizes, and keyed fingerprints of identifiers. It stays in the control plane."""
    try:
        planted = _lines(canaries) if canaries else []
        document = make_profile(folder, id_column=id_column, canaries=planted)
        _write(output, json.dumps(document))
    except Invalid as error:
        for sentence in error.sentences:
            print(sentence, file=sys.stderr)
        sys.exit(2)
    people = max(document["samples"], default=0)
    said = f"{len(document['tables'])} tables, {people} people by identifier. It is readable by you only: {output}"
    typer.echo(said if not document["bounded"] else f"{said} (large tables were profiled in part)")


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise Invalid({"canaries": f"{path} cannot be read as text."}) from error


def _write(path: Path, text: str) -> None:
    """A file that only its owner may read, whole or not at all."""
    fresh = path.with_name(f".{path.name}.new")
    try:
        fresh.unlink(missing_ok=True)
        with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "w") as file:
            file.write(text)
        os.replace(fresh, path)
    except OSError as error:
        raise Invalid({"output": f"{path} cannot be written: {error.strerror}."}) from error
