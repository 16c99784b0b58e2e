"""Policy documents are read strictly: what is wrong is refused as a whole, with the nearest right word."""

import shutil
import tomllib
from pathlib import Path

import pytest

import spe
from spe.disclosure.registry import catalogue
from spe.disclosure.settings import as_strict, meet
from spe.domain.errors import Invalid
from spe.domain.principal import Role
from spe.domain.verdict import Severity
from spe.policy.disclosure import changes, explanations
from spe.policy.loader import load_disclosure, load_profile, policies_folder, read_policies

HEAD = 'kind: disclosure-policy\nname: mine\nversion: 1.0.0\ntitle: Mine\nsources: ["ours"]\n'
SHIPPED = ("default", "gel-5", "nhs-sde", "opensafely")


def folder_with(tmp_path: Path, **documents: str) -> Path:
    (tmp_path / "disclosure").mkdir()
    for name, text in documents.items():
        (tmp_path / "disclosure" / f"{name}.yaml").write_text(text)
    return tmp_path


def refusal(tmp_path: Path, text: str) -> str:
    with pytest.raises(Invalid) as caught:
        load_profile(folder_with(tmp_path, mine=text), "mine")
    return " ".join(caught.value.sentences)


@pytest.mark.parametrize("name", SHIPPED)
def test_each_shipped_policy_loads_runs_every_check_and_cites_its_source(name: str) -> None:
    profile = load_profile(policies_folder(), name)

    assert {setting.check for setting in profile.policy.settings} == set(catalogue())
    assert all(profile.sources)


@pytest.mark.parametrize(("name", "minimum"), [("default", 10), ("opensafely", 8), ("nhs-sde", 10), ("gel-5", 5)])
def test_each_shipped_policy_has_its_threshold(name: str, minimum: int) -> None:
    setting = load_profile(policies_folder(), name).policy.setting("FRQ-01")

    assert setting is not None
    assert setting.to_json()["minimum"] == minimum


def test_the_default_document_says_what_the_checks_assume() -> None:
    """Values in the file and in the code agree, so that a policy naming a check alone means the same."""
    for setting in load_profile(policies_folder(), "default").policy.settings:
        known = catalogue()[setting.check]
        assert setting.severity is known.severity, setting.check
        if setting.check != "TYP-01":
            assert setting.parameters == known.parameters(), setting.check


def test_two_policies_together_are_as_strict_as_each() -> None:
    known = load_disclosure(policies_folder())

    merged = known.effective(("gel-5", "opensafely"))

    assert merged.name == "gel-5 + opensafely"
    assert all(as_strict(merged, known.named(name).policy) for name in ("gel-5", "opensafely"))
    assert merged.to_json()["checks"]["FRQ-01"]["minimum"] == 8
    assert merged.to_json()["checks"]["FRQ-02"]["zeros"] is True


def test_the_house_reads_all_its_policies_under_one_digest() -> None:
    found = read_policies(policies_folder())

    assert set(SHIPPED) <= set(found.disclosure)
    assert found.digest.startswith("sha256:")
    assert found == read_policies(policies_folder())


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (HEAD + "checks: {}\n", "names no checks"),
        (HEAD + "cheks: {FRQ-01: {}}\n", "did you mean 'checks'"),
        (HEAD + "checks: {FREQ-01: {}}\n", "did you mean 'FRQ-01'"),
        (HEAD + "checks: {FRQ-01: {minimun: 10}}\n", "did you mean 'minimum'"),
        (HEAD + "checks: {FRQ-01: {minimum: ten}}\n", "whole number"),
        (HEAD + "checks: {FRQ-01: {because: 5}}\n", "sentence"),
        (HEAD + "checks: {FRQ-01: {}, FRQ-01: {minimum: 2}}\n", "stands twice"),
        (HEAD + "checks: {FRQ-01: &a {}, FRQ-02: *a}\n", "aliases"),
        (HEAD + "checks: [FRQ-01]\n", "dictionary"),
        (HEAD + "extends: defualt\nchecks: {FRQ-01: {}}\n", "not a known policy"),
        (HEAD + "extends: mine\nchecks: {FRQ-01: {}}\n", "circle"),
        (HEAD.replace("1.0.0", "1.0") + "checks: {FRQ-01: {}}\n", "version"),
        (HEAD.replace("name: mine", "name: other") + "checks: {FRQ-01: {}}\n", "called mine"),
        (HEAD.replace('["ours"]', "[]") + "checks: {FRQ-01: {}}\n", "sources"),
        (HEAD.replace("title: Mine\n", "") + "checks: {FRQ-01: {}}\n", "missing"),
        ("checks: [", "line 1"),
        ("just words", "begins with"),
        ("", "begins with"),
    ],
)
def test_a_wrong_document_is_refused_in_words(tmp_path: Path, text: str, sentence: str) -> None:
    assert sentence in refusal(tmp_path, text)


def test_a_document_that_is_no_text_is_refused(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, mine="")
    (folder / "disclosure/mine.yaml").write_bytes(b"\xff\xfe\x00")

    with pytest.raises(Invalid, match="UTF-8"):
        load_profile(folder, "mine")


def test_one_wrong_document_refuses_them_all(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, mine=HEAD + "checks: {FRQ-01: {}}\n", other="kind: nothing\n")

    with pytest.raises(Invalid):
        load_disclosure(folder)


def test_an_unknown_policy_lists_the_known_ones() -> None:
    with pytest.raises(Invalid, match=r"did you mean 'default'.*default, gel-5, nhs-sde, opensafely"):
        load_profile(policies_folder(), "defalt")


