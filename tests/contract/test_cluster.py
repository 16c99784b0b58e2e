"""What every place where workspaces live promises: steps may be repeated, looks are fresh, ends are ends."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from spe.domain.errors import Rejected, SpeError, Unauthenticated, Unavailable
from spe.domain.ids import PersonId, WorkspaceId, new_person, new_workspace
from spe.ports.cluster import Step, StepKind
from tests.adapters.cluster.kubernetes.ground import Ground, ground
from tests.contract.clusters import REMOVAL, Case, OnCluster, OnHost


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    """One for all sentences; each has its own workspace there."""
    with ground(tmp_path_factory.mktemp("accounts")) as made:
        yield made


@pytest.fixture(params=["host", pytest.param("kubernetes", marks=pytest.mark.servers)])
def here(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Case]:
    made = OnHost(tmp_path) if request.param == "host" else OnCluster(request.getfixturevalue("installation"))
    yield made
    made.clear()


# -- making


def test_nothing_is_there_before_the_first_step(here: Case) -> None:
    assert not here.seen().anything
    assert here.workspace not in here.cluster.owned()
    assert here.cluster.addresses(here.workspace) == {}
    assert here.cluster.idle(here.workspace) == {}


def test_a_provisioned_workspace_is_seen_as_it_was_asked_for(here: Case) -> None:
    here.provision()
    seen = here.seen()
    assert (seen.folders, seen.gate) == (True, True)
    assert seen.seal is not None
    assert seen.seal.holds, seen.seal
    assert seen.seal.attempts
    assert seen.data == {(here.data[0].key, here.data[0].digest)}
    assert seen.places == {here.person}
    assert seen.limits == here.limits
    assert seen.sessions == frozenset()
    assert here.workspace in here.cluster.owned()


def test_every_building_step_may_be_repeated_under_a_running_session(here: Case) -> None:
    here.provision()
    here.start()
    before = here.seen()
    here.step(StepKind.FOLDERS)
    here.step(StepKind.SEAL, places=here.seat())
    here.step(StepKind.DATA, data=here.data[:1])
    here.step(StepKind.GATE, data=here.data[:1], places=here.seat())
    after = here.seen()
    assert after.sessions == {here.person}
    assert (after.folders, after.gate, after.data, after.places) == (True, True, before.data, before.places)
    assert after.seal is not None
    assert after.seal.holds


def test_what_another_process_did_is_seen_at_once(here: Case) -> None:
    other = here.again()
    assert not here.seen().anything
    here.step(StepKind.FOLDERS, cluster=other)
    assert here.seen().folders
    here.step(StepKind.GATE, cluster=other)
    assert here.seen().gate
    here.step(StepKind.SEAL)
    seal = other.observe(here.workspace).seal
    assert seal is not None
    assert seal.holds


def test_changed_limits_are_seen(here: Case) -> None:
    here.provision(data=0)
    limits = replace(here.limits, daily_bytes=1_000_000)
    here.step(StepKind.GATE, places=here.seat(), limits=limits)
    assert here.seen().limits == limits


# -- sessions


def test_a_session_is_seen_and_polled_and_is_gone_when_it_was_stopped(here: Case) -> None:
    here.provision()
    assert not here.sandboxes.poll(here.workspace, here.person).running
    here.start()
    assert here.prepare()
    assert here.sandboxes.poll(here.workspace, here.person).running
    assert here.seen().sessions == {here.person}
    here.sandboxes.stop(here.workspace, here.person)
    assert not here.sandboxes.poll(here.workspace, here.person).running
    assert here.seen().sessions == frozenset()
    assert here.cluster.addresses(here.workspace) == {}
    here.sandboxes.stop(here.workspace, here.person)


def test_nobody_without_a_place_gets_a_session(here: Case) -> None:
    here.provision(data=0)
    with pytest.raises((Rejected, Unavailable)):
        here.prepare(new_person())
    here.step(StepKind.GATE)
    with pytest.raises((Rejected, Unavailable)):
        here.prepare()
    assert here.seen().sessions == frozenset()


def test_a_person_taken_off_loses_the_session_and_the_others_do_not(here: Case) -> None:
    other = new_person()
    here.provision(here.person, other, data=0)
    here.start()
    here.start(other)
    here.step(StepKind.GATE, places=here.seat())
    seen = here.seen()
    assert seen.sessions == {here.person}
    assert seen.places == {here.person}


def test_one_persons_session_is_stopped_without_the_others(here: Case) -> None:
    other = new_person()
    here.provision(here.person, other, data=0)
    here.start()
    here.start(other)
    here.step(StepKind.STOP_SESSIONS, person=other, reason="Enough.")
    assert here.seen().sessions == {here.person}
    here.step(StepKind.STOP_SESSIONS, reason="Enough.")
    assert here.seen().sessions == frozenset()
    here.step(StepKind.STOP_SESSIONS, reason="Enough.")


def test_a_version_that_comes_ends_nothing_and_one_that_goes_ends_the_sessions_that_show_it(here: Case) -> None:
    first, second = here.data
    here.provision()
    here.start()
    here.step(StepKind.DATA, data=(first, second))
    seen = here.seen()
    assert seen.sessions == {here.person}
    assert seen.data == {(first.key, first.digest), (second.key, second.digest)}
    here.step(StepKind.DATA, data=(second,))
    seen = here.seen()
    assert seen.sessions == frozenset()
    assert seen.data == {(second.key, second.digest)}


def test_a_cut_takes_every_place_away_and_stays_when_it_is_repeated(here: Case) -> None:
    here.provision(data=0)
    for _ in range(2):
        here.step(StepKind.CUT, reason="The permit was revoked.\nIt is over.")
        assert here.seen().places == frozenset()
        with pytest.raises((Rejected, Unavailable)):
            here.prepare()


# -- taking apart


def test_it_is_taken_apart_backwards_each_step_twice_and_nothing_is_left(here: Case) -> None:
    here.provision(data=2)
    here.start()
    left = []
    for kind in REMOVAL:
        for _ in range(2):
            here.step(kind, reason="The permit ended.")
        seen = here.seen()
        left.append((bool(seen.places), bool(seen.sessions), bool(seen.data), seen.seal is not None))
    cut, stopped, withdrawn, *_, last = left
    assert cut[0] is False
    assert stopped[:2] == (False, False)
    assert withdrawn == (False, False, False, True), "the seal outlives the data"
    assert last == (False, False, False, False)
    assert not here.seen().anything
    assert here.workspace not in here.cluster.owned()
    here.remove()


@pytest.mark.parametrize("kind", [StepKind.REMOVE_FOLDERS, StepKind.UNSEAL])
def test_nothing_is_removed_under_a_running_session(here: Case, kind: StepKind) -> None:
    here.provision(data=0)
    here.start()
    with pytest.raises(Rejected, match="Sessions still run"):
        here.step(kind)
    seen = here.seen()
    assert seen.sessions == {here.person}
    assert seen.folders


def test_the_seal_does_not_go_before_the_data(here: Case) -> None:
    here.provision()
    with pytest.raises(Rejected, match="still exposed"):
        here.step(StepKind.UNSEAL)
    seal = here.seen().seal
    assert seal is not None
    assert seal.holds


def test_another_process_takes_apart_what_this_one_made(here: Case) -> None:
    here.provision()
    here.start()
    other = here.again()
    for kind in REMOVAL:
        here.step(kind, cluster=other, reason="The permit ended.")
    assert not here.seen().anything


def test_a_half_made_workspace_is_owned_and_can_be_taken_apart(here: Case) -> None:
    here.step(StepKind.FOLDERS)
    assert here.workspace in here.cluster.owned()
    assert here.seen().anything
    here.remove()
    assert here.workspace not in here.cluster.owned()


def test_what_is_not_ours_and_what_is_anothers_is_left_alone(here: Case) -> None:
    how = here.stranger()
    before = how()
    neighbour = here.neighbour()
    neighbour.provision()
    neighbour.start()
    next_door = neighbour.seen()
    here.provision()
    here.start()
    assert set(here.cluster.owned()) >= {here.workspace, neighbour.workspace}
    here.remove()
    assert not here.seen().anything
    assert how() == before
    assert neighbour.seen() == next_door
    assert neighbour.workspace in here.cluster.owned()
    neighbour.remove()
    assert how() == before


# -- what cannot be


@pytest.mark.parametrize("name", ["../escape", "ws-AAAAAAAAAAAAAAAA", "ws-1", "/etc", "ws-aaaaaaaaaaaaaaaa/x"])
def test_a_name_that_is_no_id_is_refused_everywhere(here: Case, name: str) -> None:
    asked = Step(kind=StepKind.FOLDERS, workspace=WorkspaceId(name), permit=here.permit, limits=here.limits)
    with pytest.raises(Rejected, match="not an id"):
        here.cluster.apply(asked)
    with pytest.raises(Rejected):
        here.sandboxes.start(here.workspace, PersonId(name), environment={}, base_url="/")
    assert here.workspace not in here.cluster.owned()


@pytest.mark.parametrize("token", ["", " ", "x", "t" * 40, "a.b.c"])
def test_a_token_that_is_no_gates_is_nobodys(here: Case, token: str) -> None:
    with pytest.raises((Unauthenticated, Rejected)):
        here.cluster.recognise(token)


def test_nothing_is_guessed_while_nobody_answers(here: Case) -> None:
    here.step(StepKind.FOLDERS)
    with here.silence():
        asks = (
            here.seen,
            here.cluster.owned,
            lambda: here.step(StepKind.STOP_SESSIONS),
            lambda: here.step(StepKind.UNSEAL),
            lambda: here.sandboxes.poll(here.workspace, here.person),
            lambda: here.sandboxes.stop(here.workspace, here.person),
        )
        for ask in asks:
            with pytest.raises(Unavailable):
                ask()


def test_every_refusal_says_what_failed_and_what_to_do(here: Case) -> None:
    with pytest.raises(SpeError) as refused:
        here.sandboxes.start(new_workspace(), here.person, environment={}, base_url="/")
    assert str(refused.value).endswith(".")
    assert refused.value.remedy
