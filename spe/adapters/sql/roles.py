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


def creation(owner: str, application: str) -> tuple[str, ...]:
    """What the server's administrator runs once, before the first migration."""
    for name in (owner, application):
        _check(name)
    attributes = "LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS"
    return (f"CREATE ROLE {owner} {attributes}", f"CREATE ROLE {application} {attributes}")


def grants(application: str) -> tuple[str, ...]:
    """What the owner runs after each migration (`upgrade` does): exactly the rights that the application needs."""
    _check(application)
    return tuple(_grants(application))


def _check(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise Invalid({"role": "A role's name has lower-case letters, digits and underscores."})


def _grants(role: str) -> Iterator[str]:
    guards = {guard.table: guard for guard in GUARDS}
    for table in sorted(metadata.tables):
        guard = guards.get(table)
        rights = ["SELECT"]
        if table not in _READ_ONLY:
            rights.append("INSERT")
            if guard is None or guard.fixed is not None:
                rights.append("UPDATE")
            if table in _DELETES or (guard is not None and not guard.keeps):
                rights.append("DELETE")
        yield f"REVOKE ALL ON {table} FROM {role}, PUBLIC"
        yield f"GRANT {', '.join(rights)} ON {table} TO {role}"
    for name in (*VIEWS, "alembic_version"):
        yield f"REVOKE ALL ON {name} FROM {role}, PUBLIC"
        yield f"GRANT SELECT ON {name} TO {role}"
