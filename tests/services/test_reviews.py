"""Reviews through the service: who may vote, blind until all have, the joint decision, waivers, derived views."""

import dataclasses
from collections.abc import Mapping

import pytest

from spe.domain.egress import EgressState
from spe.domain.errors import Invalid, NotFound, Stale
from spe.domain.ids import RequestId
from spe.domain.principal import Role
from spe.domain.review import Decision
from spe.domain.verdict import Severity
from spe.services.reviews import Judgement, ReviewView, mark_of
from spe.services.story import StoryService
from tests.support.asking import denied, invalid
from tests.support.ground import CLEAN, LEAKING, SETUP, Ground
from tests.support.prepared import with_other_policy

TWO = {"a.csv": CLEAN, "b.csv": CLEAN.replace(b"246", b"247")}
YES, CHANGE, NO = Decision.APPROVE, Decision.CHANGE, Decision.REJECT
PROSE = b"We followed 7 patients.\n"


def vote(ground: Ground, request: RequestId, name: str, **decisions: Decision) -> ReviewView:
    """A review with a decision for each file by its stem."""
    view = ground.app.reviews.view(request, by=ground.by(name))
    assert view.report is not None
    findings = {o.path: frozenset(f.key for f in o.findings) for o in view.report.outputs}
    judgements = {
        path: Judgement(decision=decisions[path.split(".")[0]], reason="so", acknowledged=findings[path])
        for path in view.request.digests
    }
    return ground.app.reviews.review(request, judgements, by=ground.by(name))


def conclude(ground: Ground, request: RequestId, verb: str, name: str = "checker", reason: str = "so") -> ReviewView:
    return ground.app.reviews.conclude(request, verb, reason=reason, by=ground.by(name))


def seen(ground: Ground, request: RequestId, name: str) -> ReviewView:
    return ground.app.reviews.view(request, by=ground.by(name))


def somebody(ground: Ground, name: str, *roles: Role) -> None:
    ground.people[name] = ground.app.people.register(
        issuer="https://login.example", subject=name, name=name, organisation="", roles=roles, by=SETUP
    )


# --- who may vote -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["researcher", "board", "operator", "auditor", "outsider"])
def test_only_checkers_review(ground: Ground, name: str) -> None:
    request = ground.submitted()
    by = ground.by(name)
    assert denied(lambda: ground.app.reviews.view(request, by=by)) == ("no-permission",)
    assert denied(lambda: ground.app.reviews.inbox(by=by)) == ("no-permission",)
    assert denied(lambda: ground.app.reviews.review(request, {}, by=by)) == ("no-permission",)
    assert denied(lambda: ground.app.reviews.conclude(request, "approve", by=by)) == ("no-permission",)


def test_a_checker_who_works_under_the_permit_reviews_nothing_of_it(ground: Ground) -> None:
    somebody(ground, "both", Role.CHECKER, Role.AUTHORISED_USER)
    ground.permit_id = ground.grant(ground.terms("researcher", "both"))
    ground.settle()
    ground.workspace_id = ground.workspace_of(ground.permit_id)
    theirs = ground.submitted()
    assert denied(lambda: ground.review(theirs, "both")) == ("own-project",)
    own = ground.submitted(author="both")
    assert denied(lambda: ground.review(own, "both")) == ("own-request", "own-project")


def test_a_checker_who_joined_the_permit_after_voting_counts_no_more(ground: Ground) -> None:
    somebody(ground, "both", Role.CHECKER, Role.AUTHORISED_USER)
    request = ground.submitted()
    ground.review(request, "both")
    ground.review(request, "checker")
    terms = dataclasses.replace(ground.permit.terms, people=ground.permit.terms.people | {ground.id_of("both")})
    change = ground.app.permits.amend(ground.permit_id, terms, by=ground.by("board")).pending[0]
    ground.app.permits.confirm(change.id, by=ground.by("board2"))
    assert "reviews-missing" in denied(lambda: conclude(ground, request, "approve"))
    assert "own-project" in denied(lambda: conclude(ground, request, "approve", "both"))


def test_nobody_votes_twice(ground: Ground) -> None:
    request = ground.submitted()
    ground.review(request, "checker", NO)
    assert denied(lambda: ground.review(request, "checker")) == ("already-voted",)
    assert seen(ground, request, "checker").votes[0].decision is NO


def test_after_enough_reviews_the_request_waits_for_the_decision(ground: Ground) -> None:
    request = ground.submitted()
    ground.review(request, "checker")
    ground.review(request, "checker2")
    assert denied(lambda: ground.review(request, "checker3")) == ("review-complete",)


