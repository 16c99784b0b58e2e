"""A profile knows a dataset's people without holding any of them."""

import json
import stat
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from spe.cli.profile import profile as command
from spe.disclosure.profile import Profile, shape, shortest, spellings
from spe.disclosure.profiling import make_profile, profile_folder
from spe.domain.errors import Invalid
from tests.disclosure.cases import KEY, build

COHORT = "patient_id,age,grade\n" + "".join(f"GB-{n:04d},{30 + n % 40},{1 + n % 3}\n" for n in range(1, 201))


def cohort(folder: Path) -> Path:
    build(folder, {"cohort.csv": COHORT})
    return folder


def test_a_profile_holds_no_raw_value(tmp_path: Path) -> None:
    text = json.dumps(make_profile(cohort(tmp_path)))

    assert "GB-0107" not in text
    assert "gb0107" not in text


def test_a_profile_knows_sizes_and_people(tmp_path: Path) -> None:
    profile = profile_folder(cohort(tmp_path))

    assert profile.cohort == 200
    assert profile.sizes == {200}
    assert profile.knows("GB-0107")
    assert not profile.knows("GB-0777")


def test_a_profile_survives_its_own_json(tmp_path: Path) -> None:
    profile = profile_folder(cohort(tmp_path), canaries=["ZZ-1"])

    assert Profile.from_json(json.dumps(profile.to_json())) == profile


def test_two_profiles_of_the_same_data_share_no_fingerprint(tmp_path: Path) -> None:
    one, other = profile_folder(cohort(tmp_path)), profile_folder(tmp_path)

    assert not one.strong & other.strong
    assert profile_folder(tmp_path, key=KEY) == profile_folder(tmp_path, key=KEY)


@pytest.mark.parametrize("word", ["GB-0107", "gb0107", "XGB0107", "GB_0107_v2", "data/GB-0107.bam", "study.GB.0107"])
def test_an_identifier_is_known_in_other_spellings(tmp_path: Path, word: str) -> None:
    profile = profile_folder(cohort(tmp_path))

    assert profile.worth_asking(word)
    assert profile.knows(word)


@pytest.mark.parametrize("word", ["0.1234", "12345", "rs12345", "grade", "2024-01-01", "GB", "0107"])
def test_an_ordinary_word_is_not_known(tmp_path: Path, word: str) -> None:
    profile = profile_folder(cohort(tmp_path))

    assert not profile.knows(word)


def test_a_named_column_is_taken_at_its_word(tmp_path: Path) -> None:
    build(tmp_path, {"a.csv": "who,age\nanna7,40\nbert9,50\n"})

    assert profile_folder(tmp_path, id_column="who").knows("anna7")


def test_a_column_that_is_nowhere_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="No table"):
        profile_folder(cohort(tmp_path), id_column="person")


def test_a_folder_without_anything_to_profile_is_refused(tmp_path: Path) -> None:
    build(tmp_path, {"readme.md": "nothing"})

    with pytest.raises(Invalid, match="nothing can be profiled"):
        profile_folder(tmp_path)


def test_a_link_in_a_dataset_is_not_followed(tmp_path: Path) -> None:
    build(tmp_path / "secret", {"other.csv": COHORT.replace("GB-", "QQ-")})
    build(tmp_path / "data", {"cohort.csv": COHORT, "other.csv": {"link": str(tmp_path / "secret/other.csv")}})

    assert not profile_folder(tmp_path / "data").knows("QQ-0107")


def test_sample_lists_count_as_people(tmp_path: Path) -> None:
    fam = "".join(f"F{n} S{n:03d} 0 0 1 2\n" for n in range(30))
    build(tmp_path, {"a.fam": fam, "b.sample": "ID_1 ID_2 missing\n0 0 0\nT001 T001 0\nT002 T002 0\n"})

    profile = profile_folder(tmp_path)

    assert set(profile.samples) == {30, 2}
    assert profile.knows("S007")
    assert profile.knows("T002")


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"schema": "spe.profile/1"}', '{"schema": "spe.profile/9"}'])
def test_what_is_no_profile_is_refused(text: str) -> None:
    with pytest.raises(Invalid, match="spe dataset profile"):
        Profile.from_json(text)


def test_the_forms_of_a_word_stay_few() -> None:
    assert len(spellings("-".join(str(n) for n in range(200)))) <= 2
    assert shape("gb0107") == "aa9999"


def a_command() -> typer.Typer:
    app = typer.Typer()
    app.command()(command)
    return app


def test_the_command_writes_a_file_for_its_owner_only(tmp_path: Path) -> None:
    output = tmp_path / "profile.json"

    done = CliRunner().invoke(a_command(), [str(cohort(tmp_path / "data")), "--output", str(output)])

    assert done.exit_code == 0, done.output
    assert "200 people" in done.output
    assert stat.S_IMODE(output.stat().st_mode) == 0o600
    assert Profile.from_json(output.read_bytes()).knows("GB-0107")


@pytest.mark.parametrize("wrong", [["missing", "--output", "p.json"], ["data", "--output", "no/such/p.json"]])
def test_the_command_says_what_is_wrong(tmp_path: Path, wrong: list[str]) -> None:
    cohort(tmp_path / "data")
    words = [str(tmp_path / word) if word != "--output" else word for word in wrong]

    done = CliRunner().invoke(a_command(), words)

    assert done.exit_code == 2
    assert not (tmp_path / "p.json").exists()


def test_of_the_known_forms_only_those_that_hold_no_other_are_looked_for() -> None:
    assert shortest({"99999", "9999999", "a9999", "a99999a", "aa99"}) == ("aa99", "99999", "a9999")
