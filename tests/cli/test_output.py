"""A document that a person wrote, as the API can carry it; what it cannot carry is told with its place."""

from pathlib import Path

import pytest

from spe.cli.output import LARGEST_DOCUMENT, document
from tests.support.asking import invalid


def written(folder: Path, text: str) -> Path:
    file = folder / "terms.yaml"
    file.write_text(text)
    return file


def test_dates_need_no_quotes(tmp_path: Path) -> None:
    file = written(tmp_path, "starts: 2031-01-01T00:00:00Z\nends: 2031-02-01T12:00:00+01:00\nday: 2031-03-01\n")
    assert document(file) == {
        "starts": "2031-01-01T00:00:00+00:00",
        "ends": "2031-02-01T12:00:00+01:00",
        "day": "2031-03-01",
    }


@pytest.mark.parametrize("text", ["limits:\n  cpu: .nan\n", "limits:\n  cpu: -.inf\n", "limits: [{cpu: .inf}]\n"])
def test_what_is_no_number_is_told_with_its_place(tmp_path: Path, text: str) -> None:
    ((place, sentence),) = invalid(lambda: document(written(tmp_path, text))).items()
    assert place.endswith("limits: cpu")
    assert "finite" in sentence


@pytest.mark.parametrize("text", ["a: !!binary aGk=\n", "a: !!set {b}\n"])
def test_what_json_has_no_form_for_is_told(tmp_path: Path, text: str) -> None:
    assert "Write text" in next(iter(invalid(lambda: document(written(tmp_path, text))).values()))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: 1\na: 2\n", "line 2"),
        ("a: &a [x]\nb: *a\n", "aliases"),
        ("[" * 20_000, "plain YAML"),
        ("a: \x07\n", "Character 4"),
        ("- a\n", "keys and values"),
        ("# " + "x" * LARGEST_DOCUMENT, "larger than"),
        ("a: 2031-13-45\n", "plain YAML"),
    ],
)
def test_a_document_is_plain_yaml_of_a_sensible_size(tmp_path: Path, text: str, words: str) -> None:
    assert words in next(iter(invalid(lambda: document(written(tmp_path, text))).values()))
