"""The Merkle log as rows: entries with their canonical bytes, complete subtrees, signed tree heads.

The index is read and taken inside the writing transaction, of which there is one at a time; so
indices have no gaps and the tree never forks. Columns beside the bytes only serve to search.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import datetime
from functools import cache
from typing import Any

import sqlalchemy as sa

from spe.adapters.sql.columns import counted, metadata, moment, seq, text, whole
from spe.adapters.sql.transaction import Transaction
from spe.domain.audit import AuditEntry, Checkpoint
from spe.domain.errors import Corrupt, NotFound
from spe.domain.merkle import Frontier, leaf_hash

PAGE = 1000
PORT = "audit log"

audit_entries = sa.Table(
    "audit_entries",
    metadata,
    sa.Column("idx", sa.BigInteger(), primary_key=True, autoincrement=False),
    sa.Column("body", sa.LargeBinary(), nullable=False),
    moment("at"),
    text("event"),
    text("object_id"),
    text("actor"),
    sa.Index("ix_audit_entries_object_id_idx", "object_id", "idx"),
    sa.Index("ix_audit_entries_event_idx", "event", "idx"),
    sa.Index("ix_audit_entries_actor_idx", "actor", "idx"),
)

audit_nodes = sa.Table(
    "audit_nodes",
    metadata,
    sa.Column("level", sa.BigInteger(), primary_key=True, autoincrement=False),
    sa.Column("idx", sa.BigInteger(), primary_key=True, autoincrement=False),
    sa.Column("hash", sa.LargeBinary(), nullable=False),
    sa.CheckConstraint("length(hash) = 32", name="hash"),
)

checkpoints = sa.Table(
    "checkpoints",
    metadata,
    seq(),
    text("origin"),
    whole("size"),
    sa.Column("root", sa.LargeBinary(), nullable=False),
    text("note"),
    moment("at"),
    counted(),
)


_LAST = sa.select(sa.func.max(audit_entries.c.idx))
_ADD_ENTRY = sa.insert(audit_entries)
_ADD_NODES = sa.insert(audit_nodes)
_NODE = ("level", "idx")


@cache
def _nodes(count: int) -> sa.Select[Any]:
    """So many nodes by place; spelled out, since SQLite reads a whole table to compare with a list of pairs."""
    places = (sa.and_(*(audit_nodes.c[name] == sa.bindparam(f"{name}_{n}") for name in _NODE)) for n in range(count))
    return sa.select(audit_nodes).where(sa.or_(*places))


class SqlAuditLog:
    """`spe.ports.store.AuditLog`."""

    def __init__(self, transaction: Transaction) -> None:
        self._t = transaction
        self._frontier: Frontier | None = None

    def append(self, entry: AuditEntry) -> AuditEntry:
        """Append and return the entry with its index. Raises `Unavailable` when it cannot be written."""
        frontier = self._frontier or self._load(self._size(), about=PORT)
        placed = replace(entry, index=frontier.size)
        body = placed.data()
        frontier, nodes = frontier.append(leaf_hash(body))
        row = {
            "idx": placed.index,
            "body": body,
            "at": placed.at,
            "event": placed.event,
            "object_id": placed.object_id,
            "actor": placed.actor.subject,
        }
        self._t.run(_ADD_ENTRY, row, about=PORT)
        rows = [{"level": node.level, "idx": node.index, "hash": node.hash} for node in nodes]
        self._t.run(_ADD_NODES, rows, about=PORT)
        self._frontier = frontier
        return placed

    @property
    def size(self) -> int:
        """Number of entries."""
        return self._frontier.size if self._frontier else self._size()

    def root(self, size: int | None = None) -> bytes:
        """The RFC 6962 root over the first `size` entries. Raises ValueError when there are fewer."""
        have = self.size
        wanted = have if size is None else size
        if not 0 <= wanted <= have:
            raise ValueError(f"the log has {have} entries")
        if self._frontier and wanted == have:
            return self._frontier.root()
        return self._load(wanted).root()

    def node(self, level: int, index: int) -> bytes:
        """The stored hash of a complete subtree. Raises `NotFound`."""
        statement = sa.select(audit_nodes.c.hash).where(audit_nodes.c.level == level, audit_nodes.c.idx == index)
        found = self._t.run(statement).scalar()
        if found is None:
            raise NotFound(f"The log has no node {index} at level {level}.")
        return bytes(found)

    def entry(self, index: int) -> AuditEntry:
        """One entry. Raises `NotFound`."""
        found = self._t.run(sa.select(audit_entries.c.body).where(audit_entries.c.idx == index)).scalar()
        if found is None:
            raise NotFound(f"The audit log has no entry {index}.")
        return AuditEntry.read(bytes(found))

    def raw(self, start: int = 0, stop: int | None = None) -> Iterator[tuple[int, bytes]]:
        """(index, canonical bytes) as stored, in order, read in pages."""
        after = start - 1
        while True:
            statement = sa.select(audit_entries.c.idx, audit_entries.c.body).where(audit_entries.c.idx > after)
            if stop is not None:
                statement = statement.where(audit_entries.c.idx < stop)
            rows = self._t.all(statement.order_by(audit_entries.c.idx).limit(PAGE))
            yield from ((row.idx, bytes(row.body)) for row in rows)
            if len(rows) < PAGE:
                return
            after = rows[-1].idx

    def select(
        self, *, subject: str = "", event: str = "", person: str = "", before: int | None = None, limit: int = 100
    ) -> tuple[AuditEntry, ...]:
        """Entries, newest first, filtered by object id, event prefix or actor's subject."""
        statement = sa.select(audit_entries.c.body).order_by(audit_entries.c.idx.desc()).limit(limit)
        if subject:
            statement = statement.where(audit_entries.c.object_id == subject)
        if event:
            statement = statement.where(audit_entries.c.event.startswith(event, autoescape=True))
        if person:
            statement = statement.where(audit_entries.c.actor == person)
        if before is not None:
            statement = statement.where(audit_entries.c.idx < before)
        return tuple(AuditEntry.read(bytes(row.body)) for row in self._t.all(statement))

    def add_checkpoint(self, checkpoint: Checkpoint, note: str, at: datetime) -> None:
        """Keep a signed tree head. Raises `Refused` when it contradicts the log or an earlier one."""
        row = {"origin": checkpoint.origin, "size": checkpoint.size, "root": checkpoint.root, "note": note, "at": at}
        self._t.run(sa.insert(checkpoints).values(row))

    def newest_checkpoint(self) -> tuple[Checkpoint, str] | None:
        """The latest signed tree head with its note, or None."""
        rows = self._t.all(sa.select(checkpoints).order_by(checkpoints.c.seq.desc()).limit(1))
        return next(((Checkpoint(origin=r.origin, size=r.size, root=bytes(r.root)), r.note) for r in rows), None)

    def checkpoints(self) -> tuple[tuple[Checkpoint, str], ...]:
        """Every signed tree head, oldest first."""
        rows = self._t.all(sa.select(checkpoints).order_by(checkpoints.c.seq))
        return tuple((Checkpoint(origin=r.origin, size=r.size, root=bytes(r.root)), r.note) for r in rows)

    def _size(self) -> int:
        last = self._t.run(_LAST, about=PORT).scalar()
        return 0 if last is None else last + 1

    def _load(self, size: int, about: str = "database") -> Frontier:
        """The frontier of the first `size` entries, all of its nodes in one statement."""
        places: list[tuple[int, int]] = []
        Frontier.load(size, _noting(places))
        if not places:
            return Frontier()
        values = {
            f"{name}_{n}": value for n, place in enumerate(places) for name, value in zip(_NODE, place, strict=True)
        }
        rows: Iterable[Any] = self._t.run(_nodes(len(places)), values, about=about)
        found = {(row.level, row.idx): bytes(row.hash) for row in rows}
        if len(found) < len(places):
            raise self._t.fail(Corrupt("Nodes of the audit log are missing."))
        return Frontier.load(size, lambda level, index: found[level, index])


def _noting(places: list[tuple[int, int]]) -> Callable[[int, int], bytes]:
    """A reader of nodes that only notes which ones are asked for."""

    def node(level: int, index: int) -> bytes:
        places.append((level, index))
        return b"\0" * 32

    return node
