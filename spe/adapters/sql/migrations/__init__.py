"""The schema's history: bring a database to the newest revision, or tell where it stands.

An upgrade is one transaction on both databases (their DDL is transactional), so an interrupted one
leaves the database as it was; repeating it is fine. The triggers are no revision's business: they are
taken away before the revisions run and installed as the program knows them afterwards.
"""

from collections.abc import Sequence
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError
from sqlalchemy.exc import DBAPIError

from spe.adapters.sql import engine, roles, triggers
from spe.adapters.sql.failures import translate
from spe.adapters.sql.transaction import Transaction
from spe.adapters.sql.waits import Waits
from spe.domain.errors import Corrupt, Rejected, SpeError, Unavailable

_FOLDER = Path(__file__).parent
_PATIENCE = 600.0
"""Seconds that a migration's statements and locks may take."""


def head() -> str:
    """The newest revision that this program knows."""
    found = ScriptDirectory.from_config(_config()).get_current_head()
    if found is None:
        raise Corrupt("The program carries no database revisions.")
    return found


def current(url: str) -> str | None:
    """The revision of the database; None when it has no schema. Raises `Unavailable`."""
    source = engine.reader(url, Waits(lock=5))
    try:
        with source.connect() as connection:
            return MigrationContext.configure(connection).get_current_revision()
    except DBAPIError as error:
        raise translate(error) from error
    finally:
        source.dispose()


def upgrade(url: str, *, application: str = "") -> str:
    """Make or upgrade the schema and its rules; returns the revision reached.

    On PostgreSQL `url` is the owner's, and `application` the role that gets the rights to work with it.
    A trigger that was taken away or changed is installed again. Raises `Unavailable` when the database
    cannot be written, `Rejected` when a newer program made it.
    """
    _make_file(url)
    source = engine.migrator(url, seconds=_PATIENCE)
    try:
        with source.connect() as connection, connection.begin():
            _upgrade(connection)
            _grant(connection, application)
    except CommandError as error:
        raise Rejected("database", "a newer version of spe made it; install that version.") from error
    except DBAPIError as error:
        raise translate(error) from error
    finally:
        source.dispose()
    return head()


def _upgrade(connection: sa.Connection) -> None:
    found = MigrationContext.configure(connection).get_current_revision()
    if found == head() and not list(triggers.problems(Transaction(connection))):
        return
    config = _config()
    config.attributes["connection"] = connection
    triggers.remove(connection)
    command.upgrade(config, "head")
    triggers.install(connection)
    _check_references(connection)


def _grant(connection: sa.Connection, application: str) -> None:
    if application and connection.dialect.name == "postgresql":
        for statement in roles.grants(application):
            connection.exec_driver_sql(statement)
        name = connection.exec_driver_sql("SELECT quote_ident(current_database())").scalar_one()
        if connection.exec_driver_sql(_OWNS_DATABASE).scalar_one():
            for statement in roles.entry(name, application):
                connection.exec_driver_sql(statement)


_OWNS_DATABASE = "SELECT pg_has_role(datdba, 'USAGE') FROM pg_database WHERE datname = current_database()"


def problems(url: str) -> Sequence[str]:
    """Why the schema cannot be used, one sentence each; empty when it is current."""
    try:
        found = current(url)
    except SpeError as error:
        return error.sentences
    if found is None:
        return ("The database has no tables yet; run `spe db upgrade`.",)
    if found == head():
        return ()
    known = {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}
    if found in known:
        return (f"The database is at revision {found}, this program needs {head()}; run `spe db upgrade`.",)
    return (f"A newer version of spe made this database (revision {found}); install that version.",)


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def _make_file(url: str) -> None:
    path = engine.sqlite_path(url)
    if path is None:
        return
    try:
        engine.make_file(path)
    except OSError as error:
        raise Unavailable("database", f"the file cannot be opened: {error.strerror}") from error


def _check_references(connection: sa.Connection) -> None:
    """SQLite does not check references during an upgrade, so that tables can be rebuilt; afterwards it does."""
    if connection.dialect.name == "sqlite" and connection.exec_driver_sql("PRAGMA foreign_key_check").first():
        raise Corrupt("The upgrade would leave references to rows that are not there; nothing was changed.")
