"""`spe db`: the database's schema."""

from pathlib import Path
from typing import Annotated

import typer

from spe.adapters.sql import migrations
from spe.settings import settings_from

app = typer.Typer(no_args_is_help=True, help="The database's schema.")


@app.command()
def upgrade(home: Annotated[Path | None, typer.Option(help="Folder of the environment.")] = None) -> None:
    """Bring the schema up to date; safe to repeat and to interrupt."""
    settings = settings_from(home=home)
    settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    migrations.upgrade(settings.database)
    typer.echo(f"The database is at revision {migrations.current(settings.database)}.")
