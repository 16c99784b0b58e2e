from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from spe.adapters.secrets import ed25519
from spe.domain.audit import Actor, AuditEntry, Checkpoint, verify_log
from spe.domain.canonical import canonical, digest_of, parse
from spe.domain.errors import Invalid
from spe.domain.ids import PersonId
from spe.domain.merkle import leaf_hash
from spe.domain.principal import RELEASER, Permission, Principal, Role
from tests.support.evidence import ORIGIN, START, Log, a_log, an_entry

LOG = a_log(64)
NOTE = LOG.note()


def problems(entries, notes=(NOTE,), *, log=LOG, **options):
    return verify_log(entries, notes, origin=ORIGIN, publics=[log.public], verify=ed25519.verify, **options)


def codes(*args, **options):
    return [problem.code for problem in problems(*args, **options)]


def regrown(entries, log=LOG):
    """A log that somebody with the database but without the key rebuilt from changed entries."""
    grown = Log(private=log.private)
    for data in entries:
        grown.append(AuditEntry.read(data))
    return grown


# --- an entry --------------------------------------------------------------------------------


TOKENS = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._:/@+=-]{0,20}", fullmatch=True)
ENTRIES = st.builds(
    AuditEntry,
    index=st.integers(0, 2**40),
    at=st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=-7))])),
    actor=st.sampled_from([Actor.system("timers"), Actor(issuer="https://x", subject='a"\\/<&', role="board")]),
    event=st.sampled_from(["egress.released", "session.started"]),
    object_kind=TOKENS,
    object_id=TOKENS,
    before=st.none() | TOKENS,
    after=st.none() | TOKENS,
    digests=st.dictionaries(st.sampled_from(["manifest", "report"]), st.binary().map(digest_of)),
    request=st.none() | TOKENS,
    reason=st.none() | TOKENS,
    policy=st.none() | st.binary().map(digest_of),
    details=st.dictionaries(
        st.from_regex(r"[a-z][a-z0-9_-]{0,8}", fullmatch=True),
        TOKENS | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1),
        max_size=5,
    ),
)


@given(ENTRIES)
def test_an_entry_is_written_as_an_independent_writer_does_and_read_back(entry):
    plain = {**entry.document(), "digests": dict(entry.digests), "details": dict(entry.details)}
    assert entry.data() == rfc8785.dumps(plain)
    assert AuditEntry.read(entry.data()) == entry
    assert entry.leaf() == leaf_hash(entry.data())


def test_the_text_of_an_entry_is_this():
    assert an_entry(3, index=3, request=None, details={"files": 2}).data().decode() == (
        '{"actor":{"issuer":"https://login.example","role":"authorised-user","subject":"user-3"},'
        '"after":"submitted","at":"2026-03-01T09:30:03.000051Z","before":"draft","details":{"files":2},'
        '"digests":{"report":"' + digest_of(b"3") + '"},"event":"egress.submitted","index":3,'
        '"object":{"id":"eg-0000000000000003","kind":"egress"},"policy":"' + digest_of(b"policy") + '",'
        '"reason":null,"request":null,"schema":"spe.audit/1"}'
    )


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("details", {"note": "patient Jane Doe, 43"}),
        ("details", {"note": "two\nlines"}),
        ("details", {"note": "x" * 129}),
        ("details", {"Note": "x"}),
        ("details", {"note": 1.5}),
        ("details", {"note": None}),
        ("details", {"note": ["x"]}),
        ("details", {f"d{n}": n for n in range(33)}),
        ("digests", {"manifest": "0" * 64}),
        ("digests", {"manifest": "sha256:" + "G" * 64}),
        ("event", "released"),
        ("event", "Egress.released"),
        ("object_id", "eg 1"),
        ("object_kind", ""),
        ("before", "in review"),
        ("reason", "because the purpose has ended"),
        ("request", "a\nb"),
        ("policy", "default"),
        ("index", -1),
        ("at", datetime(2026, 3, 1)),  # noqa: DTZ001
    ],
)
def test_free_text_and_loose_forms_have_no_place_in_an_entry(field, value):
    with pytest.raises(Invalid):
        an_entry(0, **{field: value})


