"""People and accepted terms as rows."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from spe.adapters.sql.columns import child, counted, json_column, metadata, moment, seq, text, version
from spe.adapters.sql.table import SqlTable
from spe.adapters.sql.transaction import Transaction
from spe.domain.ids import PermitId, PersonId
from spe.domain.person import Acceptance, Person
from spe.domain.principal import Role

people = sa.Table(
    "people",
    metadata,
    seq(),
    text("id", unique=True),
    text("issuer"),
    text("subject"),
    text("name"),
    text("organisation"),
    json_column("roles"),
    sa.Column("active", sa.Boolean(), nullable=False),
    moment("trained_until", nullable=True),
    version(),
    sa.UniqueConstraint("issuer", "subject"),
    counted(),
)

acceptances = sa.Table(
    "acceptances",
    metadata,
    text("person", child("people.id"), primary_key=True),
    text("permit", child("permits.id"), primary_key=True),
    text("terms", primary_key=True),
    moment("at"),
)


class People(SqlTable[PersonId, Person]):
    """Natural persons by id."""

    noun = "person"
    table = people

    def to_row(self, entity: Person) -> dict[str, Any]:
        """The columns of a person."""
        return {
            "id": entity.id,
            "issuer": entity.issuer,
            "subject": entity.subject,
            "name": entity.name,
            "organisation": entity.organisation,
            "roles": [role.value for role in sorted(entity.roles)],
            "active": entity.active,
            "trained_until": entity.trained_until,
            "version": entity.version,
        }

    def from_rows(self, rows: Sequence[sa.Row[Any]]) -> list[Person]:
        """The people of these rows."""
        return [
            Person(
                id=PersonId(row.id),
                issuer=row.issuer,
                subject=row.subject,
                name=row.name,
                organisation=row.organisation,
                roles=frozenset(Role(role) for role in row.roles),
                active=row.active,
                trained_until=row.trained_until,
                version=row.version,
            )
            for row in rows
        ]

    def of_identity(self, issuer: str, subject: str) -> Person | None:
        """The person behind an identity, or None."""
        found = self.select(issuer=issuer, subject=subject, limit=1)
        return found[0] if found else None


def accept(transaction: Transaction, acceptance: Acceptance) -> None:
    """Record accepted terms; the first acceptance of a text stands."""
    key = (
        acceptances.c.person == acceptance.person,
        acceptances.c.permit == acceptance.permit,
        acceptances.c.terms == acceptance.terms,
    )
    if transaction.all(sa.select(acceptances.c.at).where(*key)):
        return
    transaction.run(
        sa.insert(acceptances).values(
            person=acceptance.person, permit=acceptance.permit, terms=acceptance.terms, at=acceptance.at
        )
    )


def accepted(transaction: Transaction, person: PersonId, permit: PermitId) -> Acceptance | None:
    """The latest acceptance, or None."""
    statement = (
        sa.select(acceptances)
        .where(acceptances.c.person == person, acceptances.c.permit == permit)
        .order_by(acceptances.c.at.desc(), acceptances.c.terms.desc())
        .limit(1)
    )
    for row in transaction.all(statement):
        return Acceptance(person=PersonId(row.person), permit=PermitId(row.permit), terms=row.terms, at=row.at)
    return None
