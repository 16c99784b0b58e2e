import json
import os
import subprocess
import sys

import pytest
import typer
from typer.testing import CliRunner

from spe.cli import receipt
from tests.support.evidence import Issuer, a_manifest

FILES = {"figures/survival.csv": b"time,n\n1,100\n", "table1.csv": b"arm,n\na,246\nb,440\n"}

app = typer.Typer()
app.add_typer(receipt.app, name="receipt")


@pytest.fixture(scope="module")
def issuer():
    return Issuer()


@pytest.fixture
def place(issuer, tmp_path):
    """A folder with a receipt, the environment's keys beside it, and the released files."""
    (tmp_path / "receipt.json").write_bytes(issuer.issue(a_manifest(FILES)).data())
    (tmp_path / "spe-keys.json").write_bytes(issuer.keys.data())
    for name, data in FILES.items():
        (tmp_path / "files" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "files" / name).write_bytes(data)
    return tmp_path


def run(*words):
    return CliRunner().invoke(app, ["receipt", "verify", *(str(word) for word in words)])


def test_a_genuine_receipt_is_told_in_words(place):
    answer = run(place / "receipt.json", "--key", place / "spe-keys.json")
    assert answer.exit_code == 0
    for text in ("The receipt is genuine.", "01 March 2026, 13:30:00 UTC", "pm-2222222222222222", "Nürnberg",
                 "figures/survival.csv", a_manifest(FILES).outputs[1].sha256):  # fmt: skip
        assert text in answer.output
    assert "trust comes" not in answer.output


def test_keys_found_beside_the_receipt_are_used_and_said_to_be_the_only_trust(place):
    answer = run(place / "receipt.json")
    assert answer.exit_code == 0
    assert "trust comes from that file alone" in answer.output


def test_without_any_keys_the_command_was_called_wrongly(place):
    (place / "spe-keys.json").unlink()
    answer = run(place / "receipt.json")
    assert answer.exit_code == 2
    assert "--key" in answer.output


def test_a_changed_receipt_is_refused_with_one_sentence_and_what_to_do(place):
    data = (place / "receipt.json").read_bytes()
    (place / "receipt.json").write_bytes(data.replace(b"data-user", b"data-over"))
    answer = run(place / "receipt.json")
    assert answer.exit_code == 1
    assert "Not genuine: The signature does not fit" in answer.output
    assert "Do not rely on this file" in answer.output
    assert "genuine." not in answer.stdout


def test_a_receipt_under_strangers_keys_is_refused(place):
    (place / "other.json").write_bytes(Issuer().keys.data())
    answer = run(place / "receipt.json", "--key", place / "other.json")
    assert answer.exit_code == 1
    assert "not among the trusted release keys" in answer.output


@pytest.mark.parametrize("data", [b"", b"not keys", b"{}", b"\xff" * 100_000])
def test_a_key_file_that_is_none_is_a_wrong_call(place, data):
    (place / "bad.json").write_bytes(data)
    answer = run(place / "receipt.json", "--key", place / "bad.json")
    assert answer.exit_code == 2
    assert "not a file of public keys" in " ".join(answer.output.split()).replace("│ ", "")


@pytest.mark.parametrize("name", ["missing.json", "files"])
def test_a_receipt_that_is_no_file_is_a_wrong_call(place, name):
    assert run(place / name).exit_code == 2


def test_released_files_are_compared(place):
    answer = run(place / "receipt.json", "--files", place / "files")
    assert answer.exit_code == 0
    assert "All 2 files" in answer.output


def test_a_changed_and_a_missing_file_are_named(place):
    (place / "files" / "table1.csv").write_bytes(b"arm,n\na,1\nb,440\n")
    (place / "files" / "figures" / "survival.csv").unlink()
    answer = run(place / "receipt.json", "--files", place / "files")
    assert answer.exit_code == 1
    assert "table1.csv has another SHA-256" in answer.output
    assert "figures/survival.csv cannot be read" in answer.output


def test_programs_get_json(place):
    answer = run(place / "receipt.json", "-o", "json", "--files", place / "files")
    document = json.loads(answer.stdout)
    assert document["genuine"] is True
    assert document["differences"] == []
    assert document["manifest"]["outputs"][0]["path"] == "figures/survival.csv"


def test_a_path_that_would_turn_the_line_around_is_escaped(place, issuer):
    receipt_file = place / "receipt.json"
    receipt_file.write_bytes(issuer.issue(a_manifest({"a\u202egpj.exe": b"x"})).data())
    answer = run(receipt_file)
    assert answer.exit_code == 0
    assert "\u202e" not in answer.output
    assert "a\\u202egpj.exe" in answer.output


def test_it_works_in_a_process_without_any_network_and_reads_no_settings(place):
    program = (
        "import typer; from spe.cli import receipt; "
        "app = typer.Typer(); app.add_typer(receipt.app, name='receipt'); app()"
    )
    done = subprocess.run(
        ["bwrap", "--ro-bind", "/", "/", "--unshare-all", "--clearenv", "--setenv", "PYTHONPATH", os.getcwd(),
         "--setenv", "PATH", "/usr/bin:/bin", "--setenv", "PYTHONUTF8", "1",
         sys.executable, "-c", program, "receipt", "verify", str(place / "receipt.json")],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("The receipt is genuine.")
