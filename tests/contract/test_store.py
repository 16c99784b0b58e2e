# ruff: noqa: PT012  (a transaction ends after its last statement, so the whole block is the act)
"""The contract of the store, on both databases: what was saved comes back, and nobody overwrites unseen."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta, timezone
from typing import Any

import pytest

from spe.adapters.sql import SqlStore
from spe.domain import ids
from spe.domain.egress import EgressState
from spe.domain.errors import NotFound, Refused, Stale, Unavailable
from spe.domain.permit import PermitState
from spe.domain.person import Acceptance, Credential, CredentialKind
from spe.domain.review import Decision, Waiver
from spe.domain.workspace import Condition, Session, SessionState, WorkspaceState
from tests.support.databases import Database
from tests.support.record import (
    NOW,
    ROAD,
    World,
    a_dataset,
    a_person,
    a_release,
    a_vote,
    an_entry,
    an_output,
    confirm,
    make_world,
    propose,
    step,
)

HOUR = timedelta(hours=1)


# --- entities -----------------------------------------------------------------------------------------------


def _credential(world: World) -> Credential:
    return Credential(
        digest="c" * 64,
        kind=CredentialKind.LINK,
        person=world.author.id,
        created_at=NOW,
        expires=NOW + HOUR,
        facts={"scope": "all"},
    )


def _session(world: World) -> Session:
    return Session(
        workspace=world.workspace.id, person=world.author.id, state=SessionState.STARTING, message="…", since=NOW
    )


Case = tuple[str, Callable[[World], Any], Callable[[Any], Any], Callable[[Any], Any]]

CASES: tuple[Case, ...] = (
    ("people", lambda w: a_person("new"), lambda e: e.id, lambda e: replace(e, active=False, trained_until=None)),
    ("credentials", _credential, lambda e: e.digest, lambda e: replace(e, used_at=NOW + HOUR)),
    ("datasets", lambda w: a_dataset("2.0"), lambda e: e.key, lambda e: replace(e, withdrawn=True)),
    ("sessions", _session, lambda e: (e.workspace, e.person), lambda e: replace(e, state=SessionState.RUNNING)),
    (
        "workspaces",
        lambda w: replace(w.workspace, id=ids.new_workspace()),
        lambda e: e.id,
        lambda e: replace(
            e,
            state=WorkspaceState.PROVISIONING,
            conditions=(Condition(name="network-sealed", holds=True, reason="seen", since=NOW),),
        ),
    ),
    (
        "permits",
        lambda w: replace(w.permit, id=ids.new_permit(), state=PermitState.PROPOSED, version=0),
        lambda e: e.id,
        lambda e: replace(e, state=PermitState.DECLINED, reason="no"),
    ),
    (
        "egress",
        lambda w: replace(w.request, id=ids.new_request()),
        lambda e: e.id,
        lambda e: replace(e, purpose="other", outputs=(an_output("new.csv", "d"), e.outputs[0])),
    ),
)


@pytest.fixture
def world(store: SqlStore) -> World:
    return make_world(store)


@pytest.mark.parametrize(("name", "make", "key", "change"), CASES, ids=[case[0] for case in CASES])
def test_an_entity_comes_back_as_it_was_saved(
    store: SqlStore, world: World, name: str, make: Any, key: Any, change: Any
) -> None:
    entity = make(world)
    with store.begin() as uow:
        getattr(uow, name).add(entity)
    with store.read() as uow:
        found = getattr(uow, name).get(key(entity))
        assert found == entity
        assert entity in getattr(uow, name).select()
    with store.begin() as uow:
        saved = getattr(uow, name).save(change(found))
    assert saved == replace(change(found), version=found.version + 1)
    with store.read() as uow:
        assert getattr(uow, name).find(key(entity)) == saved


@pytest.mark.parametrize(("name", "make", "key", "change"), CASES, ids=[case[0] for case in CASES])
def test_a_second_insert_of_the_same_key_is_stale(
    store: SqlStore, world: World, name: str, make: Any, key: Any, change: Any
) -> None:
    entity = make(world)
    with store.begin() as uow:
        getattr(uow, name).add(entity)
    with pytest.raises(Stale), store.begin() as uow:
        getattr(uow, name).add(entity)


@pytest.mark.parametrize(("name", "make", "key", "change"), CASES, ids=[case[0] for case in CASES])
def test_saving_what_somebody_else_saved_meanwhile_is_stale(
    store: SqlStore, world: World, name: str, make: Any, key: Any, change: Any
) -> None:
    entity = make(world)
    with store.begin() as uow:
        getattr(uow, name).add(entity)
    with store.begin() as uow:
        saved = getattr(uow, name).save(change(entity))
    with pytest.raises(Stale, match="meanwhile"), store.begin() as uow:
        getattr(uow, name).save(entity)
    with store.read() as uow:
        assert getattr(uow, name).get(key(entity)) == saved


@pytest.mark.parametrize(("name", "make", "key", "change"), CASES, ids=[case[0] for case in CASES])
def test_an_unknown_key_is_not_found(
    store: SqlStore, world: World, name: str, make: Any, key: Any, change: Any
) -> None:
    with store.read() as uow:
        assert getattr(uow, name).find(key(make(world))) is None or name == "sessions"
        unknown = ("ws-none", "p-none") if name == "sessions" else "none"
        with pytest.raises(NotFound, match="There is no such"):
            getattr(uow, name).get(unknown)


def test_a_change_keeps_its_confirmations(store: SqlStore, world: World) -> None:
    wider = replace(world.permit.terms, ends=world.permit.terms.ends + HOUR)
    with store.begin() as uow:
        change = propose(uow, world.permit, "amend", wider, world.board[1])
    with store.begin() as uow:
        saved = uow.changes.save(replace(change, confirmed_by=frozenset({world.board[0].id})))
    with store.read() as uow:
        assert uow.changes.select(permit=world.permit.id, settled="") == (saved,)
        assert uow.changes.get(change.id).confirmed_by == {world.board[0].id}


def test_a_confirmed_amendment_changes_the_terms_and_the_earlier_ones_stay(
    store: SqlStore, database: Database, world: World
) -> None:
    wider = replace(world.permit.terms, people=world.permit.terms.people | {world.checkers[2].id})
    with store.begin() as uow:
        confirm(uow, propose(uow, world.permit, "amend", wider, world.board[0]), world.board[1])
        saved = uow.permits.save(replace(world.permit, terms=wider))
    with store.read() as uow:
        assert uow.permits.get(world.permit.id) == saved
    with database.raw() as raw:
        rows = raw.run("SELECT number FROM permit_versions WHERE permit = ? ORDER BY number", world.permit.id)
    assert [row[0] for row in rows] == [1, 2]


def test_a_request_goes_the_whole_road(store: SqlStore) -> None:
    world = make_world(store, at=EgressState.RELEASED)
    with store.begin() as uow:
        world = step(uow, world, EgressState.RECALLED)
        (release,) = uow.releases.select(request=world.request.id)
        recalled = uow.releases.save(replace(release, recalled_at=NOW + HOUR))
    with store.read() as uow:
        assert uow.egress.get(world.request.id) == world.request
        assert uow.releases.get(release.id) == recalled
        assert recalled.files == a_release(world).files


def test_a_new_round_begins_without_what_was_approved_before(store: SqlStore) -> None:
    world = make_world(store, at=EgressState.APPROVED)
    with store.begin() as uow:
        again = uow.egress.save(
            replace(world.request, state=EgressState.SUBMITTED, round=2, report="", approved=frozenset())
        )
    with store.read() as uow:
        assert uow.egress.get(world.request.id) == again
        assert not again.approved


def test_votes_and_waivers_come_back_in_order(store: SqlStore) -> None:
    world = make_world(store, at=EgressState.IN_REVIEW)
    votes = [a_vote(world, c, decision=d) for c, d in zip(world.checkers, Decision, strict=True)]
    waiver = Waiver(
        request=world.request.id, round=1, finding="FRQ-01#1", person=world.checkers[0].id, reason="agreed", at=NOW
    )
    with store.begin() as uow:
        for vote in votes:
            uow.votes.add(vote)
        uow.votes.add_waiver(waiver)
    with store.read() as uow:
        assert uow.votes.of(world.request.id) == tuple(votes)
        assert uow.votes.waivers(world.request.id) == (waiver,)


def test_times_come_back_in_utc_whatever_zone_they_had(store: SqlStore) -> None:
    local = NOW.astimezone(timezone(timedelta(hours=5, minutes=30)))
    person = replace(a_person("far"), trained_until=local)
    with store.begin() as uow:
        uow.people.add(person)
    with store.read() as uow:
        found = uow.people.get(person.id).trained_until
    assert found == NOW
    assert found.utcoffset() == timedelta(0)


# --- selection ----------------------------------------------------------------------------------------------


def test_select_pages_in_the_order_of_arrival(store: SqlStore) -> None:
    people = [a_person(f"person-{n:02}") for n in range(25)]
    with store.begin() as uow:
        for person in people:
            uow.people.add(person)
    seen: list[Any] = []
    with store.read() as uow:
        while page := uow.people.select(limit=10, after=seen[-1].id if seen else ""):
            assert len(page) <= 10
            seen.extend(page)
    assert seen == people


def test_select_takes_one_of_several_values(store: SqlStore, world: World) -> None:
    with store.read() as uow:
        one_of = (WorkspaceState.REQUESTED, "ready")
        assert uow.workspaces.select(permit=world.permit.id, state=one_of) == (world.workspace,)
        assert uow.workspaces.select(state={WorkspaceState.CLOSED}) == ()
        assert uow.workspaces.select(state=()) == ()


def test_a_person_is_found_by_issuer_and_subject(store: SqlStore, world: World) -> None:
    with store.read() as uow:
        assert uow.person_of("https://login.example", "author") == world.author
        assert uow.person_of("https://other.example", "author") is None


def test_a_second_person_with_the_same_identity_is_stale(store: SqlStore, world: World) -> None:
    with pytest.raises(Stale), store.begin() as uow:
        uow.people.add(a_person("author"))


def test_a_local_person_is_bound_to_an_identity_once(store: SqlStore, world: World) -> None:
    local = replace(a_person("nina"), issuer="local")
    with store.begin() as uow:
        uow.people.add(local)
    with store.begin() as uow:
        bound = uow.people.save(replace(local, issuer="https://login.example", subject="s-1"))
    with store.read() as uow:
        assert uow.person_of("https://login.example", "s-1") == bound
        assert uow.person_of("local", "nina") is None
    with pytest.raises(Refused, match="bound once"), store.begin() as uow:
        uow.people.save(replace(bound, subject="s-2"))


def test_live_credentials_are_those_of_a_kind_that_are_neither_used_nor_over(store: SqlStore, world: World) -> None:
    made = [
        replace(_credential(world), digest=name, **changes)
        for name, changes in {
            "first": {},
            "used": {"used_at": NOW},
            "over": {"expires": NOW},
            "link": {"kind": CredentialKind.LINK},
            "second": {"facts": {"sid": "s-1"}},
        }.items()
        for changes in [{"kind": CredentialKind.SESSION, "expires": NOW + HOUR, **changes}]
    ]
    with store.begin() as uow:
        for credential in made:
            uow.credentials.add(credential)
    with store.read() as uow:
        assert uow.live_credentials(CredentialKind.SESSION, NOW) == (made[0], made[4])


# --- transactions -------------------------------------------------------------------------------------------


def test_an_exception_leaves_nothing_behind(store: SqlStore, world: World) -> None:
    person = a_person("ghost")
    with pytest.raises(ZeroDivisionError), store.begin() as uow:
        uow.people.add(person)
        uow.audit.append(an_entry())
        uow.outbox.put("permit:cut", world.permit.id, NOW)
        raise ZeroDivisionError
    with store.read() as uow:
        assert uow.people.find(person.id) is None
        assert uow.audit.size == 0
        assert uow.outbox.open() == ()


def test_a_refusal_that_is_swallowed_still_leaves_nothing_behind(store: SqlStore) -> None:
    world = make_world(store, at=EgressState.IN_REVIEW)
    with pytest.raises(Refused), store.begin() as uow:
        uow.audit.append(an_entry())
        with pytest.raises(Refused):
            uow.votes.add(a_vote(world, world.author))
    with store.read() as uow:
        assert uow.audit.size == 0


def test_writing_in_a_reading_transaction_is_an_error(store: SqlStore) -> None:
    with pytest.raises(Unavailable), store.read() as uow:
        uow.people.add(a_person("reader"))
    with store.read() as uow:
        assert uow.people.select() == ()


def test_a_reading_transaction_sees_one_snapshot(store: SqlStore) -> None:
    with store.read() as uow:
        assert uow.people.select() == ()
        with store.begin() as other:
            other.people.add(a_person("late"))
        assert uow.people.select() == ()
    with store.read() as uow:
        assert len(uow.people.select()) == 1


def test_of_two_threads_that_save_the_same_entity_exactly_one_wins(store: SqlStore, world: World) -> None:
    ready = threading.Barrier(2)

    def save(purpose: str) -> str:
        with store.read() as uow:
            read = uow.egress.get(world.request.id)
        ready.wait(10)
        try:
            with store.begin() as uow:
                uow.egress.save(replace(read, purpose=purpose))
        except Stale:
            return ""
        return purpose

    with ThreadPoolExecutor(2) as pool:
        won = [purpose for purpose in pool.map(save, ("one", "two")) if purpose]
    assert len(won) == 1
    with store.read() as uow:
        assert uow.egress.get(world.request.id).purpose == won[0]


def test_one_move_costs_few_statements(store: SqlStore, world: World) -> None:
    with store.begin() as uow:
        request = uow.egress.get(world.request.id)
        before = uow.statements
        uow.egress.save(replace(request, purpose="counted"))
        uow.audit.append(an_entry())
        uow.outbox.put("egress:check", request.id, NOW)
        assert uow.statements - before <= 7


# --- the rest -----------------------------------------------------------------------------------------------


def test_accepted_terms_are_kept_and_the_latest_counts(store: SqlStore, world: World) -> None:
    first = Acceptance(person=world.author.id, permit=world.permit.id, terms="2026-01", at=NOW)
    second = replace(first, terms="2026-02", at=NOW + HOUR)
    with store.begin() as uow:
        assert uow.accepted(world.author.id, world.permit.id) is None
        uow.accept(first)
        uow.accept(replace(first, at=NOW + HOUR))
        assert uow.accepted(world.author.id, world.permit.id) == first
        uow.accept(second)
        assert uow.accepted(world.author.id, world.permit.id) == second


def test_an_answer_is_kept_once(store: SqlStore) -> None:
    with store.begin() as uow:
        assert uow.answer_of("key") is None
        uow.keep_answer("key", "first", NOW)
    with pytest.raises(Stale), store.begin() as uow:
        uow.keep_answer("key", "second", NOW)
    with store.read() as uow:
        assert uow.answer_of("key") == "first"


def test_a_fresh_database_has_no_problems(store: SqlStore) -> None:
    assert store.problems() == ()


def test_something_that_refers_to_nothing_is_stale(store: SqlStore, world: World) -> None:
    with pytest.raises(Stale, match="not there"), store.begin() as uow:
        uow.workspaces.add(replace(world.workspace, id=ids.new_workspace(), permit=ids.new_permit()))


@pytest.mark.parametrize("state", ROAD)
def test_a_request_comes_back_in_every_state_of_its_road(store: SqlStore, state: EgressState) -> None:
    world = make_world(store, at=state)
    with store.read() as uow:
        assert uow.egress.get(world.request.id) == world.request
