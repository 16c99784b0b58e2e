"""Killed after any step on the world and after any commit, the environment ends in the same place."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from spe.domain.egress import EgressState
from spe.domain.ids import WorkspaceId
from spe.ports.cluster import Observed, Step
from spe.ports.store import Store, UnitOfWork
from spe.reconciler.timers import Timers
from tests.support.ground import SECRET, Ground
from tests.support.inmemory import MemoryCluster
from tests.support.prepared import over, restart, store_of


def minute(ground: Ground) -> None:
    """What the loops do once a minute, and what they then owe."""
    Timers(ground.app).minute()
    ground.settle()


def suspend(ground: Ground) -> None:
    ground.app.permits.narrow(ground.permit_id, "suspend", reason="a question", by=ground.by("board"))


def revoke(ground: Ground) -> None:
    ground.app.permits.narrow(ground.permit_id, "revoke", reason="over", by=ground.by("board"))


def owed(ground: Ground) -> dict[str, tuple[int, str]]:
    with ground.app.house.ports.store.read() as uow:
        return {i.kind: (i.attempts, i.last_error) for i in uow.outbox.open()}


class Killed(BaseException):
    """The process ends here."""


class Mortal(MemoryCluster):
    """The process is killed right after the n-th step on the world."""

    left = -1

    def apply(self, step: Step) -> None:
        super().apply(step)
        if self.left == 0:
            self.left = -1
            raise Killed
        self.left -= self.left > 0


class MortalStore:
    """The process is killed right after the n-th commit."""

    def __init__(self, store: Store, left: int) -> None:
        self._store = store
        self.read, self.problems, self.lead, self.fenced = store.read, store.problems, store.lead, store.fenced
        self.left = left

    @contextmanager
    def begin(self) -> Iterator[UnitOfWork]:
        with self._store.begin() as uow:
            yield uow
        if self.left == 0:
            self.left = -1
            raise Killed
        self.left -= self.left > 0


def provisioning(ground: Ground) -> None:
    ground.permit_id = ground.grant(ground.terms("researcher", "colleague"))


def teardown(ground: Ground) -> None:
    ground.open_session()
    ground.app.secrets.lease(ground.workspace_id, SECRET, person=ground.by("researcher"))
    revoke(ground)


def suspension(ground: Ground) -> None:
    ground.open_session()
    suspend(ground)


def release(ground: Ground) -> None:
    request = ground.submitted()
    ground.review(request, "checker")
    ground.review(request, "checker2")
    ground.app.reviews.conclude(request, "approve", by=ground.by("checker"))


def checking(ground: Ground) -> None:
    ground.app.egress.submit(ground.draft({"table.csv": b"arm,n\na,200\nb,300\n"}), by=ground.by("researcher"))


STORIES: dict[str, Callable[[Ground], None]] = {
    "provisioning": provisioning,
    "teardown": teardown,
    "suspension": suspension,
    "release": release,
    "checking": checking,
}


def end_of(ground: Ground) -> dict[str, object]:
    """What is there in the end, in the record and in the world, without names that differ each time."""
    auditor = ground.by("auditor")
    spaces = {v.workspace.id: v for v in ground.app.workspaces.all(by=auditor)}
    numbers = {key: n for n, key in enumerate(spaces)}

    def seen(facts: Observed) -> object:
        return replace(facts, workspace=WorkspaceId(str(numbers[facts.workspace])))

    return {
        "spaces": [v.workspace.state for v in spaces.values()],
        "conditions": [sorted((c.name, c.holds) for c in v.workspace.conditions) for v in spaces.values()],
        "permits": [v.permit.state for v in ground.app.permits.all(by=auditor)],
        "requests": [v.request.state for v in ground.app.egress.all(by=auditor)],
        "releases": len(ground.app.releases.all(by=auditor)),
        "sessions": sorted(s.state for v in spaces.values() for s in v.sessions),
        "world": [seen(facts) for facts in ground.cluster.there.values()],
        "sandboxes": len(ground.sandboxes.running),
        "leases": sum(len(ground.app.house.ports.secrets.leases(w)) for w in spaces),
        "problems": ground.app.audit.verify(by=auditor)[1],
        "owed": owed(ground),
    }


def settled(ground: Ground) -> dict[str, object]:
    for _ in range(2):
        ground.settle()
        ground.clock.turn(minutes=2)
        minute(ground)
    return end_of(ground)


@pytest.mark.parametrize("story", ["provisioning", "teardown", "suspension"])
def test_killed_after_any_step_on_the_world_it_ends_the_same(template, tmp_path, story: str) -> None:  # type: ignore[no-untyped-def]
    ends = []
    for left in range(-1, 12):
        with template.copy(tmp_path / f"{story}{left}") as ground:
            ground.cluster = Mortal(sandboxes=ground.sandboxes, there=ground.cluster.there)
            restart(ground)
            STORIES[story](ground)
            ground.cluster.left = left
            try:
                ground.settle()
                died = False
            except Killed:
                died = True
                restart(ground)
            ground.cluster.left = -1
            ends.append(settled(ground))
            assert ends[-1] == ends[0], f"killed after step {left}"
            if left >= 0 and not died:
                break
    assert len(ends) > 2


@pytest.mark.parametrize("story", STORIES)
def test_killed_after_any_commit_it_ends_the_same(template, tmp_path, story: str) -> None:  # type: ignore[no-untyped-def]
    ends = []
    for left in range(-1, 40):
        with template.copy(tmp_path / f"{story}{left}") as ground:
            STORIES[story](ground)
            whole = store_of(ground)
            ground.app = over(ground, store=MortalStore(whole, left))
            ground.hub.app = ground.app
            try:
                ground.settle()
                died = False
            except Killed:
                died = True
            ground.app = over(ground, store=whole)
            restart(ground)
            ends.append(settled(ground))
            assert ends[-1] == ends[0], f"killed after commit {left}"
            if left >= 0 and not died:
                break
    assert len(ends) > 2
    if story == "release":
        assert ends[0]["requests"] == [EgressState.RELEASED]
        assert ends[0]["releases"] == 1
