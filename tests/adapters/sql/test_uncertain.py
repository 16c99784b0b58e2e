"""A connection that goes at the COMMIT: nobody knows whether it was kept, and nobody is told that it was not."""

from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from spe.adapters.sql import SqlStore
from spe.domain.errors import Unavailable, Uncertain
from tests.support import databases
from tests.support.record import an_entry
from tests.support.severed import KEPT, LOST, Severed, severed


@pytest.fixture
def way(tmp_path: Path) -> Iterator[Severed]:
    with severed(databases.fresh("postgresql", tmp_path).url) as made:
        yield made


@pytest.fixture
def store(way: Severed) -> Iterator[SqlStore]:
    made = SqlStore(way.url)
    yield made
    made.close()


def write(store: SqlStore, then: Callable[[], None] = lambda: None) -> None:
    with store.begin() as uow:
        uow.audit.append(an_entry())
        then()


def size(store: SqlStore) -> int:
    with store.read() as uow:
        return uow.audit.size


@pytest.mark.parametrize(("how", "kept"), [(KEPT, 1), (LOST, 0)])
def test_what_became_of_a_commit_whose_answer_was_lost_is_uncertain(
    way: Severed, store: SqlStore, how: str, kept: int
) -> None:
    way.arm(how)
    with pytest.raises(Uncertain, match="not known whether this was done"):
        write(store)
    assert way.cuts == 1
    assert size(store) == kept
    write(store)
    assert size(store) == kept + 1


def test_a_connection_that_goes_before_the_commit_leaves_certainly_nothing(way: Severed, store: SqlStore) -> None:
    with pytest.raises(Unavailable) as caught:
        _write_twice(store, way.cut)
    assert not isinstance(caught.value, Uncertain)
    assert size(store) == 0


def _write_twice(store: SqlStore, between: Callable[[], None]) -> None:
    with store.begin() as uow:
        uow.audit.append(an_entry())
        between()
        uow.audit.append(an_entry())


def test_whoever_was_thrown_out_for_standing_still_knows_that_nothing_was_kept(tmp_path: Path) -> None:
    store = SqlStore(databases.fresh("postgresql", tmp_path).url, idle=0.2)
    with pytest.raises(Unavailable) as caught:
        write(store, lambda: _until_thrown_out(store))
    assert not isinstance(caught.value, Uncertain)
    assert size(store) == 0
    store.close()


def _until_thrown_out(store: SqlStore) -> None:
    """Until the server has nobody any more who holds the writers' lock."""
    with psycopg.connect(store.url, autocommit=True) as looking:
        while looking.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'").fetchone() != (0,):
            pass


@pytest.mark.parametrize("how", [KEPT, LOST])
def test_a_look_is_never_uncertain(way: Severed, store: SqlStore, how: str) -> None:
    write(store)
    way.arm(how)
    assert size(store) == 1
    assert way.cuts == 0
