"""Guards as triggers: the one place where the dialects of SQLite and PostgreSQL differ.

SQLite: one trigger per table and event; `INSERT OR REPLACE` removes rows without asking delete
triggers, so inserts also refuse keys that are there. PostgreSQL: a function per table and event with a
fixed search path (a temporary table cannot shadow what a rule reads), which first takes the writers'
lock and refuses stale snapshots, so that two sessions cannot each see the state before the other.
"""

# ruff: noqa: S608  (statements are put together from constants of `guards`; no value comes from outside)

from collections.abc import Iterator

import sqlalchemy as sa

from spe.adapters.sql.engine import LOCK
from spe.adapters.sql.guards import EFFECTS, GUARDS, VIEWS, Effect, Guard, Rule
from spe.adapters.sql.transaction import Transaction

PREFIX = "spe_"
EVENTS = ("INSERT", "UPDATE", "DELETE")


def install(connection: sa.Connection) -> None:
    """Create every view and trigger; drops those that an earlier revision left. Repeatable."""
    remove(connection)
    for name, query in VIEWS.items():
        connection.exec_driver_sql(f"CREATE VIEW {name} AS {query}")
    for statement in _statements(connection.dialect.name, _schema(connection)):
        connection.exec_driver_sql(statement)


def remove(connection: sa.Connection) -> None:
    """Drop every view and trigger of ours; a migration that changes tables begins with it."""
    for name, table in _installed(connection):
        on = f" ON {table}" if connection.dialect.name == "postgresql" else ""
        connection.exec_driver_sql(f"DROP TRIGGER {name}{on}")
    if connection.dialect.name == "postgresql":
        for (function,) in connection.exec_driver_sql(
            "SELECT p.oid::regprocedure::text FROM pg_proc p WHERE p.pronamespace = current_schema()::regnamespace"
            f" AND p.proname LIKE '{PREFIX.replace('_', chr(92) + '_')}%%'"
        ).all():
            connection.exec_driver_sql(f"DROP FUNCTION {function}")
    for name in VIEWS:
        connection.exec_driver_sql(f"DROP VIEW IF EXISTS {name}")


def problems(transaction: Transaction) -> Iterator[str]:
    """One sentence for each rule that is missing, switched off or not as it was installed."""
    rules, views = _texts(transaction), _views(transaction)
    changed = [name for name, text in _expected(transaction).items() if rules.get(name) != text]
    changed += [name for name, query in VIEWS.items() if views.get(name) != _plain(query)]
    for name in changed:
        yield f"The database's rule {name} is missing or was changed; find out who did it, then run `spe db upgrade`."


def _installed(connection: sa.Connection) -> list[tuple[str, str]]:
    query = {
        "sqlite": "SELECT name, tbl_name FROM sqlite_master"
        f" WHERE type = 'trigger' AND substr(name, 1, 4) = '{PREFIX}'",
        "postgresql": "SELECT t.tgname, c.relname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid"
        f" WHERE NOT t.tgisinternal AND substr(t.tgname, 1, 4) = '{PREFIX}'"
        " AND c.relnamespace = current_schema()::regnamespace",
    }[connection.dialect.name]
    return [(row[0], row[1]) for row in connection.exec_driver_sql(query)]


def _schema(connection: sa.Connection) -> str:
    if connection.dialect.name == "sqlite":
        return "main"
    return str(connection.exec_driver_sql("SELECT quote_ident(current_schema())").scalar_one())


def _rules(guard: Guard, event: str, dialect: str) -> list[Rule]:
    """What a trigger asks, in this order; the first condition that holds refuses."""
    if event == "INSERT":
        return [*guard.insert, *(_taken(guard) if dialect == "sqlite" else ())]
    if event == "DELETE":
        return [("kept", "1 = 1")] if guard.keeps else list(guard.delete)
    if guard.fixed is None:
        return [("fixed", "1 = 1")]
    return [("fixed", " OR ".join(f"NEW.{column} <> OLD.{column}" for column in guard.fixed)), *guard.update]


def _taken(guard: Guard) -> list[Rule]:
    return [
        (
            "exists",
            f"EXISTS (SELECT 1 FROM {guard.table} x WHERE "
            + " AND ".join(f"x.{column} = NEW.{column}" for column in key)
            + ")",
        )
        for key in guard.keys
    ]


