"""Sessions through a real JupyterHub and proxy: start, poll, silence, restarts, stop."""

import re
import signal

import httpx2
import pytest

from spe.domain.errors import Rejected
from spe.domain.ids import new_workspace
from spe.hub.portal import sentence_of
from tests.support.hub_stack import Stack, wait_for

REFUSAL = {"title": "Refused", "detail": "The permit <b>ended</b> on 1 May.", "remedy": "Ask the board.", "code": "x"}


def test_the_portal_starts_somebody_the_hub_has_never_seen(stack: Stack) -> None:
    workspace, person = stack.someone()
    stack.started(workspace, person)
    assert stack.portal.sessions[workspace, person].running


def test_a_person_with_a_portal_session_reaches_jupyterlab_without_a_click(stack: Stack) -> None:
    stack.portal.script.jupyter = True
    workspace, person = stack.someone()
    stack.started(workspace, person)
    with stack.browser(person) as browser:
        answer = browser.get(stack.page(workspace, person))
    assert answer.status_code == 200
    assert str(answer.url) == stack.page(workspace, person)
    assert "<title>JupyterLab</title>" in answer.text


def test_what_a_session_is_given_is_this_and_nothing_of_the_hubs_environment(stack: Stack) -> None:
    workspace, person = stack.someone()
    request = stack.started(workspace, person).request
    base = f"/user/{person}/{workspace}/"
    assert set(request) == {"env", "base_url"}
    assert request["base_url"] == base
    env = request["env"]
    assert {name for name in env if not name.startswith("JUPYTERHUB_")} == {"JPY_API_TOKEN"}
    assert env["JUPYTERHUB_API_URL"] == "http+unix://%2Frun%2Fdoor%2Fhub.sock/hub/api"
    assert env["JUPYTERHUB_ACTIVITY_URL"].startswith("http+unix://%2Frun%2Fdoor%2Fhub.sock/")
    assert (env["JUPYTERHUB_USER"], env["JUPYTERHUB_SERVER_NAME"]) == (person, workspace)


def test_the_steps_the_portal_tells_reach_the_progress(stack: Stack) -> None:
    workspace, person = stack.someone()
    stack.portal.script.steps[workspace, person] = (40, "The sandbox is being built.")
    stack.portal.script.held.add((workspace, person))
    stack.api.start(workspace, person)
    seen = []
    for step in stack.api.progress(workspace, person):
        seen.append((step.percent, step.message))
        if step.message == "The sandbox is being built.":
            stack.portal.script.held.clear()
    assert (40, "The sandbox is being built.") in seen
    assert step.ready


def test_the_portals_refusal_is_the_last_step_of_the_start(stack: Stack) -> None:
    workspace, person = stack.someone()
    stack.portal.script.refusals[workspace, person] = (409, REFUSAL)
    stack.api.start(workspace, person)
    last = stack.last_step(workspace, person)
    assert last.failed
    assert last.message == sentence_of(REFUSAL)


def test_the_portals_refusal_is_on_the_page_as_text_not_as_markup(stack: Stack) -> None:
    workspace, person = stack.someone()
    stack.portal.script.refusals[workspace, person] = (409, REFUSAL)
    stack.api.start(workspace, person)
    stack.last_step(workspace, person)
    with stack.browser(person) as browser:
        answer = browser.get(stack.page(workspace, person))
    assert answer.status_code == 403
    assert "The permit &lt;b&gt;ended&lt;/b&gt; on 1 May. Ask the board." in answer.text


def test_a_refused_start_can_be_repeated_and_succeeds(stack: Stack) -> None:
    workspace, person = stack.someone()
    stack.portal.script.refusals[workspace, person] = (409, REFUSAL)
    stack.api.start(workspace, person)
    assert stack.last_step(workspace, person).failed
    stack.portal.script.refusals.clear()
    stack.started(workspace, person)


