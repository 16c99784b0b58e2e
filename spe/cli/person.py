"""`spe person`: who may come in. Operators work through the API; the last two commands work on the host itself, when
nobody can sign in yet or the identity provider is out of order.
"""

from pathlib import Path
from typing import Annotated

import typer

from spe.cli.api import api
from spe.cli.output import Form, Output, note, show, show_one
from spe.domain.errors import Denial, Refused, Unavailable
from spe.domain.ids import PersonId
from spe.domain.principal import Role, founder
from spe.services.app import App

app = typer.Typer(no_args_is_help=True, help="People: list, register, invite; the first operator.")

COLUMNS = ("id", "name", "organisation", "roles", "active")
Person = Annotated[str, typer.Argument(help="Id of the person, p-….", show_default=False)]
Issuer = Annotated[str, typer.Option(help="Who vouches for the person; “local” for somebody who gets an invitation.")]
Subject = Annotated[str, typer.Option(help="The person's unique name at the issuer, never an e-mail address.")]
Name = Annotated[str, typer.Option(help="As colleagues know the person.", prompt=True)]
Organisation = Annotated[str, typer.Option(help="Where the person works.")]
Roles = Annotated[list[Role], typer.Option("--role", help="May be given several times.")]
Home = Annotated[Path | None, typer.Option(help="Folder of the environment.")]


@app.command("list")
def people(output: Output = Form.AUTO) -> None:
    """Everybody who is registered."""
    show(api().all("/people"), COLUMNS, output)


@app.command()
def add(
    issuer: Issuer,
    subject: Subject,
    name: Name,
    role: Roles,
    organisation: Organisation = "",
    output: Output = Form.AUTO,
) -> None:
    """Register a person by issuer and subject; those who have them already stay as they are."""
    body = {"issuer": issuer, "subject": subject, "name": name, "organisation": organisation, "roles": [*role]}
    show_one(api().post("/people", body), COLUMNS, output)


@app.command()
def invite(person: Person) -> None:
    """Print an invitation, once: the first identity that signs in with it is this person's from then on."""
    typer.echo(api().post(f"/people/{person}/invitations", {})["link"])
    note("It works once, within a week. Hand it over in person or by a channel you trust.")


@app.command()
def link(person: Person) -> None:
    """Print a one-time sign-in link, where no identity provider is in use."""
    typer.echo(api().post(f"/people/{person}/links", {})["link"])
    note("It works once, within a day. Hand it over in person or by a channel you trust.")


@app.command()
def first(issuer: Issuer, subject: Subject, name: Name, organisation: Organisation = "", home: Home = None) -> None:
    """Register the first operator, on the host. Refused as soon as there is an operator whose account is on."""
    here, _ = _here(home)
    if any(p.active and Role.OPERATOR in p.roles for p in here.people.everyone(by=founder())):
        raise Refused([Denial(code="has-operator", message="There is an operator already, who registers others.")])
    made = here.people.register(
        issuer=issuer, subject=subject, name=name, organisation=organisation, roles=[Role.OPERATOR], by=founder()
    )
    typer.echo(made.id)


@app.command("break-glass")
def break_glass(person: Person, home: Home = None) -> None:
    """Print a link that signs an operator in, once, within half an hour, while the identity provider does not answer.

    It is made on the host and written into the audit log.
    """
    here, portal = _here(home)
    secret = here.people.break_glass(PersonId(person), by=founder())
    typer.echo(f"{portal}/sign-in/{secret}")


def _here(home: Path | None) -> tuple[App, str]:
    """The environment of this host, without its API."""
    from spe import bootstrap
    from spe.settings import settings_from

    settings = settings_from(home=home)
    here = bootstrap.build(settings)
    if here.house.ports.store.problems():
        raise Unavailable("database", "run `spe db upgrade` first")
    return here, settings.portal_url
