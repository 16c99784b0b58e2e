"""Permits: who may propose, confirm, narrow and end them, what acts at once and what waits."""

import math
from dataclasses import replace
from datetime import timedelta

import pytest

from spe.domain.dataset import AccessMode
from spe.domain.errors import Invalid, NotFound
from spe.domain.ids import ChangeId, PermitId
from spe.domain.permit import Limits, PermitState, Terms
from spe.domain.principal import TIMERS, Role
from spe.domain.workspace import WorkspaceState
from spe.services.permits import PermitView
from tests.support.asking import denied, invalid, told
from tests.support.ground import SETUP, Ground

SOON = timedelta(days=30)
LATER = timedelta(days=400)


def propose(ground: Ground, terms: Terms | None = None, *, by: str = "board", **changes: str) -> PermitView:
    given = {"kind": "data-permit", "issuer": "Board"} | changes
    return ground.app.permits.propose(
        kind=given["kind"], issuer=given["issuer"], terms=terms or ground.terms("researcher"), by=ground.by(by)
    )


def pending(ground: Ground) -> tuple[ChangeId, ...]:
    return tuple(c.id for c in ground.app.permits.view(ground.permit_id, by=ground.by("board")).pending)


def amend(ground: Ground, *, by: str = "board", **changes: object) -> PermitView:
    terms = replace(ground.permit.terms, **changes)  # type: ignore[arg-type]
    return ground.app.permits.amend(ground.permit_id, terms, by=ground.by(by))


def confirm(ground: Ground, change: ChangeId, by: str = "board2") -> PermitView:
    return ground.app.permits.confirm(change, by=ground.by(by))


def narrow(ground: Ground, verb: str, *, by: str = "board", reason: str = "the agreement ended") -> PermitView:
    return ground.app.permits.narrow(ground.permit_id, verb, reason=reason, by=ground.by(by))


def events(ground: Ground, permit: PermitId) -> list[str]:
    return [e.event for e in reversed(ground.app.audit.entries(subject=permit, by=ground.by("auditor")))]


# --- propose and confirm ------------------------------------------------------------------------------------


def test_a_proposal_gives_nothing_until_another_member_confirms(ground: Ground) -> None:
    view = propose(ground)
    ground.settle()
    assert view.permit.state is PermitState.PROPOSED
    assert not view.in_force
    assert all(w.permit.id != view.permit.id for w in ground.app.workspaces.all(by=ground.by("auditor")))
    confirmed = confirm(ground, view.pending[0].id)
    ground.settle()
    assert confirmed.in_force
    assert confirmed.permit.confirmed_by == {ground.id_of("board2")}
    assert ground.workspace_of(view.permit.id)
    assert events(ground, view.permit.id) == [
        "permit.proposed",
        "permit.change-proposed",
        "permit.confirmed",
        "permit.activated",
    ]


def test_nobody_confirms_their_own_proposal(ground: Ground) -> None:
    view = propose(ground)
    assert denied(lambda: confirm(ground, view.pending[0].id, "board")) == ("own-proposal",)


def test_a_proposal_is_carried_out_once(ground: Ground) -> None:
    view = propose(ground)
    confirm(ground, view.pending[0].id)
    assert denied(lambda: confirm(ground, view.pending[0].id)) == ("settled",)


@pytest.mark.parametrize("name", ["researcher", "checker", "operator", "auditor"])
def test_only_the_board_decides_on_permits(ground: Ground, name: str) -> None:
    view = propose(ground)
    assert denied(lambda: propose(ground, by=name)) == ("no-permission",)
    assert denied(lambda: confirm(ground, view.pending[0].id, name)) == ("no-permission",)
    assert denied(lambda: narrow(ground, "revoke", by=name)) == ("no-permission",)
    assert denied(lambda: amend(ground, by=name, ends=ground.clock.now() + LATER)) == ("no-permission",)
    assert denied(lambda: ground.app.permits.resume(ground.permit_id, by=ground.by(name))) == ("no-permission",)


def unrestricted(ground: Ground) -> None:
    """A house whose policy lets roles meet, so that the ties to a permit are what refuses."""
    ground.policies.append(replace(ground.policies[-1], exclusive=()))
    for name in ("board", "board2"):
        ground.people[f"{name}-researcher"] = ground.app.people.register(
            issuer="https://login.example",
            subject=f"{name}-researcher",
            name=name,
            organisation="",
            roles=[Role.BOARD, Role.AUTHORISED_USER],
            by=SETUP,
        )


