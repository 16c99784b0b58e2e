"""Permits and the changes that wait for confirmation, as rows.

A permit points at its terms; every set of terms it ever had stays in `permit_versions`, written by a
trigger.
"""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from spe.adapters.sql.columns import child, counted, json_column, metadata, moment, seq, text, version, whole
from spe.adapters.sql.table import SqlTable
from spe.adapters.sql.terms import TERMS, digest_of, store
from spe.domain.ids import ChangeId, PermitId, PersonId
from spe.domain.permit import Change, Permit, PermitState

permits = sa.Table(
    "permits",
    metadata,
    seq(),
    text("id", unique=True),
    text("kind"),
    text("issuer"),
    text("terms", child("terms.digest")),
    text("state", index=True),
    text("proposed_by", child("people.id")),
    moment("created_at"),
    json_column("confirmed_by"),
    text("reason"),
    version(),
    counted(),
)

permit_versions = sa.Table(
    "permit_versions",
    metadata,
    text("permit", child("permits.id"), primary_key=True),
    sa.Column("number", sa.BigInteger(), primary_key=True, autoincrement=False),
    text("terms", child("terms.digest")),
)

changes = sa.Table(
    "changes",
    metadata,
    seq(),
    text("id", unique=True),
    text("permit", child("permits.id"), index=True),
    text("verb"),
    text("terms", child("terms.digest")),
    text("proposed_by", child("people.id")),
    moment("proposed_at"),
    text("settled"),
    whole("spent", server_default="0"),
    version(),
    counted(),
)

change_confirmations = sa.Table(
    "change_confirmations",
    metadata,
    text("change", child("changes.id"), primary_key=True),
    text("person", child("people.id"), primary_key=True),
)


class Permits(SqlTable[PermitId, Permit]):
    """Permits by id."""

    noun = "permit"
    table = permits

    def prepare(self, entity: Permit) -> None:
        """Store the terms when they are not there yet."""
        seen = self._seen.get((entity.id,))
        if seen is None or seen.terms != entity.terms:
            store(self._t, entity.terms)

    def to_row(self, entity: Permit) -> dict[str, Any]:
        """The columns of a permit."""
        return {
            "id": entity.id,
            "kind": entity.kind,
            "issuer": entity.issuer,
            "terms": digest_of(entity.terms),
            "state": entity.state.value,
            "proposed_by": entity.proposed_by,
            "created_at": entity.created_at,
            "confirmed_by": entity.confirmed_by,
            "reason": entity.reason,
            "version": entity.version,
        }

    def from_rows(self, rows: Sequence[sa.Row[Any]]) -> list[Permit]:
        """The permits of these rows, with their terms."""
        found = TERMS.of(self._t, (row.terms for row in rows))
        return [
            Permit(
                id=PermitId(row.id),
                kind=row.kind,
                issuer=row.issuer,
                terms=found[row.terms],
                state=PermitState(row.state),
                proposed_by=PersonId(row.proposed_by),
                created_at=row.created_at,
                confirmed_by=frozenset(PersonId(person) for person in row.confirmed_by),
                reason=row.reason,
                version=row.version,
            )
            for row in rows
        ]


class Changes(SqlTable[ChangeId, Change]):
    """Proposed changes by id; confirmations are only ever added."""

    noun = "proposed change"
    table = changes
    parts = True

    def prepare(self, entity: Change) -> None:
        """Store the terms when they are not there yet."""
        if (entity.id,) not in self._seen:
            store(self._t, entity.terms)

    def to_row(self, entity: Change) -> dict[str, Any]:
        """The columns of a change."""
        return {
            "id": entity.id,
            "permit": entity.permit,
            "verb": entity.verb,
            "terms": digest_of(entity.terms),
            "proposed_by": entity.proposed_by,
            "proposed_at": entity.proposed_at,
            "settled": entity.settled,
            "version": entity.version,
        }

    def write_parts(self, entity: Change, stored: Change | None) -> None:
        """Add the confirmations that are new; the database refuses to take one back."""
        known = stored.confirmed_by if stored else frozenset()
        for person in sorted(known - entity.confirmed_by):
            self._t.run(
                sa.delete(change_confirmations).where(
                    change_confirmations.c.change == entity.id, change_confirmations.c.person == person
                )
            )
        fresh = sorted(entity.confirmed_by - known)
        if fresh:
            self._t.run(sa.insert(change_confirmations), [{"change": entity.id, "person": p} for p in fresh])

    def from_rows(self, rows: Sequence[sa.Row[Any]]) -> list[Change]:
        """The changes of these rows, with terms and confirmations."""
        found = TERMS.of(self._t, (row.terms for row in rows))
        confirmations: dict[str, set[PersonId]] = {}
        statement = sa.select(change_confirmations).where(change_confirmations.c.change.in_([r.id for r in rows]))
        for row in self._t.all(statement):
            confirmations.setdefault(row.change, set()).add(PersonId(row.person))
        return [
            Change(
                id=ChangeId(row.id),
                permit=PermitId(row.permit),
                verb=row.verb,
                terms=found[row.terms],
                proposed_by=PersonId(row.proposed_by),
                proposed_at=row.proposed_at,
                confirmed_by=frozenset(confirmations.get(row.id, ())),
                settled=row.settled,
                version=row.version,
            )
            for row in rows
        ]
