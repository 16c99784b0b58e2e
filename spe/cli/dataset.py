"""`spe dataset`: register, verify, withdraw through the API; profile a folder here."""

import re
from pathlib import Path
from typing import Annotated

import typer

from spe.cli.api import api
from spe.cli.output import Form, Output, show, show_one
from spe.cli.profile import profile

app = typer.Typer(no_args_is_help=True, help="Datasets: register, verify, profile.")
app.command("profile")(profile)

Key = Annotated[str, typer.Argument(help="Key of the version, ds-…/1.0.", show_default=False)]
COLUMNS = ("key", "title", "holder", "file_count", "size", "disclosure_policy", "withdrawn")


_VOLUME = re.compile(r"(hostPath|nfs|csi):|[a-z][a-z0-9+.-]+://")


@app.command("list")
def datasets(output: Output = Form.AUTO) -> None:
    """The dataset versions you may know of."""
    show(api().all("/datasets"), COLUMNS, output)


@app.command("show")
def one(key: Key, output: Output = Form.AUTO) -> None:
    """One version with its files."""
    show_one(api().get(f"/datasets/{key}"), (*COLUMNS, "manifest", "mount", "files"), output)


@app.command()
def register(
    source: Annotated[
        str,
        typer.Argument(help="A folder on the server, or on a cluster nfs://…, csi:… or hostPath:…", metavar="SOURCE"),
    ],
    title: Annotated[str, typer.Option(help="One line.", prompt=True)],
    holder: Annotated[str, typer.Option(help="Who holds the data.", prompt=True)],
    number: Annotated[str, typer.Option(help="Of this version.")] = "1",
    policy: Annotated[str, typer.Option(help="Disclosure policy.")] = "default",
    profile_file: Annotated[Path | None, typer.Option("--profile", help="Profile on the server.")] = None,
    description: Annotated[str, typer.Option(help="What the data are.")] = "",
    dataset: Annotated[str, typer.Option(help="Id of the dataset of which this is a new version.")] = "",
    output: Output = Form.AUTO,
) -> None:
    """Hash what lies there and register it as a sealed version."""
    body = {
        "folder": place_of(source),
        "title": title,
        "holder": holder,
        "number": number,
        "disclosure_policy": policy,
        "profile_file": str(profile_file.absolute()) if profile_file else "",
        "description": description,
        **({"dataset": dataset} if dataset else {}),
    }
    show_one(api().post("/datasets", body), (*COLUMNS, "manifest"), output)


def place_of(source: str) -> str:
    """The name of a volume as it is, a path made whole: what a volume is called only the server knows."""
    return source if _VOLUME.match(source) else str(Path(source).absolute())


@app.command()
def verify(key: Key, output: Output = Form.AUTO) -> None:
    """Hash every file again. Exit status 4 when the bytes are not the approved ones."""
    show_one(api().post(f"/datasets/{key}:verify"), (*COLUMNS, "manifest"), output)


@app.command()
def withdraw(key: Key, output: Output = Form.AUTO) -> None:
    """Take a version out of use: it disappears from every workspace."""
    show_one(api().post(f"/datasets/{key}:withdraw"), COLUMNS, output)
