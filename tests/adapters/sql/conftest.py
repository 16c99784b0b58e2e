"""Databases for the SQL adapter."""

from tests.support.databases import close_stores, database, store

__all__ = ["close_stores", "database", "store"]
