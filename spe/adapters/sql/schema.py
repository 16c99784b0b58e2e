"""The whole schema: every table of every subject, and the two that hold the rules of the database.

`transitions` lists the moves that a state may make, `rules` numbers that policies may raise and nobody
can lower below what the separation of duties needs. Both are filled by the migration.
"""

import sqlalchemy as sa

from spe.adapters.sql import (
    audit,
    credentials,
    datasets,
    egress,
    outbox,
    people,
    permits,
    releases,
    reviews,
    terms,
    workspaces,
)
from spe.adapters.sql.columns import metadata, text, whole

transitions = sa.Table(
    "transitions",
    metadata,
    text("machine", primary_key=True),
    text("source", primary_key=True),
    text("target", primary_key=True),
)

rules = sa.Table(
    "rules",
    metadata,
    text("name", primary_key=True),
    whole("value"),
    sa.CheckConstraint("value >= 2", name="floor"),
)

SUBJECTS = (people, credentials, datasets, terms, permits, workspaces, egress, reviews, releases, audit, outbox)

__all__ = ["SUBJECTS", "metadata", "rules", "transitions"]
