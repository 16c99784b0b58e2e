# ruff: noqa: PT012  (a transaction ends after its last statement, so the whole block is the act)
"""A database that is silent, full, torn or forbidden: the answer is no, and the program goes on."""

import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from spe.adapters.sql import SqlStore, roles
from spe.domain.egress import EgressState
from spe.domain.errors import Corrupt, Invalid, Stale, Unavailable
from tests.support.databases import KINDS, POSTGRES, Database, fresh, migrated, on
from tests.support.postgres import APPLICATION, OWNER, Postgres, own
from tests.support.record import NOW, a_person, an_entry, make_world


@pytest.fixture
def sqlite(tmp_path: Path) -> Database:
    return fresh("sqlite", tmp_path)


def _fails(store: SqlStore) -> None:
    with pytest.raises(Unavailable), store.begin() as uow:
        uow.audit.append(an_entry())
    with pytest.raises(Unavailable), store.read() as uow:
        uow.people.select()
    with pytest.raises(Unavailable):
        store.lead("one", now=NOW, seconds=30)


def test_a_file_that_is_not_there_is_unavailable_and_not_made(tmp_path: Path) -> None:
    store = SqlStore(f"sqlite:///{tmp_path}/none.db")
    _fails(store)
    assert not (tmp_path / "none.db").exists()
    assert store.problems()


def test_a_file_that_may_not_be_read_is_unavailable(sqlite: Database) -> None:
    sqlite.path.chmod(0)
    _fails(sqlite.store())
    sqlite.path.chmod(0o600)
    assert sqlite.store().problems() == ()


def test_a_file_that_may_not_be_written_is_unavailable(sqlite: Database) -> None:
    sqlite.path.chmod(0o400)
    sqlite.path.parent.chmod(0o500)
    try:
        with pytest.raises(Unavailable), sqlite.store().begin() as uow:
            uow.audit.append(an_entry())
    finally:
        sqlite.path.parent.chmod(0o700)


def test_a_file_that_is_no_database_is_corrupt(sqlite: Database) -> None:
    sqlite.path.write_bytes(b"something else entirely, and long enough to be looked at" * 100)
    with pytest.raises(Corrupt), sqlite.store().read() as uow:
        uow.people.select()


def test_a_torn_file_is_corrupt_or_unavailable_and_never_an_answer(sqlite: Database) -> None:
    store = sqlite.store()
    with store.begin() as uow:
        for n in range(50):
            uow.people.add(a_person(f"person-{n}"))
    store.close()
    data = bytearray(sqlite.path.read_bytes())
    for page in range(4096, len(data), 4096):
        data[page : page + 64] = b"\xff" * 64
    sqlite.path.write_bytes(data)
    with pytest.raises((Corrupt, Unavailable)), sqlite.store().read() as uow:
        uow.people.select()


@pytest.mark.parametrize("kind", KINDS)
def test_a_writer_who_waits_too_long_is_told(kind: str, tmp_path: Path) -> None:
    database = fresh(kind, tmp_path)
    impatient = database.store(lock=0.2)
    with database.store().begin() as uow:
        uow.audit.append(an_entry())
        with pytest.raises(Unavailable), impatient.begin() as other:
            other.audit.append(an_entry())
    with impatient.begin() as uow:
        uow.audit.append(an_entry())
        assert uow.audit.size == 2


@pytest.mark.parametrize("kind", KINDS)
def test_a_writer_inside_a_writer_is_told_and_does_not_hang(kind: str, tmp_path: Path) -> None:
    store = fresh(kind, tmp_path).store(lock=0.2)
    with store.begin() as uow:
        uow.audit.append(an_entry())
        with pytest.raises(Unavailable, match="busy"), store.begin():
            pass
    with store.read() as uow:
        assert uow.audit.size == 1


def _own(server: Postgres) -> Database:
    """A migrated database on a server that the test may stop."""
    server.start()
    for statement in roles.creation(OWNER, APPLICATION):
        server.run(statement)
    return migrated(on(server))


def test_a_stopped_server_is_unavailable_and_a_started_one_serves_again() -> None:
    server = Postgres()
    try:
        store = _own(server).store()
        with store.begin() as uow:
            uow.audit.append(an_entry())
        server.stop()
        _fails(store)
        assert store.problems()
        server.start()
        with store.begin() as uow:
            uow.audit.append(an_entry())
            assert uow.audit.size == 2
        store.close()
    finally:
        server.remove()