@pytest.mark.parametrize("state", ["draft", "blocked", "withdrawn", "released"])
def test_only_a_request_in_review_is_reviewed(ground: Ground, state: str) -> None:
    made = {
        "draft": lambda: ground.draft({"table.csv": CLEAN}),
        "blocked": lambda: ground.submitted({"table.csv": LEAKING}),
        "withdrawn": lambda: ground.draft({"table.csv": CLEAN}),
        "released": ground.released,
    }
    request = made[state]()
    if state == "withdrawn":
        ground.app.egress.withdraw(request, by=ground.by("researcher"))
    assert ground.request(request).state == state
    judgements = {"table.csv": Judgement(decision=YES)}
    assert denied(
        lambda: ground.app.reviews.review(request, judgements, by=ground.by("checker3"))
    ) == ("wrong-state",)  # fmt: skip


def test_a_draft_is_no_business_of_checkers(ground: Ground) -> None:
    request = ground.draft({"table.csv": CLEAN})
    with pytest.raises(NotFound):
        seen(ground, request, "checker")
    assert ground.app.reviews.inbox(by=ground.by("checker")) == ()


# --- blind until all have voted -----------------------------------------------------------------------------


def test_nobody_sees_the_vote_of_another_before_all_have_voted(ground: Ground) -> None:
    request = ground.submitted(TWO)
    first = vote(ground, request, "checker", a=YES, b=NO)
    assert {v.checker for v in first.votes} == {ground.id_of("checker")}
    for name in ("checker2", "checker3"):
        view = seen(ground, request, name)
        assert view.votes == ()
        assert view.standings == {}
        assert not view.complete
        assert not view.reviewed_by_me
    assert seen(ground, request, "checker").standings == {}
    done = vote(ground, request, "checker2", a=YES, b=YES)
    assert done.complete
    assert {v.checker for v in done.votes} == {ground.id_of("checker"), ground.id_of("checker2")}
    assert done.standings["b.csv"].rejections == 1


def test_no_other_door_tells_how_somebody_voted_while_the_review_is_open(ground: Ground) -> None:
    request = ground.submitted(TWO)
    mark = mark_of(ground.request(request))
    vote(ground, request, "checker", a=YES, b=NO)
    story = StoryService(ground.app.house, ground.app.egress)
    assert story.remarks(request, by=ground.by("researcher")) == ()
    assert story.earlier_votes(request, by=ground.by("checker2")) == ()
    assert mark_of(ground.request(request)) == mark
    for name in ("researcher", "checker2"):
        view = ground.app.egress.view(request, by=ground.by(name))
        assert ground.id_of("checker") not in repr(view)
    (entry,) = ground.app.audit.entries(event="egress.reviewed", by=ground.by("auditor"))
    assert dict(entry.details) == {"round": 1}


def test_the_author_reads_reasons_without_names_after_the_decision(ground: Ground) -> None:
    request = ground.submitted(TWO)
    vote(ground, request, "checker", a=YES, b=CHANGE)
    vote(ground, request, "checker2", a=YES, b=YES)
    conclude(ground, request, "return", reason="round the totals of b")
    story = StoryService(ground.app.house, ground.app.egress)
    (remark,) = story.remarks(request, by=ground.by("researcher"))
    assert (remark.path, remark.decision, remark.reason) == ("b.csv", CHANGE, "so")
    assert ground.id_of("checker") not in repr(remark)


# --- what a review must say ---------------------------------------------------------------------------------


def test_every_output_is_judged_and_no_other(ground: Ground) -> None:
    request = ground.submitted(TWO)
    by = ground.by("checker")
    one = {"a.csv": Judgement(decision=YES)}
    more = {p: Judgement(decision=YES) for p in ("a.csv", "b.csv", "c.csv")}
    assert set(invalid(lambda: ground.app.reviews.review(request, one, by=by))) == {"b.csv"}
    assert set(invalid(lambda: ground.app.reviews.review(request, more, by=by))) == {"c.csv"}
    assert not seen(ground, request, "checker").reviewed_by_me, "nothing of it was kept"


def test_an_objection_has_a_reason(ground: Ground) -> None:
    request, by = ground.submitted(), ground.by("checker")
    for decision in (CHANGE, NO):
        judgements = {"table.csv": Judgement(decision=decision, reason="  ")}
        assert "reason" in invalid(lambda j=judgements: ground.app.reviews.review(request, j, by=by))["table.csv"]


def test_every_finding_is_acknowledged_before_an_approval(ground: Ground) -> None:
    request, by = ground.submitted({"note.txt": PROSE}), ground.by("checker")
    view = seen(ground, request, "checker")
    assert view.report is not None
    keys = frozenset(f.key for f in view.report.outputs[0].findings)
    assert keys
    silent = {"note.txt": Judgement(decision=YES)}
    assert "Acknowledge" in invalid(lambda: ground.app.reviews.review(request, silent, by=by))["note.txt"]
    ground.app.reviews.review(request, {"note.txt": Judgement(decision=YES, acknowledged=keys)}, by=by)


