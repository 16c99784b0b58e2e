"""Every (state, verb, person) of the three machines: allowed exactly where the table here says so."""

from dataclasses import replace
from datetime import timedelta

import pytest

from spe.domain.egress import EGRESS, Declaration, EgressContext, EgressRequest, EgressState, Output
from spe.domain.ids import PermitId, RequestId, WorkspaceId
from spe.domain.machine import Allowed, Denied, Machine
from spe.domain.permit import PERMIT, Permit, PermitContext, PermitState, Terms
from spe.domain.principal import CHECKS, RECONCILER, RELEASER, TIMERS, Principal
from spe.domain.review import Decision, Vote
from spe.domain.workspace import WORKSPACE, WorkspaceContext, WorkspaceState
from tests.domain.people import (
    AUTHOR,
    CHECKER,
    CHECKER_ON_PERMIT,
    CONFIRMER,
    EVERYBODY,
    LATER,
    NOW,
    ON_PERMIT,
    OPERATOR,
    PROPOSER,
    SECOND_CHECKER,
)

DIGEST = "a" * 64
POLICY = "sha256:" + "b" * 64
OUTPUT = Output(path="t.csv", sha256=DIGEST, size=1, declaration=Declaration(path="t.csv"))
REQUEST = EgressRequest(
    id=RequestId("eg-aaaaaaaaaaaaaaaa"),
    workspace=WorkspaceId("ws-aaaaaaaaaaaaaaaa"),
    permit=PermitId("pm-aaaaaaaaaaaaaaaa"),
    author=AUTHOR.person,
    purpose="why",
    state=EgressState.DRAFT,
    created_at=NOW,
    outputs=(OUTPUT,),
    round=1,
    policy_digest=POLICY,
)


def vote(checker: Principal, decision: Decision = Decision.APPROVE, sha256: str = DIGEST, round_: int = 1) -> Vote:
    return Vote(
        request=REQUEST.id,
        round=round_,
        path="t.csv",
        sha256=sha256,
        checker=checker.person,
        decision=decision,
        reason="",
        acknowledged=frozenset(),
        at=NOW,
    )


BOTH = (vote(CHECKER), vote(SECOND_CHECKER))


def egress_context(actor: Principal, state: EgressState, **changes: object) -> EgressContext:
    """A context in which everything but the person and the state is in favour."""
    given = EgressContext(
        now=NOW,
        actor=actor.person,
        request=replace(REQUEST, state=state),
        permit_in_force=True,
        on_permit=ON_PERMIT,
        votes=BOTH,
        policy_digest=POLICY,
        reported_digests={"t.csv": DIGEST},
        stored_digests={"t.csv": DIGEST},
        reason="because",
    )
    return replace(given, **changes)  # type: ignore[arg-type]


def may(machine: Machine, state: object, verb: str, actor: Principal, context: object) -> bool:
    """As `services.transact.apply` asks: the permission first, then every guard."""
    transition = machine.find(state, verb)
    if transition is None or not actor.may(transition.permission):
        return False
    return isinstance(machine.decide(state, verb, context), Allowed)


# verb → (states, people) where it is allowed when everything else is in favour
EGRESS_TABLE: dict[str, tuple[set[str], set[Principal]]] = {
    "submit": ({"draft", "returned", "blocked"}, {AUTHOR}),
    "withdraw": ({"draft", "submitted", "returned", "blocked"}, {AUTHOR}),
    "lapse": (set(), set()),  # the permit has not ended
    "start-checks": ({"submitted"}, {CHECKS}),
    "refer": ({"checking"}, {CHECKS}),
    "block": (set(), set()),  # nothing blocks in this context
    "waive": (set(), set()),  # the policy allows no waiver in this context
    "review": (set(), set()),  # both reviews are in
    "approve": ({"in-review"}, {CHECKER, SECOND_CHECKER}),
    "return": ({"in-review"}, {CHECKER, SECOND_CHECKER}),
    "reject": ({"in-review"}, {CHECKER, SECOND_CHECKER}),
    "recheck": (set(), set()),  # the policy is the one that was checked
    "release": ({"approved"}, {RELEASER}),
    "confirm-release": ({"releasing"}, {RELEASER}),
    "undo-release": ({"releasing"}, {RELEASER}),
    "recall": ({"released"}, {CHECKER, SECOND_CHECKER}),
}


def test_the_egress_table_names_every_verb() -> None:
    assert set(EGRESS_TABLE) == {t.verb for t in EGRESS.transitions}


@pytest.mark.parametrize("verb", sorted(EGRESS_TABLE))
@pytest.mark.parametrize("state", list(EgressState))
def test_an_egress_move_is_allowed_only_to_whom_the_table_says(state: EgressState, verb: str) -> None:
    states, people = EGRESS_TABLE[verb]
    for actor in EVERYBODY:
        expected = state.value in states and actor in people
        assert may(EGRESS, state, verb, actor, egress_context(actor, state)) == expected, (state, verb, actor.name)


