# ruff: noqa: PT012  (a transaction ends after its last statement, so the whole block is the act)
"""A PostgreSQL server, or another process at it, that is slow, frozen or gone: the answer is no, in the time set."""

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa

from spe.adapters.sql import SqlStore, roles
from spe.domain.errors import Unavailable
from spe.domain.merkle import root_of
from tests.support import databases
from tests.support.databases import POSTGRES, Database, migrated, on
from tests.support.postgres import APPLICATION, OWNER, Postgres
from tests.support.record import NOW, an_entry

ROOT = Path(__file__).parents[3]


@pytest.fixture(params=POSTGRES)
def made(request: pytest.FixtureRequest, tmp_path: Path) -> Database:
    return databases.fresh(request.param, tmp_path)


@pytest.fixture
def server() -> Iterator[Postgres]:
    """A server that the test may stop and freeze."""
    found = Postgres()
    try:
        found.start()
        for statement in roles.creation(OWNER, APPLICATION):
            found.run(statement)
        yield found
    finally:
        found.remove()


def write(store: SqlStore, subject: str = "pm-1") -> None:
    with store.begin() as uow:
        uow.audit.append(an_entry(subject=subject))


def sleep(seconds: float) -> sa.TextClause:
    return sa.text(f"SELECT pg_sleep({seconds})")


def test_a_statement_that_runs_too_long_is_refused_and_the_next_one_works(made: Database) -> None:
    store = made.store(statement=0.3)
    for opened in (store.begin, store.read):
        with pytest.raises(Unavailable, match="statement timeout"), opened() as uow:
            uow._t.run(sleep(60))
    write(store)


def test_whoever_stops_in_the_middle_of_writing_is_thrown_out_and_the_others_go_on(made: Database) -> None:
    """Its process was frozen, or its host is gone: it holds the writers' lock, and knows nothing of it."""
    frozen = subprocess.Popen(
        [sys.executable, "-c", HOLDS, made.url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    try:
        assert frozen.stdout is not None
        assert frozen.stdout.readline() == "holds\n"
        frozen.send_signal(signal.SIGSTOP)
        store = made.store()
        write(store)
        frozen.send_signal(signal.SIGCONT)
        assert frozen.communicate("go on\n", timeout=60)[0] == "Unavailable\n"
        with store.read() as uow:
            assert [e.object_id for e in uow.audit.select()] == ["pm-1"]
    finally:
        frozen.kill()
        frozen.wait()


HOLDS = """
import sys
from spe.adapters.sql import SqlStore
from spe.domain.errors import Unavailable
from tests.support.record import an_entry
try:
    with SqlStore(sys.argv[1], idle=1).begin() as uow:
        uow.audit.append(an_entry(subject="pm-frozen"))
        print("holds", flush=True)
        sys.stdin.readline()
        uow.audit.append(an_entry(subject="pm-frozen"))
except Unavailable:
    print("Unavailable", flush=True)
"""


def test_writers_wait_longer_than_anybody_may_stand_still(made: Database) -> None:
    """So a frozen process costs the others a wait, and no refusal."""
    store = made.store()
    with store.begin() as uow:
        lock, idle = (
            int(uow._t.run(sa.text(f"SELECT setting FROM pg_settings WHERE name = '{name}'")).scalar())
            for name in ("lock_timeout", "idle_in_transaction_session_timeout")
        )
    assert 0 < idle < lock


def test_a_frozen_server_is_unavailable_and_serves_again_when_it_thaws(server: Postgres) -> None:
    """The connection stands and nothing comes: no time-out of the server's helps against that."""
    store = migrated(on(server)).store(lock=0.5, statement=0.5, patience=0.5)
    write(store)
    with server.frozen():
        with pytest.raises(Unavailable):
            write(store, "pm-2")
        with pytest.raises(Unavailable), store.read() as uow:
            uow.people.select()
        assert store.problems()
    write(store, "pm-3")
    with store.read() as uow:
        assert [e.object_id for e in uow.audit.select()] == ["pm-3", "pm-1"]


def test_a_server_that_freezes_in_a_transaction_leaves_nothing_of_it(server: Postgres) -> None:
    store = migrated(on(server)).store(lock=0.5, statement=0.5, patience=0.5)
    with pytest.raises(Unavailable), store.begin() as uow:
        uow.audit.append(an_entry())
        with server.frozen():
            uow.audit.append(an_entry())
    write(store, "pm-2")
    with store.read() as uow:
        assert [e.object_id for e in uow.audit.select()] == ["pm-2"]


def test_a_server_that_restarts_under_many_writers_loses_and_doubles_nothing(server: Postgres) -> None:
    """Each call works or is `Unavailable`; what worked is there once, and the log verifies."""
    store = migrated(on(server)).store()
    enough, written, refused = threading.Event(), [], []

    def work(number: int) -> None:
        n = 0
        while not enough.is_set():
            n += 1
            try:
                write(store, f"w{number}-{n}")
                written.append(f"w{number}-{n}")
            except Unavailable:
                refused.append(f"w{number}-{n}")

    def wait_for(count: int) -> None:
        pause, goal = threading.Event(), len(written) + count
        while len(written) < goal:
            pause.wait(0.01)

    with ThreadPoolExecutor(6) as pool:
        workers = [pool.submit(work, n) for n in range(6)]
        for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGINT):
            wait_for(30)
            server.stop(number)
            server.start()
        wait_for(30)
        enough.set()
        for worker in workers:
            worker.result()
    with store.read() as uow:
        kept = [uow.audit.entry(n) for n in range(uow.audit.size)]
        assert uow.audit.root() == root_of([e.leaf() for e in kept])
    subjects = [e.object_id for e in kept]
    assert refused
    assert len(set(subjects)) == len(subjects)
    assert set(written) <= set(subjects) <= set(written) | set(refused)


def test_connections_that_the_server_cut_are_made_again_without_anybody_noticing(made: Database) -> None:
    """A failover, or an administrator who ends sessions, between two calls."""
    store = made.store()
    write(store)
    with store.read() as uow:
        uow.people.select()
    with psycopg.connect(made.url, autocommit=True) as another:
        another.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE usename = current_user AND datname = current_database() AND pid <> pg_backend_pid()"
        )
    write(store)
    with store.read() as uow:
        assert uow.audit.size == 2


def test_many_threads_share_few_connections(made: Database) -> None:
    store = made.store()
    most: list[int] = []

    def work(number: int) -> None:
        write(store, f"t{number}")
        with store.read() as uow:
            uow.people.select()
            most.append(
                uow._t.run(sa.text("SELECT count(*) FROM pg_stat_activity WHERE usename = current_user")).scalar()
            )

    with ThreadPoolExecutor(80) as pool:
        list(pool.map(work, range(160)))
    with store.read() as uow:
        assert uow.audit.size == 160
    assert max(most) <= 17


def test_a_thread_that_finds_no_free_connection_is_told(made: Database) -> None:
    store = made.store(lock=0.2)
    held = [store.read() for _ in range(16)]
    for transaction in held:
        transaction.__enter__()
    with pytest.raises(Unavailable, match="busy"), store.read() as uow:
        uow.people.select()
    for transaction in held:
        transaction.__exit__(None, None, None)
    with store.read() as uow:
        uow.people.select()


def test_the_lead_cannot_be_had_from_a_silent_server(server: Postgres) -> None:
    store = migrated(on(server)).store(lock=0.5, statement=0.5, patience=0.5)
    with server.frozen(), pytest.raises(Unavailable):
        store.lead("one", now=NOW, seconds=15)
    assert store.lead("one", now=NOW, seconds=15) is not None