def test_a_server_that_dies_in_a_transaction_leaves_nothing() -> None:
    server = Postgres()
    try:
        store = _own(server).store()
        with pytest.raises(Unavailable), store.begin() as uow:
            uow.audit.append(an_entry())
            server.stop()
        server.start()
        with store.read() as uow:
            assert uow.audit.size == 0
        store.close()
    finally:
        server.remove()


@pytest.mark.parametrize("kind", KINDS)
def test_an_audit_log_that_cannot_be_written_stops_actions_and_not_reading(kind: str, tmp_path: Path) -> None:
    database = fresh(kind, tmp_path)
    store = database.store()
    world = make_world(store)
    forbid = {
        "sqlite": "CREATE TRIGGER away BEFORE INSERT ON audit_entries BEGIN SELECT RAISE(ABORT, 'no'); END",
        "postgresql": f"REVOKE INSERT ON audit_entries FROM {database.application}",
    }[database.kind]
    with database.raw() as raw:
        raw.run(forbid)
    with pytest.raises(Unavailable) as caught, store.begin() as uow:
        uow.outbox.put("permit:cut", world.permit.id, NOW)
        uow.audit.append(an_entry())
    assert caught.value.port == "audit log"
    with store.read() as uow:
        assert uow.outbox.open() == ()
        assert uow.egress.get(world.request.id).state is EgressState.DRAFT


@pytest.mark.parametrize("kind", KINDS)
def test_a_missing_audit_table_stops_actions(kind: str, tmp_path: Path) -> None:
    database = fresh(kind, tmp_path)
    with database.raw() as raw:
        raw.run("ALTER TABLE audit_entries RENAME TO elsewhere")
    with pytest.raises(Unavailable), database.store().begin() as uow:
        uow.audit.append(an_entry())


FULL = """
import sys
from spe.adapters.sql import SqlStore, migrations
from spe.domain.errors import Unavailable
from tests.support.record import an_entry
url = "sqlite:////mnt/spe.db"
migrations.upgrade(url)
store = SqlStore(url)
written = 0
try:
    while True:
        with store.begin() as uow:
            for n in range(200):
                uow.audit.append(an_entry(subject=f"pm-{n}"))
        written += 200
except Unavailable as error:
    assert "full" in str(error), error
with store.read() as uow:
    assert uow.audit.size == written, (uow.audit.size, written)
    assert written > 0
print("stopped at", written)
"""


def test_a_full_disk_refuses_the_action_and_keeps_what_was_written() -> None:
    bwrap = shutil.which("bwrap")
    assert bwrap is not None, "install bubblewrap"
    disk = ["--unshare-user", "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc"]
    small = ["--size", "3000000", "--tmpfs", "/mnt"]
    done = subprocess.run(
        [bwrap, *disk, *small, sys.executable, "-c", FULL],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=Path(__file__).parents[3],
    )
    assert done.returncode == 0, done.stderr
    assert "stopped at" in done.stdout


@pytest.mark.parametrize("kind", POSTGRES)
def test_text_that_the_database_cannot_hold_is_no_foreign_error(kind: str, tmp_path: Path) -> None:
    store = fresh(kind, tmp_path).store()
    with pytest.raises(Invalid), store.begin() as uow:
        uow.outbox.put("permit:cut", "nul \0 byte", NOW)


def test_a_server_that_may_lose_commits_is_reported() -> None:
    server = own()
    database = migrated(on(server))
    server.run("ALTER SYSTEM SET full_page_writes = off")
    server.run("SELECT pg_reload_conf()")
    try:
        store, until = database.store(), time.monotonic() + 30
        while not (found := store.problems()) and time.monotonic() < until:
            time.sleep(0.02)
        assert "full_page_writes=off" in found[0]
    finally:
        server.run("ALTER SYSTEM RESET full_page_writes")
        server.run("SELECT pg_reload_conf()")


def test_a_stale_fence_is_noticed_inside_the_transaction(tmp_path: Path) -> None:
    store = fresh("sqlite", tmp_path).store()
    old = store.lead("one", now=NOW, seconds=-1)
    store.lead("two", now=NOW, seconds=30)
    assert old is not None
    with pytest.raises(Stale), store.fenced(old):
        pass
