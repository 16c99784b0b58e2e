"""The engine as a process: the report comes last and whole, or not at all."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from spe.disclosure.child import examine_in_child
from spe.disclosure.job import Limits
from spe.domain.errors import Invalid
from spe.domain.verdict import Report, Verdict
from tests.disclosure.cases import build, default_policy

CLEAN = "arm,persons,events\nno,440,205\nyes,246,94\n"
LEAK = "grade,n\nI,3\nII,40\n"


def run(root: Path) -> "subprocess.CompletedProcess[str]":
    source = Path(__file__).resolve().parents[2]
    return subprocess.run(
        [sys.executable, "-B", "-m", "spe.disclosure.runner", str(root)],
        env={"PYTHONPATH": str(source), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=120,
    )


def a_job(root: Path, files: dict[str, Any], **more: Any) -> Path:
    build(root / "files", files)
    job = {"folder": str(root / "files"), "policy": default_policy().to_json(), "profiles": [], "history": [], **more}
    (root / "job.json").write_text(json.dumps(job))
    return root


def report_in(root: Path) -> Report:
    return Report.from_json((root / "out" / "report.json").read_bytes())


def test_a_job_ends_with_a_report_and_a_view_of_each_output(tmp_path: Path) -> None:
    done = run(a_job(tmp_path, {"a.csv": CLEAN, "b.csv": LEAK}))

    assert done.returncode == 0, done.stderr
    assert report_in(tmp_path).verdict is Verdict.BLOCK
    assert sorted(path.name for path in (tmp_path / "out/views").iterdir()) == ["0.json", "1.json"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["report.json", "views"]


def test_a_job_in_the_usual_layout_needs_no_job_file(tmp_path: Path) -> None:
    build(tmp_path, {"input/a.csv": CLEAN, "declaration.yaml": "purpose: x\noutputs:\n  - {path: a.csv}\n"})
    (tmp_path / "policy.json").write_text(json.dumps(default_policy().to_json()))
    (tmp_path / "profiles").mkdir()
    (tmp_path / "history").mkdir()

    done = run(tmp_path)

    assert done.returncode == 0, done.stderr
    assert report_in(tmp_path).verdict is Verdict.PASS


def test_an_older_report_is_gone_before_anything_is_read(tmp_path: Path) -> None:
    run(a_job(tmp_path, {"a.csv": CLEAN}))
    assert report_in(tmp_path).verdict is Verdict.PASS
    (tmp_path / "job.json").write_text("{")

    assert run(tmp_path).returncode == 2
    assert not (tmp_path / "out/report.json").exists()


def test_a_policy_that_was_changed_under_its_digest_is_refused(tmp_path: Path) -> None:
    policy = default_policy().to_json()
    policy["checks"]["FRQ-01"]["minimum"] = 2
    done = run(a_job(tmp_path, {"a.csv": LEAK}, policy=policy))

    assert done.returncode == 2
    assert not (tmp_path / "out/report.json").exists()


@pytest.mark.parametrize(
    "more",
    [
        {"limits": {"memory_bytes": 0}},
        {"limits": {"memory": 1}},
        {"limits": []},
        {"extra": 1},
        {"folder": "missing"},
        {"profiles": ["missing.json"]},
        {"history": ["missing"]},
    ],
    ids=lambda more: next(iter(more)),
)
def test_a_wrong_job_is_refused_in_words_and_leaves_no_report(tmp_path: Path, more: dict[str, Any]) -> None:
    done = run(a_job(tmp_path, {"a.csv": CLEAN}, **more))

    assert done.returncode == 2
    assert done.stderr.strip()
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out/report.json").exists()


def test_memory_that_does_not_suffice_ends_without_a_report(tmp_path: Path) -> None:
    files = {"a.csv": {"repeat": "a,b,c,d\n", "times": 3_000_000}}
    done = run(a_job(tmp_path, files, limits={"memory_bytes": 200 * 1024 * 1024}))

    assert done.returncode != 0
    assert not (tmp_path / "out/report.json").exists()
    assert "Traceback" not in done.stderr


def test_processor_time_that_does_not_suffice_ends_without_a_report(tmp_path: Path) -> None:
    files = {f"{number}.csv": {"repeat": "a,b,c,d\n", "times": 2_000_000} for number in range(4)}
    done = run(a_job(tmp_path, files, limits={"cpu_seconds": 1}))

    assert done.returncode != 0
    assert not (tmp_path / "out/report.json").exists()


def test_a_fault_never_shows_a_value_of_the_data(tmp_path: Path) -> None:
    a_job(tmp_path, {"a.csv": "patient_id,x\nGB-0107,1\n"})
    (tmp_path / "out").mkdir()
    (tmp_path / "out/.views").write_text("in the way")
    done = run(tmp_path)

    assert done.returncode == 1
    assert "GB-0107" not in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_child_that_takes_too_long_is_a_block(tmp_path: Path) -> None:
    build(tmp_path, {f"{n}.csv": {"repeat": "a,b,c,d\n", "times": 3_000_000} for n in range(6)})

    report = examine_in_child(tmp_path, default_policy(), limits=Limits(wall_seconds=1))

    assert report.verdict is Verdict.BLOCK
    assert "did not end within 1 seconds" in report.findings[0].message


def test_a_child_that_dies_is_a_block(tmp_path: Path) -> None:
    build(tmp_path, {"a.csv": {"repeat": "a,b,c,d\n", "times": 3_000_000}})

    report = examine_in_child(tmp_path, default_policy(), limits=Limits(memory_bytes=200 * 1024 * 1024))

    assert report.verdict is Verdict.BLOCK
    assert [finding.check for finding in report.findings] == ["ENGINE"]


def test_a_child_gives_the_same_report_as_the_engine(tmp_path: Path) -> None:
    build(tmp_path, {"a.csv": LEAK})

    report = examine_in_child(tmp_path, default_policy())

    assert report.policy == default_policy().stamp
    assert [finding.check for finding in report.all_findings] == ["FRQ-01"]


def test_a_job_that_the_child_refuses_is_told_in_words(tmp_path: Path) -> None:
    build(tmp_path / "in", {"a.csv": CLEAN})

    with pytest.raises(Invalid, match="no folder"):
        examine_in_child(tmp_path / "in", default_policy(), history=[tmp_path / "missing"])