def test_nobody_proposes_a_permit_that_names_them(ground: Ground) -> None:
    unrestricted(ground)
    terms = ground.terms("board-researcher")
    assert denied(lambda: propose(ground, terms, by="board-researcher")) == ("own-permit",)


def test_a_person_on_the_permit_cannot_decide_on_it(ground: Ground) -> None:
    unrestricted(ground)
    view = propose(ground, ground.terms("board-researcher"))
    assert "own-permit" in denied(lambda: confirm(ground, view.pending[0].id, "board-researcher"))


def test_whom_an_amendment_would_name_does_not_confirm_it(ground: Ground) -> None:
    unrestricted(ground)
    people = ground.permit.terms.people | {ground.id_of("board-researcher")}
    change = amend(ground, people=people).pending[0]
    assert denied(lambda: confirm(ground, change.id, "board-researcher")) == ("own-permit",)


def test_the_policy_may_ask_for_more_than_one_confirmation(ground: Ground) -> None:
    rules = replace(ground.policies[-1].rules, confirmations=2)
    ground.policies.append(replace(ground.policies[-1], rules=rules))
    third = ground.app.people.register(
        issuer="https://login.example", subject="board3", name="Third", organisation="", roles=[Role.BOARD], by=SETUP
    )
    ground.people["board3"] = third
    view = propose(ground)
    assert confirm(ground, view.pending[0].id).permit.state is PermitState.PROPOSED
    assert confirm(ground, view.pending[0].id).permit.state is PermitState.PROPOSED, "one member counts once"
    assert confirm(ground, view.pending[0].id, "board3").permit.state is PermitState.ACTIVE


def test_a_proposal_may_be_declined_with_a_reason(ground: Ground) -> None:
    view = propose(ground)
    permits = ground.app.permits
    by = ground.by("board2")
    assert denied(lambda: permits.narrow(view.permit.id, "decline", reason=" ", by=by)) == ("reason-missing",)
    assert permits.narrow(view.permit.id, "decline", reason="no", by=by).permit.state is PermitState.DECLINED
    assert denied(lambda: confirm(ground, view.pending[0].id)) == ("settled",)


# --- what the terms may be ----------------------------------------------------------------------------------

WRONG_TERMS: dict[str, tuple[dict[str, object], str, str]] = {
    "no people": ({"people": frozenset()}, "people", "at least one"),
    "an unknown person": ({"people": frozenset({"p-nobody"})}, "people", "operator registers"),
    "no dataset": ({"datasets": frozenset()}, "datasets", "at least one"),
    "an unknown dataset": ({"datasets": frozenset({"ds-nothing/1"})}, "datasets", "not a registered"),
    "an unknown secret": ({"secrets": frozenset({"no-such-key"})}, "secrets", "an operator stores it"),
    "no title": ({"title": " "}, "title", "title"),
    "no purpose": ({"purpose": ""}, "purpose", "purpose"),
    "control characters": ({"title": "a\x07b"}, "title", "control"),
    "a text without end": ({"purpose": "x" * 2001}, "purpose", "Shorten"),
    "no memory": ({"limits": Limits(memory_bytes=0)}, "limits", "positive"),
    "no cores": ({"limits": Limits(cpu=-1.0)}, "limits", "positive"),
    "cores that are no number": ({"limits": Limits(cpu=math.nan)}, "limits", "positive"),
    "cores without end": ({"limits": Limits(cpu=math.inf)}, "limits", "positive"),
    "no time": ({"limits": Limits(idle_minutes=0)}, "limits", "positive"),
    "conditions with control characters": ({"conditions": "line\nnext \x1b[2K"}, "conditions", "control"),
    "conditions without end": ({"conditions": "x" * 2001}, "conditions", "Shorten"),
    "a title that turns the line around": ({"title": "cohort \u202egnp.exe"}, "title", "invisible"),
    "a purpose with what nobody sees": ({"purpose": "health\u200b care"}, "purpose", "invisible"),
    "half a character": ({"purpose": "half \ud800"}, "purpose", "invisible"),
    "a title of two lines": ({"title": "one\ntwo"}, "title", "one line"),
}


