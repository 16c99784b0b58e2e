"""Entities of one kind as rows: get, select, add and save, the same for every subject.

A subject says its table, its key and how an entity becomes a row and comes back; children (outputs,
confirmations) are written before the row on `save`, while the row is still in its old state, because
the database's rules look at that state.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace
from enum import Enum
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import sqlalchemy as sa

from spe.adapters.sql.transaction import Transaction
from spe.domain.errors import NotFound, Stale


class Versioned(Protocol):
    """A frozen dataclass that counts its saves."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def version(self) -> int: ...  # noqa: D102


K = TypeVar("K")
E = TypeVar("E", bound=Versioned)
Key = tuple[Any, ...]


class SqlTable(Generic[K, E]):
    """`spe.ports.store.Table` over one SQL table; subclasses say the mapping."""

    noun: ClassVar[str]
    table: ClassVar[sa.Table]
    key: ClassVar[tuple[str, ...]] = ("id",)
    parts: ClassVar[bool] = False

    _find: ClassVar[sa.Select[Any]]
    _insert: ClassVar[sa.Insert]
    _update: ClassVar[sa.Update]

    def __init_subclass__(cls) -> None:
        """Make the statements that every transaction uses, once: making them costs more than running them."""
        same = [cls.table.c[name] == sa.bindparam(f"key_{name}") for name in cls.key]
        cls._find = sa.select(cls.table).where(*same)
        cls._insert = sa.insert(cls.table)
        cls._update = sa.update(cls.table).where(*same, cls.table.c.version == sa.bindparam("version_read"))

    def __init__(self, transaction: Transaction) -> None:
        self._t = transaction
        self._seen: dict[Key, E] = {}

    def to_row(self, entity: E) -> dict[str, Any]:
        """The columns of an entity."""
        raise NotImplementedError

    def from_rows(self, rows: Sequence[sa.Row[Any]]) -> list[E]:
        """The entities of these rows, with their parts."""
        raise NotImplementedError

    def prepare(self, entity: E) -> None:
        """Write what the row refers to."""

    def write_parts(self, entity: E, stored: E | None) -> None:
        """Write the children that differ from what is stored."""

    def get(self, key: K) -> E:
        """The entity. Raises `NotFound`."""
        found = self.find(key)
        if found is None:
            raise NotFound(f"There is no such {self.noun}.")
        return found

    def find(self, key: K) -> E | None:
        """The entity or None."""
        values: Key = key if isinstance(key, tuple) else (key,)
        found = self._keep(self._t.run(self._find, self._bound(values)).all())
        return found[0] if found else None

    def select(self, *, limit: int = 1000, after: str = "", **where: Any) -> tuple[E, ...]:
        """Entities whose columns equal the values given, oldest first; a composite key reads `a/b`."""
        if any(_several(value) and not value for value in where.values()):
            return ()
        statement = sa.select(self.table).order_by(self.table.c.seq).limit(limit)
        for name, value in where.items():
            statement = statement.where(_matches(self.table.c[name], value))
        if after:
            values = tuple(after.split("/", len(self.key) - 1))
            same = (self.table.c[name] == value for name, value in zip(self.key, values, strict=True))
            start = sa.select(self.table.c.seq).where(*same).scalar_subquery()
            statement = statement.where(self.table.c.seq > start)
        return tuple(self._keep(self._t.all(statement)))

    def add(self, entity: E) -> None:
        """Insert. Raises `Stale` when the key is there already."""
        self.prepare(entity)
        row = self.to_row(entity)
        self._t.run(self._insert, row)
        self.write_parts(entity, None)
        self._seen[self._key_of(row)] = entity

    def save(self, entity: E) -> E:
        """Update where the stored version equals `entity.version`; returns it with the next. `Stale` else."""
        row = self.to_row(entity)
        key = self._key_of(row)
        self.prepare(entity)
        if self.parts:
            self.write_parts(entity, self._stored(key, entity))
        row |= {"version": entity.version + 1, "version_read": entity.version, **self._bound(key)}
        if self._t.run(self._update, row).rowcount != 1:
            raise self._stale()
        saved = replace(entity, version=entity.version + 1)
        self._seen[key] = saved
        return saved

    def _stored(self, key: Key, entity: E) -> E:
        seen = self._seen.get(key)
        if seen is None or seen.version != entity.version:
            seen = self.find(key)  # type: ignore[arg-type]
        if seen is None or seen.version != entity.version:
            raise self._stale()
        return seen

    def _stale(self) -> Exception:
        return self._t.fail(Stale(f"Somebody else changed this {self.noun} meanwhile."))

    def _keep(self, rows: Sequence[sa.Row[Any]]) -> list[E]:
        if not rows:
            return []
        entities = self.from_rows(rows)
        for row, entity in zip(rows, entities, strict=True):
            self._seen[tuple(getattr(row, name) for name in self.key)] = entity
        return entities

    def _key_of(self, row: dict[str, Any]) -> Key:
        return tuple(row[name] for name in self.key)

    def _bound(self, key: Key) -> dict[str, Any]:
        return {f"key_{name}": value for name, value in zip(self.key, key, strict=True)}


def _several(value: Any) -> bool:
    return isinstance(value, Collection) and not isinstance(value, str | bytes)


def _matches(column: sa.ColumnElement[Any], value: Any) -> sa.ColumnElement[bool]:
    if _several(value):
        return column.in_([_plain(v) for v in value])
    equal: sa.ColumnElement[bool] = column == _plain(value)
    return equal


def _plain(value: Any) -> Any:
    return value.value if isinstance(value, Enum) else value
