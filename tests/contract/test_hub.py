"""What every adapter of the `Hub` port promises, on a real Hub."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from spe.adapters.hub.jupyterhub import JupyterHub
from spe.domain.errors import Rejected, Unavailable
from spe.domain.ids import PersonId, WorkspaceId, new_person, new_workspace
from spe.ports.hub import Hub, HubSession, Progress
from tests.support.hub_stack import Stack, free_ports, running_stack, wait_for


@pytest.fixture(scope="module")
def chain() -> Iterator[Stack]:
    with running_stack() as stack:
        yield stack


@pytest.fixture(params=["jupyterhub"])
def hub(chain: Stack) -> Hub:
    return chain.api


@pytest.fixture
def pair(chain: Stack) -> tuple[WorkspaceId, PersonId]:
    return chain.someone()


@contextmanager
def impatient(chain: Stack) -> Iterator[Hub]:
    """The same Hub through an adapter that waits for no stop."""
    adapter = JupyterHub(hub_url=chain.settings.hub_url, token=chain.settings.hub_token, stop_seconds=0)
    yield adapter
    adapter.close()


def last(steps: Iterator[Progress]) -> Progress:
    return list(steps)[-1]


def sessions_of(hub: Hub, person: PersonId) -> list[HubSession]:
    return [session for session in hub.running() if session.person == person]


def test_a_person_can_be_made_known_again_and_again(hub: Hub, pair: tuple[WorkspaceId, PersonId]) -> None:
    hub.ensure_person(pair[1])
    hub.ensure_person(pair[1])
    assert sessions_of(hub, pair[1]) == []


def test_a_start_ends_in_one_ready_step_and_percents_do_not_fall(hub: Hub, pair: tuple[WorkspaceId, PersonId]) -> None:
    hub.start(*pair)
    steps = list(hub.progress(*pair))
    assert [step.ready for step in steps] == [False] * (len(steps) - 1) + [True]
    assert not any(step.failed for step in steps)
    percents = [step.percent for step in steps]
    assert percents == sorted(percents)
    assert percents[-1] == 100


def test_a_started_session_is_among_the_running(hub: Hub, pair: tuple[WorkspaceId, PersonId]) -> None:
    workspace, person = pair
    hub.start(*pair)
    assert last(hub.progress(*pair)).ready
    assert sessions_of(hub, person) == [HubSession(workspace=workspace, person=person, ready=True)]


def test_a_session_under_way_is_among_the_running_but_not_ready(
    hub: Hub, chain: Stack, pair: tuple[WorkspaceId, PersonId]
) -> None:
    chain.portal.script.held.add(pair)
    hub.start(*pair)
    assert [session.ready for session in sessions_of(hub, pair[1])] == [False]
    chain.portal.script.held.discard(pair)
    assert last(hub.progress(*pair)).ready


def test_starting_what_starts_or_runs_changes_nothing(
    hub: Hub, chain: Stack, pair: tuple[WorkspaceId, PersonId]
) -> None:
    chain.portal.script.held.add(pair)
    hub.start(*pair)
    hub.start(*pair)
    chain.portal.script.held.discard(pair)
    assert last(hub.progress(*pair)).ready
    first = chain.portal.sessions[pair]
    hub.start(*pair)
    assert chain.portal.sessions[pair] is first


def test_following_a_running_session_says_ready_at_once(hub: Hub, pair: tuple[WorkspaceId, PersonId]) -> None:
    hub.start(*pair)
    assert last(hub.progress(*pair)).ready
    assert [step.ready for step in hub.progress(*pair)] == [True]


def test_following_what_was_never_started_says_failed(hub: Hub, pair: tuple[WorkspaceId, PersonId]) -> None:
    assert [(step.failed, step.percent) for step in hub.progress(*pair)] == [(True, 100)]


def test_following_what_was_stopped_says_failed(hub: Hub, pair: tuple[WorkspaceId, PersonId]) -> None:
    hub.start(*pair)
    assert last(hub.progress(*pair)).ready
    hub.stop(*pair)
    assert [step.failed for step in hub.progress(*pair)] == [True]


def test_a_refusal_stays_readable_until_the_session_is_stopped(
    hub: Hub, chain: Stack, pair: tuple[WorkspaceId, PersonId]
) -> None:
    chain.portal.script.refusals[pair] = (409, {"title": "Refused", "detail": "The terms are not accepted."})
    hub.start(*pair)
    for _ in range(2):
        assert last(hub.progress(*pair)) == Progress(percent=100, message="The terms are not accepted.", failed=True)
    assert sessions_of(hub, pair[1]) == []
    hub.stop(*pair)
    assert last(hub.progress(*pair)).message != "The terms are not accepted."


def test_the_reason_is_told_also_to_whoever_asks_while_a_failed_start_is_tidied_up(
    hub: Hub, chain: Stack, pair: tuple[WorkspaceId, PersonId]
) -> None:
    """The Hub ends a failed start by a stop of its own; meanwhile it says that nothing is starting."""
    chain.portal.script.refusals[pair] = (409, {"title": "Refused", "detail": "The terms are not accepted."})
    chain.portal.script.slow_to_tell.add(pair)
    with ThreadPoolExecutor() as other:
        hub.start(*pair)
        wait_for(lambda: ("GET", f"/hub/sessions/{pair[0]}/{pair[1]}") in chain.portal.calls, "it is tidied up")
        asked = other.submit(lambda: last(hub.progress(*pair)))
        time.sleep(0.3)
        chain.portal.script.slow_to_tell.clear()
        assert asked.result() == Progress(percent=100, message="The terms are not accepted.", failed=True)


def test_a_stop_ends_the_session_and_a_second_stop_is_fine(
    hub: Hub, chain: Stack, pair: tuple[WorkspaceId, PersonId]
) -> None:
    hub.start(*pair)
    assert last(hub.progress(*pair)).ready
    hub.stop(*pair)
    hub.stop(*pair)
    assert not chain.portal.sessions[pair].running
    assert sessions_of(hub, pair[1]) == []


def test_two_who_stop_the_same_session_both_wait_for_its_end(
    hub: Hub, chain: Stack, pair: tuple[WorkspaceId, PersonId]
) -> None:
    hub.start(*pair)
    assert last(hub.progress(*pair)).ready
    chain.portal.script.slow_to_stop.add(pair)
    chain.portal.script.silent = True  # both stops pass the Hub's own question before either is under way
    with ThreadPoolExecutor() as both:
        stops = [both.submit(hub.stop, *pair) for _ in range(2)]
        chain.portal.script.silent = False
        wait_for(lambda: ("POST", f"/hub/sessions/{pair[0]}/{pair[1]}:stop") in chain.portal.calls, "a stop is asked")
        assert not any(stop.done() for stop in stops)
        chain.portal.script.slow_to_stop.clear()
        assert [stop.result() for stop in stops] == [None, None]
    assert sessions_of(hub, pair[1]) == []


def test_a_stop_that_takes_too_long_is_unavailable_and_done_when_called_again(
    hub: Hub, chain: Stack, pair: tuple[WorkspaceId, PersonId]
) -> None:
    hub.start(*pair)
    assert last(hub.progress(*pair)).ready
    chain.portal.script.slow_to_stop.add(pair)
    with ThreadPoolExecutor() as other, impatient(chain) as hasty:
        first = other.submit(hub.stop, *pair)
        wait_for(lambda: ("POST", f"/hub/sessions/{pair[0]}/{pair[1]}:stop") in chain.portal.calls, "a stop is asked")
        with pytest.raises(Unavailable, match="still stopping"):
            hasty.stop(*pair)
        chain.portal.script.slow_to_stop.clear()
        first.result()
        hasty.stop(*pair)


def test_stopping_what_nobody_knows_is_fine(hub: Hub) -> None:
    hub.stop(new_workspace(), new_person())


def test_a_stopped_session_can_be_started_again(hub: Hub, pair: tuple[WorkspaceId, PersonId]) -> None:
    for _ in range(2):
        hub.start(*pair)
        assert last(hub.progress(*pair)).ready
        hub.stop(*pair)


def test_one_person_has_one_session_per_workspace(hub: Hub, pair: tuple[WorkspaceId, PersonId]) -> None:
    first, person = pair
    second = new_workspace()
    for workspace in (first, second):
        hub.start(workspace, person)
        assert last(hub.progress(workspace, person)).ready
    hub.stop(first, person)
    assert [session.workspace for session in sessions_of(hub, person)] == [second]


def test_the_running_are_ordered(hub: Hub) -> None:
    running = hub.running()
    assert list(running) == sorted(running, key=lambda session: (session.workspace, session.person))


def test_forgetting_a_person_stops_their_sessions_and_ends_their_tokens(
    hub: Hub, chain: Stack, pair: tuple[WorkspaceId, PersonId]
) -> None:
    workspace, person = pair
    second = new_workspace()
    for one in (workspace, second):
        hub.start(one, person)
        assert last(hub.progress(one, person)).ready
    token = chain.portal.sessions[pair].token
    assert chain.as_token(token, "GET", "/user").status_code == 200
    hub.forget(person)
    assert sessions_of(hub, person) == []
    assert not chain.portal.sessions[workspace, person].running
    assert not chain.portal.sessions[second, person].running
    assert chain.as_token(token, "GET", "/user").status_code == 403


def test_the_token_of_a_stopped_session_opens_nothing(
    hub: Hub, chain: Stack, pair: tuple[WorkspaceId, PersonId]
) -> None:
    hub.start(*pair)
    assert last(hub.progress(*pair)).ready
    token = chain.portal.sessions[pair].token
    hub.stop(*pair)
    assert chain.as_token(token, "GET", "/user").status_code == 403


def test_forgetting_somebody_unknown_is_fine(hub: Hub) -> None:
    hub.forget(new_person())


def test_somebody_who_may_not_enter_is_rejected_with_a_sentence(hub: Hub, chain: Stack) -> None:
    with pytest.raises(Rejected, match="may not enter now"):
        hub.start(*chain.someone(entitled=False))


@pytest.mark.parametrize("workspace", ["a--b", "-a", "Ws_1", "a" * 31, "a/b", "../x", ""])
def test_a_name_that_is_no_id_is_rejected(hub: Hub, chain: Stack, workspace: str) -> None:
    _, person = chain.someone()
    with pytest.raises(Rejected):
        hub.start(WorkspaceId(workspace), person)
    assert sessions_of(hub, person) == []


def test_a_person_that_is_no_id_is_rejected(hub: Hub) -> None:
    for person in ("admin", "p-short", "P-AAAAAAAAAAAAAAAA", "p-aaaaaaaaaaaaaaaa/x"):
        with pytest.raises(Rejected):
            hub.ensure_person(PersonId(person))


def test_more_people_than_one_page_are_all_found(hub: Hub, chain: Stack) -> None:
    started = {chain.someone() for _ in range(3)}
    for pair in started:
        hub.start(*pair)
    for pair in started:
        assert last(hub.progress(*pair)).ready
    small = JupyterHub(hub_url=chain.settings.hub_url, token=chain.settings.hub_token, page_size=2)
    found = {(session.workspace, session.person) for session in small.running()}
    small.close()
    assert started <= found
    assert found == {(session.workspace, session.person) for session in hub.running()}


def test_a_hub_that_is_not_there_is_unavailable() -> None:
    absent = JupyterHub(hub_url=f"http://127.0.0.1:{free_ports(1)[0]}", token="x")
    pair = (new_workspace(), new_person())
    calls = (
        lambda: absent.ensure_person(pair[1]),
        lambda: absent.start(*pair),
        lambda: list(absent.progress(*pair)),
        lambda: absent.stop(*pair),
        absent.running,
        lambda: absent.forget(pair[1]),
    )
    for call in calls:
        with pytest.raises(Unavailable, match="Hub does not answer"):
            call()
    absent.close()


def test_a_wrong_token_is_rejected_and_never_repeated_in_the_error(chain: Stack) -> None:
    wrong = JupyterHub(hub_url=chain.settings.hub_url, token="a-wrong-token")
    with pytest.raises(Rejected) as rejected:
        wrong.running()
    wrong.close()
    assert "a-wrong-token" not in f"{rejected.value!r} {rejected.value.__cause__!r} {wrong!r}"


def test_a_hub_that_dies_during_a_start_is_unavailable_to_whoever_follows(
    hub: Hub, chain: Stack, pair: tuple[WorkspaceId, PersonId]
) -> None:
    chain.portal.script.held.add(pair)
    hub.start(*pair)
    steps = hub.progress(*pair)
    assert not next(steps).failed
    chain.kill("hub")
    with pytest.raises(Unavailable):
        list(steps)
    chain.portal.script.held.discard(pair)
    wait_for(lambda: pair in chain.portal.sessions, "the portal ends the start")
    chain.start_hub()
    hub.start(*pair)
    assert last(hub.progress(*pair)).ready
