"""A report keeps its form through JSON and cannot be milder than what it holds."""

from typing import Any

import pytest

from spe.domain.errors import Invalid
from spe.domain.verdict import Finding, OutputReport, Place, PolicyStamp, Report, Severity, Verdict

STAMP = PolicyStamp(name="default", version="1.0.0", digest="sha256:" + "0" * 64)
FINDING = Finding(
    check="FRQ-01",
    severity=Severity.REFER,
    message="row 7, column n: a count below 10",
    place=Place(row=7, column="n"),
    path="table1.csv",
)
OUTPUT = OutputReport(
    path="table1.csv", sha256="a" * 64, size=812, media_type="text/csv", verdict=Verdict.REFER, findings=(FINDING,)
)
REPORT = Report(policy=STAMP, verdict=Verdict.REFER, outputs=(OUTPUT,))


def test_a_report_has_exactly_the_published_form() -> None:
    assert REPORT.to_json() == {
        "schema": "spe.report/1",
        "policy": {"name": "default", "version": "1.0.0", "digest": "sha256:" + "0" * 64},
        "verdict": "refer",
        "outputs": [
            {
                "path": "table1.csv",
                "sha256": "a" * 64,
                "size": 812,
                "media_type": "text/csv",
                "verdict": "refer",
                "findings": [
                    {
                        "check": "FRQ-01",
                        "severity": "refer",
                        "message": "row 7, column n: a count below 10",
                        "place": {"row": 7, "column": "n"},
                    }
                ],
            }
        ],
        "findings": [],
    }


def test_a_report_survives_its_own_json() -> None:
    assert Report.from_json(REPORT.to_json()) == REPORT


def test_a_key_depends_on_check_place_and_path_only_by_content() -> None:
    same = Report.from_json(REPORT.to_json()).outputs[0].findings[0]
    moved = Finding(check="FRQ-01", severity=Severity.REFER, message=FINDING.message, place=FINDING.place, path="b.csv")

    assert same.key == FINDING.key
    assert moved.key != FINDING.key


@pytest.mark.parametrize(
    ("where", "value"),
    [
        (("verdict",), "pass"),
        (("outputs", 0, "verdict"), "pass"),
        (("verdict",), "fine"),
        (("schema",), "spe.report/2"),
        (("outputs", 0, "sha256"), "A" * 64),
        (("outputs", 0, "size"), -1),
        (("outputs", 0, "size"), True),
        (("outputs", 0, "findings", 0, "severity"), "pass"),
        (("outputs", 0, "findings", 0, "place"), {"row": "7"}),
        (("outputs", 0, "findings", 0, "place"), {"rows": 7}),
        (("outputs", 0, "findings"), {}),
        (("policy",), {"name": "default"}),
        (("extra",), 1),
    ],
)
def test_an_odd_report_is_refused(where: tuple[Any, ...], value: Any) -> None:
    document: Any = REPORT.to_json()
    target = document
    for step in where[:-1]:
        target = target[step]
    target[where[-1]] = value

    with pytest.raises(Invalid):
        Report.from_json(document)


def test_a_report_about_nothing_cannot_pass() -> None:
    with pytest.raises(Invalid):
        Report(policy=STAMP, verdict=Verdict.PASS)


@pytest.mark.parametrize("text", ["", "[]", "null", "{" * 10_000, "[" * 200_000])
def test_what_is_no_report_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        Report.from_json(text)
