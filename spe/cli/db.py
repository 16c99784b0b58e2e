"""`spe db`: the database's schema, its two roles on PostgreSQL, and whether it is fit to work with."""

import json
import os
from pathlib import Path
from typing import Annotated

import typer

from spe.adapters.sql import SqlStore, migrations, preparing
from spe.adapters.sql.postgres import is_postgres
from spe.domain.errors import Denial, Refused
from spe.settings import Settings, settings_from

app = typer.Typer(no_args_is_help=True, help="The database: its schema, its roles, its state.")

Home = Annotated[Path | None, typer.Option(help="Folder of the environment.")]
OwnerUrl = Annotated[
    str,
    typer.Option(
        envvar="SPE_DATABASE_OWNER_URL",
        show_envvar=True,
        help="PostgreSQL: address with the role that owns the schema. The portal never gets it."
        " Also the file `database_owner_url` in the folder SPE_CREDENTIALS.",
    ),
]
Role = Annotated[
    str, typer.Option(help="PostgreSQL: the role that gets the rights to work, if not the one of SPE_DATABASE_URL.")
]
AdminUrl = Annotated[
    str,
    typer.Option(
        envvar="SPE_DATABASE_ADMIN_URL",
        show_envvar=True,
        help="Carry it out over this address of the server's administrator, instead of printing it.",
    ),
]


@app.callback()
def _group() -> None:
    """Stay a group with one command: `spe db upgrade` is what every sentence names."""


@app.command()
def upgrade(home: Home = None, owner_url: OwnerUrl = "", role: Role = "") -> None:
    """Bring the schema up to date; safe to repeat and to interrupt.

    On PostgreSQL the owner does it, and the application's role gets exactly the rights that it needs.
    """
    settings = settings_from(home=home)
    if is_postgres(settings.database):
        address = owner_url or _owner_in_a_file()
        wanted = preparing.plan(settings.database, address, application=role)
        reached = migrations.upgrade(address, application=wanted.application)
    else:
        settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        reached = migrations.upgrade(settings.database)
    typer.echo(f"The database is at revision {reached}.")


@app.command()
def roles(home: Home = None, owner_url: OwnerUrl = "", role: Role = "", admin_url: AdminUrl = "") -> None:
    """PostgreSQL: what the server's administrator does once, before the first upgrade.

    Prints it for `psql`; with --admin-url it is carried out, with the passwords that the two addresses hold.
    """
    wanted = preparing.plan(settings_from(home=home).database, owner_url or _owner_in_a_file(), application=role)
    if not admin_url:
        typer.echo(preparing.script(wanted), nl=False)
        return
    preparing.prepare(admin_url, wanted)
    typer.echo(f"The roles {wanted.owner} and {wanted.application} and the database {wanted.database} are there.")


def _owner_in_a_file() -> str:
    """The owner's address as a cluster mounts it; empty without one."""
    folder = os.environ.get("SPE_CREDENTIALS", "")
    file = Path(folder, "database_owner_url")
    return file.read_text(encoding="utf-8").strip() if folder and file.is_file() else ""


@app.command()
def check(home: Home = None, json_: Annotated[bool, typer.Option("--json", help="For programs.")] = False) -> None:
    """Say what is wrong with the database. Exit status 0 when it is fit to work with, 4 when it is not."""
    found = problems(settings_from(home=home))
    if json_:
        typer.echo(json.dumps({"problems": found}, indent=2, ensure_ascii=False))
    else:
        typer.echo("\n".join(found or ("The database is fit to work with.",)))
    raise typer.Exit(4 if found else 0)


def problems(settings: Settings) -> tuple[str, ...]:
    """One sentence for each thing that is wrong."""
    store = SqlStore(settings.database)
    try:
        return tuple(store.problems())
    finally:
        store.close()


def make_ready(settings: Settings) -> None:
    """Before anything works with the database: SQLite is brought up to date, PostgreSQL only looked at.

    The process that serves people is not the one that may change the schema. Raises `Refused` with what is wrong.
    """
    if not is_postgres(settings.database):
        settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        migrations.upgrade(settings.database)
        return
    found = problems(settings)
    if found:
        raise Refused(Denial(code="database", message=sentence) for sentence in found)