@pytest.mark.parametrize("actor", EVERYBODY, ids=lambda p: p.name)
def test_only_an_independent_checker_reviews(actor: Principal) -> None:
    context = egress_context(actor, EgressState.IN_REVIEW, votes=())
    expected = actor in (CHECKER, SECOND_CHECKER)
    assert may(EGRESS, EgressState.IN_REVIEW, "review", actor, context) == expected


def test_nobody_votes_twice_in_a_round() -> None:
    context = egress_context(CHECKER, EgressState.IN_REVIEW, votes=(vote(CHECKER),))
    assert not may(EGRESS, EgressState.IN_REVIEW, "review", CHECKER, context)


def test_one_approval_never_releases() -> None:
    for state, verb, actor in (
        (EgressState.IN_REVIEW, "approve", CHECKER),
        (EgressState.APPROVED, "release", RELEASER),
    ):
        assert not may(EGRESS, state, verb, actor, egress_context(actor, state, votes=(vote(CHECKER),)))


@pytest.mark.parametrize(
    "votes",
    [
        (vote(CHECKER), vote(CHECKER_ON_PERMIT)),
        (vote(CHECKER), vote(AUTHOR)),
        (vote(CHECKER), vote(CHECKER)),
        (vote(CHECKER), vote(SECOND_CHECKER, sha256="c" * 64)),
        (vote(CHECKER), vote(SECOND_CHECKER, round_=0)),
    ],
    ids=["a person on the permit", "the author", "the same checker", "other bytes", "an earlier round"],
)
def test_a_vote_that_does_not_count_approves_nothing(votes: tuple[Vote, ...]) -> None:
    context = egress_context(CHECKER, EgressState.IN_REVIEW, votes=votes)
    assert not may(EGRESS, EgressState.IN_REVIEW, "approve", CHECKER, context)
    released = egress_context(RELEASER, EgressState.APPROVED, votes=votes)
    assert not may(EGRESS, EgressState.APPROVED, "release", RELEASER, released)


@pytest.mark.parametrize("objection", [Decision.CHANGE, Decision.REJECT])
def test_an_objection_keeps_an_output_back(objection: Decision) -> None:
    votes = (vote(CHECKER), vote(SECOND_CHECKER, objection))
    context = egress_context(CHECKER, EgressState.IN_REVIEW, votes=votes)
    assert not may(EGRESS, EgressState.IN_REVIEW, "approve", CHECKER, context)
    assert may(EGRESS, EgressState.IN_REVIEW, "return", CHECKER, context)


LAST_MOMENT = {
    "permit-not-active": {"permit_in_force": False},
    "policy-changed": {"policy_digest": "sha256:" + "d" * 64},
    "output-changed": {"stored_digests": {"t.csv": "e" * 64}},
    "reviews-missing": {"votes": (vote(CHECKER),)},
    "blocking-findings": {"blocking": frozenset({"k"})},
}


@pytest.mark.parametrize("code", sorted(LAST_MOMENT))
@pytest.mark.parametrize("verb", ["release", "confirm-release"])
def test_a_release_stops_at_the_last_moment(verb: str, code: str) -> None:
    state = EgressState.APPROVED if verb == "release" else EgressState.RELEASING
    answer = EGRESS.decide(state, verb, egress_context(RELEASER, state, **LAST_MOMENT[code]))
    assert isinstance(answer, Denied)
    assert code in {d.code for d in answer.denials}


@pytest.mark.parametrize("state", ["draft", "submitted", "returned", "blocked", "in-review", "approved"])
def test_only_the_timers_close_a_request_whose_permit_ended(state: str) -> None:
    for actor in EVERYBODY:
        context = egress_context(actor, EgressState(state), permit_ended=True, permit_in_force=False)
        assert may(EGRESS, EgressState(state), "lapse", actor, context) == (actor is TIMERS)


TERMS = Terms(
    title="t",
    purpose="p",
    people=frozenset({AUTHOR.person}),
    datasets=frozenset({"ds/1"}),
    starts=NOW - timedelta(days=1),
    ends=LATER,
)
PERMIT_OF = Permit(
    id=REQUEST.permit,
    kind="data-permit",
    issuer="i",
    terms=TERMS,
    state=PermitState.PROPOSED,
    proposed_by=PROPOSER.person,
    created_at=NOW,
)


def permit_context(actor: Principal, state: PermitState, **changes: object) -> PermitContext:
    """Confirmed by the other member, with a reason, with time left."""
    given = PermitContext(
        now=NOW,
        actor=actor.person,
        permit=replace(PERMIT_OF, state=state),
        confirmations_needed=1,
        proposed_by=PROPOSER.person,
        confirmations=frozenset({CONFIRMER.person}),
        reason="because",
    )
    return replace(given, **changes)  # type: ignore[arg-type]


