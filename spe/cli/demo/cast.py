"""Who plays: people of every role, registered as an environment is set up for real.

The first operator is made by the environment itself, and only while there is none; everybody else is
registered by that operator.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from spe.domain.errors import Denial, Refused
from spe.domain.ids import PersonId
from spe.domain.principal import Principal, Role, founder
from spe.services.app import App

ISSUER = "spe-demo"

# key, name, organisation, roles
CAST: tuple[tuple[str, str, str, tuple[Role, ...]], ...] = (
    ("operator", "Otto Okafor", "National node", (Role.OPERATOR,)),
    ("board-a", "Beate Brandt", "Data access committee", (Role.BOARD,)),
    ("board-b", "Bruno Bianchi", "Data access committee", (Role.BOARD,)),
    ("researcher-a", "Rita Rossi", "University hospital", (Role.AUTHORISED_USER,)),
    ("researcher-b", "Ravi Rao", "University hospital", (Role.AUTHORISED_USER,)),
    ("outsider", "Olga Outside", "Another institute", (Role.AUTHORISED_USER,)),
    ("checker-a", "Clara Chen", "Output checking service", (Role.CHECKER,)),
    ("checker-b", "Cem Cakir", "Output checking service", (Role.CHECKER,)),
    ("checker-c", "Cora Costa", "Output checking service", (Role.CHECKER,)),
    ("auditor", "Aino Aalto", "Data protection authority", (Role.AUDITOR,)),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Player:
    """One person of the demonstration, with a one-time link and an API token."""

    key: str
    id: PersonId
    name: str
    roles: tuple[str, ...]
    link: str
    token: str = field(repr=False)


def register_first_operator(app: App, *, subject: str, name: str, organisation: str, issuer: str) -> Principal:
    """The first operator of an environment. Refused as soon as there is one: operators register people."""
    by = founder()
    if any(Role.OPERATOR in person.roles for person in app.people.everyone(by=by)):
        raise Refused([Denial(code="operator-exists", message="There is an operator; operators register people.")])
    person = app.people.register(
        issuer=issuer, subject=subject, name=name, organisation=organisation, roles=[Role.OPERATOR], by=by
    )
    return app.people.principal(person)


def call_together(app: App, portal: str) -> dict[str, Player]:
    """Register everybody (once) and issue fresh one-time links and tokens."""
    everyone = {p.subject: p for p in app.people.everyone(by=founder()) if p.issuer == ISSUER}
    key, name, organisation, _ = CAST[0]
    if key not in everyone:
        operator = register_first_operator(app, subject=key, name=name, organisation=organisation, issuer=ISSUER)
    else:
        operator = app.people.principal(everyone[key])
    return {player.key: player for player in _players(app, portal, operator)}


def _players(app: App, portal: str, operator: Principal) -> Iterable[Player]:
    for key, name, organisation, roles in CAST:
        person = app.people.register(
            issuer=ISSUER, subject=key, name=name, organisation=organisation, roles=roles, by=operator
        )
        link = app.people.link(person.id, by=operator)
        token = app.people.token(person.id, by=operator)
        yield Player(key=key, id=person.id, name=name, roles=tuple(roles), link=f"{portal}/sign-in/{link}", token=token)
