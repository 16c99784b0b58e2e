"""A workspace follows the record: drift, strays, failures, silence; killed anywhere it ends the same."""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta

import pytest

from spe.domain.egress import EgressState
from spe.domain.ids import WorkspaceId
from spe.domain.permit import Limits, PermitState
from spe.domain.workspace import SessionState, WorkspaceState
from spe.ports.cluster import Observed, SealReport, Step, StepKind
from spe.ports.store import Store, UnitOfWork
from spe.reconciler.outbox import Outbox, quick
from spe.reconciler.timers import Timers
from tests.support.ground import SECRET, Ground
from tests.support.inmemory import MemoryCluster
from tests.support.prepared import over, restart, store_of

STRAY = WorkspaceId("ws-zzzzzzzzzzzzzzzz")


def minute(ground: Ground) -> None:
    """What the loops do once a minute, and what they then owe."""
    Timers(ground.app).minute()
    ground.settle()


def suspend(ground: Ground) -> None:
    ground.app.permits.narrow(ground.permit_id, "suspend", reason="a question", by=ground.by("board"))


def revoke(ground: Ground) -> None:
    ground.app.permits.narrow(ground.permit_id, "revoke", reason="over", by=ground.by("board"))


def drift(ground: Ground, **changes: object) -> None:
    """Somebody changes the world behind our back."""
    seen = ground.cluster.there[ground.workspace_id]
    ground.cluster.there[ground.workspace_id] = replace(seen, **changes)  # type: ignore[arg-type]


def owed(ground: Ground) -> dict[str, tuple[int, str]]:
    with ground.app.house.ports.store.read() as uow:
        return {i.kind: (i.attempts, i.last_error) for i in uow.outbox.open()}


# --- drift and strays ---------------------------------------------------------------------------------------

DRIFTS: dict[str, dict[str, object]] = {
    "the gate died": {"gate": False, "places": frozenset()},
    "somebody else has a place": {"places": frozenset({"p-stranger"})},
    "nobody has a place": {"places": frozenset()},
    "other data is shown": {"data": frozenset({("ds-other/1", "sha256:x")})},
    "no data is shown": {"data": frozenset()},
    "the limits are others": {"limits": Limits(memory_bytes=1)},
    "the seal was never seen": {"seal": None},
    "the seal broke": {"seal": SealReport(holds=False)},
    "the folders are gone": {"folders": False},
    "nothing is left": {
        "folders": False,
        "gate": False,
        "places": frozenset(),
        "data": frozenset(),
        "seal": None,
        "limits": None,
    },
}


@pytest.mark.parametrize("case", DRIFTS)
def test_what_drifted_is_as_it_should_be_within_a_minute(ground: Ground, case: str) -> None:
    before = ground.cluster.observe(ground.workspace_id)
    drift(ground, **DRIFTS[case])
    minute(ground)
    assert ground.cluster.observe(ground.workspace_id) == before
    assert ground.workspace.state is WorkspaceState.READY


def test_where_nothing_drifted_nothing_is_done(ground: Ground) -> None:
    ground.cluster.steps.clear()
    size = len(ground.app.audit.entries(by=ground.by("auditor"), limit=500))
    for _ in range(3):
        minute(ground)
    assert ground.cluster.steps == []
    assert len(ground.app.audit.entries(by=ground.by("auditor"), limit=500)) == size


def test_what_belongs_to_no_workspace_is_removed_backwards(ground: Ground) -> None:
    full = ground.cluster.there[ground.workspace_id]
    ground.cluster.there[STRAY] = replace(full, workspace=STRAY)
    ground.cluster.steps.clear()
    minute(ground)
    assert ground.cluster.owned() == (ground.workspace_id,)
    kinds = [step.kind for step in ground.cluster.steps if step.workspace == STRAY]
    assert kinds[0] is StepKind.CUT
    assert kinds[-1] is StepKind.UNSEAL
    assert kinds.index(StepKind.WITHDRAW_DATA) < kinds.index(StepKind.REMOVE_GATE)


