"""Real databases for tests: a SQLite file, a PostgreSQL server of our own, and the one that the environment names.

Each test gets a database of its own, copied from one that was migrated once. On PostgreSQL the store
connects as the application role, which owns nothing; attacks are tried as that role and as the owner.
"""

import atexit
import functools
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest

from spe.adapters.sql import SqlStore, migrations, roles
from tests.support.postgres import APPLICATION, OWNER, Postgres, Server, named, own

NAMED = pytest.param("named", marks=pytest.mark.servers)
POSTGRES = ("postgresql", NAMED)
KINDS = ("sqlite", *POSTGRES)
"""What a test takes place on: a file, our own server, the server that the environment names."""
Refusals = (sqlite3.Error, psycopg.Error)
"""What a raw connection raises when the database says no."""
__all__ = ["APPLICATION", "KINDS", "NAMED", "OWNER", "POSTGRES", "Postgres"]

_OPEN: list[SqlStore] = []


@dataclass(frozen=True, slots=True)
class Database:
    """One database; `url` is what the store uses, `owner_url` may change the schema. `kind` is its dialect."""

    kind: str
    url: str
    owner_url: str
    application: str = APPLICATION

    def store(self, **options: Any) -> SqlStore:
        """A store on it, closed after the test."""
        made = SqlStore(self.url, **options)
        _OPEN.append(made)
        return made

    def raw(self, *, owner: bool = True) -> "Raw":
        """A connection that knows nothing of us, in autocommit."""
        if self.kind == "sqlite":
            return Raw(sqlite3.connect(self.path, isolation_level=None, timeout=10))
        return Raw(psycopg.connect(self.owner_url if owner else self.url, autocommit=True))

    @property
    def path(self) -> Path:
        """The file of a SQLite database."""
        return Path(self.url.removeprefix("sqlite:///"))


class Raw:
    """Direct SQL with `?` for values on both databases."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self._percent = isinstance(connection, psycopg.Connection)

    def run(self, statement: str, *values: Any) -> Sequence[tuple[Any, ...]]:
        """Execute; rows if there are any."""
        text = statement.replace("%", "%%").replace("?", "%s") if self._percent else statement
        cursor = self.connection.execute(text, values)
        return cursor.fetchall() if cursor.description else ()

    def __enter__(self) -> "Raw":
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()


def on(server: Server, template: str | None = None) -> Database:
    """A database on a server, empty or copied from another one."""
    name = server.make(template)
    for statement in roles.entry(name, server.application):  # which a copy does not take over
        server.run(statement)
    return Database(
        "postgresql", server.url(name, server.application), server.url(name, server.owner), server.application
    )


def server_of(kind: str) -> Server:
    """The server behind a kind of database."""
    return named() if kind == "named" else own()


def empty(kind: str, folder: Path) -> Database:
    """A database without tables."""
    if kind == "sqlite":
        url = f"sqlite:///{folder}/spe.db"
        return Database("sqlite", url, url)
    return on(server_of(kind))


def migrated(database: Database) -> Database:
    """The same database with the schema and the rights of its application."""
    migrations.upgrade(database.owner_url, application=database.application)
    return database


@functools.cache
def _template(kind: str) -> str:
    """The name, or the file, of a database that was migrated once."""
    folder = Path(tempfile.mkdtemp(prefix="spe-db-", dir="/tmp"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    made = migrated(empty(kind, folder))
    return str(made.path) if kind == "sqlite" else name_of(made)


def name_of(made: Database) -> str:
    """The name of a database on a PostgreSQL server."""
    return urlsplit(made.url).path.removeprefix("/")


def fresh(kind: str, folder: Path) -> Database:
    """A migrated database without content."""
    template = _template(kind)
    if kind != "sqlite":
        return on(server_of(kind), template)
    shutil.copyfile(template, folder / "spe.db")
    return empty(kind, folder)


@pytest.fixture(params=KINDS)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Database:
    """A migrated, empty database of each kind in turn."""
    return fresh(request.param, tmp_path)


@pytest.fixture
def store(database: Database) -> SqlStore:
    """A store on it."""
    return database.store()


@pytest.fixture(autouse=True)
def close_stores() -> Iterator[None]:
    """Close every store that the test opened."""
    yield
    while _OPEN:
        _OPEN.pop().close()
