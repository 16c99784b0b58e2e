# ruff: noqa: PT012  (a transaction ends after its last statement, so the whole block is the act)
"""Laws of the database's rules, and the ways around them that somebody with SQL might try."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spe.adapters.sql import SqlStore, roles
from spe.adapters.sql.failures import SENTENCES
from spe.adapters.sql.guards import GUARDS
from spe.adapters.sql.schema import metadata
from spe.domain import ids
from spe.domain.dataset import AccessMode
from spe.domain.egress import EgressState
from spe.domain.errors import Corrupt, Invalid, Refused
from spe.domain.permit import Limits, PermitState, Terms, widenings
from tests.support.databases import APPLICATION, KINDS, POSTGRES, Database, Refusals, fresh, server_of
from tests.support.record import NOW, World, a_dataset, a_release, a_vote, confirm, make_world, propose, step

E = EgressState


class Enough(Exception):
    """Ends a transaction that nobody wants to keep."""


def test_every_code_has_a_sentence() -> None:
    codes = {code for guard in GUARDS for rules in (guard.insert, guard.update, guard.delete) for code, _ in rules}
    assert codes | {"kept", "fixed", "isolation"} <= set(SENTENCES)


def test_every_table_of_evidence_is_guarded() -> None:
    free = {"outbox", "sessions"}
    assert {guard.table for guard in GUARDS} == set(metadata.tables) - free


# --- widening -----------------------------------------------------------------------------------------------


@pytest.fixture(params=KINDS, scope="module")
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[SqlStore, World]]:
    store = fresh(request.param, tmp_path_factory.mktemp("law")).store()
    world = make_world(store)
    with store.begin() as uow:
        uow.datasets.add(replace(a_dataset(), dataset="ds-second"))
    yield store, world
    store.close()


def _terms(world: World) -> st.SearchStrategy[Terms]:
    people = [world.author.id, world.colleague.id, world.checkers[2].id]
    some = st.integers(1, 2)
    return st.builds(
        Terms,
        title=st.sampled_from(["Study", "Renamed"]),
        purpose=st.sampled_from(["Research", "Other"]),
        people=st.frozensets(st.sampled_from(people), min_size=1),
        datasets=st.frozensets(st.sampled_from([world.dataset.key, "ds-second/1.0"]), min_size=1),
        starts=st.sampled_from([NOW, NOW + timedelta(microseconds=1)]),
        ends=st.sampled_from([NOW + timedelta(days=9), NOW + timedelta(days=9, microseconds=1)]),
        limits=st.builds(
            Limits, memory_bytes=some, cpu=st.sampled_from([0.5, 1.0]), disk_bytes=some, daily_bytes=some,
            idle_minutes=some,
        ),
        access_mode=st.sampled_from(AccessMode),
        secrets=st.frozensets(st.sampled_from(["a", "b"])),
        conditions=st.sampled_from(["", "more"]),
    )  # fmt: skip


@settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_the_database_lets_terms_narrow_and_nothing_else(place: tuple[SqlStore, World], data: st.DataObject) -> None:
    """Law: without a confirmed change the terms may become `new` exactly when `widenings` is empty."""
    store, world = place
    old, new = data.draw(_terms(world)), data.draw(_terms(world))
    if data.draw(st.booleans()):
        new = replace(new, purpose=old.purpose, conditions=old.conditions, people=old.people & new.people or old.people)
    permit = replace(
        world.permit, id=ids.new_permit(), terms=old, state=PermitState.PROPOSED, confirmed_by=frozenset(), version=0
    )
    refused = False
    with pytest.raises((Enough, Refused)) as caught, store.begin() as uow:
        uow.permits.add(permit)
        confirm(uow, propose(uow, permit, "activate", old, world.board[0]), world.board[1])
        active = uow.permits.save(replace(permit, state=PermitState.ACTIVE))
        try:
            uow.permits.save(replace(active, terms=new))
        except Refused as error:
            refused = error.codes == ("widening-unconfirmed",)
        raise Enough
    assert caught.type is Enough
    assert refused == bool(widenings(old, new))


def test_a_confirmed_widening_counts_once(store: SqlStore) -> None:
    world = make_world(store)
    narrow = world.permit.terms
    wide = replace(narrow, ends=narrow.ends + timedelta(days=1))
    with store.begin() as uow:
        confirm(uow, propose(uow, world.permit, "amend", wide, world.board[0]), world.board[1])
        permit = uow.permits.save(replace(world.permit, terms=wide))
        permit = uow.permits.save(replace(permit, terms=narrow))
    with pytest.raises(Refused) as caught, store.begin() as uow:
        uow.permits.save(replace(permit, terms=wide))
    assert caught.value.codes == ("widening-unconfirmed",)


# --- votes --------------------------------------------------------------------------------------------------


def _admit(store: SqlStore, world: World, *people: str) -> World:
    """The permit amended so that it names these people as well."""
    wider = replace(world.permit.terms, people=world.permit.terms.people | set(people))
    with store.begin() as uow:
        confirm(uow, propose(uow, world.permit, "amend", wider, world.board[0]), world.board[1])
        return replace(world, permit=uow.permits.save(replace(world.permit, terms=wider)))


def test_a_checker_who_joined_the_permit_after_voting_does_not_count_any_more(store: SqlStore) -> None:
    world = make_world(store, at=E.IN_REVIEW)
    with store.begin() as uow:
        for checker in world.checkers[:2]:
            for path in world.request.digests:
                uow.votes.add(a_vote(world, checker, path=path))
    world = _admit(store, world, world.checkers[0].id)
    with pytest.raises(Refused) as caught, store.begin() as uow:
        approved = frozenset(world.request.digests)
        uow.egress.save(replace(world.request, state=E.APPROVED, approved=approved))
    assert caught.value.codes == ("too-few-approvals",)


def test_a_checker_who_joined_the_permit_after_the_approval_stops_the_release(store: SqlStore) -> None:
    world = _admit(store, w := make_world(store, at=E.APPROVED), w.checkers[0].id)
    with pytest.raises(Refused) as caught, store.begin() as uow:
        step(uow, world, E.RELEASING)
    assert caught.value.codes == ("too-few-approvals",)


def test_a_higher_number_of_reviewers_counts_in_the_database_as_well(database: Database, store: SqlStore) -> None:
    with database.raw() as raw:
        raw.run("UPDATE rules SET value = 3")
    with pytest.raises(Refused) as caught:
        make_world(store, at=E.APPROVED)
    assert caught.value.codes == ("too-few-approvals",)


def test_votes_of_an_earlier_round_do_not_count(store: SqlStore) -> None:
    world = make_world(store, at=E.APPROVED)
    approved = world.request.approved
    with store.begin() as uow:
        again = replace(world.request, state=E.SUBMITTED, round=2, report="", approved=frozenset())
        world = replace(world, request=uow.egress.save(again))
        for state in (E.CHECKING, E.IN_REVIEW):
            world = step(uow, world, state)
    with pytest.raises(Refused) as caught, store.begin() as uow:
        uow.egress.save(replace(world.request, state=E.APPROVED, approved=approved))
    assert caught.value.codes == ("too-few-approvals",)


def test_an_output_that_was_not_approved_cannot_be_released(store: SqlStore) -> None:
    world = make_world(store, at=E.IN_REVIEW)
    with store.begin() as uow:
        for checker in world.checkers[:2]:
            uow.votes.add(a_vote(world, checker))
        part = replace(world.request, state=E.APPROVED, approved=frozenset({world.path}))
        request = uow.egress.save(replace(uow.egress.save(part), state=E.RELEASING))
    with pytest.raises(Refused) as caught, store.begin() as uow:
        uow.releases.add(a_release(replace(world, request=request)))
    assert caught.value.codes == ("not-approved",)
    with store.begin() as uow:
        whole = a_release(replace(world, request=request))
        uow.releases.add(replace(whole, files=tuple(f for f in whole.files if f.path == world.path)))


# --- sealed values ------------------------------------------------------------------------------------------


def test_terms_that_are_not_what_their_digest_says_are_corrupt(database: Database, store: SqlStore) -> None:
    """Whoever can take a trigger away still cannot change terms unnoticed."""
    world = make_world(store)
    on = " ON terms_people" if database.kind == "postgresql" else ""
    with database.raw() as raw:
        raw.run(f"DROP TRIGGER spe_terms_people_insert{on}")
        columns = ", ".join(c.name for c in metadata.tables["terms"].columns if c.name != "digest")
        raw.run(f"INSERT INTO terms (digest, {columns}) SELECT '{'f' * 64}', {columns} FROM terms")
        raw.run(f"INSERT INTO terms_people (terms, person) VALUES ('{'f' * 64}', ?)", world.checkers[0].id)
        raw.run(
            "INSERT INTO changes (id, permit, verb, terms, proposed_by, proposed_at, settled, version)"
            f" SELECT 'ch-9', id, 'amend', '{'f' * 64}', proposed_by, created_at, '', 0 FROM permits"
        )
        raw.run("INSERT INTO change_confirmations (change, person) VALUES ('ch-9', ?)", world.board[1].id)
        raw.run(f"UPDATE permits SET terms = '{'f' * 64}'")
    with pytest.raises(Corrupt), store.read() as uow:
        uow.permits.get(world.permit.id)


# --- PostgreSQL ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "statement",
    [
        "DROP TRIGGER spe_votes_insert ON votes",
        "ALTER TABLE votes DISABLE TRIGGER ALL",
        "ALTER TABLE audit_entries DISABLE TRIGGER spe_audit_entries_delete",
        "DROP FUNCTION spe_votes_insert() CASCADE",
        "CREATE OR REPLACE FUNCTION spe_votes_insert() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RETURN NEW; END$$",
        "CREATE TRIGGER a BEFORE INSERT ON votes EXECUTE FUNCTION spe_votes_insert()",
        "CREATE RULE a AS ON DELETE TO votes DO INSTEAD NOTHING",
        "CREATE OR REPLACE VIEW permit_people AS SELECT ''::text AS permit, ''::text AS person",
        "SET session_replication_role = replica",
        "SET ROLE {owner}",
        "SET ROLE postgres",
        "ALTER TABLE rules DROP CONSTRAINT ck_rules_floor",
        "UPDATE rules SET value = 9",
        "DROP TABLE audit_entries",
        "CREATE TABLE public.votes2 ()",
        "COPY votes TO PROGRAM 'true'",
    ],
)
@pytest.mark.parametrize("kind", POSTGRES)
def test_the_application_role_can_change_no_rule(kind: str, statement: str, tmp_path: Path) -> None:
    database = fresh(kind, tmp_path)
    owner = server_of(kind).owner
    with (
        database.raw(owner=False) as raw,
        pytest.raises(psycopg.Error, match=r"permission|must be (owner|able|superuser)"),
    ):
        raw.run(statement.replace("{owner}", owner))


@pytest.mark.parametrize("kind", POSTGRES)
def test_the_application_role_cannot_give_itself_rights(kind: str, tmp_path: Path) -> None:
    database = fresh(kind, tmp_path)
    with database.raw(owner=False) as raw:
        raw.run(f"GRANT ALL ON audit_entries TO {database.application}")
        with pytest.raises(psycopg.Error, match="permission denied"):
            raw.run("DELETE FROM audit_entries")


@pytest.mark.parametrize("kind", POSTGRES)
def test_a_temporary_table_cannot_shadow_what_a_rule_reads(kind: str, tmp_path: Path) -> None:
    database = fresh(kind, tmp_path)
    world = make_world(database.store(), at=E.IN_REVIEW)
    with database.raw() as raw:
        raw.run("CREATE TEMPORARY TABLE egress AS SELECT * FROM egress")
        raw.run("CREATE TEMPORARY TABLE permit_people (permit text, person text)")
        raw.run("UPDATE pg_temp.egress SET author = 'p-other'")
        raw.run("SET search_path = pg_temp, public")
        with pytest.raises(psycopg.Error, match="spe:own-request"):
            raw.run(
                "INSERT INTO votes (request, round, path, sha256, checker, decision, reason, acknowledged, at)"
                " VALUES (?, 1, ?, ?, ?, 'approve', '', '[]', now())",
                world.request.id,
                world.path,
                world.request.digests[world.path],
                world.author.id,
            )


@pytest.mark.parametrize("kind", POSTGRES)
def test_an_old_snapshot_cannot_get_around_a_rule(kind: str, tmp_path: Path) -> None:
    """Two sessions: one keeps the state before the submission and changes a digest after it."""
    database = fresh(kind, tmp_path)
    store = database.store()
    world = make_world(store)
    with database.raw() as raw:
        raw.run("BEGIN ISOLATION LEVEL REPEATABLE READ")
        assert raw.run("SELECT state FROM egress") == [("draft",)]
        with store.begin() as uow:
            step(uow, world, E.SUBMITTED)
        with pytest.raises(psycopg.Error, match="spe:isolation"):
            raw.run("UPDATE egress_outputs SET sha256 = ?", "e" * 64)


@pytest.mark.parametrize("kind", POSTGRES)
def test_a_session_that_began_before_meets_the_state_of_now(kind: str, tmp_path: Path) -> None:
    database = fresh(kind, tmp_path)
    store = database.store()
    world = make_world(store)
    with database.raw() as raw:
        raw.run("BEGIN")
        assert raw.run("SELECT state FROM egress") == [("draft",)]
        with store.begin() as uow:
            step(uow, world, E.SUBMITTED)
        with pytest.raises(psycopg.Error, match="spe:outputs-frozen"):
            raw.run("UPDATE egress_outputs SET sha256 = ?", "e" * 64)


# --- SQLite -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pragma", ["recursive_triggers = OFF", "foreign_keys = OFF", "ignore_check_constraints = ON"])
def test_a_connection_with_other_settings_meets_the_same_rules(pragma: str, tmp_path: Path) -> None:
    database = fresh("sqlite", tmp_path)
    make_world(database.store(), at=E.APPROVED)
    with database.raw() as raw:
        raw.run(f"PRAGMA {pragma}")
        for statement in ("DELETE FROM votes", "UPDATE OR REPLACE egress SET id = 'eg-2'", "DELETE FROM permits"):
            with pytest.raises(Refusals, match="spe:"):
                raw.run(statement)
        raw.run("CREATE TEMP TABLE egress (id TEXT, state TEXT)")
        with pytest.raises(Refusals, match="spe:outputs-frozen"):
            raw.run("UPDATE egress_outputs SET sha256 = ?", "e" * 64)


def test_the_store_insists_on_durable_commits(tmp_path: Path) -> None:
    store = fresh("sqlite", tmp_path).store()
    for opened in (store.begin, store.read):
        with opened() as uow:
            connection = uow._t._connection
            assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
            assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
            assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1


def test_roles_are_named_plainly() -> None:
    with pytest.raises(Invalid):
        roles.grants('app"; DROP TABLE votes; --')
    assert any(f"TO {APPLICATION}" in statement for statement in roles.grants(APPLICATION))
