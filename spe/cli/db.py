"""`spe db`: the database's schema."""

import typer

from spe.adapters.sql import migrations
from spe.settings import Settings

app = typer.Typer(no_args_is_help=True, help="The database's schema.")


@app.command()
def upgrade(home: str = typer.Option("", help="Folder of the environment.")) -> None:
    """Bring the schema up to date; safe to repeat and to interrupt."""
    settings = Settings(**({"home": home} if home else {}))
    settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    migrations.upgrade(settings.database)
    typer.echo(f"The database is at revision {migrations.current(settings.database)}.")
