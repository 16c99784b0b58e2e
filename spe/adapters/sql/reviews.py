"""Votes and waivers as rows: inserted once, never changed."""

from typing import Any

import sqlalchemy as sa

from spe.adapters.sql.columns import child, counted, digest, json_column, metadata, moment, seq, text, whole
from spe.adapters.sql.transaction import Transaction
from spe.domain.ids import PersonId, RequestId
from spe.domain.review import Decision, Vote, Waiver

votes = sa.Table(
    "votes",
    metadata,
    seq(),
    text("request", child("egress.id")),
    whole("round"),
    text("path"),
    digest("sha256"),
    text("checker", child("people.id")),
    text("decision"),
    text("reason"),
    json_column("acknowledged"),
    moment("at"),
    sa.UniqueConstraint("request", "round", "path", "checker"),
    sa.CheckConstraint("decision IN ('approve', 'change', 'reject')", name="decision"),
    counted(),
)

waivers = sa.Table(
    "waivers",
    metadata,
    seq(),
    text("request", child("egress.id")),
    whole("round"),
    text("finding"),
    text("person", child("people.id")),
    text("reason"),
    moment("at"),
    sa.UniqueConstraint("request", "round", "finding"),
    counted(),
)


class SqlVotes:
    """`spe.ports.store.Votes`; the database says who may vote."""

    def __init__(self, transaction: Transaction) -> None:
        self._t = transaction

    def add(self, vote: Vote) -> None:
        """Insert one vote. Raises `Refused` when the voter may not, or voted already."""
        self._t.run(
            sa.insert(votes).values(
                request=vote.request,
                round=vote.round,
                path=vote.path,
                sha256=vote.sha256,
                checker=vote.checker,
                decision=vote.decision.value,
                reason=vote.reason,
                acknowledged=vote.acknowledged,
                at=vote.at,
            )
        )

    def of(self, request: RequestId) -> tuple[Vote, ...]:
        """Every vote on the request, all rounds, oldest first."""
        rows = self._t.all(sa.select(votes).where(votes.c.request == request).order_by(votes.c.seq))
        return tuple(_vote(row) for row in rows)

    def add_waiver(self, waiver: Waiver) -> None:
        """Insert one waiver. Raises `Refused` for the author and people on the permit."""
        self._t.run(
            sa.insert(waivers).values(
                request=waiver.request,
                round=waiver.round,
                finding=waiver.finding,
                person=waiver.person,
                reason=waiver.reason,
                at=waiver.at,
            )
        )

    def waivers(self, request: RequestId) -> tuple[Waiver, ...]:
        """Every waiver on the request, oldest first."""
        rows = self._t.all(sa.select(waivers).where(waivers.c.request == request).order_by(waivers.c.seq))
        return tuple(
            Waiver(
                request=RequestId(row.request),
                round=row.round,
                finding=row.finding,
                person=PersonId(row.person),
                reason=row.reason,
                at=row.at,
            )
            for row in rows
        )


def _vote(row: sa.Row[Any]) -> Vote:
    return Vote(
        request=RequestId(row.request),
        round=row.round,
        path=row.path,
        sha256=row.sha256,
        checker=PersonId(row.checker),
        decision=Decision(row.decision),
        reason=row.reason,
        acknowledged=frozenset(row.acknowledged),
        at=row.at,
    )
