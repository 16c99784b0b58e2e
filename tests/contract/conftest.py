"""Databases for the contract of the store."""

from tests.support.databases import database, store

__all__ = ["database", "store"]
