"""The terms of permits as rows: stored once, under the SHA-256 of their canonical text.

People, datasets and secrets are child rows, so that the database can ask who is on a permit and
whether new terms are the very ones that were confirmed.
"""

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa

from spe.adapters.sql.columns import child, json_text, metadata, moment, moment_text, text, whole
from spe.adapters.sql.remembered import Remembered
from spe.adapters.sql.transaction import Transaction
from spe.domain.dataset import AccessMode
from spe.domain.errors import Corrupt
from spe.domain.ids import PersonId
from spe.domain.permit import Limits, Terms

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


def store(transaction: Transaction, value: Terms) -> None:
    """Store the terms when they are not there yet."""
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


TERMS: Remembered[Terms] = Remembered("set of terms", _load, most=4096)