def test_however_many_workspaces_there_are_none_is_taken_for_a_stray(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        ground.grant(ground.terms("researcher"))
    ground.settle()
    monkeypatch.setattr("spe.services.paging.PAGE", 2)
    before = dict(ground.cluster.there)
    assert len(before) == 4
    for workspace in list(before):
        ground.cluster.there[workspace] = replace(before[workspace], places=frozenset())
    minute(ground)
    assert ground.cluster.there == before


def test_every_permit_expires_however_many_there_are(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    permits = [ground.permit_id, *(ground.grant(ground.terms("researcher")) for _ in range(4))]
    monkeypatch.setattr("spe.services.paging.PAGE", 2)
    ground.clock.turn(days=91)
    ground.settle()
    states = {p: ground.app.permits.view(p, by=ground.by("auditor")).permit.state for p in permits}
    assert set(states.values()) <= {PermitState.EXPIRED, PermitState.CLOSED}


def test_a_workspace_that_was_never_made_is_made(ground: Ground) -> None:
    permit = ground.grant(ground.terms("researcher"))
    with ground.app.house.ports.store.begin() as uow:
        for intent in uow.outbox.open():
            uow.outbox.done(intent, ground.clock.now())
    minute(ground)
    assert ground.app.workspaces.view(ground.workspace_of(permit), by=ground.by("auditor")).workspace.state == "ready"


def test_a_permit_that_begins_later_opens_when_it_begins(ground: Ground) -> None:
    starts = ground.clock.now() + timedelta(days=2)
    permit = ground.grant(ground.terms("researcher", starts=starts))
    ground.settle()
    workspace = ground.workspace_of(permit)
    assert not ground.cluster.observe(workspace).data
    ground.clock.turn(days=2)
    minute(ground)
    assert ground.cluster.observe(workspace).data


# --- failures -----------------------------------------------------------------------------------------------

MAKING = (StepKind.FOLDERS, StepKind.GATE, StepKind.SEAL, StepKind.DATA)


@pytest.mark.parametrize("kind", MAKING)
def test_a_step_that_is_refused_fails_the_workspace_with_its_reason_and_a_retry_mends_it(
    ground: Ground, kind: StepKind
) -> None:
    ground.cluster.refuses[kind] = "the disk is full"
    permit = ground.grant(ground.terms("researcher"))
    ground.settle()
    ground.workspace_id = ground.workspace_of(permit)
    assert ground.workspace.state is WorkspaceState.FAILED
    condition = ground.workspace.condition("provisioned")
    assert condition is not None
    assert not condition.holds
    assert "the disk is full" in condition.reason
    seen = ground.cluster.observe(ground.workspace_id)
    assert not seen.data
    assert not seen.places
    offers = ground.app.workspaces.view(ground.workspace_id, by=ground.by("operator")).offers
    assert [(o.verb, o.open) for o in offers] == [("retry", True)]
    ground.cluster.refuses.clear()
    ground.app.workspaces.move(ground.workspace_id, "retry", by=ground.by("operator"))
    ground.settle()
    assert ground.workspace.state is WorkspaceState.READY
    condition = ground.workspace.condition("provisioned")
    assert condition is not None
    assert condition.holds


def test_data_is_never_shown_when_the_seal_does_not_hold(ground: Ground) -> None:
    ground.cluster.refuses[StepKind.SEAL] = "an address answered"
    permit = ground.grant(ground.terms("researcher"))
    ground.settle()
    workspace = ground.workspace_of(permit)
    assert StepKind.DATA not in [s.kind for s in ground.cluster.steps if s.workspace == workspace and s.data]
    assert not ground.cluster.observe(workspace).data


@pytest.mark.parametrize("kind", [StepKind.STOP_SESSIONS, StepKind.WITHDRAW_DATA, StepKind.REMOVE_FOLDERS])
def test_a_teardown_that_is_refused_goes_on_later_and_never_says_closed_before(ground: Ground, kind: StepKind) -> None:
    ground.open_session()
    ground.cluster.refuses[kind] = "still busy"
    revoke(ground)
    for _ in range(3):
        ground.clock.turn(minutes=1)
        minute(ground)
    assert ground.workspace.state is WorkspaceState.CLOSING
    assert ground.cluster.observe(ground.workspace_id).seal is not None, "the seal goes last"
    ground.cluster.refuses.clear()
    ground.clock.turn(minutes=1)
    minute(ground)
    assert ground.workspace.state is WorkspaceState.CLOSED


def test_a_hub_that_is_down_is_no_obstacle_to_a_revocation(ground: Ground) -> None:
    ground.open_session()
    ground.hub.silent = True
    revoke(ground)
    ground.settle()
    assert ground.cluster.owned() == ()
    assert ground.workspace.state is WorkspaceState.CLOSED
    assert not ground.sandboxes.running


def test_the_hub_is_told_of_ended_sessions_when_it_is_back(ground: Ground) -> None:
    ground.open_session()
    ground.hub.silent = True
    suspend(ground)
    ground.settle()
    ground.hub.silent = False
    assert ground.hub.running()
    minute(ground)
    assert not ground.hub.running()


def test_a_silent_cluster_is_asked_again_each_time_after_a_longer_wait(ground: Ground) -> None:
    ground.cluster.silent = True
    suspend(ground)
    ground.settle()
    attempts, error = owed(ground)["permit:cut"]
    assert attempts == 1
    assert "does not answer" in error
    ground.settle()
    assert owed(ground)["permit:cut"][0] == 1, "not before its time"
    for expected in range(2, 6):
        ground.clock.turn(seconds=0.5 * 2 ** (expected - 2))
        ground.settle()
        assert owed(ground)["permit:cut"][0] == expected
    for _ in range(5):
        ground.clock.turn(minutes=1)
        ground.settle()
    assert owed(ground)["permit:cut"][0] == 10, "at least once a minute"
    ground.cluster.silent = False
    ground.clock.turn(minutes=1)
    ground.settle()
    assert owed(ground) == {}
    assert not ground.cluster.observe(ground.workspace_id).data


def test_while_the_cluster_is_silent_nobody_enters(ground: Ground) -> None:
    ground.accept("researcher")
    ground.cluster.silent = True
    suspend(ground)
    assert ground.app.sessions.denials(ground.workspace_id, ground.id_of("researcher"))
    assert ground.app.sessions.entitled_until(ground.workspace_id, ground.id_of("researcher")) is None


# --- people and sessions ------------------------------------------------------------------------------------


def test_whoever_leaves_the_permit_loses_place_session_and_leases_and_the_others_stay(ground: Ground) -> None:
    ground.open_session("researcher")
    ground.open_session("colleague")
    for name in ("researcher", "colleague"):
        ground.app.secrets.lease(ground.workspace_id, SECRET, person=ground.by(name))
    terms = replace(ground.permit.terms, people=frozenset({ground.id_of("researcher")}))
    ground.app.permits.amend(ground.permit_id, terms, by=ground.by("board"))
    ground.settle()
    stays = ground.id_of("researcher")
    assert ground.cluster.observe(ground.workspace_id).places == {stays}
    assert {p for _, p in ground.sandboxes.running} == {stays}
    assert {s.person for s in ground.hub.running()} == {stays}
    sessions = ground.app.workspaces.view(ground.workspace_id, by=ground.by("auditor")).sessions
    assert {s.person: s.state for s in sessions} == {
        stays: SessionState.RUNNING,
        ground.id_of("colleague"): SessionState.STOPPED,
    }
    assert [h for _, h, _ in ground.app.secrets.held(ground.workspace_id, by=ground.by("operator"))] == [stays]


def test_a_session_that_nobody_uses_ends(ground: Ground) -> None:
    ground.open_session("researcher")
    ground.open_session("colleague")
    ground.cluster.idle_seconds = {ground.id_of("researcher"): 120 * 60, ground.id_of("colleague"): 120 * 60 - 1}
    minute(ground)
    assert {p for _, p in ground.sandboxes.running} == {ground.id_of("colleague")}
    session = ground.app.sessions.mine(ground.workspace_id, by=ground.by("researcher"))
    assert session is not None
    assert "without use" in session.message


# --- killed anywhere ----------------------------------------------------------------------------------------


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


# --- the outbox ---------------------------------------------------------------------------------------------


def put(ground: Ground, *effects: tuple[str, str]) -> None:
    with ground.app.house.ports.store.begin() as uow:
        for kind, subject in effects:
            uow.outbox.put(kind, subject, ground.clock.now())


def test_an_effect_that_fails_unexpectedly_does_not_hold_up_the_others(
    ground: Ground, caplog: pytest.LogCaptureFixture
) -> None:
    done: list[str] = []

    def act(subject: str) -> None:
        if subject == "bad":
            raise ZeroDivisionError
        done.append(subject)

    put(ground, ("x:act", "bad"), ("x:act", "good"))
    with caplog.at_level(logging.ERROR):
        assert Outbox(ground.app, {"x:act": act}).drain(threading.Event()) == 1
    assert done == ["good"]
    assert owed(ground) == {"x:act": (1, "unexpected: ZeroDivisionError")}


def test_a_long_queue_of_slow_effects_does_not_hide_a_quick_one(ground: Ground) -> None:
    put(ground, *(("egress:check", f"eg-{n}") for n in range(600)))
    ground.clock.turn(seconds=1)
    suspend(ground)
    assert Outbox(ground.app, quick(ground.app)).drain(threading.Event()) == 2
    assert not ground.cluster.observe(ground.workspace_id).data


def test_an_effect_on_something_that_is_gone_is_dropped(ground: Ground) -> None:
    put(ground, ("workspace:reconcile", "ws-aaaaaaaaaaaaaaaa"), ("egress:check", "eg-aaaaaaaaaaaaaaaa"))
    ground.settle()
    assert owed(ground) == {}


def test_what_is_owed_again_while_it_is_carried_out_is_done_again(ground: Ground) -> None:
    seen: list[str] = []

    def act(subject: str) -> None:
        seen.append(subject)
        if len(seen) == 1:
            put(ground, ("x:act", subject))

    put(ground, ("x:act", "one"))
    lane = Outbox(ground.app, {"x:act": act})
    while lane.drain(threading.Event()) and len(seen) < 5:
        pass
    assert seen == ["one", "one"]


def test_told_to_stop_it_begins_nothing_more(ground: Ground) -> None:
    stop = threading.Event()
    seen: list[str] = []

    def act(subject: str) -> None:
        seen.append(subject)
        stop.set()

    put(ground, ("x:act", "one"), ("x:act", "two"))
    assert Outbox(ground.app, {"x:act": act}).drain(stop) == 1
    assert len(seen) == 1


# --- timers -------------------------------------------------------------------------------------------------


def test_a_checkpoint_is_signed_when_the_log_has_grown_and_only_then(ground: Ground) -> None:
    def heads() -> int:
        with ground.app.house.ports.store.read() as uow:
            return len(uow.audit.checkpoints())

    minute(ground)
    before = heads()
    minute(ground)
    assert heads() == before
    ground.app.people.accept_terms(ground.permit_id, by=ground.by("researcher"))
    minute(ground)
    assert heads() == before + 1


def test_a_silent_cluster_does_not_keep_releases_and_checkpoints_waiting(ground: Ground) -> None:
    request = ground.submitted()
    ground.review(request, "checker")
    ground.review(request, "checker2")
    ground.app.reviews.conclude(request, "approve", by=ground.by("checker"))
    with ground.app.house.ports.store.begin() as uow:
        for intent in uow.outbox.open():
            uow.outbox.done(intent, ground.clock.now())
    ground.open_session()
    ground.cluster.silent = True
    minute(ground)
    assert ground.request(request).state is EgressState.RELEASED
