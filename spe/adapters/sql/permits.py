"""Permits, their terms and the changes that wait for confirmation, as rows.

Terms are stored once, under the SHA-256 of their canonical text, with their people, datasets and
secrets as child rows, so that the database can ask who is on a permit and whether new terms are the
very ones that were confirmed. A permit points at its terms; every set of terms it ever had stays in
`permit_versions`, written by a trigger.
"""

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa

from spe.adapters.sql.columns import (
    child,
    counted,
    json_column,
    json_text,
    metadata,
    moment,
    moment_text,
    seq,
    text,
    version,
    whole,
)
from spe.adapters.sql.remembered import Remembered
from spe.adapters.sql.table import SqlTable
from spe.adapters.sql.transaction import Transaction
from spe.domain.dataset import AccessMode
from spe.domain.errors import Corrupt
from spe.domain.ids import ChangeId, PermitId, PersonId
from spe.domain.permit import Change, Limits, Permit, PermitState, Terms

terms = sa.Table(
    "terms",
    metadata,
    text("digest", primary_key=True),
    text("title"),
    text("purpose"),
    text("conditions"),
    moment("starts"),
    moment("ends"),
    text("access_mode"),
    whole("memory_bytes"),
    sa.Column("cpu", sa.Float(53), nullable=False),
    whole("disk_bytes"),
    whole("daily_bytes"),
    whole("idle_minutes"),
)

terms_people = sa.Table(
    "terms_people",
    metadata,
    text("terms", child("terms.digest"), primary_key=True),
    text("person", child("people.id"), primary_key=True),
)

terms_datasets = sa.Table(
    "terms_datasets",
    metadata,
    text("terms", child("terms.digest"), primary_key=True),
    text("dataset", child("datasets.key"), primary_key=True),
)

terms_secrets = sa.Table(
    "terms_secrets",
    metadata,
    text("terms", child("terms.digest"), primary_key=True),
    text("name", primary_key=True),
)

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

_LISTS = ((terms_people, "person"), (terms_datasets, "dataset"), (terms_secrets, "name"))


def digest_of(value: Terms) -> str:
    """The name of a set of terms: SHA-256 in hexadecimal of its canonical text."""
    return hashlib.sha256(json_text([*_columns(value).items(), *_members(value)]).encode()).hexdigest()


def _columns(value: Terms) -> dict[str, Any]:
    return {
        "title": value.title,
        "purpose": value.purpose,
        "conditions": value.conditions,
        "starts": moment_text(value.starts),
        "ends": moment_text(value.ends),
        "access_mode": value.access_mode.value,
        "memory_bytes": value.limits.memory_bytes,
        "cpu": float(value.limits.cpu),
        "disk_bytes": value.limits.disk_bytes,
        "daily_bytes": value.limits.daily_bytes,
        "idle_minutes": value.limits.idle_minutes,
    }


def _members(value: Terms) -> tuple[list[str], list[str], list[str]]:
    return sorted(value.people), sorted(value.datasets), sorted(value.secrets)


def _store(transaction: Transaction, value: Terms) -> None:
    digest = digest_of(value)
    if transaction.all(sa.select(terms.c.digest).where(terms.c.digest == digest)):
        return
    row = {**_columns(value), "digest": digest, "starts": value.starts, "ends": value.ends}
    transaction.run(sa.insert(terms).values(row))
    for (table, column), members in zip(_LISTS, _members(value), strict=True):
        if members:
            transaction.run(sa.insert(table), [{"terms": digest, column: member} for member in members])


def _load(transaction: Transaction, digests: Sequence[str]) -> Iterable[tuple[str, Terms]]:
    lists = [_members_of(transaction, table, column, digests) for table, column in _LISTS]
    for row in transaction.all(sa.select(terms).where(terms.c.digest.in_(digests))):
        value = _terms(row, *(found.get(row.digest, frozenset()) for found in lists))
        if digest_of(value) != row.digest:
            raise Corrupt(f"The terms {row.digest} are not what their digest says.")
        yield row.digest, value


def _members_of(
    transaction: Transaction, table: sa.Table, column: str, digests: Sequence[str]
) -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for row in transaction.all(
        sa.select(table.c.terms, table.c[column].label("member")).where(table.c.terms.in_(digests))
    ):
        found.setdefault(row.terms, set()).add(row.member)
    return {digest: frozenset(members) for digest, members in found.items()}


def _terms(row: sa.Row[Any], people: frozenset[str], datasets: frozenset[str], secrets: frozenset[str]) -> Terms:
    return Terms(
        title=row.title,
        purpose=row.purpose,
        people=frozenset(PersonId(person) for person in people),
        datasets=datasets,
        starts=row.starts,
        ends=row.ends,
        limits=Limits(
            memory_bytes=row.memory_bytes,
            cpu=row.cpu,
            disk_bytes=row.disk_bytes,
            daily_bytes=row.daily_bytes,
            idle_minutes=row.idle_minutes,
        ),
        access_mode=AccessMode(row.access_mode),
        secrets=secrets,
        conditions=row.conditions,
    )


_TERMS: Remembered[Terms] = Remembered("set of terms", _load, most=4096)


class Permits(SqlTable[PermitId, Permit]):
    """Permits by id."""

    noun = "permit"
    table = permits

    def prepare(self, entity: Permit) -> None:
        """Store the terms when they are not there yet."""
        seen = self._seen.get((entity.id,))
        if seen is None or seen.terms != entity.terms:
            _store(self._t, entity.terms)

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
        found = _TERMS.of(self._t, (row.terms for row in rows))
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
            _store(self._t, entity.terms)

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
        found = _TERMS.of(self._t, (row.terms for row in rows))
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