def test_a_folder_without_policies_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="disclosure"):
        policies_folder(tmp_path)
    with pytest.raises(Invalid, match="no disclosure policy"):
        load_disclosure(folder_with(tmp_path))


def test_the_environment_names_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = folder_with(tmp_path, mine=HEAD + "checks: {FRQ-01: {}}\n")
    monkeypatch.setenv("SPE_POLICIES", str(folder))

    assert policies_folder() == folder


def test_extending_replaces_single_values_and_keeps_the_rest(tmp_path: Path) -> None:
    base = HEAD.replace("mine", "base") + "checks: {FRQ-01: {minimum: 20, severity: block}, FRQ-02: {zeros: false}}\n"
    mine = HEAD + "extends: base\nchecks: {FRQ-01: {minimum: 5, because: They may.}}\n"

    profile = load_profile(folder_with(tmp_path, base=base, mine=mine), "mine")

    assert profile.policy.to_json()["checks"]["FRQ-01"]["minimum"] == 5
    assert profile.policy.to_json()["checks"]["FRQ-02"]["zeros"] is False
    assert profile.because == {"FRQ-01": "They may."}
    assert profile.policy.name == "mine"


def test_a_change_says_what_gets_looser() -> None:
    known = load_disclosure(policies_folder())

    found = changes(known.named("default").policy, known.named("gel-5").policy)

    assert {(one.check, one.what, one.looser) for one in found} == {
        ("FRQ-01", "minimum", True),
        ("FRQ-08", "minimum", True),
        ("MIC-04", "minimum", True),
        ("MIC-06", "fewest", False),
    }
    assert found[0].looser


def test_a_dropped_check_and_a_milder_severity_are_looser(tmp_path: Path) -> None:
    before = HEAD.replace("mine", "before") + "checks: {FRQ-01: {}, FRQ-02: {}}\n"
    after = HEAD.replace("mine", "after") + "checks: {FRQ-01: {severity: refer, waivable: true}}\n"
    known = load_disclosure(folder_with(tmp_path, before=before, after=after))

    found = changes(known.named("before").policy, known.named("after").policy)

    assert {(one.check, one.what) for one in found if one.looser} == {
        ("FRQ-01", "severity"),
        ("FRQ-01", "waivable"),
        ("FRQ-02", "the whole check"),
    }
    assert not any(one.looser for one in changes(known.named("after").policy, known.named("before").policy))


def test_each_rule_is_explained_with_its_values() -> None:
    rows = {row.check: row for row in explanations(load_profile(policies_folder(), "gel-5"))}

    assert "at least 5" in rows["FRQ-01"].sentence
    assert rows["FRQ-01"].severity is Severity.BLOCK
    assert rows["FRQ-01"].because == "Counts below 5 are masked."


def test_merging_keeps_a_waiver_only_where_both_allow_it(tmp_path: Path) -> None:
    one = HEAD.replace("mine", "one") + "checks: {FRQ-01: {waivable: true}, FRQ-02: {waivable: true}}\n"
    two = HEAD.replace("mine", "two") + "checks: {FRQ-01: {waivable: true}, FRQ-02: {}}\n"
    known = load_disclosure(folder_with(tmp_path, one=one, two=two))

    merged = meet(known.named("one").policy, known.named("two").policy)

    assert [setting.waivable for setting in merged.settings] == [True, False]


def roles_with(tmp_path: Path, sign_in: str) -> Path:
    """The shipped policies with another text of what roles ask of a sign-in."""
    folder = tmp_path / "policies"
    shutil.copytree(policies_folder(), folder, ignore=shutil.ignore_patterns("cases"))
    head = (folder / "roles.yaml").read_text().partition("sign_in:")[0]
    (folder / "roles.yaml").write_text(head + sign_in)
    return folder


def test_every_role_of_the_shipped_policies_asks_for_a_second_factor_and_an_age() -> None:
    found = read_policies(policies_folder())

    assert set(found.sign_in) == set(found.permissions)
    for asked in found.sign_in.values():
        assert "https://refeds.org/profile/mfa" in asked.acr
        assert asked.amr == ("mfa",)
        assert asked.hours == 12
    assert found.sign_in[Role.AUTHORISED_USER].assurance == ("https://refeds.org/assurance/IAP/high",)


def test_what_roles_ask_of_a_sign_in_is_part_of_the_digest(tmp_path: Path) -> None:
    weaker = read_policies(roles_with(tmp_path, "sign_in: {board: {hours: 12}}\n"))

    assert weaker.sign_in[Role.BOARD].acr == ()
    assert weaker.digest != read_policies(policies_folder()).digest


@pytest.mark.parametrize(
    "text",
    [
        "sign_in: {nobody: {hours: 1}}",
        "sign_in: {board: {factors: [mfa]}}",
        "sign_in: {board: {hours: -1}}",
        "sign_in: {board: {acr: ['two words']}}",
        "sign_in: {board: {acr: mfa}}",
        "sign_in: [board]",
    ],
)
def test_what_is_half_understood_about_signing_in_is_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(Invalid, match=r"roles\.yaml"):
        read_policies(roles_with(tmp_path, text))


def test_every_policy_document_is_installed_with_the_package() -> None:
    root = Path(spe.__file__).parent.parent
    data = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["setuptools"]["data-files"]
    installed = {
        (f"{target}/{file.name}", file) for target, patterns in data.items() for p in patterns for file in root.glob(p)
    }
    kept = set((root / "policies").rglob("*.yaml"))
    assert installed == {(f"share/spe/{file.relative_to(root)}", file) for file in kept}
