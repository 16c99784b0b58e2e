"""`spe hub`: what the Hub's process reads when it starts."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from spe import bootstrap
from spe.adapters.hub.settings import write_hub_settings, write_private
from spe.settings import Settings

app = typer.Typer(no_args_is_help=True, help="What the Hub's process reads when it starts.")


@app.command()
def settings(file: Annotated[Path, typer.Argument(help="Where the Hub reads it; only its owner may.")]) -> None:
    """Write the Hub's settings, tokens included, from the same settings as the portal's.

    What the Hub shows the portal comes beside it, as a file of its own: where tokens are mounted readable for a
    group, the Hub would refuse them.
    """
    chosen = Settings()
    beside = file.with_name("portal-token")
    write_private(beside, bootstrap.tokens(chosen).portal)
    write_hub_settings(file, replace(bootstrap.hub_settings(chosen), portal_token_file=str(beside)))