def _statements(dialect: str, schema: str) -> Iterator[str]:
    for guard in GUARDS:
        for event in EVENTS:
            rules = _rules(guard, event, dialect)
            if rules:
                yield from _guarding(dialect, schema, guard.table, event, rules)
        if guard.keeps and dialect == "postgresql":
            yield from _function(
                schema,
                f"{PREFIX}{guard.table}_truncate",
                "RAISE EXCEPTION 'spe:kept' USING ERRCODE = '23000';",
                f"BEFORE TRUNCATE ON {guard.table} FOR EACH STATEMENT",
            )
    for effect in EFFECTS:
        yield from _following(dialect, schema, effect)


def _guarding(dialect: str, schema: str, table: str, event: str, rules: list[Rule]) -> Iterator[str]:
    name = f"{PREFIX}{table}_{event.lower()}"
    if dialect == "sqlite":
        cases = " ".join(f"WHEN ({condition}) THEN RAISE(ABORT, 'spe:{code}')" for code, condition in rules)
        yield f"CREATE TRIGGER {name} BEFORE {event} ON {table} FOR EACH ROW BEGIN SELECT CASE {cases} END; END"
        return
    body = (
        "IF current_setting('transaction_isolation') <> 'read committed' THEN"
        " RAISE EXCEPTION 'spe:isolation' USING ERRCODE = '23000'; END IF;"
        f" PERFORM pg_advisory_xact_lock({LOCK});"
    )
    for code, condition in rules:
        body += f" IF ({condition}) THEN RAISE EXCEPTION 'spe:{code}' USING ERRCODE = '23000'; END IF;"
    body += " RETURN OLD;" if event == "DELETE" else " RETURN NEW;"
    yield from _function(schema, name, body, f"BEFORE {event} ON {table} FOR EACH ROW")


def _following(dialect: str, schema: str, effect: Effect) -> Iterator[str]:
    name = PREFIX + effect.name
    if dialect == "sqlite":
        yield (
            f"CREATE TRIGGER {name} AFTER {effect.event} ON {effect.table} FOR EACH ROW WHEN {effect.when}"
            f" BEGIN {effect.statement}; END"
        )
        return
    body = f"IF ({effect.when}) THEN {effect.statement}; END IF; RETURN NULL;"
    yield from _function(schema, name, body, f"AFTER {effect.event} ON {effect.table} FOR EACH ROW")


def _function(schema: str, name: str, body: str, placed: str) -> Iterator[str]:
    yield (
        f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql SET search_path = {schema}, pg_temp"
        f" AS $spe$ BEGIN {body} END $spe$"
    )
    yield f"CREATE TRIGGER {name} {placed} EXECUTE FUNCTION {name}()"


def _expected(transaction: Transaction) -> dict[str, str]:
    """Name and text of each trigger as it should be found."""
    if transaction.dialect == "sqlite":
        return {s.split()[2]: s for s in _statements("sqlite", "main")}
    functions = [s for s in _statements("postgresql", "") if s.startswith("CREATE FUNCTION")]
    return {s.split()[2].removesuffix("()"): s.split("$spe$")[1] for s in functions}


def _texts(transaction: Transaction) -> dict[str, str]:
    query = {
        "sqlite": "SELECT name, sql FROM sqlite_master WHERE type = 'trigger'",
        "postgresql": "SELECT t.tgname AS name, p.prosrc AS sql FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid"
        " JOIN pg_class c ON c.oid = t.tgrelid WHERE t.tgenabled IN ('O', 'A') AND NOT t.tgisinternal"
        " AND c.relnamespace = current_schema()::regnamespace",
    }[transaction.dialect]
    return {row.name: row.sql for row in transaction.all(sa.text(query))}


def _views(transaction: Transaction) -> dict[str, str]:
    """Name and query of each view, in the plain form of `_plain`."""
    query = {
        "sqlite": "SELECT name, substr(sql, instr(sql, ' AS ') + 4) AS sql FROM sqlite_master WHERE type = 'view'",
        "postgresql": "SELECT viewname AS name, definition AS sql FROM pg_views WHERE schemaname = current_schema()",
    }[transaction.dialect]
    return {row.name: _plain(row.sql) for row in transaction.all(sa.text(query))}


def _plain(query: str) -> str:
    """A query without what PostgreSQL writes differently when it tells a view: space, brackets, the end."""
    return "".join(sign for sign in query.lower() if not sign.isspace() and sign not in "();")
