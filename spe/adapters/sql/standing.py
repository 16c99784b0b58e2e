"""Where the application stands on PostgreSQL: what its role could do to the evidence, and what its connection promises.

Rules that the database keeps hold only against a role that can neither change them nor become one that can; whatever
the server, a pooler or an administrator made different is one sentence with what mends it.
"""

import ipaddress
from collections.abc import Iterator, Mapping
from typing import Any

import sqlalchemy as sa

from spe.adapters.sql import postgres, roles
from spe.adapters.sql.transaction import Transaction

OLDEST = 150000
"""The oldest server that the rules are tried on, as PostgreSQL counts."""

_ATTRIBUTES = {
    "rolcreaterole": "CREATEROLE",
    "rolcreatedb": "CREATEDB",
    "rolreplication": "REPLICATION",
    "rolbypassrls": "BYPASSRLS",
}
_DANGEROUS = ("pg_execute_server_program", "pg_write_server_files", "pg_read_server_files")
_APART = "let spe work with the role that `spe db roles` makes for it"

_ROLE = sa.text(
    "SELECT rolname, rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls"
    " FROM pg_roles WHERE rolname = current_user"
)
_BECOMES = sa.text(
    "SELECT r.rolname FROM pg_roles r WHERE r.rolname <> current_user AND pg_has_role(current_user, r.oid, 'MEMBER')"
    " AND (r.rolsuper OR r.rolcreaterole OR r.rolcreatedb OR r.rolreplication OR r.rolbypassrls"
    " OR r.rolname = ANY(:dangerous)"
    " OR r.oid IN (SELECT relowner FROM pg_class WHERE relnamespace = current_schema()::regnamespace)"
    " OR r.oid = (SELECT datdba FROM pg_database WHERE datname = current_database())) ORDER BY r.rolname"
)
_OWNS = sa.text(
    "SELECT c.relname AS name FROM pg_class c JOIN pg_roles r ON r.oid = c.relowner AND r.rolname = current_user"
    " WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p', 'v') ORDER BY c.relname"
)
_RIGHTS = sa.text(
    "SELECT c.relname AS name, p.name AS right FROM pg_class c"
    " CROSS JOIN unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER']) AS p(name)"
    " WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p', 'v')"
    " AND CASE WHEN p.name IN ('SELECT', 'INSERT', 'UPDATE', 'REFERENCES')"
    " THEN has_any_column_privilege(c.oid, p.name) ELSE has_table_privilege(c.oid, p.name) END"
)
_MAY = sa.text(
    "SELECT has_schema_privilege(current_schema(), 'CREATE') AS objects, current_schema() AS schema,"
    " has_database_privilege(current_database(), 'CREATE') AS schemas, current_database() AS database,"
    " has_parameter_privilege('session_replication_role', 'SET') AS switches,"
    " EXISTS (SELECT 1 FROM pg_database d, aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) a"
    " WHERE d.datname = current_database() AND a.grantee = 0 AND a.privilege_type = 'CONNECT') AS anybody"
)


def problems(transaction: Transaction) -> Iterator[str]:
    """One sentence for each thing that is not as it must be; nothing on SQLite, where the file's owner is everybody."""
    if transaction.dialect != "postgresql":
        return
    version = int(transaction.run(sa.text("SHOW server_version_num")).scalar() or 0)
    if version < OLDEST:
        yield f"The server is PostgreSQL {version // 10000}; spe needs {OLDEST // 10000} or newer."
        return
    driver = transaction.driver
    yield from link_problems(_parameters(driver), encrypted=driver.pgconn.ssl_in_use)
    yield from _settings(transaction)
    (role,) = transaction.all(_ROLE)
    if role.rolsuper:
        yield f"The role {role.rolname} is a superuser, whom no rule of the database binds; {_APART}."
        return
    owned = [row.name for row in transaction.all(_OWNS)]
    if owned:
        yield f"The role {role.rolname} owns {_some(owned)} and could switch the rules off; {_APART}."
        return
    yield from _powers(transaction, role)
    yield from _rights(transaction, role.rolname)


