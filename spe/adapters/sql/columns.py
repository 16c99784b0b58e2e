"""Column types and the one `MetaData`: what every table is made of.

Times are stored as UTC and come back aware; structured values are JSON text, written with sorted keys
so that equal values are equal text. `seq` gives tables an order of arrival.
"""

import json
from datetime import UTC, datetime
from enum import Enum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class UtcTime(TypeDecorator[datetime]):
    """An aware time; stored in UTC. A naive one is a programming error and raises ValueError."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Aware to UTC; SQLite keeps it as text without an offset."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a zone cannot be stored")
        moment = value.astimezone(UTC)
        return moment.replace(tzinfo=None) if dialect.name == "sqlite" else moment

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Stored UTC to aware UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class JsonText(TypeDecorator[Any]):
    """A JSON value as text with sorted keys; sets become sorted lists."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str:  # noqa: ARG002  (SQLAlchemy calls it so)
        """The value as text."""
        return json_text(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:  # noqa: ARG002  (as above)
        """The text as a value."""
        return None if value is None else json.loads(value)


def json_text(value: Any) -> str:
    """Compact JSON with sorted keys; sets as sorted lists, times as UTC in ISO 8601."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), default=_plain)


def _plain(value: Any) -> Any:
    if isinstance(value, set | frozenset):
        return sorted(value)
    if isinstance(value, datetime):
        return moment_text(value)
    if isinstance(value, Enum):
        return value.value
    raise TypeError(f"not JSON: {type(value).__name__}")


def moment_text(value: datetime) -> str:
    """An aware time as UTC with microseconds, always of the same length."""
    return value.astimezone(UTC).isoformat(timespec="microseconds")


def seq() -> sa.Column[int]:
    """The order of arrival, given by the database."""
    kind = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    return sa.Column("seq", kind, sa.Identity(), primary_key=True)


def counted() -> sa.CheckConstraint:
    """`seq` counts from one (SQLite shows −1 to triggers while the number is not given yet)."""
    return sa.CheckConstraint("seq > 0", name="seq")


def text(name: str, *rest: Any, **options: Any) -> sa.Column[str]:
    """Text that is never null."""
    return sa.Column(name, sa.Text(), *rest, nullable=False, **options)


def whole(name: str, *rest: Any, **options: Any) -> sa.Column[int]:
    """A whole number, 64 bits, never null."""
    return sa.Column(name, sa.BigInteger(), *rest, nullable=False, **options)


def json_column(name: str) -> sa.Column[Any]:
    """A JSON value as text, never null."""
    return sa.Column(name, JsonText(), nullable=False)


def moment(name: str, *, nullable: bool = False) -> sa.Column[datetime]:
    """A time."""
    return sa.Column(name, UtcTime(), nullable=nullable)


def digest(name: str, *rest: Any, **options: Any) -> sa.Column[str]:
    """A SHA-256 in hexadecimal; its length is checked by a constraint of the table."""
    return sa.Column(name, sa.Text(), *rest, nullable=False, **options)


def version() -> sa.Column[int]:
    """How often the entity was saved."""
    return sa.Column("version", sa.BigInteger(), nullable=False)


def child(table: str) -> sa.ForeignKey:
    """A reference that never cascades: parents are not deleted."""
    return sa.ForeignKey(table)
