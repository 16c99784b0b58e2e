"""The lead lasts as long as its holder lives, however busy it is, and not a moment longer."""

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from spe.domain.errors import Stale, Unavailable
from spe.domain.intent import Leadership
from spe.ports.checker import CheckJob, CheckResult
from spe.ports.cluster import Step, StepKind
from spe.ports.store import Store
from spe.reconciler import leader
from spe.reconciler.leader import Lease, Loops
from tests.reconciler.test_leader import eventually, suspend
from tests.reconciler.test_leader import leader as leading
from tests.support.ground import Ground
from tests.support.inmemory import MemoryChecker, MemoryCluster
from tests.support.prepared import over, rebound


class Running:
    """Time that passes by itself."""

    def now(self) -> datetime:
        return datetime.now(UTC)


@dataclass
class Slow(MemoryCluster):
    """A cluster whose next step takes until it is let go."""

    begun: threading.Event = field(default_factory=threading.Event)
    go_on: threading.Event = field(default_factory=threading.Event)

    def apply(self, step: Step) -> None:
        self.begun.set()
        assert self.go_on.wait(60)
        super().apply(step)


@dataclass
class Patient(MemoryChecker):
    """A checker that is busy until the cluster is let go."""

    begun: threading.Event = field(default_factory=threading.Event)
    go_on: threading.Event = field(default_factory=threading.Event)

    def check(self, job: CheckJob) -> CheckResult:
        self.begun.set()
        assert self.go_on.wait(60)
        return super().check(job)


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leader, "LEASE_SECONDS", 1.0)
    monkeypatch.setattr(leader, "RENEW_SECONDS", 0.2)
    monkeypatch.setattr(leader, "LOOK_SECONDS", 0.1)


@pytest.fixture
def slow(ground: Ground) -> Iterator[Slow]:
    cluster = Slow(sandboxes=ground.sandboxes, there=dict(ground.cluster.there))
    ground.app = over(ground, cluster=cluster, clock=Running())
    ground.cluster = cluster
    yield cluster
    cluster.go_on.set()


@contextmanager
def running(ground: Ground, holder: str) -> Iterator[Loops]:
    loops = Loops(ground.app, rebind=rebound, holder=holder, minute=3600)
    loops.start()
    try:
        yield loops
    finally:
        loops.stop()


def test_a_leader_that_is_busy_longer_than_its_lease_keeps_the_lead(ground: Ground, slow: Slow, short: None) -> None:
    """Minutes of checking in one lane and of taking down in the other are no reason to begin the same elsewhere."""
    checker = Patient(go_on=slow.go_on)
    ground.app = over(ground, checker=checker)
    with ExitStack() as stack:
        first = stack.enter_context(running(ground, "a"))
        eventually(lambda: leading(ground) == "a")
        second = stack.enter_context(running(ground, "b"))
        stack.callback(slow.go_on.set)
        request = ground.draft({"t.csv": b"arm,n\na,200\nb,300\n"})
        ground.app.egress.submit(request, by=ground.by("researcher"))
        assert checker.begun.wait(30)
        suspend(ground)
        assert slow.begun.wait(30)
        time.sleep(3 * leader.LEASE_SECONDS)
        assert (leading(ground), second.alive) == ("a", 0.0)
        slow.go_on.set()
        eventually(lambda: not ground.cluster.observe(ground.workspace_id).data)
        assert first.alive > 0


