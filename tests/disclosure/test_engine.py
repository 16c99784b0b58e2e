"""What the engine promises beside the single checks: silence never passes, unreadable is always a block."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from spe.disclosure.engine import conclude, examine, look
from spe.disclosure.folder import Folder
from spe.disclosure.settings import DisclosurePolicy, Part, read_settings
from spe.domain.errors import Invalid
from spe.domain.verdict import Report, Severity, Verdict
from tests.disclosure.cases import build, default_policy

CLEAN = "arm,persons,events,median_survival_months\nno,440,205,46.5\nyes,246,94,66.2\n"


def policy(**checks: Mapping[str, object]) -> DisclosurePolicy:
    named = {name.replace("_", "-"): settings for name, settings in checks.items()}
    return DisclosurePolicy(parts=(Part(name="small", version="1.0.0"),), settings=read_settings(named, ()))


def report_on(tmp_path: Path, files: Mapping[str, Any], rules: DisclosurePolicy | None = None) -> Report:
    build(tmp_path, files)
    return examine(tmp_path, rules or default_policy())


def test_a_clean_table_passes_and_carries_its_digest(tmp_path: Path) -> None:
    report = report_on(tmp_path, {"table.csv": CLEAN})

    assert report.verdict is Verdict.PASS
    assert report.outputs[0].media_type == "text/csv"
    assert report.outputs[0].size == len(CLEAN)
    assert report.policy == default_policy().stamp


@pytest.mark.parametrize(
    "files",
    [
        {"a.bin": {"hex": "00ff00ff"}},
        {"a.csv": {"hex": "ff00"}},
        {"a.json": "{"},
        {"a.csv": 'x,"y\n1,2\n'},
        {"a.png": {"hex": "89504e470d0a1a0a0000"}},
        {"a.pdf": "%PDF-1.7"},
        {"a.zip": {"hex": "504b0304"}},
    ],
    ids=lambda files: next(iter(files)),
)
def test_what_cannot_be_read_is_a_block_even_when_no_check_asks_for_it(tmp_path: Path, files: dict[str, Any]) -> None:
    report = report_on(tmp_path, files, policy(FRQ_01={}))

    assert report.verdict is Verdict.BLOCK
    assert report.outputs[0].findings[0].check == "ENGINE"


def test_a_mild_policy_cannot_make_unreadable_mild(tmp_path: Path) -> None:
    report = report_on(tmp_path, {"a.csv": {"hex": "ff00"}}, policy(TYP_07={"severity": "note"}))

    assert report.verdict is Verdict.BLOCK


def test_an_empty_folder_never_passes(tmp_path: Path) -> None:
    assert examine(tmp_path, default_policy()).verdict is Verdict.BLOCK


def test_a_declaration_alone_never_passes(tmp_path: Path) -> None:
    report = report_on(tmp_path, {"egress.yaml": "purpose: x\noutputs: []\n"})

    assert report.verdict is Verdict.BLOCK
    assert report.outputs == ()


def test_a_change_while_checking_is_a_block_even_when_no_check_asks_for_it(tmp_path: Path) -> None:
    build(tmp_path, {"table.csv": CLEAN})
    rules = policy(FRQ_01={})
    with Folder(tmp_path) as folder:
        first = look(folder, rules)
        build(tmp_path, {"table.csv": CLEAN.replace("440", "441")})
        report = conclude(folder, first, rules)

    assert report.verdict is Verdict.BLOCK


def test_a_file_above_what_is_read_is_a_block_and_is_still_hashed(tmp_path: Path) -> None:
    with (tmp_path / "large.csv").open("wb") as file:
        file.truncate(65 * 1024 * 1024)

    report = examine(tmp_path, default_policy())

    assert report.outputs[0].verdict is Verdict.BLOCK
    assert len(report.outputs[0].sha256) == 64
    assert any("larger than 64 MiB" in finding.message for finding in report.all_findings)


def test_the_declaration_is_no_output(tmp_path: Path) -> None:
    declared = "purpose: x\noutputs:\n  - {path: table.csv, kind: survival}\n"
    report = report_on(tmp_path, {"table.csv": CLEAN, "egress.yaml": declared})

    assert [output.path for output in report.outputs] == ["table.csv"]
    assert report.verdict is Verdict.PASS


def test_a_declaration_kept_elsewhere_counts_and_one_in_the_folder_is_then_an_output(tmp_path: Path) -> None:
    declared = b"purpose: x\noutputs:\n  - {path: table.csv}\n  - {path: egress.yaml}\n"
    build(tmp_path, {"table.csv": CLEAN, "egress.yaml": "purpose: y\noutputs: []\n"})

    report = examine(tmp_path, default_policy(), declaration_bytes=declared)

    assert [output.path for output in report.outputs] == ["egress.yaml", "table.csv"]
    assert report.verdict is Verdict.PASS


def test_a_declared_frequency_table_counts_where_its_shape_does_not_say_so(tmp_path: Path) -> None:
    table = {"table.csv": "gene,early,p\nA,5,0.1\nB,60,0.2\n"}
    declared = "purpose: x\noutputs:\n  - {path: table.csv, kind: frequency-table}\n"

    assert report_on(tmp_path / "a", table).verdict is Verdict.PASS
    assert report_on(tmp_path / "b", {**table, "egress.yaml": declared}).verdict is Verdict.BLOCK


def test_a_declaration_can_make_an_assumed_count_lighter_but_never_a_named_one(tmp_path: Path) -> None:
    declared = "purpose: x\noutputs:\n  - {path: table.csv, kind: other}\n"
    assumed = report_on(tmp_path / "a", {"table.csv": "gene,early,late\nA,5,30\nB,60,9\n", "egress.yaml": declared})
    named = report_on(tmp_path / "b", {"table.csv": "gene,n\nA,5\nB,60\n", "egress.yaml": declared})

    assert assumed.verdict is Verdict.REFER
    assert named.verdict is Verdict.BLOCK


def test_each_finding_has_a_key_of_its_own(tmp_path: Path) -> None:
    report = report_on(tmp_path, {"a.csv": "grade,n\nI,3\nII,4\n", "b.csv": "grade,n\nI,3\nII,40\n"})

    keys = [finding.key for finding in report.all_findings]
    assert len(keys) == len(set(keys)) == 3


def test_many_findings_of_a_kind_end_in_one_that_counts_the_rest(tmp_path: Path) -> None:
    rows = "".join(f"g{number},3\n" for number in range(100))
    report = report_on(tmp_path, {"a.csv": "grade,n\n" + rows})

    found = [finding for finding in report.all_findings if finding.check == "FRQ-01"]
    assert len(found) == 21
    assert found[-1].message == "80 more findings of the same kind"


def test_a_message_names_row_and_column(tmp_path: Path) -> None:
    report = report_on(tmp_path, {"a.csv": "grade,n\nI,30\nII,4\n"})

    assert report.outputs[0].findings[0].to_json(with_path=False) == {
        "check": "FRQ-01",
        "severity": "block",
        "message": "row 2, column n: a count below 10",
        "place": {"row": 2, "column": "n"},
    }


def test_a_header_that_holds_an_identifier_is_named_by_its_number(tmp_path: Path) -> None:
    report = report_on(tmp_path, {"a.csv": "grade,GB-01077,GB-01078\nI,3,40\nII,40,40\n"})

    assert all("GB-01077" not in finding.message for finding in report.all_findings)
    assert any(finding.place.column == "#2" for finding in report.all_findings)


def test_earlier_releases_that_cannot_be_read_stop_the_check(tmp_path: Path) -> None:
    build(tmp_path / "in", {"table.csv": CLEAN})

    with pytest.raises(Invalid):
        examine(tmp_path / "in", default_policy(), history=[tmp_path / "missing"])


def test_earlier_releases_that_nothing_compares_with_are_said_so(tmp_path: Path) -> None:
    build(tmp_path / "in", {"table.csv": CLEAN})
    build(tmp_path / "earlier", {"table.csv": CLEAN})

    report = examine(tmp_path / "in", default_policy(), history=[tmp_path / "earlier"])

    assert report.verdict is Verdict.PASS
    assert report.findings[0].severity is Severity.NOTE


def test_a_bad_name_of_a_folder_blocks_the_files_in_it(tmp_path: Path) -> None:
    report = report_on(tmp_path, {".hidden/table.csv": CLEAN, "good.csv": CLEAN})

    assert {output.path: output.verdict for output in report.outputs} == {
        ".hidden/table.csv": Verdict.BLOCK,
        "good.csv": Verdict.PASS,
    }


def test_json_called_a_text_is_searched_for_tables_and_a_notebook_is_not_taken_for_a_text(tmp_path: Path) -> None:
    notebook = '{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}'
    report = report_on(
        tmp_path, {"a.yaml": '{"alpha": 0.1}', "b.txt": '[{"grade": "I", "n": 3}, {"n": 4}]', "c.json": notebook}
    )

    found = {output.path: [finding.check for finding in output.findings] for output in report.outputs}
    assert found == {"a.yaml": [], "b.txt": ["FRQ-01", "FRQ-01"], "c.json": ["TYP-01"]}
