"""The record on SQLite or PostgreSQL: `SqlStore` opens transactions, `migrations.upgrade` makes the schema."""

from spe.adapters.sql.store import SqlStore

__all__ = ["SqlStore"]
