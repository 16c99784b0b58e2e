"""Connections to PostgreSQL: what each one asks for, and that none waits for ever.

The server's own limits help only while it runs; a server that is frozen, or gone from the network, says nothing at all.
So the client hangs up by itself, and whoever waits is told.
"""

from collections.abc import Mapping
from typing import Any

import psycopg
import sqlalchemy as sa
from psycopg.abc import PQGen
from psycopg.pq import TransactionStatus
from sqlalchemy.pool import NullPool

from spe.adapters.sql.waits import Waits

PROMISED: Mapping[str, str] = {
    "TimeZone": "UTC",
    "synchronous_commit": "on",
    "default_transaction_isolation": "read committed",
}
"""Settings that each connection asks for, whatever the role or the database is set to."""

_LINK = {
    "connect_timeout": 5,
    "application_name": "spe",
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 25_000,
}


def engine(url: str, waits: Waits, pool: Mapping[str, Any]) -> sa.Engine:
    """An engine for what spe does every day."""
    limits = {"lock": waits.lock, "statement": waits.statement, "idle_in_transaction_session": waits.idle}
    asked = {f"{name}_timeout": str(int(seconds * 1000)) for name, seconds in limits.items()} | dict(PROMISED)
    options = " ".join(f"-c {name}={value.replace(' ', chr(92) + ' ')}" for name, value in asked.items())
    made = sa.create_engine(_address(url), connect_args={**_LINK, "options": options}, pool_pre_ping=True, **pool)
    _hang_up_after(made, waits.statement + waits.patience)
    return made


def administrator(url: str) -> sa.Engine:
    """An engine whose statements stand alone, each its own transaction: for what makes databases and roles."""
    made = sa.create_engine(_address(url), connect_args=_LINK, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    _hang_up_after(made, 60)
    return made


def is_postgres(url: str) -> bool:
    """Whether the address names a PostgreSQL server."""
    return sa.make_url(url).get_backend_name() in ("postgresql", "postgres")


class Impatient(psycopg.Connection[Any]):
    """A connection that is closed when the server keeps it waiting longer than `patience` seconds."""

    patience: float = 0

    def wait(self, gen: PQGen[Any], interval: float = 0.1, timeout: float | None = None) -> Any:
        """As the driver waits, with an end. Raises `psycopg.OperationalError`."""
        try:
            return super().wait(gen, interval=interval, timeout=timeout or self.patience)
        except psycopg.OperationalError:
            if self.pgconn.transaction_status != TransactionStatus.ACTIVE:
                raise
            self.pgconn.finish()
        raise psycopg.OperationalError(f"it said nothing for {timeout or self.patience:g} seconds")


def _address(url: str) -> sa.URL:
    return sa.make_url(url).set(drivername="postgresql+psycopg")


def _hang_up_after(made: sa.Engine, seconds: float) -> None:
    @sa.event.listens_for(made, "do_connect")
    def connect(_: sa.Dialect, __: Any, words: tuple[Any, ...], named: dict[str, Any]) -> Impatient:
        connection = Impatient.connect(*words, **named)
        connection.patience = seconds
        return connection