@pytest.mark.parametrize("case", WRONG_TERMS)
def test_terms_that_cannot_hold_are_refused_field_by_field(ground: Ground, case: str) -> None:
    changes, field, words = WRONG_TERMS[case]
    terms = ground.terms("researcher", **changes)
    before = len(ground.app.permits.all(by=ground.by("auditor")))
    assert words in invalid(lambda: propose(ground, terms))[field]
    assert words in invalid(lambda: ground.app.permits.examine(terms, by=ground.by("board")))[field]
    assert words in invalid(lambda: ground.app.permits.amend(ground.permit_id, terms, by=ground.by("board")))[field]
    assert len(ground.app.permits.all(by=ground.by("auditor"))) == before


def test_the_end_comes_after_the_start_and_lies_ahead(ground: Ground) -> None:
    now = ground.clock.now()
    backwards = ground.terms("researcher", starts=now + SOON, ends=now + SOON)
    assert "after the start" in invalid(lambda: propose(ground, backwards))["ends"]
    over = ground.terms("researcher", starts=now - SOON, ends=now)
    assert "past" in invalid(lambda: propose(ground, over))["ends"]


def test_dates_without_a_zone_are_told_as_such(ground: Ground) -> None:
    now = ground.clock.now().replace(tzinfo=None)
    problems = invalid(lambda: propose(ground, ground.terms("researcher", starts=now, ends=now + SOON)))
    assert "time zone" in problems["starts"]
    assert "time zone" in problems["ends"]


def test_purpose_and_conditions_may_have_several_lines(ground: Ground) -> None:
    terms = ground.terms("researcher", purpose="First.\nSecond.", conditions="- one\n\t- two")
    assert propose(ground, terms).permit.terms.conditions == "- one\n\t- two"


def test_a_dataset_accepts_only_its_access_modes(ground: Ground) -> None:
    source = ground.folder / "data" / "pixels"
    source.mkdir(parents=True)
    (source / "a.csv").write_text("a\n1\n")
    version = ground.app.datasets.register(
        str(source), title="Pixels", holder="Hospital", access_modes=[AccessMode.STREAMED], by=ground.by("operator")
    )
    terms = ground.terms("researcher", datasets=frozenset({version.key}))
    assert "direct" in invalid(lambda: propose(ground, terms))["access_mode"]


def test_a_withdrawn_dataset_and_a_person_who_was_switched_off_are_not_granted(ground: Ground) -> None:
    other = ground.register_dataset("Other")
    ground.app.datasets.withdraw(other.key, by=ground.by("operator"))
    ground.app.people.switch(ground.id_of("outsider"), active=False, by=ground.by("operator"))
    fields = invalid(lambda: propose(ground, ground.terms("outsider", datasets=frozenset({other.key}))))
    assert set(fields) == {"datasets", "people"}


@pytest.mark.parametrize(
    "changes", [{"kind": "Data Permit"}, {"kind": ""}, {"issuer": " "}, {"issuer": "a\nb"}, {"issuer": "x" * 201}]
)
def test_the_kind_is_a_word_and_the_issuer_a_name(ground: Ground, changes: dict[str, str]) -> None:
    assert set(invalid(lambda: propose(ground, **changes))) == set(changes)


# --- narrowing and widening ---------------------------------------------------------------------------------


def test_what_narrows_acts_at_once_and_what_widens_waits(ground: Ground) -> None:
    ends = ground.permit.terms.ends
    view = amend(ground, people=frozenset({ground.id_of("researcher")}), ends=ends + LATER)
    assert view.permit.terms.people == {ground.id_of("researcher")}
    assert view.permit.terms.ends == ends
    assert len(view.pending) == 1
    after = confirm(ground, view.pending[0].id)
    assert after.permit.terms.ends == ends + LATER
    assert after.permit.terms.people == {ground.id_of("researcher")}


def test_a_narrowing_reaches_the_workspace(ground: Ground) -> None:
    amend(ground, people=frozenset({ground.id_of("researcher")}))
    ground.settle()
    assert ground.cluster.observe(ground.workspace_id).places == {ground.id_of("researcher")}


def test_an_amendment_that_changes_nothing_does_nothing(ground: Ground) -> None:
    before = ground.permit
    assert amend(ground).permit == before
    assert pending(ground) == ()


