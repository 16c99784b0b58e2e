"""A workspace follows the record: drift, strays, failures, silence, people who come and go."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest

from spe.domain.errors import Unavailable
from spe.domain.ids import WorkspaceId
from spe.domain.permit import Limits, PermitState
from spe.domain.workspace import SessionState, WorkspaceState
from spe.ports.cluster import SealReport, Step, StepKind
from spe.reconciler.loop import Reconciler
from spe.reconciler.timers import Timers
from tests.support.ground import SECRET, Ground
from tests.support.inmemory import MemoryCluster
from tests.support.prepared import over

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


@pytest.mark.parametrize("first", ["cut", "reconcile"])
def test_people_read_the_boards_reason_whichever_thread_comes_first(ground: Ground, first: str) -> None:
    ground.open_session()
    ground.cluster.steps.clear()
    revoke(ground)
    getattr(Reconciler(ground.app), first)(ground.workspace_id)
    reasons = {step.kind: step.reason for step in ground.cluster.steps}
    assert reasons[StepKind.CUT] == reasons[StepKind.STOP_SESSIONS] == "over"
    session = ground.app.workspaces.view(ground.workspace_id, by=ground.by("auditor")).sessions[0]
    assert session.message == "Ended: over"


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


class Sealed:
    """A secret store that is sealed: every call is refused."""

    def __getattr__(self, name: str) -> Any:
        def call(*_: object, **__: object) -> Any:
            raise Unavailable("secret store", "it is sealed")

        return call


def test_a_sealed_secret_store_holds_up_nothing_but_the_last_word_of_a_revocation(ground: Ground) -> None:
    ground.open_session()
    ground.app.secrets.lease(ground.workspace_id, SECRET, person=ground.by("researcher"))
    whole = ground.app.house.ports.secrets
    ground.app = ground.hub.app = over(ground, secrets=Sealed())
    revoke(ground)
    ground.settle()
    assert ground.cluster.owned() == ()
    assert not ground.sandboxes.running
    assert ground.workspace.state is WorkspaceState.CLOSING
    (why,) = [c.reason for c in ground.workspace.conditions if c.name == "in-sync"]
    assert why == "The secret store does not answer: it is sealed."
    assert {"permit:cut", "permit:reconcile"} & set(owed(ground)), "it is tried again"
    ground.app = ground.hub.app = over(ground, secrets=whole)
    ground.clock.turn(minutes=1)
    ground.settle()
    assert ground.workspace.state is WorkspaceState.CLOSED
    assert whole.confirm_revoked(ground.workspace_id)


def test_a_sealed_secret_store_lets_no_new_workspace_become_ready(ground: Ground) -> None:
    whole = ground.app.house.ports.secrets
    permit = ground.grant(ground.terms("researcher"))
    ground.app = ground.hub.app = over(ground, secrets=Sealed())
    with pytest.raises(Unavailable):
        ground.grant(ground.terms("researcher"))
    ground.settle()
    spaces = {v.permit.id: v.workspace for v in ground.app.workspaces.all(by=ground.by("auditor"))}
    assert spaces[permit].state is WorkspaceState.PROVISIONING
    assert spaces[permit].id not in ground.cluster.owned()
    ground.app = ground.hub.app = over(ground, secrets=whole)
    ground.clock.turn(minutes=1)
    ground.settle()
    assert ground.app.workspaces.view(spaces[permit].id, by=ground.by("auditor")).workspace.state == "ready"


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


# --- people decide while a step is under way ----------------------------------------------------------------


@dataclass
class Interrupted(MemoryCluster):
    """A cluster in which the board decides while the network is being probed."""

    decides: Callable[[], None] = lambda: None

    def apply(self, step: Step) -> None:
        super().apply(step)
        if step.kind is StepKind.SEAL:
            self.decides()


def test_what_was_revoked_while_the_workspace_was_made_is_not_opened(ground: Ground) -> None:
    cluster = Interrupted(sandboxes=ground.sandboxes, decides=lambda: revoke(ground))
    ground.app, ground.cluster = over(ground, cluster=cluster), cluster
    Reconciler(ground.app).reconcile(ground.workspace_id)
    assert [step.kind for step in cluster.steps][:3] == [StepKind.FOLDERS, StepKind.GATE, StepKind.SEAL]
    assert StepKind.DATA not in {step.kind for step in cluster.steps}
    assert not cluster.observe(ground.workspace_id).anything
    ground.settle()
    assert ground.workspace.state is WorkspaceState.CLOSED