def test_a_judgement_holds_only_for_what_was_read(ground: Ground) -> None:
    request = ground.submitted()
    by = ground.by("checker")
    mark = mark_of(ground.request(request))
    with pytest.raises(Stale):
        ground.app.reviews.review(request, {"table.csv": Judgement(decision=YES)}, seen="0" * 32, by=by)
    ground.review(request, "checker2")
    ground.app.reviews.review(request, {"table.csv": Judgement(decision=YES)}, seen=mark, by=by)
    with pytest.raises(Stale):
        ground.app.reviews.conclude(request, "approve", seen="0" * 32, by=by)


# --- the joint decision -------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["approve", "return", "reject"])
def test_one_review_decides_nothing(ground: Ground, verb: str) -> None:
    request = ground.submitted()
    ground.review(request, "checker")
    assert "reviews-missing" in denied(lambda: conclude(ground, request, verb))
    assert "reviews-missing" in denied(lambda: conclude(ground, request, verb, "checker2"))


def test_the_decision_is_written_by_somebody_who_reviewed(ground: Ground) -> None:
    request = ground.submitted()
    ground.review(request, "checker")
    ground.review(request, "checker2")
    assert denied(lambda: conclude(ground, request, "approve", "checker3")) == ("not-a-reviewer",)
    assert conclude(ground, request, "approve", "checker2").request.state is EgressState.APPROVED


OUTCOMES: Mapping[str, tuple[dict[str, Decision], dict[str, Decision], set[str]]] = {
    "both approve both": ({"a": YES, "b": YES}, {"a": YES, "b": YES}, {"a.csv", "b.csv"}),
    "one rejects one": ({"a": YES, "b": NO}, {"a": YES, "b": YES}, {"a.csv"}),
    "one wants a change of one": ({"a": YES, "b": YES}, {"a": YES, "b": CHANGE}, {"a.csv"}),
    "each objects to another": ({"a": YES, "b": NO}, {"a": NO, "b": YES}, set()),
    "both reject all": ({"a": NO, "b": NO}, {"a": NO, "b": NO}, set()),
}


@pytest.mark.parametrize("case", OUTCOMES)
def test_only_what_everybody_approved_is_approved(ground: Ground, case: str) -> None:
    first, second, expected = OUTCOMES[case]
    request = ground.submitted(TWO)
    vote(ground, request, "checker", **first)
    vote(ground, request, "checker2", **second)
    if not expected:
        assert denied(lambda: conclude(ground, request, "approve")) == ("nothing-approved",)
        conclude(ground, request, "reject")
        ground.settle()
        assert ground.app.releases.of_request(request, by=ground.by("auditor")) is None
        return
    assert conclude(ground, request, "approve").request.approved == expected


@pytest.mark.parametrize("verb", ["return", "reject"])
def test_a_no_has_a_reason_and_its_author_reads_it(ground: Ground, verb: str) -> None:
    request = ground.submitted()
    ground.review(request, "checker", NO)
    ground.review(request, "checker2", NO)
    assert denied(lambda: conclude(ground, request, verb, reason=" ")) == ("reason-missing",)
    conclude(ground, request, verb, reason="too detailed")
    assert ground.app.egress.view(request, by=ground.by("researcher")).request.reason == "too detailed"
    ground.settle()
    assert ground.notifier.told[-1][0] == ground.id_of("researcher")


@pytest.mark.parametrize("verb", ["review", "waive", "recall", "release", "submit", "confirm-release", "anything"])
def test_no_other_move_goes_through_the_door_for_decisions(ground: Ground, verb: str) -> None:
    released, reviewed = ground.released(), ground.submitted()
    for request in (released, reviewed):
        before = ground.request(request)
        assert denied(lambda request=request: conclude(ground, request, verb)) == ("unknown-verb",)
        assert ground.request(request) == before


def test_the_policy_may_ask_for_three(ground: Ground) -> None:
    rules = dataclasses.replace(ground.policies[-1].rules, reviewers=3)
    ground.policies.append(dataclasses.replace(ground.policies[-1], rules=rules))
    request = ground.submitted()
    ground.review(request, "checker")
    ground.review(request, "checker2")
    assert not seen(ground, request, "checker").complete
    assert "reviews-missing" in denied(lambda: conclude(ground, request, "approve"))
    ground.review(request, "checker3")
    assert conclude(ground, request, "approve").request.state is EgressState.APPROVED


# --- waivers ------------------------------------------------------------------------------------------------


def waivers_allowed(ground: Ground) -> None:
    now = ground.policies[-1]
    policy = now.disclosure["default"]
    loose = dataclasses.replace(policy, settings=tuple(dataclasses.replace(s, waivable=True) for s in policy.settings))
    ground.policies.append(dataclasses.replace(now, disclosure={**now.disclosure, "default": loose}))


