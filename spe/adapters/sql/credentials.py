"""Credentials (by digest only) and answers to Idempotency-Keys as rows."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from spe.adapters.sql.columns import child, counted, json_column, metadata, moment, seq, text, version
from spe.adapters.sql.table import SqlTable
from spe.adapters.sql.transaction import Transaction
from spe.domain.ids import PersonId
from spe.domain.person import Credential, CredentialKind

credentials = sa.Table(
    "credentials",
    metadata,
    seq(),
    text("digest", unique=True),
    text("kind"),
    text("person", child("people.id"), index=True),
    moment("created_at"),
    moment("expires"),
    moment("used_at", nullable=True),
    json_column("facts"),
    version(),
    counted(),
)

answers = sa.Table("answers", metadata, text("key", primary_key=True), text("answer"), moment("at"))


class Credentials(SqlTable[str, Credential]):
    """Credentials by the SHA-256 of their secret."""

    noun = "credential"
    table = credentials
    key = ("digest",)

    def to_row(self, entity: Credential) -> dict[str, Any]:
        """The columns of a credential."""
        return {
            "digest": entity.digest,
            "kind": entity.kind.value,
            "person": entity.person,
            "created_at": entity.created_at,
            "expires": entity.expires,
            "used_at": entity.used_at,
            "facts": entity.facts,
            "version": entity.version,
        }

    def from_rows(self, rows: Sequence[sa.Row[Any]]) -> list[Credential]:
        """The credentials of these rows."""
        return [
            Credential(
                digest=row.digest,
                kind=CredentialKind(row.kind),
                person=PersonId(row.person),
                created_at=row.created_at,
                expires=row.expires,
                used_at=row.used_at,
                facts=row.facts,
                version=row.version,
            )
            for row in rows
        ]


def live(transaction: Transaction, kind: CredentialKind, now: datetime) -> tuple[Credential, ...]:
    """Every credential of this kind that is neither used nor over, oldest first."""
    fits = (credentials.c.kind == kind.value, credentials.c.used_at.is_(None), credentials.c.expires > now)
    rows = transaction.all(sa.select(credentials).where(*fits).order_by(credentials.c.seq))
    return tuple(Credentials(transaction).from_rows(rows))


def answer_of(transaction: Transaction, key: str) -> str | None:
    """The stored answer to an Idempotency-Key, or None."""
    return transaction.run(sa.select(answers.c.answer).where(answers.c.key == key)).scalar()


def keep_answer(transaction: Transaction, key: str, answer: str, at: datetime) -> None:
    """Store an answer. Raises `Stale` when there is one."""
    transaction.run(sa.insert(answers).values(key=key, answer=answer, at=at))
