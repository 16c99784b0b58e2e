"""What the pod that reads a dataset says, and how much of it the portal believes."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from spe.adapters.cluster.folder import manifest_of
from spe.adapters.cluster.intake import main, rows, told
from spe.domain.dataset import Manifest, ManifestFile
from spe.domain.errors import Invalid, Unavailable

SOURCE = "nfs://files.example.org/cohort"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "cohort"
    place.mkdir()
    (place / "a.csv").write_text("a\n")
    (place / "Größe \U0001f40e.csv").write_text("b\n")
    return place


def said(folder: Path, words: Path, capsys: pytest.CaptureFixture[str]) -> tuple[bytes, dict[str, Any]]:
    assert main(str(folder), str(words)) == 0
    last: dict[str, Any] = json.loads(words.read_text(encoding="utf-8"))
    return capsys.readouterr().out.encode(), last


def test_what_it_says_is_the_manifest(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert told(*said(folder, tmp_path / "words", capsys), SOURCE) == manifest_of(folder)


def test_what_it_says_is_plain_ascii(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log, last = said(folder, tmp_path / "words", capsys)
    assert log.isascii()
    assert log.count(b"\n") == last["files"] == 2


def test_what_is_no_dataset_is_told_of_the_source(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "link").symlink_to("a.csv")
    log, last = said(folder, tmp_path / "words", capsys)
    assert log == b""
    with pytest.raises(Invalid) as caught:
        told(log, last, SOURCE)
    assert caught.value.fields["folder"].startswith("link is a symbolic link;")


@pytest.mark.parametrize(
    ("sentence", "shown"),
    [
        ("/data holds no files; put some there.", f"{SOURCE} holds no files; put some there."),
        ("/database is wrong.", "/database is wrong."),
        ("x/data is a symbolic link.", "x/data is a symbolic link."),
    ],
)
def test_the_place_in_the_pod_is_not_spoken_of(sentence: str, shown: str) -> None:
    with pytest.raises(Invalid) as caught:
        told(b"", {"invalid": sentence}, SOURCE)
    assert caught.value.fields == {"folder": shown}


def test_the_longest_sentence_fits_into_the_clusters_record(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """4096 bytes are kept; a path may be that long by itself."""
    place = folder
    for _ in range(12):
        place /= "\U0001f40e" * 60
        place.mkdir()
    (place / "link").symlink_to("a.csv")
    said(folder, tmp_path / "words", capsys)
    assert len((tmp_path / "words").read_bytes()) <= 4096


MANIFEST = Manifest.of(ManifestFile(path=f"part-{n}.csv", size=n, sha256=f"{n:064x}") for n in range(20))
LOG = "".join(rows(MANIFEST)).encode()
LAST = {"files": 20, "digest": MANIFEST.digest}
SPOILT: dict[str, Callable[[bytes], bytes]] = {
    "the end is missing": lambda log: log[:-1000],
    "the last line is missing": lambda log: log[: log.rindex(b"[")],
    "the beginning is missing": lambda log: log[log.index(b"\n") + 1 :],
    "a line is doubled": lambda log: log + log[: log.index(b"\n") + 1],
    "two lines became one": lambda log: log.replace(b"\n", b"", 1),
    "a line of somebody else": lambda log: b'{"level": "info"}\n' + log,
    "a file of somebody else": lambda log: log + json.dumps(["x.csv", 1, "0" * 64]).encode(),
    "another size": lambda log: log.replace(b", 3, ", b", 4, "),
    "a size that is none": lambda log: log.replace(b", 3, ", b", -3, "),
    "a size that is a truth": lambda log: log.replace(b", 1, ", b", true, "),
    "a path that leads out": lambda log: log.replace(b"part-3", b"../part-3"),
    "a digest that is none": lambda log: log.replace(b"0" * 63 + b"3", b"0" * 63 + b"X"),
    "no text": lambda log: b"\xff\xfe" + log,
    "deep brackets": lambda log: b"[" * 100_000,
    "nothing": lambda log: b"",
}


def test_whole_it_is_the_manifest() -> None:
    assert told(LOG, LAST, SOURCE) == MANIFEST


@pytest.mark.parametrize("how", SPOILT)
def test_what_did_not_arrive_whole_is_nothing(how: str) -> None:
    with pytest.raises(Unavailable, match="arrived"):
        told(SPOILT[how](LOG), LAST, SOURCE)


WORDS: tuple[dict[str, Any], ...] = (
    {},
    {"files": 20},
    {"digest": MANIFEST.digest},
    {"files": 19, "digest": MANIFEST.digest},
    {"files": 20, "digest": "sha256:" + "0" * 64},
)


@pytest.mark.parametrize("last", WORDS)
def test_without_fitting_last_words_it_is_nothing(last: dict[str, Any]) -> None:
    with pytest.raises(Unavailable, match="incomplete"):
        told(LOG, last, SOURCE)


def test_no_file_at_all_is_no_manifest_even_when_both_agree() -> None:
    with pytest.raises(Unavailable, match="incomplete"):
        told(b"", {"files": 0, "digest": Manifest.of(()).digest}, SOURCE)


def test_it_needs_nothing_but_the_standard_library_and_the_domain() -> None:
    """It runs isolated; whatever it imports runs beside the data."""
    script = (
        "import json, sys; sys.path.insert(0, sys.argv[1]); before = set(sys.modules)\n"
        "import spe.adapters.cluster.intake\n"
        "print(json.dumps(sorted(set(sys.modules) - before)))"
    )
    top = str(Path(__file__).parents[3])
    done = subprocess.run([sys.executable, "-I", "-S", "-c", script, top], capture_output=True, text=True, check=True)
    others = [name for name in json.loads(done.stdout) if name.partition(".")[0] not in sys.stdlib_module_names]
    allowed = {"spe", "spe.domain", "spe.adapters", "spe.adapters.cluster"}
    allowed |= {"spe.adapters.cluster.intake", "spe.adapters.cluster.folder"}
    assert {name for name in others if not name.startswith("spe.domain.")} <= allowed
