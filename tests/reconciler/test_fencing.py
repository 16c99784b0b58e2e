"""Several reconcilers over one PostgreSQL, as real processes: stopped, continued and killed at any moment.

Who wrote each row is what the database itself saw: every process has a login of its own, and a trigger of the test
writes down, in the same transaction, who wrote and who led.
"""

import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from spe.domain.errors import Stale
from spe.domain.intent import Leadership
from spe.reconciler.leader import FencedStore
from tests.reconciler.test_leader import eventually
from tests.support import databases
from tests.support.databases import POSTGRES, Database, server_of
from tests.support.ground import Ground, world

ROOT = Path(__file__).parents[2]
LEASE = 2.0

WITNESS = """
CREATE TABLE witness (
    number bigint GENERATED ALWAYS AS IDENTITY, who text, place text, holder text, fence bigint, at timestamptz
);
CREATE FUNCTION witnessed() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    INSERT INTO witness (who, place, holder, fence, at)
        SELECT session_user, TG_TABLE_NAME, l.holder, l.fence, clock_timestamp() FROM leases l;
    RETURN NULL;
END $$;
"""


@dataclass
class Process:
    """One reconciler and the login by which the database knows it."""

    login: str
    child: subprocess.Popen[bytes]

    @property
    def holder(self) -> str:
        return str(self.child.pid)

    def send(self, number: signal.Signals) -> None:
        self.child.send_signal(number)


@dataclass
class Place:
    """The database of the test, the people who go on working, and the reconcilers."""

    database: Database
    ground: Ground
    processes: list[Process]

    def ask(self, statement: str, *values: Any) -> Sequence[tuple[Any, ...]]:
        with self.database.raw() as raw:
            return raw.run(statement, *values)

    def leader(self) -> Process | None:
        """Who holds the lead, unless its time is over."""
        rows = self.ask("SELECT holder FROM leases WHERE until > clock_timestamp()")
        return next((p for p in self.processes if rows and p.holder == rows[0][0]), None)

    def other(self, than: Process) -> Process:
        return next(p for p in self.processes if p is not than)

    def written_by(self, process: Process) -> int:
        """How many rows it wrote, the lease apart."""
        asked = "SELECT count(*) FROM witness WHERE who = ? AND place <> 'leases'"
        return int(self.ask(asked, process.login)[0][0])

    def wait_for_leader(self, among: Callable[[Process], bool] = lambda _: True) -> Process:
        """Until one of those leads and has written something since."""
        eventually(lambda: (found := self.leader()) is not None and among(found))
        found = self.leader()
        assert found is not None
        before = self.written_by(found)
        eventually(lambda: self.written_by(found) > before)
        return found

    def steps_of(self, process: Process, since: int = 0) -> list[str]:
        """Its steps on the world after so many lines of the journal."""
        return [line for line in lines(self)[since:] if line.split()[1] == process.holder]


@pytest.fixture(params=POSTGRES)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    database = databases.fresh(request.param, tmp_path)
    with database.raw() as raw:
        raw.run(WITNESS)
        tables = [t for (t,) in raw.run("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")]
        for table in set(tables) - {"witness", "alembic_version"}:
            raw.run(f"CREATE TRIGGER zz_witness AFTER INSERT OR UPDATE OR DELETE ON {table}"
                    " FOR EACH ROW EXECUTE FUNCTION witnessed()")  # fmt: skip
    with world(tmp_path, url=database.url) as ground:
        found = Place(database=database, ground=ground, processes=[])
        try:
            for _ in range(2):
                found.processes.append(start(request.param, database, tmp_path))
            with unrest(ground):
                yield found
        finally:
            for process in found.processes:
                process.child.kill()
                process.child.wait()


def start(kind: str, database: Database, folder: Path) -> Process:
    server = server_of(kind)
    login = server.member()
    url = server.url(databases.name_of(database), login)
    command = [sys.executable, "-m", "tests.support.reconciling", url, str(folder), str(LEASE)]
    return Process(login=login, child=subprocess.Popen(command, cwd=ROOT))


