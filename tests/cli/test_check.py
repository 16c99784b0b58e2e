"""`spe check`: exit status, JSON, words for people, and clear refusals of a wrong call."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
import typer
from click.testing import Result
from rich.console import Console
from typer.testing import CliRunner

from spe.cli.check import check, show
from spe.disclosure.engine import examine
from spe.disclosure.profiling import make_profile
from spe.domain.verdict import Report, Verdict
from tests.disclosure.cases import build, default_policy

CLEAN = "arm,persons,events,median_survival_months\nno,440,205,46.5\nyes,246,94,66.2\n"
REFER = "arm,yes,no\nA,0,40\nB,20,30\n"
BLOCK = "grade,n\nI,3\nII,40\n"
COHORT = "patient_id,age\n" + "".join(f"GB-{n:04d},{30 + n % 40}\n" for n in range(1, 201))


def call(*words: object) -> Result:
    app = typer.Typer()
    app.command()(check)
    return CliRunner().invoke(app, [str(word) for word in words])


def outputs(tmp_path: Path, **files: Any) -> Path:
    build(tmp_path / "out", {name.replace("_", "."): content for name, content in files.items()})
    return tmp_path / "out"


@pytest.mark.parametrize(("text", "status"), [(CLEAN, 0), (REFER, 10), (BLOCK, 20)])
def test_the_exit_status_is_the_verdict(tmp_path: Path, text: str, status: int) -> None:
    done = call(outputs(tmp_path, a_csv=text), "--json")

    assert done.exit_code == status, done.output
    assert Report.from_json(done.stdout).verdict.rank * 10 == status


def test_the_json_is_a_report_of_the_published_schema(tmp_path: Path) -> None:
    done = call(outputs(tmp_path, a_csv=BLOCK), "--json")

    document = json.loads(done.stdout)
    assert document["schema"] == "spe.report/1"
    assert document["policy"] == default_policy().stamp.to_json()
    assert document["outputs"][0]["findings"][0]["place"] == {"row": 1, "column": "n"}


def test_a_profile_lets_identifiers_be_found(tmp_path: Path) -> None:
    build(tmp_path / "data", {"cohort.csv": COHORT})
    (tmp_path / "p.json").write_text(json.dumps(make_profile(tmp_path / "data")))
    folder = outputs(tmp_path, a_txt="We left out GB-0107.")

    assert call(folder, "--json").exit_code == 0
    assert call(folder, "--dataset", tmp_path / "p.json", "--json").exit_code == 20


def test_of_two_policies_the_stricter_value_holds(tmp_path: Path) -> None:
    folder = outputs(tmp_path, a_csv="grade,n\nI,7\nII,40\n")

    assert call(folder, "--policy", "gel-5").exit_code == 0
    assert call(folder, "--policy", "gel-5", "--policy", "default").exit_code == 20


def test_earlier_releases_are_accepted(tmp_path: Path) -> None:
    build(tmp_path / "earlier", {"a.csv": CLEAN})

    assert call(outputs(tmp_path, a_csv=CLEAN), "--history", tmp_path / "earlier").exit_code == 0


def wrong_calls(tmp_path: Path) -> dict[str, tuple[list[object], str]]:
    folder = outputs(tmp_path, a_csv=CLEAN)
    (tmp_path / "empty").mkdir()
    build(tmp_path / "only", {"egress.yaml": "purpose: x\noutputs: []\n"})
    (tmp_path / "bad.json").write_text("{")
    build(tmp_path / "policies", {"disclosure/default.yaml": "kind: disclosure-policy\nchecks: {}\n"})
    return {
        "a missing folder": ([tmp_path / "missing"], "no folder"),
        "a file": ([folder / "a.csv"], "is a file"),
        "an empty folder": ([tmp_path / "empty"], "no file"),
        "a declaration alone": ([tmp_path / "only"], "no file"),
        "an unknown policy": ([folder, "--policy", "defualt"], "Known policies: default"),
        "a broken policy": ([folder, "--policies", tmp_path / "policies"], "default.yaml"),
        "a folder without policies": ([folder, "--policies", tmp_path / "empty"], "disclosure"),
        "a missing profile": ([folder, "--dataset", tmp_path / "missing.json"], "cannot be read"),
        "a broken profile": ([folder, "--dataset", tmp_path / "bad.json"], "spe dataset profile"),
        "a missing history": ([folder, "--history", tmp_path / "missing"], "no folder"),
    }


@pytest.mark.parametrize(
    "name",
    [
        "a missing folder",
        "a file",
        "an empty folder",
        "a declaration alone",
        "an unknown policy",
        "a broken policy",
        "a folder without policies",
        "a missing profile",
        "a broken profile",
        "a missing history",
    ],
)
def test_a_wrong_call_is_told_in_words_and_ends_with_two(tmp_path: Path, name: str) -> None:
    words, sentence = wrong_calls(tmp_path)[name]

    done = call(*words)

    assert done.exit_code == 2, done.output
    assert sentence in done.stderr
    assert done.stdout == ""


def test_a_call_without_a_folder_ends_with_two() -> None:
    assert call().exit_code == 2


def test_a_check_that_takes_too_long_is_a_block_that_says_so(tmp_path: Path) -> None:
    folder = outputs(tmp_path, **{f"{n}_csv": {"repeat": "a,b,c,d\n", "times": 3_000_000} for n in range(6)})

    done = call(folder, "--seconds", "1", "--json")

    assert done.exit_code == 20
    assert Report.from_json(done.stdout).findings[0].check == "ENGINE"


def test_a_pipe_in_the_folder_does_not_make_it_wait(tmp_path: Path) -> None:
    done = call(outputs(tmp_path, a_csv=CLEAN, p_csv={"pipe": True}), "--json")

    assert done.exit_code == 20
    assert [finding.check for finding in Report.from_json(done.stdout).findings] == ["PKG-01"]


def spoken(folder: Path) -> str:
    console = Console(file=io.StringIO(), width=140)
    show(examine(folder, default_policy()), console)
    text = console.file.getvalue() if isinstance(console.file, io.StringIO) else ""
    return str(text)


def test_people_read_what_was_found_and_what_to_do(tmp_path: Path) -> None:
    text = spoken(outputs(tmp_path, a_csv=BLOCK))

    assert "row 1, column n: a count below 10" in text
    assert "Suppress or merge small cells" in text
    assert "Verdict: block" in text


def test_a_pass_says_that_people_still_look(tmp_path: Path) -> None:
    assert "Two output checkers still look at it" in spoken(outputs(tmp_path, a_csv=CLEAN))


def test_a_name_cannot_write_to_the_terminal(tmp_path: Path) -> None:
    build(tmp_path / "out", {"a\x1b[2J\u202e.csv": CLEAN})

    text = spoken(tmp_path / "out")

    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "⟨U+001B⟩" in text


def test_the_verdicts_have_distinct_statuses() -> None:
    from spe.cli.check import EXIT

    assert set(EXIT) == set(Verdict)
    assert len(set(EXIT.values())) == len(EXIT)
