"""PostgreSQL's two roles: the owner migrates, the application works and can change no rule.

The application may insert what the rules let in, update what is not written once, and delete next to
nothing; it owns no table, so it can neither drop a trigger nor switch one off. Passwords are not set
here: that is for whoever runs the database server.
"""

import re
from collections.abc import Iterator

from spe.adapters.sql.guards import GUARDS, VIEWS
from spe.adapters.sql.schema import metadata
from spe.domain.errors import Invalid

_NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")
_READ_ONLY = frozenset({"transitions", "rules"})
_DELETES = frozenset({"sessions", "outbox"})
_GUARDS = {guard.table: guard for guard in GUARDS}


def creation(owner: str, application: str) -> tuple[str, ...]:
    """What the server's administrator runs once, before the first migration."""
    for name in (owner, application):
        check_name(name)
    attributes = "LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS"
    return (f"CREATE ROLE {owner} {attributes}", f"CREATE ROLE {application} {attributes}")


def grants(application: str) -> tuple[str, ...]:
    """What the owner runs after each migration (`upgrade` does): exactly the rights that the application needs."""
    check_name(application)
    return tuple(_grants(application))


def check_name(name: str) -> None:
    """Raises `Invalid` for a name that would have to be quoted."""
    if not _NAME.fullmatch(name):
        raise Invalid({"role": "The name of a role or database has lower-case letters, digits and underscores."})


def entry(database: str, application: str) -> tuple[str, ...]:
    """Who may connect; `database` is quoted. Whoever may can also hold the writers' lock, so it is nobody else."""
    check_name(application)
    return (f"GRANT CONNECT ON DATABASE {database} TO {application}", f"REVOKE ALL ON DATABASE {database} FROM PUBLIC")


def rights() -> dict[str, frozenset[str]]:
    """What the application may do, by table or view: no more and no less."""
    found = {table: _of_table(table) for table in sorted(metadata.tables)}
    return found | {name: frozenset({"SELECT"}) for name in (*VIEWS, "alembic_version")}


def _of_table(table: str) -> frozenset[str]:
    if table in _READ_ONLY:
        return frozenset({"SELECT"})
    guard = _GUARDS.get(table)
    changes = {"UPDATE"} if guard is None or guard.fixed is not None else set()
    goes = {"DELETE"} if table in _DELETES or (guard is not None and not guard.keeps) else set()
    return frozenset({"SELECT", "INSERT", *changes, *goes})


def _grants(role: str) -> Iterator[str]:
    for name, wanted in rights().items():
        yield f"REVOKE ALL ON {name} FROM {role}, PUBLIC"
        yield f"GRANT {', '.join(sorted(wanted))} ON {name} TO {role}"
