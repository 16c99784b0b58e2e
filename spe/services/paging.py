"""Going through a whole table, a page at a time: for the loops, which must miss nothing however much there is."""

from collections.abc import Iterator
from typing import Any, TypeVar

from spe.ports.store import Table

E = TypeVar("E")
PAGE = 500


def every(table: Table[Any, E], *, key: str = "id", **where: Any) -> Iterator[E]:
    """All entities that `Table.select` would give without its limit, oldest first; `key` names their key."""
    after = ""
    while page := table.select(limit=PAGE, after=after, **where):
        yield from page
        after = getattr(page[-1], key)
