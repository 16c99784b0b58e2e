"""`spe hub`: what the Hub's process reads when it starts."""

from pathlib import Path
from typing import Annotated

import typer

from spe import bootstrap
from spe.adapters.hub.settings import write_hub_settings
from spe.settings import Settings

app = typer.Typer(no_args_is_help=True, help="What the Hub's process reads when it starts.")


@app.command()
def settings(file: Annotated[Path, typer.Argument(help="Where the Hub reads it; only its owner may.")]) -> None:
    """Write the Hub's settings, tokens included, from the same settings as the portal's."""
    write_hub_settings(file, bootstrap.hub_settings(Settings()))