@pytest.mark.parametrize(
    ("issuer", "subject", "role"),
    [("spe", "reconciler", "board"), ("https://x", "x", "system"), ("", "x", "board"), ("i", "a b", "board"),
     ("i", "é", "board"), ("i", "x", ""), ("i", "x" * 256, "board")],
)  # fmt: skip
def test_nobody_passes_for_the_environment_and_identities_are_plain(issuer, subject, role):
    with pytest.raises(Invalid):
        Actor(issuer=issuer, subject=subject, role=role)


def test_an_actor_is_made_from_a_principal_in_the_role_used():
    person = Principal(
        person=PersonId("p-1"),
        issuer="https://x",
        subject="s",
        name="Jo",
        roles=frozenset({Role.CHECKER, Role.BOARD}),
        held=(
            (Role.BOARD, frozenset({Permission.PERMIT_READ, Permission.PERMIT_PROPOSE})),
            (Role.CHECKER, frozenset({Permission.PERMIT_READ, Permission.EGRESS_REVIEW})),
        ),
    )
    assert Actor.of(person.using(Permission.EGRESS_REVIEW)).role == "checker"
    assert Actor.of(person.using(Permission.PERMIT_READ)).role == "board+checker"
    assert Actor.of(person).role == "board+checker"
    assert Actor.of(RELEASER) == Actor.system("releaser")
    assert Actor.of(RELEASER).is_system


def test_an_entry_cannot_be_changed_through_its_maps():
    given_details = {"files": 1}
    entry = an_entry(0, details=given_details)
    given_details["files"] = 2
    assert entry.details == {"files": 1}
    with pytest.raises(TypeError):
        entry.details["files"] = 3


@pytest.mark.parametrize(
    "change", [{"extra": 1}, {"schema": "spe.audit/2"}, {"index": True}, {"actor": None}, {"details": {"a": None}}]
)
def test_an_entry_of_another_shape_is_not_read(change):
    with pytest.raises(Invalid):
        AuditEntry.read(canonical({**parse(an_entry().data()), **change}))


# --- a log -----------------------------------------------------------------------------------


def test_a_whole_log_has_no_problem():
    assert problems(LOG.entries) == ()
    assert problems(LOG.entries, seen=a_log_head(LOG, 17)) == ()
    assert problems([], []) == ()


def test_every_flipped_byte_of_every_entry_is_detected():
    tried = 0
    for number, data in enumerate(LOG.entries):
        for place in range(len(data)):
            changed = data[:place] + bytes([data[place] ^ (1 << place % 8)]) + data[place + 1 :]
            entries = [*LOG.entries[:number], changed, *LOG.entries[number + 1 :]]
            assert codes(entries, read_entries=False) == ["changed"]
            tried += 1
    print(f"{tried} flipped bytes detected in {len(LOG.entries)} entries")


def test_every_bit_of_one_entry_and_longer_or_shorter_entries_are_detected():
    data, tried = LOG.entries[30], 0
    variants = [data[:p] + bytes([data[p] ^ 1 << bit]) + data[p + 1 :] for p in range(len(data)) for bit in range(8)]
    variants += [data[:p] + data[p + 1 :] for p in range(len(data))]
    variants += [data[:p] + b" " + data[p:] for p in range(len(data) + 1)]
    for changed in variants:
        assert codes([*LOG.entries[:30], changed, *LOG.entries[31:]], read_entries=False) == ["changed"]
        tried += 1
    print(f"{tried} changes of one entry detected")


def test_reading_the_entries_tells_in_which_one_the_damage_lies():
    for number, data in enumerate(LOG.entries):
        place = 7 * number
        changed = data[:place] + b"~" + data[place + 1 :]
        found = problems([*LOG.entries[:number], changed, *LOG.entries[number + 1 :]])
        assert "changed" in {problem.code for problem in found}
        assert {problem.index for problem in found if problem.code == "bad-entry"} <= {number}


def test_a_damaged_entry_is_named():
    entries = [*LOG.entries[:9], LOG.entries[9][:-1], *LOG.entries[10:]]
    assert ("bad-entry", 9) in {(problem.code, problem.index) for problem in problems(entries)}


def test_every_dropped_entry_is_detected():
    for number in range(64):
        found = problems(LOG.entries[:number] + LOG.entries[number + 1 :])
        assert "truncated" in {problem.code for problem in found}
        if number < 63:
            assert ("wrong-index", number) in {(problem.code, problem.index) for problem in found}
    print("64 dropped entries detected")