def test_a_later_proposal_replaces_the_one_that_waits(ground: Ground) -> None:
    first = amend(ground, ends=ground.permit.terms.ends + LATER).pending[0]
    second = amend(ground, purpose="Another question").pending[0]
    assert pending(ground) == (second.id,)
    assert told(lambda: confirm(ground, first.id)) == "This proposal was already replaced."


def test_a_narrowing_is_not_undone_by_a_widening_that_waited(ground: Ground) -> None:
    stale = amend(ground, ends=ground.permit.terms.ends + LATER).pending[0]
    amend(ground, by="board2", people=frozenset({ground.id_of("researcher")}))
    assert "settled" in denied(lambda: confirm(ground, stale.id))
    assert ground.permit.terms.people == {ground.id_of("researcher")}


def test_whoever_amends_does_not_confirm_it(ground: Ground) -> None:
    change = amend(ground, purpose="Another question").pending[0]
    assert denied(lambda: confirm(ground, change.id, "board")) == ("own-proposal",)


@pytest.mark.parametrize("verb", ["revoke", "suspend"])
def test_taking_access_away_needs_one_person_and_a_reason(ground: Ground, verb: str) -> None:
    assert denied(lambda: narrow(ground, verb, reason="  ")) == ("reason-missing",)
    view = narrow(ground, verb)
    assert not view.in_force
    assert view.permit.reason == "the agreement ended"


@pytest.mark.parametrize("verb", ["revoke", "suspend"])
def test_the_end_of_access_ends_sessions_data_and_secrets(ground: Ground, verb: str) -> None:
    ground.open_session()
    ground.app.secrets.lease(ground.workspace_id, "registry-key", person=ground.by("researcher"))
    narrow(ground, verb)
    ground.settle()
    seen = ground.cluster.observe(ground.workspace_id)
    assert not seen.data
    assert not seen.places
    assert not ground.sandboxes.running
    assert ground.app.house.ports.secrets.confirm_revoked(ground.workspace_id)
    session = ground.app.sessions.mine(ground.workspace_id, by=ground.by("researcher"))
    assert session is not None
    assert session.state == "stopped"
    assert "the agreement ended" in session.message


def test_a_revoked_permit_leaves_nothing_and_closes(ground: Ground) -> None:
    narrow(ground, "revoke")
    ground.settle()
    assert ground.cluster.owned() == ()
    assert ground.workspace.state is WorkspaceState.CLOSED
    ground.settle()
    assert ground.permit.state is PermitState.CLOSED


def test_a_permit_stays_open_while_an_egress_request_is_under_way(ground: Ground) -> None:
    request = ground.draft({"table.csv": b"a\n1\n"})
    narrow(ground, "revoke")
    for _ in range(2):
        ground.settle()
    assert ground.permit.state is PermitState.REVOKED
    ground.app.egress.withdraw(request, by=ground.by("researcher"))
    ground.settle()
    assert ground.permit.state is PermitState.CLOSED


def test_a_resumption_waits_for_another_member(ground: Ground) -> None:
    narrow(ground, "suspend")
    change = ground.app.permits.resume(ground.permit_id, by=ground.by("board")).pending[0]
    assert ground.permit.state is PermitState.SUSPENDED
    assert denied(lambda: confirm(ground, change.id, "board")) == ("own-proposal",)
    view = confirm(ground, change.id)
    ground.settle()
    assert view.permit.state is PermitState.ACTIVE
    assert view.permit.reason == ""
    assert ground.cluster.observe(ground.workspace_id).data


def test_only_a_suspended_permit_resumes(ground: Ground) -> None:
    assert denied(lambda: ground.app.permits.resume(ground.permit_id, by=ground.by("board"))) == ("wrong-state",)
    narrow(ground, "revoke")
    assert denied(lambda: ground.app.permits.resume(ground.permit_id, by=ground.by("board"))) == ("wrong-state",)
    assert denied(lambda: amend(ground, purpose="Another question")) == ("wrong-state",)


def test_a_suspension_drops_what_waits(ground: Ground) -> None:
    change = amend(ground, purpose="Another question").pending[0]
    narrow(ground, "suspend")
    assert denied(lambda: confirm(ground, change.id)) == ("settled",)


