"""`spe dataset`: register, verify, withdraw through the API; profile a folder here."""

from pathlib import Path
from typing import Annotated

import typer

from spe.cli.api import api
from spe.cli.output import Form, Output, show, show_one
from spe.cli.profile import profile

app = typer.Typer(no_args_is_help=True, help="Datasets: register, verify, profile.")
app.command("profile")(profile)

COLUMNS = ("key", "title", "holder", "file_count", "size", "disclosure_policy", "withdrawn")


@app.command("list")
def datasets(output: Output = Form.AUTO) -> None:
    """The dataset versions you may know of."""
    show(api().get("/datasets")["items"], COLUMNS, output)


@app.command()
def register(
    folder: Annotated[Path, typer.Argument(help="A folder on the server.")],
    title: Annotated[str, typer.Option(help="One line.", prompt=True)],
    holder: Annotated[str, typer.Option(help="Who holds the data.", prompt=True)],
    number: Annotated[str, typer.Option(help="Of this version.")] = "1",
    policy: Annotated[str, typer.Option(help="Disclosure policy.")] = "default",
    profile_file: Annotated[str, typer.Option("--profile", help="Profile on the server.")] = "",
    output: Output = Form.AUTO,
) -> None:
    """Hash a folder of the server and register it as a sealed version."""
    body = {
        "folder": str(folder),
        "title": title,
        "holder": holder,
        "number": number,
        "disclosure_policy": policy,
        "profile_file": profile_file,
    }
    show_one(api().post("/datasets", body), (*COLUMNS, "manifest"), output)


@app.command()
def verify(key: str, output: Output = Form.AUTO) -> None:
    """Hash every file again. Exit status 4 when the bytes are not the approved ones."""
    show_one(api().post(f"/datasets/{key}:verify"), (*COLUMNS, "manifest"), output)


@app.command()
def withdraw(key: str, output: Output = Form.AUTO) -> None:
    """Take a version out of use: it disappears from every workspace."""
    show_one(api().post(f"/datasets/{key}:withdraw"), COLUMNS, output)
