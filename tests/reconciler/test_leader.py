"""One loop acts at a time: an old leader's writes are refused, and another one takes over."""

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace

import pytest

from spe.domain.errors import Stale
from spe.domain.permit import PermitState
from spe.domain.principal import TIMERS
from spe.domain.workspace import WorkspaceState
from spe.reconciler.leader import LEASE_SECONDS, FencedStore, Loops
from spe.reconciler.outbox import Outbox, cuts, spaces
from spe.reconciler.timers import Timers
from spe.services.app import App
from tests.support.ground import Ground
from tests.support.prepared import rebound


def led(ground: Ground, holder: str) -> App:
    """The use cases of a process that took the lead."""
    house = ground.app.house
    held = house.ports.store.lead(holder, now=ground.clock.now(), seconds=LEASE_SECONDS)
    assert held is not None
    ports = replace(house.ports, store=FencedStore(house.ports.store, held))
    return rebound(replace(house, ports=ports))


def suspend(ground: Ground) -> None:
    ground.app.permits.narrow(ground.permit_id, "suspend", reason="a question", by=ground.by("board"))


def eventually(holds: Callable[[], bool]) -> None:
    """Wait for it."""
    pause = threading.Event()
    for _ in range(3000):
        if holds():
            return
        pause.wait(0.02)
    pytest.fail("it did not come about")


@contextmanager
def running(ground: Ground, holder: str) -> Iterator[Loops]:
    loops = Loops(ground.app, rebind=rebound, holder=holder, minute=0.2)
    loops.start()
    try:
        yield loops
    finally:
        loops.stop()


def test_only_one_leads_until_its_lease_is_over(ground: Ground) -> None:
    lead = ground.app.house.ports.store.lead
    assert lead("a", now=ground.clock.now(), seconds=15) is not None
    assert lead("b", now=ground.clock.now(), seconds=15) is None
    ground.clock.turn(seconds=16)
    taken = lead("b", now=ground.clock.now(), seconds=15)
    assert taken is not None
    assert lead("a", now=ground.clock.now(), seconds=15) is None


def test_an_old_leader_writes_nothing_any_more(ground: Ground) -> None:
    old = led(ground, "a")
    suspend(ground)
    ground.clock.turn(seconds=LEASE_SECONDS + 1)
    new = led(ground, "b")
    with pytest.raises(Stale):
        Timers(old).minute()
    with pytest.raises(Stale):
        old.workspaces.ensure(ground.permit_id, by=TIMERS)
    with pytest.raises(Stale):
        Outbox(old, cuts(old)).drain(threading.Event())
    with ground.app.house.ports.store.read() as uow:
        assert {i.attempts for i in uow.outbox.open()} == {0}, "what it owed is left to the new one"
    assert [Outbox(new, lane(new)).drain(threading.Event()) for lane in (cuts, spaces)] == [1, 1]
    assert not ground.cluster.observe(ground.workspace_id).data


def test_an_old_leader_lets_no_permit_expire_and_releases_nothing(ground: Ground) -> None:
    request = ground.submitted()
    ground.review(request, "checker")
    ground.review(request, "checker2")
    ground.app.reviews.conclude(request, "approve", by=ground.by("checker"))
    old = led(ground, "a")
    ground.clock.turn(seconds=LEASE_SECONDS + 1)
    led(ground, "b")
    with pytest.raises(Stale):
        old.releases.begin(request)
    ground.clock.turn(days=90)
    with pytest.raises(Stale):
        Timers(old).second()
    assert ground.permit.state is PermitState.ACTIVE
    assert not ground.app.releases.all(by=ground.by("auditor"))


def test_people_go_on_deciding_while_the_lead_changes_hands(ground: Ground) -> None:
    led(ground, "a")
    ground.clock.turn(seconds=LEASE_SECONDS + 1)
    led(ground, "b")
    suspend(ground)
    assert ground.permit.state is PermitState.SUSPENDED


def test_the_loops_carry_out_what_people_decide(ground: Ground) -> None:
    with running(ground, "a"):
        suspend(ground)
        eventually(lambda: not ground.cluster.observe(ground.workspace_id).data)
        change = ground.app.permits.resume(ground.permit_id, by=ground.by("board")).pending[0]
        ground.app.permits.confirm(change.id, by=ground.by("board2"))
        eventually(lambda: bool(ground.cluster.observe(ground.workspace_id).places))
        request = ground.draft({"t.csv": b"arm,n\na,200\nb,300\n"})
        ground.app.egress.submit(request, by=ground.by("researcher"))
        eventually(lambda: ground.request(request).state == "in-review")


def test_another_process_takes_over_when_the_first_is_silent(ground: Ground) -> None:
    with running(ground, "a"):
        eventually(lambda: leader(ground) == "a")
    ground.clock.turn(seconds=LEASE_SECONDS + 1)
    with running(ground, "b"):
        ground.app.permits.narrow(ground.permit_id, "revoke", reason="over", by=ground.by("board"))
        eventually(lambda: ground.workspace.state is WorkspaceState.CLOSED)
        assert leader(ground) == "b"


def test_of_two_at_once_one_acts_and_the_other_waits(ground: Ground) -> None:
    with running(ground, "a"):
        eventually(lambda: leader(ground) == "a")
        with running(ground, "b") as second:
            suspend(ground)
            eventually(lambda: not ground.cluster.observe(ground.workspace_id).data)
            assert second.alive == 0.0
    seen = ground.app.audit.entries(event="workspace.observed", by=ground.by("auditor"))
    assert len({(e.details["condition"], e.details["holds"], e.at) for e in seen}) == len(seen)


def test_a_loop_goes_on_after_whatever_went_wrong(ground: Ground) -> None:
    ground.cluster.silent = True
    with running(ground, "a"):
        suspend(ground)
        eventually(lambda: any(i.attempts for i in owed(ground)))
        ground.cluster.silent = False
        ground.clock.turn(minutes=1)
        eventually(lambda: not ground.cluster.observe(ground.workspace_id).data)


def owed(ground: Ground) -> tuple[object, ...]:
    with ground.app.house.ports.store.read() as uow:
        return uow.outbox.open()


def leader(ground: Ground) -> str:
    """Who leads, as the record says."""
    with closing(sqlite3.connect(ground.folder / "spe.db")) as database:
        rows = database.execute("SELECT holder FROM leases").fetchall()
    return str(rows[0][0]) if rows else ""