BOARD = {PROPOSER, CONFIRMER}
PERMIT_TABLE: dict[str, tuple[set[str], set[Principal]]] = {
    "activate": ({"proposed"}, {CONFIRMER}),
    "decline": ({"proposed"}, BOARD),
    "amend": ({"active", "suspended"}, {CONFIRMER}),
    "narrow": ({"active", "suspended"}, BOARD),
    "suspend": ({"active"}, BOARD),
    "resume": ({"suspended"}, {CONFIRMER}),
    "revoke": ({"proposed", "active", "suspended"}, BOARD),
    "expire": (set(), set()),  # the term still runs
    "close": ({"expired", "revoked"}, {TIMERS}),
}


@pytest.mark.parametrize("verb", sorted(PERMIT_TABLE))
@pytest.mark.parametrize("state", list(PermitState))
def test_a_permit_moves_only_for_whom_the_table_says(state: PermitState, verb: str) -> None:
    states, people = PERMIT_TABLE[verb]
    for actor in EVERYBODY:
        expected = state.value in states and actor in people
        assert may(PERMIT, state, verb, actor, permit_context(actor, state)) == expected, (state, verb, actor.name)


def test_the_permit_table_names_every_verb() -> None:
    assert set(PERMIT_TABLE) == {t.verb for t in PERMIT.transitions}


@pytest.mark.parametrize("verb", ["activate", "amend", "resume"])
def test_the_proposers_own_confirmation_does_not_count(verb: str) -> None:
    state = {"activate": PermitState.PROPOSED, "amend": PermitState.ACTIVE, "resume": PermitState.SUSPENDED}[verb]
    context = permit_context(CONFIRMER, state, confirmations=frozenset({PROPOSER.person}))
    assert not may(PERMIT, state, verb, CONFIRMER, context)


def test_a_permit_expires_only_at_its_end_and_then_for_good() -> None:
    over = permit_context(TIMERS, PermitState.ACTIVE, now=LATER)
    assert may(PERMIT, PermitState.ACTIVE, "expire", TIMERS, over)
    again = permit_context(CONFIRMER, PermitState.SUSPENDED, now=LATER)
    assert not may(PERMIT, PermitState.SUSPENDED, "resume", CONFIRMER, again)


def workspace_context(**changes: object) -> WorkspaceContext:
    given = WorkspaceContext(
        now=NOW, permit_in_force=True, permit_ended=False, in_sync=True, anything_left=False, seal_holds=True
    )
    return replace(given, **changes)  # type: ignore[arg-type]


LOOPS = {RECONCILER, TIMERS}
WORKSPACE_TABLE: dict[str, tuple[set[str], set[Principal]]] = {
    "provision": ({"requested"}, LOOPS),
    "confirm": ({"provisioning"}, LOOPS),
    "stop": ({"ready"}, {OPERATOR}),
    "start": ({"stopped"}, {OPERATOR}),
    "fail": ({"requested", "provisioning", "ready"}, LOOPS),
    "retry": ({"failed"}, {OPERATOR}),
    "close": ({"requested", "provisioning", "ready", "stopped", "failed"}, LOOPS),
    "seal": ({"closing"}, LOOPS),
}


@pytest.mark.parametrize("verb", sorted(WORKSPACE_TABLE))
@pytest.mark.parametrize("state", list(WorkspaceState))
def test_a_workspace_moves_only_for_whom_the_table_says(state: WorkspaceState, verb: str) -> None:
    states, people = WORKSPACE_TABLE[verb]
    for actor in EVERYBODY:
        expected = state.value in states and actor in people
        assert may(WORKSPACE, state, verb, actor, workspace_context()) == expected, (state, verb, actor.name)


def test_a_workspace_is_not_ready_before_the_seal_was_seen() -> None:
    answer = WORKSPACE.decide(WorkspaceState.PROVISIONING, "confirm", workspace_context(seal_holds=False))
    assert isinstance(answer, Denied)
    assert [d.code for d in answer.denials] == ["seal-not-observed"]


@pytest.mark.parametrize("machine", [PERMIT, WORKSPACE, EGRESS], ids=lambda m: m.name)
def test_every_state_is_reached_and_only_final_ones_end(machine: Machine) -> None:
    states = {s for t in machine.transitions for s in (*t.sources, *([t.target] if t.target else []))}
    reached, waiting = {machine.initial}, [machine.initial]
    while waiting:
        here = waiting.pop()
        for move in machine.transitions:
            if here in move.sources and move.target is not None and move.target not in reached:
                reached.add(move.target)
                waiting.append(move.target)
    assert reached == states
    ends = {s for s in states if not any(s in t.sources for t in machine.transitions)}
    assert ends == machine.final


@pytest.mark.parametrize("machine", [PERMIT, WORKSPACE, EGRESS], ids=lambda m: m.name)
def test_every_move_has_an_event_in_the_form_of_the_log(machine: Machine) -> None:
    for move in machine.transitions:
        subject, _, what = move.event.partition(".")
        assert subject
        assert what
        assert move.title[0].isupper()
