"""Connections: one writer and several readers for each process, with the settings that durability needs.

SQLite: write-ahead log, `synchronous=FULL` (read back, not assumed), foreign keys on, writers begin
with BEGIN IMMEDIATE. PostgreSQL: writers wait for one advisory lock for the whole database, so that
both databases have one writer at a time and no rule is decided on what somebody else is changing.
"""

import os
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy.pool import QueuePool

from spe.adapters.sql import postgres
from spe.adapters.sql.waits import Waits
from spe.domain.errors import Unavailable

LOCK = 0x5350_4501
"""The advisory lock of writers on PostgreSQL; also taken by the triggers."""

_READERS = 8


def writer(url: str, waits: Waits) -> sa.Engine:
    """An engine with a single connection that writes."""
    engine = _engine(url, waits, size=1, more=0)
    begin = "BEGIN IMMEDIATE" if engine.dialect.name == "sqlite" else f"SELECT pg_advisory_xact_lock({LOCK})"
    _on_begin(engine, begin)
    return engine


def reader(url: str, waits: Waits) -> sa.Engine:
    """An engine whose transactions see one snapshot and cannot write. They hold up nobody, so they may stand still."""
    engine = _engine(url, replace(waits, idle=4 * waits.statement), size=_READERS, more=_READERS, read_only=True)
    sqlite = engine.dialect.name == "sqlite"
    _on_begin(engine, "BEGIN" if sqlite else "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
    return engine


def migrator(url: str, *, seconds: float) -> sa.Engine:
    """Like `writer`, patient, and without SQLite's checks of references while tables are rebuilt."""
    engine = _engine(url, Waits(lock=seconds, statement=seconds, idle=seconds), size=1, more=0)
    if engine.dialect.name == "sqlite":
        _on_begin(engine, "PRAGMA foreign_keys=OFF", "BEGIN IMMEDIATE")
    else:
        _on_begin(engine, f"SELECT pg_advisory_xact_lock({LOCK})")
    return engine


def sqlite_path(url: str) -> Path | None:
    """The file of a SQLite URL; None for other databases. Memory databases are not durable: ValueError."""
    parsed = sa.make_url(url)
    if parsed.get_backend_name() != "sqlite":
        return None
    if not parsed.database or parsed.database == ":memory:":
        raise ValueError("name a file: a database in memory keeps nothing")
    return Path(parsed.database)


def make_file(path: Path) -> None:
    """Create the database file for its owner alone; fine when it is there."""
    os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))


def _engine(url: str, waits: Waits, *, size: int, more: int, read_only: bool = False) -> sa.Engine:
    pool: dict[str, Any] = {
        "poolclass": QueuePool,
        "pool_size": size,
        "max_overflow": more,
        "pool_timeout": waits.lock,
    }
    path = sqlite_path(url)
    if path is not None:
        return sa.create_engine("sqlite://", creator=_opener(path, waits.lock, read_only), **pool)
    return postgres.engine(url, waits, pool)


def _opener(path: Path, lock_seconds: float, read_only: bool) -> Callable[[], sqlite3.Connection]:
    address = f"file:{quote(str(path))}?mode=rw"

    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(
            address, uri=True, timeout=lock_seconds, isolation_level=None, check_same_thread=False
        )
        _ask(connection, "PRAGMA journal_mode=WAL", "wal")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA foreign_keys=ON")
        connection.execute("PRAGMA recursive_triggers=ON")
        connection.execute("PRAGMA wal_autocheckpoint=4000")
        connection.execute("PRAGMA trusted_schema=OFF")
        _ask(connection, "PRAGMA synchronous", 2)
        _ask(connection, "PRAGMA foreign_keys", 1)
        if read_only:
            connection.execute("PRAGMA query_only=ON")
        return connection

    return connect


def _ask(connection: sqlite3.Connection, statement: str, wanted: object) -> None:
    """Run a pragma and insist on its answer."""
    answer = connection.execute(statement).fetchone()[0]
    if answer != wanted:
        connection.close()
        raise Unavailable("database", f"{statement} answers {answer}, not {wanted}")


def _on_begin(engine: sa.Engine, *statements: str) -> None:
    @sa.event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        for statement in statements:
            connection.exec_driver_sql(statement)