def blocking(ground: Ground, request: RequestId) -> list[str]:
    report = seen(ground, request, "checker").report
    assert report is not None
    return [f.key for f in report.all_findings if f.severity is Severity.BLOCK]


def waive(ground: Ground, request: RequestId, reasons: Mapping[str, str], name: str = "checker") -> ReviewView:
    return ground.app.reviews.waive(request, reasons, by=ground.by(name))


def test_a_blocking_finding_is_waived_only_where_the_policy_says_so(ground: Ground) -> None:
    request = ground.submitted({"table.csv": LEAKING})
    reasons = dict.fromkeys(blocking(ground, request), "published before")
    assert "no-waivers" in denied(lambda: waive(ground, request, reasons))
    assert ground.request(request).state is EgressState.BLOCKED


def test_a_waiver_names_every_blocking_finding_with_a_reason_and_then_two_still_review(ground: Ground) -> None:
    waivers_allowed(ground)
    request = ground.submitted({"table.csv": LEAKING})
    keys = blocking(ground, request)
    assert keys
    invalid(lambda: waive(ground, request, dict.fromkeys(keys, " ")))
    invalid(lambda: waive(ground, request, {"no-such-finding": "so"}))
    assert denied(lambda: waive(ground, request, dict.fromkeys(keys, "so"), "researcher")) == ("no-permission",)
    assert waive(ground, request, dict.fromkeys(keys, "published")).request.state is EgressState.IN_REVIEW
    ground.review(request, "checker")
    assert "reviews-missing" in denied(lambda: conclude(ground, request, "approve"))
    ground.review(request, "checker2")
    conclude(ground, request, "approve")
    ground.settle()
    assert ground.request(request).state is EgressState.RELEASED


def test_a_waiver_that_leaves_something_out_waives_nothing(ground: Ground) -> None:
    waivers_allowed(ground)
    leaking = {"a.csv": LEAKING, "b.csv": LEAKING.replace(b"246", b"247")}
    request = ground.submitted(leaking)
    keys = blocking(ground, request)
    assert len(keys) >= 2
    assert denied(lambda: waive(ground, request, {keys[0]: "so"})) == ("blocking-findings",)
    with ground.app.house.ports.store.read() as uow:
        assert uow.votes.waivers(request) == ()


def test_a_waiver_does_not_outlive_its_round(ground: Ground) -> None:
    waivers_allowed(ground)
    request = ground.submitted({"table.csv": LEAKING})
    waive(ground, request, dict.fromkeys(blocking(ground, request), "published"))
    for name in ("checker", "checker2"):
        ground.review(request, name, CHANGE)
    conclude(ground, request, "return")
    ground.app.egress.submit(request, by=ground.by("researcher"))
    ground.settle()
    assert ground.request(request).state is EgressState.BLOCKED


def test_a_waiver_under_a_policy_that_changed_since_allows_no_approval(ground: Ground) -> None:
    waivers_allowed(ground)
    request = ground.submitted({"table.csv": LEAKING})
    waive(ground, request, dict.fromkeys(blocking(ground, request), "published"))
    ground.review(request, "checker")
    ground.review(request, "checker2")
    with_other_policy(ground)
    assert "policy-changed" in denied(lambda: conclude(ground, request, "approve"))


# --- derived views ------------------------------------------------------------------------------------------


def test_every_look_at_an_output_is_written_down(ground: Ground) -> None:
    request = ground.submitted()
    data = ground.app.reviews.look(request, "0.json", by=ground.by("checker"))
    assert data
    assert data != CLEAN
    (entry,) = ground.app.audit.entries(event="egress.viewed", by=ground.by("auditor"))
    assert entry.actor.subject == "checker"
    assert entry.object_id == request


def test_a_view_is_shown_to_checkers_and_co_workers_only(ground: Ground) -> None:
    request = ground.submitted()
    for name in ("checker3", "researcher", "colleague"):
        assert ground.app.reviews.look(request, "0.json", by=ground.by(name))
    for name in ("outsider", "board", "operator", "auditor"):
        with pytest.raises(NotFound):
            ground.app.reviews.look(request, "0.json", by=ground.by(name))
    for odd in ("1.json", "../0.json", "", "table.csv"):
        with pytest.raises(NotFound):
            ground.app.reviews.look(request, odd, by=ground.by("checker"))


def test_the_inbox_shows_what_waits_and_is_blind_too(ground: Ground) -> None:
    request = ground.submitted()
    ground.review(request, "checker", NO)
    (item,) = ground.app.reviews.inbox(by=ground.by("checker2"))
    assert item.request.id == request
    assert item.votes == ()
    with pytest.raises(Invalid):
        ground.app.reviews.review(request, {}, by=ground.by("checker2"))