def test_who_stops_in_good_order_lets_the_next_one_begin_at_once(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An upgrade of the program is no pause: the clock of this test stands still, so no lease runs out."""
    monkeypatch.setattr(leader, "LOOK_SECONDS", 0.1)
    with running(ground, "b"):
        eventually(lambda: leading(ground) == "b")
    with running(ground, "a"):
        eventually(lambda: leading(ground) == "a")


def test_an_old_leader_in_the_middle_of_a_plan_takes_no_further_step(ground: Ground, slow: Slow, short: None) -> None:
    """It stood still between two steps; what it then still wants is what the record said long ago."""
    with running(ground, "a") as old:
        eventually(lambda: leading(ground) == "a")
        ground.cluster.there.clear()
        owe_reconciliation(ground)
        assert slow.begun.wait(30)
        in_an_hour = Running().now() + timedelta(hours=1)
        assert ground.app.house.ports.store.lead("b", now=in_an_hour, seconds=60) is not None
        eventually(lambda: old.alive == 0.0)
        slow.go_on.set()
        eventually(lambda: len(slow.steps) == 1)
        time.sleep(0.5)
        assert [step.kind for step in slow.steps] == [StepKind.FOLDERS], "only the one that was under way"


def owe_reconciliation(ground: Ground) -> None:
    with ground.app.house.ports.store.begin() as uow:
        uow.outbox.put("workspace:reconcile", ground.workspace_id, ground.app.house.ports.clock.now())
    ground.app.house.ring()


def test_a_lease_that_was_not_renewed_in_time_is_over_without_asking_anybody() -> None:
    """The process was stopped and continues: before it has asked who leads now, it does nothing."""
    now = [100.0]
    lease = Lease(tick=lambda: now[0])
    with pytest.raises(Stale):
        lease.demand()
    lease.hold(began=100.0, seconds=15)
    now[0] = 114.9
    lease.demand()
    now[0] = 115.0
    with pytest.raises(Stale):
        lease.demand()
    lease.hold(began=114.0, seconds=15)
    lease.demand()
    lease.lose()
    with pytest.raises(Stale):
        lease.demand()


@dataclass
class SlowToBuild(Slow):
    """A cluster in which what builds takes until it is let go; what ends somebody's work is quick."""

    def apply(self, step: Step) -> None:
        if step.kind in {StepKind.CUT, StepKind.STOP_SESSIONS}:
            MemoryCluster.apply(self, step)
        else:
            super().apply(step)


@pytest.mark.parametrize("whose", ["another permit", "the same permit"])
def test_a_workspace_in_the_making_does_not_hold_up_a_cut(ground: Ground, whose: str) -> None:
    cluster = SlowToBuild(sandboxes=ground.sandboxes, there=dict(ground.cluster.there))
    ground.app = over(ground, cluster=cluster)
    ground.cluster = cluster
    ground.open_session()
    if whose == "the same permit":
        cluster.there[ground.workspace_id] = replace(cluster.there[ground.workspace_id], seal=None)
        owe_reconciliation(ground)
    else:
        ground.grant(ground.terms("researcher", title="Another study"))
    with running(ground, "a"), ExitStack() as stack:
        stack.callback(cluster.go_on.set)
        assert cluster.begun.wait(30)
        suspend(ground)
        eventually(lambda: not cluster.observe(ground.workspace_id).sessions)
        assert not cluster.observe(ground.workspace_id).places
        cluster.go_on.set()
        eventually(lambda: not cluster.observe(ground.workspace_id).data)


def test_a_database_that_is_silent_takes_the_lead_away_when_the_lease_ends(
    ground: Ground, slow: Slow, short: None
) -> None:
    """Nobody can say who leads, so nobody acts; when it answers again the work goes on."""
    store = Silent(ground.app.house.ports.store)
    slow.go_on.set()
    with running(replace(ground, app=over(ground, store=store)), "a") as loops:
        eventually(lambda: loops.alive > 0)
        store.silent = True
        eventually(lambda: loops.alive == 0.0)
        store.silent = False
        eventually(lambda: loops.alive > 0)
        suspend(ground)
        eventually(lambda: not ground.cluster.observe(ground.workspace_id).data)


class Silent:
    """A store whose database sometimes does not answer."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.silent = False
        self.problems = store.problems

    def _asked(self) -> Store:
        if self.silent:
            raise Unavailable("database")
        return self._store

    def begin(self) -> Any:
        return self._asked().begin()

    def read(self) -> Any:
        return self._asked().read()

    def fenced(self, leadership: Leadership) -> Any:
        return self._asked().fenced(leadership)

    def lead(self, holder: str, *, now: datetime, seconds: float) -> Leadership | None:
        return self._asked().lead(holder, now=now, seconds=seconds)
