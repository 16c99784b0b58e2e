"""Every check has a sentence, a passing case and a failing case in data, and the cases come out as they say."""

from pathlib import Path

import pytest

from spe.disclosure.registry import catalogue
from spe.domain.verdict import Verdict
from tests.disclosure.cases import CASES, Case, all_cases, default_policy, examined

REQUIRED = {
    "PKG": ("01", "02", "03", "04", "06", "08"),
    "TYP": ("01", "03", "06", "07"),
    "HID": ("05", "09", "10", "12"),
    "SEC": ("01", "02", "06"),
    "MIC": ("01", "02", "04", "06"),
    "FRQ": ("01", "02", "08"),
    "GEN": ("01", "02", "03", "04", "05"),
    "ACR": ("01", "02", "03"),
}
TELLING = tuple(case for case in all_cases() if case.check[:3] in {"SEC", "MIC"})


@pytest.mark.parametrize("case", all_cases(), ids=lambda case: case.name)
def test_a_case_comes_out_as_it_says(case: Case, tmp_path: Path) -> None:
    report = examined(case, tmp_path, default_policy())

    found = [finding for finding in report.all_findings if finding.check == case.check]
    assert bool(found) == (case.expected == "fail"), [one.message for one in report.all_findings]
    if case.expected == "fail":
        assert report.verdict is not Verdict.PASS


@pytest.mark.parametrize("name", sorted(catalogue()))
def test_every_check_is_described_and_has_cases_and_a_place_in_the_default_policy(name: str) -> None:
    known = catalogue()[name]
    own = [case.expected for case in all_cases() if case.check == name]

    assert known.doc.rstrip().endswith((".", ")"))
    assert known.explain(known.parameters()).endswith(".")
    assert "{" not in known.explain(known.parameters())
    assert known.remedy.format().endswith(".")
    assert {"pass", "fail"} <= set(own)
    assert default_policy().setting(name) is not None


def test_the_catalogue_holds_what_was_promised() -> None:
    promised = {f"{subject}-{number}" for subject, numbers in REQUIRED.items() for number in numbers}

    assert promised <= set(catalogue())


def test_no_case_is_about_an_unknown_check() -> None:
    assert {path.stem for path in CASES.glob("*.yaml")} == set(catalogue())


@pytest.mark.parametrize("case", TELLING, ids=lambda case: case.name)
def test_a_message_never_repeats_a_cell(case: Case, tmp_path: Path) -> None:
    """A finding names place and rule; identifiers and numbers of the data stay out of logs and pages."""
    report = examined(case, tmp_path, default_policy())

    for finding in report.all_findings:
        for secret in ("GB-0107", "gb0107", "ZZ-90210", "zz_90210", "hvs.", "44051401359", "hunter22", "maria.rossi"):
            assert secret not in finding.message
