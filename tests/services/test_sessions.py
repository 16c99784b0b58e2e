"""Entry and notebook sessions: who may go in, what a start needs, how a session ends."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta

import pytest

from spe.domain.dataset import AccessMode
from spe.domain.errors import NotFound, Rejected, Unauthenticated, Unavailable
from spe.domain.ids import PersonId, WorkspaceId
from spe.domain.person import Person
from spe.domain.workspace import Session, SessionState
from spe.ports.sandbox import Started
from spe.services.oauth import challenge_of
from tests.support.asking import denied, told
from tests.support.ground import CLIENT, Ground
from tests.support.inmemory import MemorySandboxes
from tests.support.prepared import over


def start(ground: Ground, name: str = "researcher") -> Session:
    return ground.app.sessions.start(ground.workspace_id, by=ground.by(name))


def launch(ground: Ground, name: str = "researcher") -> Started:
    return ground.app.sessions.launch(ground.workspace_id, ground.id_of(name), environment={}, base_url="/")


def why_not(ground: Ground, name: str = "researcher") -> tuple[str, ...]:
    return tuple(d.code for d in ground.app.sessions.denials(ground.workspace_id, ground.id_of(name)))


def until(ground: Ground, name: str = "researcher") -> object:
    return ground.app.sessions.entitled_until(ground.workspace_id, ground.id_of(name))


def rule(ground: Ground, **changes: object) -> None:
    rules = replace(ground.policies[-1].rules, **changes)  # type: ignore[arg-type]
    ground.policies.append(replace(ground.policies[-1], rules=rules))


def saved(ground: Ground, person: Person) -> None:
    with ground.app.house.ports.store.begin() as uow:
        uow.people.save(person)


# --- each denial alone, and several at once -----------------------------------------------------------------


def switched_off(ground: Ground) -> None:
    ground.app.people.switch(ground.id_of("researcher"), active=False, by=ground.by("operator"))


def off_the_permit(ground: Ground) -> None:
    terms = replace(ground.permit.terms, people=frozenset({ground.id_of("colleague")}))
    ground.app.permits.amend(ground.permit_id, terms, by=ground.by("board"))


def suspended(ground: Ground) -> None:
    ground.app.permits.narrow(ground.permit_id, "suspend", reason="a question", by=ground.by("board"))


def not_yet(ground: Ground) -> None:
    terms = replace(ground.permit.terms, starts=ground.clock.now() + timedelta(days=1))
    ground.app.permits.amend(ground.permit_id, terms, by=ground.by("board"))


def over_by_now(ground: Ground) -> None:
    ground.clock.turn(days=90)


def untrained(ground: Ground) -> None:
    rule(ground, training_required=True)


def other_terms(ground: Ground) -> None:
    rule(ground, terms_version="2027-01")


def stopped(ground: Ground) -> None:
    ground.app.workspaces.move(ground.workspace_id, "stop", by=ground.by("operator"))


def pixels_only(ground: Ground) -> None:
    terms = replace(ground.permit.terms, access_mode=AccessMode.STREAMED)
    ground.app.permits.amend(ground.permit_id, terms, by=ground.by("board"))


OBSTACLES: Mapping[str, Callable[[Ground], None]] = {
    "account-off": switched_off,
    "not-on-permit": off_the_permit,
    "permit-not-active": suspended,
    "term-not-begun": not_yet,
    "term-over": over_by_now,
    "terms-not-accepted": other_terms,
    "training-missing": untrained,
    "workspace-not-ready": stopped,
    "access-mode": pixels_only,
}


@pytest.mark.parametrize("code", OBSTACLES)
def test_each_obstacle_alone_refuses_entry_with_its_own_reason(ground: Ground, code: str) -> None:
    ground.accept("researcher")
    by = ground.by("researcher")
    assert why_not(ground) == ()
    OBSTACLES[code](ground)
    assert why_not(ground) == (code,)
    assert denied(lambda: ground.app.sessions.start(ground.workspace_id, by=by)) == (code,)
    assert until(ground) is None
    assert not ground.app.sessions.entitled_anywhere(by.person)
    assert not ground.hub.asked


def test_all_obstacles_are_told_at_once(ground: Ground) -> None:
    for obstacle in (untrained, pixels_only, suspended, switched_off):
        obstacle(ground)
    assert why_not(ground) == (
        "account-off",
        "permit-not-active",
        "terms-not-accepted",
        "training-missing",
        "access-mode",
    )


def test_each_obstacle_says_what_to_do_next(ground: Ground) -> None:
    assert told(lambda: start(ground)) == "Accept the terms of use first; they are on the workspace's page."


def test_training_counts_until_its_end(ground: Ground) -> None:
    ground.accept("researcher")
    untrained(ground)
    person = ground.app.people.person(ground.id_of("researcher"))
    saved(ground, replace(person, trained_until=ground.clock.now() + timedelta(days=1)))
    assert why_not(ground) == ()
    ground.clock.turn(days=1)
    assert why_not(ground) == ("training-missing",)


def test_whoever_is_not_on_the_permit_is_refused(ground: Ground) -> None:
    assert "not-on-permit" in denied(lambda: start(ground, "outsider"))
    for name in ("board", "checker", "operator", "auditor"):
        assert denied(lambda name=name: start(ground, name)) == ("no-permission",)


def test_a_workspace_that_is_not_there_is_not_there(ground: Ground) -> None:
    nowhere = WorkspaceId("ws-aaaaaaaaaaaaaaaa")
    with pytest.raises(NotFound):
        ground.app.sessions.start(nowhere, by=ground.by("researcher"))
    with pytest.raises(NotFound):
        ground.app.sessions.denials(ground.workspace_id, PersonId("p-aaaaaaaaaaaaaaaa"))


def state(ground: Ground) -> SessionState:
    session = ground.app.sessions.mine(ground.workspace_id, by=ground.by("researcher"))
    assert session is not None
    return session.state


# --- starting -----------------------------------------------------------------------------------------------


def test_a_start_goes_through_the_hub_to_a_sandbox(ground: Ground) -> None:
    ground.open_session()
    assert (ground.workspace_id, ground.id_of("researcher")) in ground.sandboxes.running
    assert state(ground) is SessionState.RUNNING


def test_a_session_runs_when_its_address_is_open_not_when_its_sandbox_is(ground: Ground) -> None:
    """Before, the Hub sends a browser to a page of its own that people may not see."""
    ground.accept("researcher")
    start(ground)
    launch(ground)
    assert state(ground) is SessionState.STARTING
    ground.app.sessions.opened(ground.workspace_id, ground.id_of("researcher"))
    assert state(ground) is SessionState.RUNNING


def test_a_session_runs_also_when_the_word_that_it_is_open_was_lost(ground: Ground) -> None:
    ground.accept("researcher")
    start(ground)
    launch(ground)
    ground.hub.asked.clear()
    ground.hub.ready.add((ground.workspace_id, ground.id_of("researcher")))
    ground.app.sessions.tell_hub(ground.workspace_id)
    assert state(ground) is SessionState.RUNNING


def test_a_start_that_the_hub_lost_does_not_stay_starting(ground: Ground) -> None:
    ground.accept("researcher")
    start(ground)
    ground.hub.asked.clear()
    ground.app.sessions.tell_hub(ground.workspace_id)
    assert state(ground) is SessionState.STARTING
    ground.clock.turn(seconds=301)
    ground.app.sessions.tell_hub(ground.workspace_id)
    assert state(ground) is SessionState.FAILED


def test_no_sandbox_starts_that_was_not_asked_for_here(ground: Ground) -> None:
    ground.accept("researcher", "colleague")
    assert denied(lambda: launch(ground)) == ("not-requested",)
    start(ground)
    assert denied(lambda: launch(ground, "colleague")) == ("not-requested",)
    assert launch(ground)


def test_after_a_stop_nothing_starts_without_a_new_request(ground: Ground) -> None:
    ground.open_session()
    ground.app.sessions.stop(ground.workspace_id, by=ground.by("researcher"))
    assert not ground.sandboxes.running
    assert not ground.hub.running()
    assert denied(lambda: launch(ground)) == ("not-requested",)


@pytest.mark.parametrize("code", OBSTACLES)
def test_what_came_between_request_and_start_stops_the_start(ground: Ground, code: str) -> None:
    ground.accept("researcher")
    start(ground)
    OBSTACLES[code](ground)
    assert denied(lambda: launch(ground)) == (code,)
    assert not ground.sandboxes.running


class SlowSandboxes(MemorySandboxes):
    """While the sandbox is made, something happens."""

    meanwhile: Callable[[], None]

    def start(
        self, workspace: WorkspaceId, person: PersonId, *, environment: Mapping[str, str], base_url: str
    ) -> Started:
        started = super().start(workspace, person, environment=environment, base_url=base_url)
        self.meanwhile()
        return started


@pytest.mark.parametrize("code", OBSTACLES)
def test_what_came_during_the_start_stops_the_sandbox(ground: Ground, code: str) -> None:
    ground.accept("researcher")
    start(ground)
    sandboxes = SlowSandboxes()
    sandboxes.meanwhile = lambda: OBSTACLES[code](ground)
    sessions = over(ground, sandboxes=sandboxes).sessions
    assert denied(
        lambda: sessions.launch(ground.workspace_id, ground.id_of("researcher"), environment={}, base_url="/")
    ) == (code,)  # fmt: skip
    assert not sandboxes.running


def test_a_stop_during_the_start_stops_the_sandbox(ground: Ground) -> None:
    ground.accept("researcher")
    start(ground)
    sandboxes = SlowSandboxes()
    app = over(ground, sandboxes=sandboxes)
    sandboxes.meanwhile = lambda: app.sessions.stop(ground.workspace_id, by=ground.by("researcher"))
    assert denied(
        lambda: app.sessions.launch(ground.workspace_id, ground.id_of("researcher"), environment={}, base_url="/")
    ) == ("not-requested",)  # fmt: skip
    assert not sandboxes.running


def test_a_start_replaces_the_sandbox_whose_tokens_the_hub_forgot(ground: Ground) -> None:
    ground.open_session()
    assert launch(ground)
    assert len(ground.sandboxes.running) == 1


def test_a_hub_that_is_down_is_told_and_leaves_no_session_that_seems_to_start(ground: Ground) -> None:
    ground.accept("researcher")
    ground.hub.silent = True
    with pytest.raises(Unavailable):
        start(ground)
    session = ground.app.sessions.mine(ground.workspace_id, by=ground.by("researcher"))
    assert session is not None
    assert session.state is SessionState.FAILED
    ground.hub.silent = False
    ground.open_session()
    assert ground.sandboxes.running


def test_a_sandbox_that_cannot_start_is_told_with_its_reason(ground: Ground) -> None:
    ground.accept("researcher")
    ground.sandboxes.refusal = "no memory is left"
    start(ground)
    with pytest.raises(Rejected):
        launch(ground)
    steps = list(ground.app.sessions.progress(ground.workspace_id, by=ground.by("researcher")))
    assert steps[-1].failed
    session = ground.app.sessions.mine(ground.workspace_id, by=ground.by("researcher"))
    assert session is not None
    assert session.state is SessionState.FAILED
    assert "no memory is left" in session.message


def test_pressing_start_twice_is_one_session(ground: Ground) -> None:
    ground.accept("researcher")
    start(ground)
    start(ground)
    ground.open_session()
    start(ground)
    assert len(ground.sandboxes.running) == 1


# --- while it runs and how it ends --------------------------------------------------------------------------


def test_the_gate_is_told_at_most_until_the_end_of_the_permit(ground: Ground) -> None:
    ground.accept("researcher")
    now = ground.clock.now()
    assert until(ground) == now + timedelta(hours=12)
    terms = replace(ground.permit.terms, ends=now + timedelta(hours=2))
    ground.app.permits.amend(ground.permit_id, terms, by=ground.by("board"))
    assert until(ground) == terms.ends
    ground.clock.turn(hours=2)
    assert until(ground) is None


def test_a_sandbox_that_died_is_seen_and_written_down(ground: Ground) -> None:
    ground.open_session()
    key = (ground.workspace_id, ground.id_of("researcher"))
    ground.sandboxes.stop(*key)
    ground.sandboxes.exits[key] = 137
    assert ground.app.sessions.poll(*key).exit == 137
    session = ground.app.sessions.mine(ground.workspace_id, by=ground.by("researcher"))
    assert session is not None
    assert session.state is SessionState.STOPPED


def test_a_sandbox_that_was_ended_for_a_reason_tells_it(ground: Ground) -> None:
    ground.open_session()
    key = (ground.workspace_id, ground.id_of("researcher"))
    ground.sandboxes.stop(*key)
    ground.sandboxes.reasons[key] = "A dataset was withdrawn."
    ground.app.sessions.poll(*key)
    session = ground.app.sessions.mine(ground.workspace_id, by=ground.by("researcher"))
    assert session is not None
    assert session.message == "A dataset was withdrawn."


def test_a_session_that_never_was_is_not_stopped(ground: Ground) -> None:
    with pytest.raises(NotFound):
        ground.app.sessions.stop(ground.workspace_id, by=ground.by("colleague"))


def test_an_account_that_is_switched_off_loses_its_place_and_its_session(ground: Ground) -> None:
    ground.open_session()
    ground.app.people.switch(ground.id_of("researcher"), active=False, by=ground.by("operator"))
    ground.settle()
    assert ground.cluster.observe(ground.workspace_id).places == {ground.id_of("colleague")}
    (session,) = ground.app.workspaces.view(ground.workspace_id, by=ground.by("auditor")).sessions
    assert session.state is SessionState.STOPPED
    assert not ground.hub.running()


def test_an_operator_who_stops_a_workspace_ends_its_sessions_and_the_sentence_says_so(ground: Ground) -> None:
    ground.open_session()
    stopped(ground)
    ground.settle()
    assert not ground.sandboxes.running
    session = ground.app.sessions.mine(ground.workspace_id, by=ground.by("researcher"))
    assert session is not None
    assert "stopped" in session.message
    assert "permit is active" not in session.message
    ground.app.workspaces.move(ground.workspace_id, "start", by=ground.by("operator"))
    ground.settle()
    ground.open_session()
    assert ground.sandboxes.running


def test_a_report_of_the_gate_is_written_down_once(ground: Ground) -> None:
    report = ground.app.sessions.gate_event
    for _ in range(3):
        report(ground.workspace_id, ground.id_of("researcher"), "budget-exceeded", {"bytes": 9}, identity="one")
    report(ground.workspace_id, None, "cut", {})
    entries = ground.app.audit.entries(event="gate.", by=ground.by("auditor"))
    assert [e.event for e in entries] == ["gate.cut", "gate.budget-exceeded"]


# --- the Hub's sign-in --------------------------------------------------------------------------------------

VERIFIER = "v" * 64


def code(ground: Ground, name: str = "researcher", **changes: str) -> str:
    given = {
        "client": CLIENT.id,
        "redirect": CLIENT.redirect,
        "challenge": challenge_of(VERIFIER),
        "method": "S256",
        "response_type": "code",
    }
    return ground.app.oauth.authorize(**(given | changes), by=ground.by(name))  # type: ignore[arg-type]


def token(ground: Ground, given_code: str, **changes: str) -> str:
    given = {"client": CLIENT.id, "secret": CLIENT.secret, "redirect": CLIENT.redirect, "verifier": VERIFIER}
    return ground.app.oauth.token(code=given_code, **(given | changes))  # type: ignore[arg-type]


def test_the_hub_learns_who_somebody_is_who_may_enter(ground: Ground) -> None:
    ground.accept("researcher")
    assert ground.app.oauth.userinfo(token(ground, code(ground))).id == ground.id_of("researcher")


def test_a_code_works_once_and_for_a_minute(ground: Ground) -> None:
    ground.accept("researcher")
    first = code(ground)
    token(ground, first)
    with pytest.raises(Unauthenticated):
        token(ground, first)
    second = code(ground)
    ground.clock.turn(seconds=60)
    with pytest.raises(Unauthenticated):
        token(ground, second)


@pytest.mark.parametrize(
    "changes", [{"client": "other"}, {"secret": "x"}, {"redirect": "http://localhost:9/x"}, {"verifier": "w" * 64}]
)
def test_a_code_is_exchanged_only_by_the_registered_client_with_its_proof(
    ground: Ground, changes: dict[str, str]
) -> None:
    ground.accept("researcher")
    with pytest.raises(Unauthenticated):
        token(ground, code(ground), **changes)


def test_a_code_shown_with_a_wrong_proof_is_spent(ground: Ground) -> None:
    ground.accept("researcher")
    given = code(ground)
    with pytest.raises(Unauthenticated):
        token(ground, given, verifier="w" * 64)
    with pytest.raises(Unauthenticated):
        token(ground, given)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"client": "x"}, "client"),
        ({"redirect": "http://evil.example/"}, "redirect"),
        ({"response_type": "token"}, "response-type"),
        ({"method": "plain"}, "pkce"),
        ({"challenge": "short"}, "pkce"),
    ],
)
def test_no_code_for_a_request_that_does_not_fit(ground: Ground, changes: dict[str, str], reason: str) -> None:
    ground.accept("researcher")
    assert denied(lambda: code(ground, **changes)) == (reason,)


def test_no_code_for_people_who_may_enter_nowhere(ground: Ground) -> None:
    for name in ("researcher", "outsider", "board", "operator"):
        assert denied(lambda name=name: code(ground, name)) == ("no-entry",)


def test_a_token_says_nothing_any_more_once_its_person_may_not_enter(ground: Ground) -> None:
    ground.accept("researcher")
    access = token(ground, code(ground))
    suspended(ground)
    with pytest.raises(Unauthenticated):
        ground.app.oauth.userinfo(access)