def _powers(transaction: Transaction, role: sa.Row[Any]) -> Iterator[str]:
    name = role.rolname
    for attribute in (text for column, text in _ATTRIBUTES.items() if getattr(role, column)):
        yield f"The role {name} has {attribute}; run `ALTER ROLE {name} NO{attribute}` as the administrator."
    for row in transaction.run(_BECOMES, {"dangerous": list(_DANGEROUS)}):
        yield f"The role {name} can act as {row.rolname}; run `REVOKE {row.rolname} FROM {name}` as the administrator."
    (may,) = transaction.all(_MAY)
    for holds, what, remedy in (
        (may.objects, f"may create objects in the schema {may.schema}", f"REVOKE CREATE ON SCHEMA {may.schema}"),
        (may.schemas, f"may create schemas in {may.database}", f"REVOKE CREATE ON DATABASE {may.database}"),
        (may.switches, "may switch all rules off by session_replication_role",
         "REVOKE SET ON PARAMETER session_replication_role"),
    ):  # fmt: skip
        if holds:
            yield f"The role {name} {what}; run `{remedy} FROM {name}, PUBLIC` as the administrator."
    if may.anybody:
        yield (
            f"Every role of the server may connect to {may.database} and hold up its writers; run `spe db upgrade`, or"
            f" `REVOKE CONNECT ON DATABASE {may.database} FROM PUBLIC` as the administrator."
        )


def _rights(transaction: Transaction, role: str) -> Iterator[str]:
    found: dict[str, set[str]] = {}
    for row in transaction.all(_RIGHTS):
        found.setdefault(row.name, set()).add(row.right)
    for name, wanted in roles.rights().items():
        has = found.get(name, set())
        if more := sorted(has - wanted):
            yield (
                f"The role {role} has {_some(more)} on {name}, which is more than it needs; run `spe db upgrade`, and"
                " take away the roles that it is a member of if that does not help."
            )
        if less := sorted(wanted - has):
            yield f"The role {role} may not {_some(less)} on {name}; run `spe db upgrade --role {role}`."


def _settings(transaction: Transaction) -> Iterator[str]:
    """A pooler between spe and the server may drop what a connection asks for."""
    for name, wanted in postgres.PROMISED.items():
        found = transaction.run(sa.text("SELECT current_setting(:name)"), {"name": name}).scalar()
        if found != wanted:
            yield (
                f"The connection's {name} is {found}, although spe asks for {wanted}: something between spe and the"
                " server drops the settings of a connection; connect to the server itself."
            )
    if transaction.run(sa.text("SHOW session_replication_role")).scalar() != "origin":
        yield "Rules are switched off by session_replication_role; reset it for the role and the database."


def link_problems(given: Mapping[str, str], *, encrypted: bool) -> Iterator[str]:
    """Whether others could read or answer what goes over the network, by the connection's parameters."""
    host = given.get("host") or given.get("hostaddr", "")
    if all(map(is_local, host.split(","))):
        return
    advice = "add `sslmode=verify-full&sslrootcert=/path/of/the/authority.pem` to the database's address"
    if not encrypted:
        yield f"The connection to {host} is not encrypted; {advice}."
    elif given.get("sslmode") != "verify-full":
        yield f"The connection to {host} does not make sure that it is {host} that answers; {advice}."


def _parameters(driver: Any) -> Mapping[str, str]:
    """What the connection was made with, whatever it came from."""
    return {
        option.keyword.decode(): option.val.decode()
        for option in driver.pgconn.info
        if option.val is not None and option.keyword != b"password"
    }


def is_local(host: str) -> bool:
    """Whether this is a socket or an address of this machine; a name that only resolves to one does not count."""
    if not host or host.startswith(("/", "@")) or host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _some(names: list[str]) -> str:
    shown = names if len(names) <= 3 else [*names[:2], f"{len(names) - 2} more"]
    return " and ".join(filter(None, (", ".join(shown[:-1]), shown[-1])))
