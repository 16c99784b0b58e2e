"""The benchmarks run, their sums are right, and what they count without noise holds exactly; no speed is asserted."""

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.pool import Pool

from spe.domain.ids import new_person, new_workspace
from spe.services.journal import record
from tests.bench.__main__ import bench, main
from tests.bench.audited_write import ACTOR, NOW, ROUND, Moves, prepared_moves, statements
from tests.bench.bare_hub import bare_hub
from tests.bench.figures import Figure, Goal, in_turn, paired
from tests.bench.session_start import Theirs
from tests.bench.syncs import syncs_of


def figure(*pairs: tuple[float, float], goal: Goal | None = None) -> Figure:
    return Figure(bench="none", name="ours", against="theirs", unit="s", pairs=pairs, goal=goal)


def test_a_figure_is_the_median_of_the_ratios_of_its_pairs() -> None:
    found = figure((1.0, 2.0), (3.0, 2.0), (8.0, 8.0))
    assert found.ratios == (0.5, 1.5, 1.0)
    assert found.ratio == 1.0
    assert found.added == 0.0


def test_a_figure_is_noisy_when_its_highest_ratio_is_more_than_half_again_the_lowest() -> None:
    assert figure((1.0, 1.0), (1.6, 1.0)).is_noisy
    assert not figure((1.0, 1.0), (1.5, 1.0)).is_noisy


@pytest.mark.parametrize(
    ("goal", "met"),
    [
        (Goal(bound=2.0), True),
        (Goal(bound=1.9), False),
        (Goal(bound=2.0, at_least=True), True),
        (Goal(bound=2.1, at_least=True), False),
        (Goal(bound=1.0, added=True), True),
        (Goal(bound=0.9, added=True), False),
        (None, None),
    ],
)
def test_a_goal_bounds_the_ratio_or_what_is_added(goal: Goal | None, met: bool | None) -> None:
    assert figure((2.0, 1.0), goal=goal).is_met is met


def test_works_are_measured_in_turn_and_their_first_round_is_not_kept() -> None:
    told: list[str] = []

    def work(name: str) -> float:
        told.append(name)
        return float(len(told))

    found = in_turn({"a": lambda: work("a"), "b": lambda: work("b")}, 2)
    assert told == ["a", "b"] * 3
    assert paired(found["a"], found["b"]) == ((3.0, 4.0), (5.0, 6.0))


@pytest.mark.parametrize(("name", "count"), [("audited_write", 4), ("gate", 6), ("submit", 2)])
def test_a_benchmark_runs_at_toy_size(name: str, count: int) -> None:
    found = list(bench(name)(pairs=1, toy=True))
    assert len(found) == count
    assert all(ours > 0 and theirs > 0 for one in found for ours, theirs in one.pairs)


def test_the_bare_hub_starts_our_server_and_stops_it() -> None:
    with tempfile.TemporaryDirectory(prefix="spe-bench-") as name, bare_hub(Path(name)) as hub:
        theirs = Theirs(hub=hub, workspace=new_workspace(), person=new_person())
        hub.api.ensure_person(theirs.person)
        assert theirs.start() > 0
        assert hub.api.running() == ()
        log = (Path(name) / "hub.log").read_text()
    assert "jupyterlab | extension was successfully loaded" in log
    assert "jupyter_lsp | extension" not in log  # it runs with the settings that ours has


def test_the_table_and_the_json_say_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    main(["audited_write", "--toy", "--pairs", "1", "--json"])
    said: dict[str, Any] = json.loads(capsys.readouterr().out)
    main(["audited_write", "--toy", "--pairs", "1"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("machine: ")
    assert [f"{f['name']} ÷ {f['against']}, {f['unit']}" for f in said["figures"]] == [
        line[:58].rstrip() for line in lines[2:] if "÷" in line
    ]


def test_an_unknown_benchmark_is_refused_with_those_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        main(["coffee"])
    assert refused.value.code == 2
    assert "audited_write, gate, submit, session_start" in capsys.readouterr().err


def test_an_accepted_write_takes_a_known_number_of_statements(tmp_path: Path) -> None:
    assert statements(Moves(tmp_path)) == {
        "statements to confirm": 6,
        "statements to stop": 8,
        "statements to start": 7,
        "statements of an entry": 4,
    }


def test_an_accepted_write_reaches_the_disk_exactly_once(tmp_path: Path) -> None:
    assert syncs_of(prepared_moves, tmp_path) == len(ROUND)


def test_the_databases_work_for_an_accepted_write_does_not_grow_with_the_log(tmp_path: Path) -> None:
    with counted_steps() as steps:
        moves = Moves(tmp_path)

        def spent() -> int:
            steps[0] = 0
            for _ in ROUND:
                moves.move()
            return steps[0]

        fill(moves, 500)
        small = spent()
        fill(moves, 4000)
        large = spent()
    assert small > 0
    assert large < 1.3 * small  # a few more levels of the tree, but no table read through


def fill(moves: Moves, size: int) -> None:
    """Add entries in one transaction until the log has that many."""
    with moves.store.begin() as uow:
        while uow.audit.size < size:
            record(uow, event="bench.noted", kind="workspace", subject=moves.workspace, now=NOW, by=ACTOR)


@contextmanager
def counted_steps() -> Iterator[list[int]]:
    """Instructions of SQLite's virtual machine, on connections opened meanwhile."""
    steps = [0]

    def count() -> None:
        steps[0] += 1

    def connected(connection: Any, _: object) -> None:
        connection.set_progress_handler(count, 1)

    sa.event.listen(Pool, "connect", connected)
    try:
        yield steps
    finally:
        sa.event.remove(Pool, "connect", connected)