@pytest.mark.parametrize("fault", ["silent", "broken"])
def test_nothing_starts_while_the_portal_gives_no_answer(stack: Stack, fault: str) -> None:
    workspace, person = stack.someone()
    setattr(stack.portal.script, fault, True)
    with pytest.raises(Rejected, match="may not enter now"):
        stack.api.start(workspace, person)
    setattr(stack.portal.script, fault, False)
    assert (workspace, person) not in stack.portal.sessions


def test_somebody_who_is_not_entitled_is_not_started(stack: Stack) -> None:
    workspace, person = stack.someone(entitled=False)
    with pytest.raises(Rejected, match="may not enter now"):
        stack.api.start(workspace, person)
    assert (workspace, person) not in stack.portal.sessions


def test_the_hubs_nameless_default_server_never_starts(stack: Stack) -> None:
    _, person = stack.someone()
    stack.api.ensure_person(person)
    answer = stack.as_token(stack.settings.hub_token, "POST", f"/users/{person}/server")
    assert answer.status_code == 202
    wait_for(lambda: "There is no such workspace" in _default_progress(stack, person), "the start is refused")
    assert not [path for _, path in stack.portal.calls if person in path]


def test_a_person_cannot_have_more_sessions_than_the_limit(stack: Stack) -> None:
    workspace, person = stack.someone()
    stack.started(workspace, person)
    stack.started(stack.someone()[0], person)
    with pytest.raises(Rejected, match="maximum of 2"):
        stack.api.start(stack.someone()[0], person)


def test_a_session_that_died_loses_its_route(stack: Stack) -> None:
    workspace, person = stack.someone()
    stack.started(workspace, person)
    stack.portal.kill(workspace, person)
    wait_for(lambda: (workspace, person) not in _running(stack), "the Hub notices the death")
    assert f"/user/{person}/{workspace}" not in _routes(stack)


@pytest.mark.parametrize("fault", ["silent", "broken"])
def test_a_silent_portal_does_not_end_a_running_session(stack: Stack, fault: str) -> None:
    workspace, person = stack.someone()
    stack.started(workspace, person)
    setattr(stack.portal.script, fault, True)
    _wait_for_polls(stack, workspace, person, 2)
    assert (workspace, person) in _running(stack)
    with stack.browser() as browser:
        assert browser.get(stack.page(workspace, person)).text == f"{person} in {workspace}"


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_session_outlives_a_restart_of_the_hub_with_its_route(stack: Stack, how: signal.Signals) -> None:
    workspace, person = stack.someone()
    session = stack.started(workspace, person)
    stack.kill("hub", how)
    with stack.browser() as browser:
        assert browser.get(stack.page(workspace, person)).status_code == 200
        stack.start_hub()
        assert (workspace, person) in _running(stack)
        assert _routes(stack)[f"/user/{person}/{workspace}"] == session.url
        assert browser.get(stack.page(workspace, person)).status_code == 200
    stack.api.stop(workspace, person)
    assert not session.running


def test_a_session_outlives_a_restart_of_the_hub_while_the_portal_is_silent(stack: Stack) -> None:
    workspace, person = stack.someone()
    session = stack.started(workspace, person)
    stack.kill("hub")
    stack.portal.script.silent = True
    stack.start_hub()
    assert (workspace, person) in _running(stack)
    assert _routes(stack)[f"/user/{person}/{workspace}"] == session.url


def test_a_session_that_ended_while_the_hub_was_down_is_not_taken_up(stack: Stack) -> None:
    workspace, person = stack.someone()
    stack.started(workspace, person)
    stack.kill("hub")
    stack.portal.kill(workspace, person)
    stack.start_hub()
    assert (workspace, person) not in _running(stack)
    wait_for(lambda: f"/user/{person}/{workspace}" not in _routes(stack), "the route goes")


def test_routes_come_back_after_a_restart_of_the_proxy(stack: Stack) -> None:
    workspace, person = stack.someone()
    session = stack.started(workspace, person)
    stack.kill("proxy")
    stack.start_proxy()
    wait_for(lambda: _routes(stack).get(f"/user/{person}/{workspace}") == session.url, "the route comes back")


