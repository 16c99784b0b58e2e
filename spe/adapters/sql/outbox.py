"""Owed effects and the leadership over them, as rows.

An effect that is put again while somebody carries it out gets a higher generation, so marking the
earlier one as done does not swallow the later.
"""

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from spe.adapters.sql.columns import metadata, moment, seq, text, whole
from spe.adapters.sql.transaction import Transaction
from spe.domain.intent import Intent, Leadership

outbox = sa.Table(
    "outbox",
    metadata,
    seq(),
    text("kind"),
    text("subject"),
    moment("due"),
    whole("attempts"),
    text("last_error"),
    whole("generation"),
    moment("done_at", nullable=True),
)
_OPEN = outbox.c.done_at.is_(None)
sa.Index("uq_outbox_open", outbox.c.kind, outbox.c.subject, unique=True, sqlite_where=_OPEN, postgresql_where=_OPEN)
sa.Index("ix_outbox_due", outbox.c.due, sqlite_where=_OPEN, postgresql_where=_OPEN)

_due = sa.bindparam("asked", type_=outbox.c.due.type)
_AGAIN = (
    sa.update(outbox)
    .where(outbox.c.kind == sa.bindparam("of_kind"), outbox.c.subject == sa.bindparam("of_subject"), _OPEN)
    .values(due=sa.case((outbox.c.due <= _due, outbox.c.due), else_=_due), generation=outbox.c.generation + 1)
)
_OWE = sa.insert(outbox)

leases = sa.Table("leases", metadata, text("name", primary_key=True), text("holder"), whole("fence"), moment("until"))
LEADER = "reconciler"


class SqlOutbox:
    """`spe.ports.store.Outbox`."""

    def __init__(self, transaction: Transaction) -> None:
        self._t = transaction

    def put(self, kind: str, subject: str, due: datetime) -> None:
        """Owe an effect; an open one for the same kind and subject becomes due no later."""
        if self._t.run(_AGAIN, {"of_kind": kind, "of_subject": subject, "asked": due}).rowcount == 0:
            row = {"kind": kind, "subject": subject, "due": due, "attempts": 0, "last_error": "", "generation": 0}
            self._t.run(_OWE, row)

    def due(self, now: datetime, *, limit: int = 20) -> tuple[Intent, ...]:
        """Open intents whose time has come, oldest first."""
        statement = sa.select(outbox).where(_OPEN, outbox.c.due <= now).order_by(outbox.c.due, outbox.c.seq)
        return tuple(_intent(row) for row in self._t.all(statement.limit(limit)))

    def open(self, *, limit: int = 200) -> tuple[Intent, ...]:
        """All open intents, oldest first."""
        statement = sa.select(outbox).where(_OPEN).order_by(outbox.c.due, outbox.c.seq)
        return tuple(_intent(row) for row in self._t.all(statement.limit(limit)))

    def done(self, intent: Intent, now: datetime) -> None:
        """Mark as carried out, unless it was put again since it was read."""
        same = (outbox.c.seq == intent.id, outbox.c.generation == intent.generation, _OPEN)
        self._t.run(sa.update(outbox).where(*same).values(done_at=now))

    def again(self, intent: Intent, due: datetime, error: str) -> None:
        """Try again at `due`; sooner when it was put again since it was read."""
        fresh = sa.and_(outbox.c.generation > intent.generation, outbox.c.due <= due)
        self._t.run(
            sa.update(outbox)
            .where(outbox.c.seq == intent.id, _OPEN)
            .values(
                due=sa.case((fresh, outbox.c.due), else_=due), attempts=outbox.c.attempts + 1, last_error=error[:1000]
            )
        )

    def prune(self, before: datetime, *, most: int = 5000) -> int:
        """Drop done intents from the oldest rows, so that a long table is neither read nor locked as a whole."""
        oldest = sa.select(outbox.c.seq, outbox.c.done_at).order_by(outbox.c.seq).limit(most).subquery()
        over = sa.select(oldest.c.seq).where(oldest.c.done_at < before)
        return int(self._t.run(sa.delete(outbox).where(outbox.c.seq.in_(over), ~_OPEN)).rowcount)


def _intent(row: sa.Row[Any]) -> Intent:
    return Intent(
        id=row.seq,
        kind=row.kind,
        subject=row.subject,
        due=row.due,
        attempts=row.attempts,
        last_error=row.last_error,
        done_at=row.done_at,
        generation=row.generation,
    )


def take_lead(transaction: Transaction, holder: str, until: datetime, now: datetime) -> Leadership | None:
    """Take or renew the leadership; None while somebody else holds it."""
    rows = transaction.all(sa.select(leases).where(leases.c.name == LEADER))
    if not rows:
        transaction.run(sa.insert(leases).values(name=LEADER, holder=holder, fence=1, until=until))
        return Leadership(holder=holder, fence=1, until=until)
    held = rows[0]
    if held.holder != holder and held.until > now:
        return None
    fence = held.fence if held.holder == holder else held.fence + 1
    transaction.run(sa.update(leases).where(leases.c.name == LEADER).values(holder=holder, fence=fence, until=until))
    return Leadership(holder=holder, fence=fence, until=until)


def leads(transaction: Transaction, leadership: Leadership) -> bool:
    """Whether nobody took over since: same holder, same fence."""
    rows = transaction.all(sa.select(leases.c.holder, leases.c.fence).where(leases.c.name == LEADER))
    return bool(rows) and (rows[0].holder, rows[0].fence) == (leadership.holder, leadership.fence)
