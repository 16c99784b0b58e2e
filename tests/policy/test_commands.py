"""`spe policy` for boards and for scripts."""

import json
from pathlib import Path

from click.testing import Result
from typer.testing import CliRunner

from spe.cli.policy import app
from tests.disclosure.cases import build


def call(*words: str) -> Result:
    return CliRunner().invoke(app, words)


def test_lint_accepts_what_is_right() -> None:
    done = call("lint", "default")

    assert done.exit_code == 0
    assert json.loads(done.stdout)["checks"] >= 33


def test_lint_names_every_fault_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "draft.yaml").write_text("kind: disclosure-policy\nname: Draft\nchecks: {FRQ-01: {minimun: 5}}\n")

    done = call("lint", str(tmp_path / "draft.yaml"))

    assert done.exit_code == 2
    for word in ("name", "version", "title", "sources"):
        assert word in done.stderr


def test_explain_says_one_rule_as_a_sentence() -> None:
    done = call("explain", "default", "FRQ-01")

    assert json.loads(done.stdout)[0]["sentence"].startswith("A cell that counts people shows 0 or at least 10")


def test_explain_refuses_an_unknown_check() -> None:
    assert call("explain", "default", "FRQ-99").exit_code == 2


def test_diff_ends_with_ten_when_something_gets_looser() -> None:
    assert call("diff", "default", "gel-5").exit_code == 10
    assert call("diff", "default", "nhs-sde").exit_code == 0
    assert call("diff", "default", "default").exit_code == 0


def test_replay_counts_the_requests_that_would_be_judged_otherwise(tmp_path: Path) -> None:
    build(tmp_path / "one", {"a.csv": "grade,n\nI,7\nII,40\n"})
    build(tmp_path / "two", {"a.csv": "grade,n\nI,3\nII,40\n"})

    done = call("replay", "gel-5", str(tmp_path / "one"), str(tmp_path / "two"))

    assert done.exit_code == 0
    found = json.loads(done.stdout)
    assert found["changed"] == 1
    assert [row["after"] for row in found["requests"]] == ["pass", "block"]