def test_the_portal_is_told_when_the_address_of_a_session_is_open(stack: Stack) -> None:
    workspace, person = stack.someone()
    path = f"/hub/sessions/{workspace}/{person}:opened"
    stack.api.start(workspace, person)
    wait_for(lambda: ("POST", path) in stack.portal.calls, "the portal was told")
    assert f"/user/{person}/{workspace}" in _routes(stack)


def test_a_start_can_be_stopped_before_it_is_done(stack: Stack) -> None:
    workspace, person = stack.someone()
    stack.portal.script.held.add((workspace, person))
    stack.api.start(workspace, person)
    path = f"/hub/sessions/{workspace}/{person}:start"
    wait_for(lambda: ("POST", path) in stack.portal.calls, "the portal was asked")
    stack.api.stop(workspace, person)
    assert ("POST", f"/hub/sessions/{workspace}/{person}:stop") in stack.portal.calls
    assert (workspace, person) not in _running(stack)
    assert (workspace, person) not in stack.portal.sessions


def test_a_session_whose_door_is_gone_answers_with_a_page_that_says_what_to_do(stack: Stack) -> None:
    workspace, person = stack.someone()
    session = stack.started(workspace, person)
    assert session.runner is not None
    stack.portal.do(session.runner.cleanup())
    with stack.browser() as browser:
        answer = browser.get(stack.page(workspace, person))
    assert answer.status_code == 503
    assert "The notebook does not answer" in answer.text
    assert f'href="{stack.settings.portal_url}/workspaces"' in answer.text


def test_the_hub_and_the_proxy_listen_on_the_loopback_address_only(stack: Stack) -> None:
    ports = {
        int(url.rpartition(":")[2])
        for url in (stack.settings.public_url, stack.settings.hub_url, stack.settings.proxy_api_url)
    }
    assert _listening(ports) == {("0100007F", port) for port in ports}


def _default_progress(stack: Stack, person: str) -> str:
    return stack.as_token(stack.settings.hub_token, "GET", f"/users/{person}/server/progress").text


def _listening(ports: set[int]) -> set[tuple[str, int]]:
    found = set()
    for table in ("tcp", "tcp6"):
        with open(f"/proc/net/{table}") as lines:
            for line in lines:
                if match := re.match(r"\s*\d+: ([0-9A-F]+):([0-9A-F]{4}) \S+ 0A ", line):
                    found.add((match[1], int(match[2], 16)))
    return {(address, port) for address, port in found if port in ports}


def _running(stack: Stack) -> set[tuple[str, str]]:
    return {(session.workspace, session.person) for session in stack.api.running()}


def _routes(stack: Stack) -> dict[str, str]:
    answer = httpx2.get(
        f"{stack.settings.proxy_api_url}/api/routes",
        headers={"Authorization": f"token {stack.settings.proxy_auth_token}"},
        trust_env=False,
    )
    return {path: route["target"] for path, route in answer.raise_for_status().json().items()}


def _wait_for_polls(stack: Stack, workspace: str, person: str, count: int) -> None:
    poll = ("GET", f"/hub/sessions/{workspace}/{person}")
    before = stack.portal.calls.count(poll)
    wait_for(lambda: stack.portal.calls.count(poll) >= before + count, "the Hub asks the portal again")


def test_sessions_that_ended_by_themselves_do_not_count_against_the_limit(stack: Stack) -> None:
    workspace, person = stack.someone()
    for place in (workspace, new_workspace(), new_workspace(), new_workspace()):
        stack.started(place, person)
        stack.portal.kill(place, person)
        wait_for(lambda: not [s for s in stack.api.running() if s.person == person], "the Hub noticed the end")


def test_a_forgotten_person_leaves_no_ended_session_behind(stack: Stack) -> None:
    workspace, person = stack.someone()
    stack.started(workspace, person)
    stack.portal.kill(workspace, person)
    wait_for(lambda: not [s for s in stack.api.running() if s.person == person], "the Hub noticed the end")
    stack.api.forget(person)
    stack.started(workspace, person)