def test_every_swap_of_neighbours_is_detected():
    for number in range(63):
        entries = list(LOG.entries)
        entries[number], entries[number + 1] = entries[number + 1], entries[number]
        assert {"wrong-index", "changed"} <= set(codes(entries))
    print("63 swaps detected")


def test_every_truncation_is_detected_by_the_latest_checkpoint():
    for length in range(64):
        assert codes(LOG.entries[:length]) == ["truncated"]
    print("64 truncations detected by the latest checkpoint")


def test_every_truncation_together_with_its_checkpoints_is_detected_by_one_kept_outside():
    for length in range(64):
        short = a_log_of(LOG.entries[:length])
        assert codes(short.entries, [short.note()]) == []
        assert codes(short.entries, [short.note()], seen=LOG.head) == ["truncated-since-seen"]
    print("64 truncations detected by the checkpoint kept outside")


def test_entries_rewritten_with_fresh_indices_are_detected():
    for number in range(64):
        kept = LOG.entries[:number] + LOG.entries[number + 1 :]
        dropped = regrown(kept)
        assert "truncated" in codes(dropped.entries)
        padded = regrown([*kept, an_entry(99).data()])
        assert "changed" in codes(padded.entries)
        inserted = regrown([*LOG.entries[:number], an_entry(99).data(), *LOG.entries[number:]])
        assert "changed" in codes(inserted.entries, unsealed_allowed=1)


def test_a_rewritten_log_signed_anew_is_detected_by_a_checkpoint_kept_outside():
    forged = regrown([*LOG.entries[:10], an_entry(99).data(), *LOG.entries[11:]])
    assert codes(forged.entries, [forged.note()]) == []
    assert codes(forged.entries, [forged.note()], seen=a_log_head(LOG, 20)) == ["forked"]
    assert codes(forged.entries, [forged.note()], seen=a_log_head(LOG, 10)) == []


def test_the_first_checkpoint_that_differs_bounds_the_damage():
    log, notes = Log(), []
    for number in range(30):
        log.append(an_entry(number))
        if number % 10 == 9:
            notes.append(log.note())
    entries = [*log.entries[:14], log.entries[14].replace(b"submitted", b"withdrawn"), *log.entries[15:]]
    (found,) = problems(entries, notes, log=log)
    assert (found.code, found.index, found.message) == (
        "changed",
        10,
        "Entries 10 to 19 are not those that were signed for.",
    )


def test_a_checkpoint_inconsistent_with_an_earlier_one_is_detected():
    log = a_log(20)
    other = a_log_of([an_entry(99).data(), *log.entries[1:10]], private=log.private)
    assert codes(log.entries, [other.note(), log.note()], log=log) == ["changed"]
    assert codes(log.entries, [log.note(), a_log_of(log.entries[:10], private=log.private).note()], log=log) == [
        "checkpoint-shrank"
    ]


def test_a_checkpoint_by_a_stranger_or_with_a_flipped_byte_does_not_count():
    assert codes(LOG.entries, [a_log(64).note()]) == ["bad-checkpoint", "unsealed"]
    for place in range(len(NOTE)):
        changed = NOTE[:place] + bytes([NOTE[place] ^ 1]) + NOTE[place + 1 :]
        assert codes([], [changed]) == ["bad-checkpoint"]


def test_entries_under_no_checkpoint_are_a_problem_unless_they_may_wait():
    assert codes(LOG.entries, []) == ["unsealed"]
    log = a_log(10)
    note = log.note()
    log.append(an_entry(10))
    assert codes(log.entries, [note], log=log) == ["unsealed"]
    assert codes(log.entries, [note], log=log, unsealed_allowed=1) == []


def test_a_checkpoint_of_another_log_kept_outside_is_named():
    seen = Checkpoint(origin="other.example/audit", size=1, root=bytes(32))
    assert codes(LOG.entries, seen=seen) == ["foreign-checkpoint"]


def test_entries_are_read_once_and_may_come_from_a_generator():
    assert problems(data for data in LOG.entries) == ()


def test_time_of_an_entry_is_utc():
    assert an_entry(at=START.astimezone(timezone(timedelta(hours=5)))).data() == an_entry().data()
    assert replace(an_entry(), index=7).index == 7


def a_log_of(entries, private=None):
    log = Log(private=private or LOG.private)
    for data in entries:
        log.append(AuditEntry.read(data))
    return log


def a_log_head(log, size):
    return a_log_of(log.entries[:size]).head
