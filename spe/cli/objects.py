"""`spe objects`: the buckets of an S3 service, made and looked at."""

import typer

from spe import bootstrap
from spe.cli.output import note
from spe.settings import Settings

app = typer.Typer(no_args_is_help=True, help="The buckets of an S3 service.")


@app.callback()
def _group() -> None:
    """Keep the verb: a group of one command would lose it."""


@app.command()
def setup() -> None:
    """Make the buckets that the settings name as they should be, and say what is missing.

    Run it with an access key that may make and configure buckets; the platform's own key needs less. Safe to
    repeat. Exit status 6 while something is missing.
    """
    from spe.adapters.objects.s3setup import prepare

    prepared = prepare(bootstrap.s3_settings(Settings()))
    note(*prepared.done, *prepared.missing)
    typer.echo(f"The store guarantees: {', '.join(sorted(prepared.guarantees)) or 'nothing'}.")
    raise typer.Exit(6 if prepared.missing else 0)
