"""The exit statuses are those that the manual and `spe --help` list."""

import re
import sys
from importlib.resources import files
from pathlib import Path

import pytest
from typer.testing import CliRunner

from spe.cli.egress import VERDICTS
from spe.cli.main import EXIT_CODES, application, exit_code
from spe.domain import errors


def test_every_exit_status_is_in_the_manual_and_in_the_help() -> None:
    page = files("spe.web").joinpath("manual/problems.md").read_text(encoding="utf-8")
    listed = {int(number) for number in re.findall(r"^\| (\d+) \|", page, re.MULTILINE)}
    assert listed == {0, 1, *EXIT_CODES.values(), *VERDICTS.values()}
    said = str(application.registered_callback.callback.__doc__)  # type: ignore[union-attr]
    assert {int(number) for number in re.findall(r"\b(\d+)\s+[a-z]", said)} == listed


def test_every_kind_of_error_that_a_person_can_meet_has_its_own_status() -> None:
    kinds = {cls.__name__ for cls in errors.SpeError.__subclasses__() if cls.__module__ == errors.__name__}
    assert kinds - set(EXIT_CODES) == {"Corrupt"}


def test_an_error_that_is_a_kind_of_another_has_the_same_status() -> None:
    class Gone(errors.Unavailable):
        """As an adapter has for a missing object."""

    assert exit_code(Gone("cluster", "not found")) == EXIT_CODES["Unavailable"]
    assert exit_code(errors.Corrupt("the log")) == 1


def test_a_noun_with_one_verb_keeps_its_verb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["spe", "db", "upgrade"])  # the overview is for whoever names no command
    done = CliRunner().invoke(application, ["db", "upgrade", "--home", str(tmp_path)], prog_name="spe")
    assert done.exit_code == 0, done.output
    assert "revision" in done.output
