"""Sealed values by digest, remembered across transactions.

What is stored under its own SHA-256 and never changes may be kept in memory: the digest is recomputed
when it is loaded, so a value in here is the value of that name whatever happens to the database.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from typing import Generic, TypeVar

from spe.adapters.sql.transaction import Transaction
from spe.domain.errors import Corrupt

V = TypeVar("V")
Load = Callable[[Transaction, Sequence[str]], Iterable[tuple[str, V]]]


class Remembered(Generic[V]):
    """At most `most` values, those used last; loads all that are missing at once."""

    def __init__(self, noun: str, load: Load[V], *, most: int) -> None:
        self._noun = noun
        self._load = load
        self._most = most
        self._values: OrderedDict[str, V] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, transaction: Transaction, digests: Iterable[str]) -> dict[str, V]:
        """The values by digest. Raises `Corrupt` when one is missing or is not what its digest says."""
        wanted = set(digests)
        with self._lock:
            found = {d: self._values[d] for d in wanted if d in self._values}
        missing = sorted(wanted - set(found))
        if missing:
            found.update(self._load(transaction, missing))
        for digest in missing:
            if digest not in found:
                raise Corrupt(f"The {self._noun} {digest} is missing.")
        self._keep(found)
        return found

    def _keep(self, found: dict[str, V]) -> None:
        with self._lock:
            for digest, value in found.items():
                self._values[digest] = value
                self._values.move_to_end(digest)
            while len(self._values) > self._most:
                self._values.popitem(last=False)