@contextmanager
def unrest(ground: Ground) -> Iterator[None]:
    """The board suspends the permit and resumes it, again and again, so that there is always something to do."""
    enough = threading.Event()

    def decide() -> None:
        while not enough.wait(0.05):
            ground.app.permits.narrow(ground.permit_id, "suspend", reason="a question", by=ground.by("board"))
            change = ground.app.permits.resume(ground.permit_id, by=ground.by("board")).pending[0]
            ground.app.permits.confirm(change.id, by=ground.by("board2"))

    thread = threading.Thread(target=decide)
    thread.start()
    try:
        yield
    finally:
        enough.set()
        thread.join()


def wrong(place: Place) -> Sequence[tuple[Any, ...]]:
    """Rows that a reconciler wrote while another one led."""
    logins = [(p.login, p.holder) for p in place.processes]
    rows = place.ask("SELECT who, holder, place, at FROM witness WHERE place <> 'leases' ORDER BY number")
    return [row for row in rows for login, holder in logins if row[0] == login and row[1] != holder]


def test_a_leader_that_was_stopped_and_continues_writes_nothing_any_more(place: Place) -> None:
    place.wait_for_leader()
    for pause in (0.0, 0.13, 0.31):
        old = place.wait_for_leader()
        threading.Event().wait(pause)
        old.send(signal.SIGSTOP)
        new = place.wait_for_leader(lambda p, old=old: p is not old)
        steps = len(lines(place))
        written = place.written_by(old)
        old.send(signal.SIGCONT)
        more = place.written_by(new)
        eventually(lambda new=new, more=more: place.written_by(new) > more + 40)
        assert place.leader() is new
        assert place.written_by(old) == written
        assert len(place.steps_of(old, steps)) <= 1, "at most the step that had begun"
        assert old.child.poll() is None
    assert wrong(place) == []
    verify(place)


def lines(place: Place) -> list[str]:
    """The journal of steps; whoever has just begun to lead may have written rows before it makes the first."""
    path = place.ground.folder / "steps"
    return path.read_text().splitlines() if path.exists() else []


def test_a_leader_that_is_killed_is_followed_when_its_lease_is_over_and_not_before(place: Place) -> None:
    old = place.wait_for_leader()
    old.send(signal.SIGKILL)
    old.child.wait()
    ((until,),) = place.ask("SELECT until FROM leases")
    new = place.wait_for_leader(lambda p: p is not old)
    ((taken,),) = place.ask("SELECT min(at) FROM witness WHERE place = 'leases' AND who = ? AND holder = ?",
                            new.login, new.holder)  # fmt: skip
    assert isinstance(until, datetime)
    assert until <= taken <= until + timedelta(seconds=LEASE)
    assert wrong(place) == []
    verify(place)


def test_a_leader_that_ends_in_good_order_is_followed_before_its_lease_is_over(place: Place) -> None:
    old = place.wait_for_leader()
    before = place.ask("SELECT fence FROM leases")
    old.send(signal.SIGTERM)
    assert old.child.wait(30) == 0
    place.wait_for_leader(lambda p: p is not old)
    assert place.ask("SELECT fence FROM leases") == [(before[0][0] + 1,)]
    assert wrong(place) == []


def test_somebody_with_sql_cannot_turn_the_fence_back(place: Place) -> None:
    place.wait_for_leader()
    with place.database.raw(owner=False) as raw:
        for statement in ("UPDATE leases SET fence = 0", "DELETE FROM leases", "UPDATE leases SET holder = 'me'"):
            with pytest.raises(psycopg.Error):
                raw.run(statement)


def test_the_fence_of_an_old_leader_opens_no_transaction(place: Place) -> None:
    place.wait_for_leader()
    store = place.ground.app.house.ports.store
    ((fence, holder, until),) = place.ask("SELECT fence, holder, until FROM leases")
    for wrong_one in (
        Leadership(holder=holder, fence=fence - 1, until=until),
        Leadership(holder="somebody", fence=fence, until=until),
    ):
        with pytest.raises(Stale), FencedStore(store, wrong_one).begin():
            pass


def verify(place: Place) -> None:
    """The log is whole, whoever wrote into it."""
    entries, problems = place.ground.app.audit.verify(by=place.ground.by("auditor"))
    assert (entries > 0, problems) == (True, ())