@pytest.mark.parametrize("verb", ["amend", "activate", "resume", "expire", "close", "narrow", "reopen"])
def test_no_other_move_goes_through_the_door_for_narrowing(ground: Ground, verb: str) -> None:
    before = ground.permit
    assert denied(lambda: narrow(ground, verb))
    assert ground.permit == before


# --- the end of the term ------------------------------------------------------------------------------------


def test_a_permit_expires_when_its_time_has_come(ground: Ground) -> None:
    ground.open_session()
    ground.clock.turn(days=90, seconds=-1)
    ground.settle()
    assert ground.permit.state is PermitState.ACTIVE
    ground.clock.turn(seconds=1)
    assert not ground.permit.in_force(ground.clock.now()), "at the end itself, whatever the loops do"
    ground.settle()
    assert not ground.sandboxes.running
    assert ground.cluster.owned() == ()
    ground.settle()
    assert ground.permit.state is PermitState.CLOSED
    assert "permit.expired" in events(ground, ground.permit_id)


def test_a_proposal_nobody_confirmed_in_time_expires(ground: Ground) -> None:
    view = propose(ground)
    ground.clock.turn(days=91)
    with pytest.raises(Invalid):
        confirm(ground, view.pending[0].id)
    ground.settle()
    assert denied(lambda: confirm(ground, view.pending[0].id)) == ("settled",)


def test_an_ended_term_is_not_prolonged_even_by_a_change_that_waited(ground: Ground) -> None:
    change = amend(ground, ends=ground.permit.terms.ends + LATER).pending[0]
    ground.clock.turn(days=90)
    assert denied(lambda: confirm(ground, change.id)) == ("term-over",)
    ground.settle()
    assert denied(lambda: confirm(ground, change.id)) == ("settled",)


def test_time_moves_nothing_twice(ground: Ground) -> None:
    ground.clock.turn(days=90)
    assert ground.app.permits.tick(by=TIMERS) == 1
    assert ground.app.permits.tick(by=TIMERS) == 0


# --- previews and who sees ----------------------------------------------------------------------------------


def test_a_preview_says_what_would_happen_and_does_nothing(ground: Ground) -> None:
    ground.open_session()
    before = ground.permit
    preview = ground.app.permits.preview
    by = ground.by("board")
    revoke = preview(ground.permit_id, "revoke", by=by)
    assert revoke[0] == "1 open notebook session ends at once."
    assert "This cannot be undone; a new permit is needed." in revoke
    assert any("stay" in s for s in preview(ground.permit_id, "suspend", by=by))
    terms = replace(
        before.terms,
        people=frozenset({ground.id_of("researcher"), ground.id_of("outsider")}),
        ends=before.terms.ends + LATER,
    )
    assert preview(ground.permit_id, "amend", terms, by=by) == (
        "At once: 1 person loses access.",
        "After confirmation: 1 more person gets access.",
        f"After confirmation: Access lasts longer, until {terms.ends:%d %B %Y}.",
    )
    assert preview(ground.permit_id, "amend", before.terms, by=by) == ("Nothing changes.",)
    assert ground.permit == before


def test_a_preview_is_for_those_who_may_see_the_permit(ground: Ground) -> None:
    for name in ("outsider", "checker"):
        with pytest.raises(NotFound):
            ground.app.permits.preview(ground.permit_id, "revoke", by=ground.by(name))


def test_a_permit_is_seen_by_its_people_and_by_those_who_watch_over_it(ground: Ground) -> None:
    for name in ("researcher", "colleague", "board", "operator", "auditor"):
        assert ground.app.permits.view(ground.permit_id, by=ground.by(name)).permit.id == ground.permit_id
    for name in ("outsider", "checker"):
        with pytest.raises(NotFound):
            ground.app.permits.view(ground.permit_id, by=ground.by(name))
        assert ground.app.permits.all(by=ground.by(name)) == ()


def test_offers_are_for_those_who_hold_the_permission(ground: Ground) -> None:
    offers = {o.verb: o for o in ground.app.permits.view(ground.permit_id, by=ground.by("board")).offers}
    assert offers["revoke"].open
    assert offers["suspend"].open
    assert ground.app.permits.view(ground.permit_id, by=ground.by("researcher")).offers == ()
