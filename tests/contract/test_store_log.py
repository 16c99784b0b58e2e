"""The contract of the store, on both databases: the log that only grows, owed effects, one leader."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from spe.adapters.sql import SqlStore
from spe.domain.audit import Checkpoint
from spe.domain.errors import NotFound, Stale
from spe.domain.merkle import (
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    root_of,
    verify_consistency,
    verify_inclusion,
)
from tests.support.record import NOW, an_entry

HOUR = timedelta(hours=1)


# --- audit --------------------------------------------------------------------------------------------------


def test_audit_entries_get_contiguous_indices_and_come_back(store: SqlStore) -> None:
    with store.begin() as uow:
        first = uow.audit.append(an_entry())
    with store.begin() as uow:
        second = uow.audit.append(an_entry("permit.activated"))
        third = uow.audit.append(an_entry("permit.expired", "pm-2", "other"))
    assert [e.index for e in (first, second, third)] == [0, 1, 2]
    with store.read() as uow:
        assert uow.audit.size == 3
        assert uow.audit.entry(1) == second
        assert list(uow.audit.raw()) == [(e.index, e.data()) for e in (first, second, third)]
        assert list(uow.audit.raw(1, 2)) == [(1, second.data())]
        with pytest.raises(NotFound):
            uow.audit.entry(3)
        with pytest.raises(NotFound):
            uow.audit.node(0, 3)


def test_audit_entries_are_found_by_object_event_and_person(store: SqlStore) -> None:
    with store.begin() as uow:
        a = uow.audit.append(an_entry("permit.proposed", "pm-1", "anna"))
        b = uow.audit.append(an_entry("permit.activated", "pm-2", "anna"))
        c = uow.audit.append(an_entry("egress.drafted", "eg-1", "ben"))
    with store.read() as uow:
        assert uow.audit.select() == (c, b, a)
        assert uow.audit.select(subject="pm-1") == (a,)
        assert uow.audit.select(event="permit.") == (b, a)
        assert uow.audit.select(event="permit_") == ()
        assert uow.audit.select(person="anna", before=1) == (a,)
        assert uow.audit.select(limit=2) == (c, b)


def test_roots_and_proofs_verify_at_every_size(store: SqlStore) -> None:
    leaves = []
    with store.begin() as uow:
        for n in range(70):
            leaves.append(uow.audit.append(an_entry(subject=f"pm-{n}")).leaf())
            assert uow.audit.root() == root_of(leaves)
    with store.read() as uow:
        log = uow.audit
        for size in range(71):
            assert log.root(size) == root_of(leaves[:size])
        for index in range(0, 70, 7):
            path = inclusion_proof(index, 70, log.node)
            assert verify_inclusion(leaf=leaves[index], index=index, size=70, path=path, root=log.root())
        for old in range(1, 71, 9):
            proof = consistency_proof(old, 70, log.node)
            assert verify_consistency(old=old, old_root=log.root(old), new=70, new_root=log.root(), proof=proof)
        with pytest.raises(ValueError, match="70 entries"):
            log.root(71)


def test_a_long_log_is_read_in_pages_and_appended_with_few_statements(store: SqlStore) -> None:
    with store.begin() as uow:
        for n in range(2100):
            uow.audit.append(an_entry(subject=f"pm-{n}"))
    with store.begin() as uow:
        before = uow.statements
        uow.audit.append(an_entry())
        assert uow.statements - before == 4
    with store.read() as uow:
        leaves = [leaf_hash(data) for _, data in uow.audit.raw()]
        assert len(leaves) == 2101
        assert uow.audit.root() == root_of(leaves)


def test_eight_threads_append_without_gaps_and_the_log_verifies(store: SqlStore) -> None:
    def work(number: int) -> None:
        for n in range(10):
            with store.begin() as uow:
                uow.audit.append(an_entry(subject=f"t{number}-{n}"))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    with store.read() as uow:
        rows = list(uow.audit.raw())
        assert [index for index, _ in rows] == list(range(80))
        assert uow.audit.root() == root_of(leaf_hash(data) for _, data in rows)
        assert len({uow.audit.entry(n).object_id for n in range(80)}) == 80


def test_checkpoints_are_kept_in_order(store: SqlStore) -> None:
    with store.begin() as uow:
        for n in range(5):
            uow.audit.append(an_entry(subject=f"pm-{n}"))
        heads = [Checkpoint(origin="spe.example", size=size, root=uow.audit.root(size)) for size in (2, 5, 5)]
        for number, head in enumerate(heads):
            uow.audit.add_checkpoint(head, f"note {number}", NOW)
    with store.read() as uow:
        assert uow.audit.checkpoints() == tuple((head, f"note {n}") for n, head in enumerate(heads))


# --- outbox -------------------------------------------------------------------------------------------------


def test_an_owed_effect_is_due_at_its_time_and_done_once(store: SqlStore) -> None:
    with store.begin() as uow:
        uow.outbox.put("egress:check", "eg-1", NOW + HOUR)
        uow.outbox.put("permit:cut", "pm-1", NOW)
    with store.begin() as uow:
        (intent,) = uow.outbox.due(NOW)
        assert (intent.kind, intent.subject, intent.attempts) == ("permit:cut", "pm-1", 0)
        uow.outbox.done(intent, NOW)
        assert uow.outbox.due(NOW) == ()
        assert [i.subject for i in uow.outbox.open()] == ["eg-1"]


def test_putting_an_owed_effect_again_collapses_and_is_due_no_later(store: SqlStore) -> None:
    with store.begin() as uow:
        for due in (NOW + HOUR, NOW, NOW + 2 * HOUR):
            uow.outbox.put("workspace:reconcile", "ws-1", due)
        (intent,) = uow.outbox.open()
    assert intent.due == NOW


def test_done_does_not_swallow_an_effect_that_was_put_meanwhile(store: SqlStore) -> None:
    with store.begin() as uow:
        uow.outbox.put("workspace:reconcile", "ws-1", NOW)
        (read,) = uow.outbox.due(NOW)
    with store.begin() as uow:
        uow.outbox.put("workspace:reconcile", "ws-1", NOW)
    with store.begin() as uow:
        uow.outbox.done(read, NOW)
    with store.begin() as uow:
        (fresh,) = uow.outbox.due(NOW)
        uow.outbox.done(fresh, NOW)
        assert uow.outbox.open() == ()


def test_an_effect_can_be_owed_again_after_it_was_done(store: SqlStore) -> None:
    for _ in range(2):
        with store.begin() as uow:
            uow.outbox.put("permit:cut", "pm-1", NOW)
            (intent,) = uow.outbox.due(NOW)
            uow.outbox.done(intent, NOW)
    with store.read() as uow:
        assert uow.outbox.open() == ()


def test_what_was_carried_out_long_ago_is_dropped_and_nothing_that_is_owed(store: SqlStore) -> None:
    with store.begin() as uow:
        for number in range(6):
            uow.outbox.put("permit:cut", f"pm-{number}", NOW)
    with store.begin() as uow:
        for intent in uow.outbox.open()[1::2]:
            uow.outbox.done(intent, NOW + HOUR * int(intent.subject[-1]))
    with store.begin() as uow:
        assert uow.outbox.prune(NOW + HOUR) == 0, "what was done at that very moment stays"
        assert uow.outbox.prune(NOW + 4 * HOUR, most=2) == 1, "it looks at so many of the oldest only"
        assert uow.outbox.prune(NOW + 4 * HOUR) == 1
        assert uow.outbox.prune(NOW + 4 * HOUR) == 0
        assert [i.subject for i in uow.outbox.open()] == ["pm-0", "pm-2", "pm-4"]
        assert uow.outbox.prune(NOW + 6 * HOUR) == 1


def test_a_failed_effect_comes_back_later_with_its_error(store: SqlStore) -> None:
    with store.begin() as uow:
        uow.outbox.put("permit:cut", "pm-1", NOW)
        (intent,) = uow.outbox.due(NOW)
        uow.outbox.again(intent, NOW + HOUR, "the Hub does not answer")
        assert uow.outbox.due(NOW) == ()
        (later,) = uow.outbox.due(NOW + HOUR)
    assert (later.attempts, later.last_error) == (1, "the Hub does not answer")


def test_a_failure_does_not_postpone_an_effect_that_was_put_meanwhile(store: SqlStore) -> None:
    with store.begin() as uow:
        uow.outbox.put("permit:cut", "pm-1", NOW)
        (intent,) = uow.outbox.due(NOW)
        uow.outbox.put("permit:cut", "pm-1", NOW)
        uow.outbox.again(intent, NOW + HOUR, "late")
        assert len(uow.outbox.due(NOW)) == 1


# --- leadership ---------------------------------------------------------------------------------------------


def test_the_leader_renews_and_others_wait(store: SqlStore) -> None:
    first = store.lead("one", now=NOW, seconds=30)
    assert first is not None
    assert store.lead("two", now=NOW, seconds=30) is None
    renewed = store.lead("one", now=NOW + timedelta(seconds=20), seconds=30)
    assert renewed is not None
    assert (renewed.fence, renewed.until) == (first.fence, NOW + timedelta(seconds=50))


def test_leadership_changes_hands_after_its_end_and_the_fence_rises(store: SqlStore) -> None:
    old = store.lead("one", now=NOW, seconds=30)
    new = store.lead("two", now=NOW + timedelta(seconds=30), seconds=30)
    assert old is not None
    assert new is not None
    assert new.fence == old.fence + 1
    assert store.lead("one", now=NOW + timedelta(seconds=31), seconds=30) is None


def test_a_leader_who_slept_cannot_write(store: SqlStore) -> None:
    old = store.lead("one", now=NOW, seconds=30)
    assert old is not None
    with store.fenced(old) as uow:
        uow.audit.append(an_entry())
    new = store.lead("two", now=NOW + HOUR, seconds=30)
    assert new is not None
    with pytest.raises(Stale), store.fenced(old) as uow:
        uow.audit.append(an_entry())
    with store.fenced(new) as uow:
        uow.audit.append(an_entry())
        assert uow.audit.size == 2


def test_of_many_candidates_one_leads(store: SqlStore) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda n: store.lead(f"c{n}", now=NOW, seconds=30), range(8)))
    assert sum(leadership is not None for leadership in found) == 1
