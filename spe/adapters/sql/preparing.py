"""Before the first migration: two roles and a database, made once by the server's administrator.

Printed as a script for `psql`, or carried out; both leave alone what is there, and `standing` tells when that is not
as it must be. Passwords go to the server as SCRAM verifiers only, so that none stands in its log.
"""

# ruff: noqa: S608  (names are letters, digits and underscores only: `plan` has looked)

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, DBAPIError

from spe.adapters.sql import postgres, roles
from spe.adapters.sql.failures import translate
from spe.domain.errors import Invalid

_OWNER_URL = "--owner-url, or SPE_DATABASE_OWNER_URL"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Who owns, who works, where; passwords by role, as far as the addresses hold them."""

    owner: str
    application: str
    database: str
    passwords: dict[str, str] = field(default_factory=dict, repr=False)


def plan(url: str, owner_url: str, *, application: str = "") -> Plan:
    """The two roles and the database that the two addresses name.

    `application` is the role that holds the rights when the one of `url` is only its member. Raises `Invalid`.
    """
    working, owning = _parsed(url, "database_url"), _parsed(owner_url, "owner_url")
    application = application or working.username or ""
    owner, database = owning.username or "", owning.database or ""
    if not (application and owner):
        raise Invalid({"role": "Both addresses name their role, as in postgresql://ROLE@HOST/DATABASE."})
    if application == owner:
        raise Invalid({"role": f"The owner and the application are two roles; {owner} cannot be both."})
    if not database or working.database != database:
        raise Invalid({"database": "Both addresses name the same database."})
    for name in (application, owner, database):
        roles.check_name(name)
    passwords = {u.username: str(u.password) for u in (working, owning) if u.username and u.password}
    return Plan(owner=owner, application=application, database=database, passwords=passwords)


def script(wanted: Plan) -> str:
    """What an administrator runs with `psql`; running it again changes nothing. Passwords are asked for."""
    return "\n".join((*_script(wanted), ""))


def _script(wanted: Plan) -> Iterator[str]:
    for role, statement in zip(_roles(wanted), roles.creation(*_roles(wanted)), strict=True):
        yield f"SELECT '{statement}' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{role}') \\gexec"
        yield f"\\password {role}"
    database = wanted.database
    yield (
        f"SELECT '{_creation(wanted)}' WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = '{database}') \\gexec"
    )
    yield from (f"{statement};" for statement in roles.entry(database, wanted.application))


def prepare(url: str, wanted: Plan) -> None:
    """The same, carried out over the administrator's address `url`. Raises `Unavailable` when it may not."""
    source = postgres.administrator(url)
    try:
        with source.connect() as connection:
            _prepare(connection, wanted)
    except DBAPIError as error:
        raise translate(error) from error
    finally:
        source.dispose()


def _prepare(connection: sa.Connection, wanted: Plan) -> None:
    for role, statement in zip(_roles(wanted), roles.creation(*_roles(wanted)), strict=True):
        if not _there(connection, "pg_roles", "rolname", role):
            connection.exec_driver_sql(statement)
        if role in wanted.passwords:
            connection.exec_driver_sql(f"ALTER ROLE {role} PASSWORD '{_verifier(connection, role, wanted)}'")
    if not _there(connection, "pg_database", "datname", wanted.database):
        with _as_member(connection, wanted.owner):
            connection.exec_driver_sql(_creation(wanted))
    with _as_member(connection, wanted.owner):
        for statement in roles.entry(wanted.database, wanted.application):
            connection.exec_driver_sql(statement)


def _roles(wanted: Plan) -> tuple[str, str]:
    return wanted.owner, wanted.application


def _creation(wanted: Plan) -> str:
    return f"CREATE DATABASE {wanted.database} OWNER {wanted.owner}"


def _there(connection: sa.Connection, catalogue: str, column: str, name: str) -> bool:
    where = sa.table(catalogue, sa.column(column))
    return bool(connection.execute(sa.select(where.c[column]).where(where.c[column] == name)).all())


def _verifier(connection: sa.Connection, role: str, wanted: Plan) -> str:
    driver: Any = connection.connection.dbapi_connection
    made: bytes = driver.pgconn.encrypt_password(wanted.passwords[role].encode(), role.encode(), b"scram-sha-256")
    return made.decode()


@contextmanager
def _as_member(connection: sa.Connection, owner: str) -> Iterator[None]:
    """An administrator who is no superuser makes things for the owner only as a member of that role, for a moment."""
    asked = sa.text("SELECT pg_has_role(current_user, :owner, 'USAGE')")
    if connection.execute(asked, {"owner": owner}).scalar():
        yield
        return
    connection.exec_driver_sql(f"GRANT {owner} TO CURRENT_USER")
    try:
        yield
    finally:
        connection.exec_driver_sql(f"REVOKE {owner} FROM CURRENT_USER")


def _parsed(url: str, name: str) -> sa.URL:
    if not url:
        raise Invalid({name: f"PostgreSQL's schema belongs to a role of its own: name its address by {_OWNER_URL}."})
    try:
        found = sa.make_url(url)
    except ArgumentError as error:
        raise Invalid({name: "Expected an address like postgresql://ROLE@HOST/DATABASE."}) from error
    if not postgres.is_postgres(url):
        raise Invalid({name: "Only PostgreSQL has roles; a SQLite file belongs to the account that runs spe."})
    return found
