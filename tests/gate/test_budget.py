"""The allowance: arithmetic, the turn of the day, and what a crash may and may not change."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spe.domain.errors import Corrupt
from spe.gate.budget import SMALLEST_BLOCK, Budget, Standing, after, block_size, day_of
from spe.gate.ledger import DELIVERED_KEPT, Ledger

LIMIT = 1_000_000


class Clock:
    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "gate.sqlite")


@given(st.lists(st.integers(0, 200_000), max_size=40), st.integers(0, 2_000_000))
def test_the_standing_never_passes_the_limit_nor_what_is_reserved(sizes: list[int], limit: int) -> None:
    standing = Standing(used=0, reserved=0)
    for size in sizes:
        following = after(standing, size, limit)
        if following is None:
            assert standing.used + size > limit
            continue
        assert following.used == standing.used + size
        assert following.used <= following.reserved <= limit or following.reserved == standing.reserved
        standing = following


def test_a_negative_size_is_refused() -> None:
    assert after(Standing(used=10, reserved=10), -5, LIMIT) is None


def test_a_limit_of_nothing_lets_nothing_pass(ledger: Ledger) -> None:
    budget = Budget("p-ada", 0, ledger, Clock())
    assert not budget.spend("iopub", "stream", 1)


def test_bytes_are_told_apart_by_channel_and_type(ledger: Ledger) -> None:
    budget = Budget("p-ada", LIMIT, ledger, Clock())
    assert budget.spend("iopub", "stream", 100)
    assert budget.spend("iopub", "stream", 1)
    assert budget.spend("http", "contents", 5)
    assert budget.spent() == {("iopub", "stream"): 101, ("http", "contents"): 5}
    assert (budget.used, budget.remaining) == (106, LIMIT - 106)


def test_what_does_not_fit_is_not_counted(ledger: Ledger) -> None:
    budget = Budget("p-ada", 100, ledger, Clock())
    assert budget.spend("iopub", "stream", 60)
    assert not budget.spend("iopub", "stream", 41)
    assert budget.used == 60


def test_a_crash_loses_allowance_and_gives_none_back(ledger: Ledger) -> None:
    budget = Budget("p-ada", LIMIT, ledger, Clock())
    budget.spend("iopub", "stream", 100)
    again = Budget("p-ada", LIMIT, ledger, Clock())
    assert budget.used <= again.used <= 100 + block_size(LIMIT)


def test_a_clean_end_keeps_the_exact_figure(ledger: Ledger) -> None:
    budget = Budget("p-ada", LIMIT, ledger, Clock())
    budget.spend("iopub", "stream", 100)
    budget.settle()
    again = Budget("p-ada", LIMIT, ledger, Clock())
    assert again.used == 100
    assert again.spent() == {("iopub", "stream"): 100}


def test_spending_after_settling_reserves_anew(ledger: Ledger) -> None:
    budget = Budget("p-ada", LIMIT, ledger, Clock())
    budget.spend("iopub", "stream", 100)
    budget.settle()
    budget.spend("iopub", "stream", 50)
    assert ledger.reserved("p-ada", budget.day) >= 150


def test_people_do_not_share_an_allowance(ledger: Ledger) -> None:
    Budget("p-ada", 100, ledger, Clock()).spend("iopub", "stream", 100)
    assert Budget("p-bob", 100, ledger, Clock()).remaining == 100


def test_a_new_day_brings_a_new_allowance_and_the_old_one_stays_written(ledger: Ledger) -> None:
    clock = Clock()
    budget = Budget("p-ada", 100, ledger, clock)
    yesterday = budget.day
    assert budget.spend("iopub", "stream", 100)
    clock.now += 86400
    assert budget.remaining == 100
    assert budget.spend("iopub", "stream", 7)
    assert ledger.reserved("p-ada", yesterday) == 100


def test_a_clock_turned_back_finds_the_day_as_it_was(ledger: Ledger) -> None:
    clock = Clock()
    budget = Budget("p-ada", 100, ledger, clock)
    budget.spend("iopub", "stream", 90)
    clock.now += 86400
    assert budget.remaining == 100
    clock.now -= 86400
    assert budget.remaining == 10


def test_a_lowered_limit_holds_at_once(ledger: Ledger) -> None:
    budget = Budget("p-ada", LIMIT, ledger, Clock())
    budget.spend("iopub", "stream", 500)
    budget.limit = 400
    assert budget.remaining == 0
    assert not budget.spend("iopub", "stream", 1)


def test_the_day_turns_at_midnight_utc() -> None:
    assert day_of(86399.9) == 0
    assert day_of(86400) == 1


def test_blocks_are_neither_tiny_nor_huge() -> None:
    assert block_size(0) == SMALLEST_BLOCK
    assert block_size(10**12) == 4 * 1024 * 1024


def test_damaged_counters_are_an_error_and_not_a_fresh_start(tmp_path: Path) -> None:
    (tmp_path / "gate.sqlite").write_bytes(b"not a database, but long enough to look at" * 100)
    with pytest.raises(Corrupt):
        Ledger(tmp_path / "gate.sqlite")


def test_counters_in_use_need_no_more_of_the_disk(tmp_path: Path) -> None:
    """A disk that somebody else filled must not end a session."""
    ledger = Ledger(tmp_path / "gate.sqlite")
    before = {path.name: path.stat().st_size for path in tmp_path.iterdir()}
    for number in range(300):
        ledger.reserve("p-ada", number % 3, 4096 * number)
        ledger.settle("p-ada", number % 3, number, {("iopub", f"kind-{number % 40}"): number})
        ledger.queue(f"event-{number}", {"event": "cut", "person": "p-ada"})
    assert {path.name: path.stat().st_size for path in tmp_path.iterdir()} == before
    ledger.close()
    again = Ledger(tmp_path / "gate.sqlite")
    assert (tmp_path / "gate.sqlite").stat().st_size == before["gate.sqlite"], "the room is taken once"
    again.close()


def test_an_event_is_kept_until_it_is_delivered_and_said_once(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "gate.sqlite")
    assert ledger.queue("a", {"event": "cut"})
    ledger.close()
    ledger = Ledger(tmp_path / "gate.sqlite")
    assert not ledger.queue("a", {"event": "cut"})
    [(number, body)] = ledger.waiting(10)
    assert body == {"event": "cut"}
    ledger.delivered(number)
    assert ledger.waiting(10) == []
    assert not ledger.queue("a", {"event": "cut"})


def test_old_deliveries_are_forgotten_in_time(ledger: Ledger) -> None:
    for n in range(DELIVERED_KEPT + 2):
        ledger.queue(str(n), {})
    for number, _ in ledger.waiting(DELIVERED_KEPT + 2):
        ledger.delivered(number)
    assert ledger.queue("0", {})
