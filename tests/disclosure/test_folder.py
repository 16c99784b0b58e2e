"""The folder of outputs is read by descriptor: nothing outside it, and nothing that could make us wait."""

import os
from pathlib import Path

import pytest

from spe.disclosure.content import EntryKind
from spe.disclosure.engine import examine
from spe.disclosure.folder import Closed, Folder
from spe.domain.errors import Invalid
from spe.domain.verdict import Verdict
from tests.disclosure.cases import build, default_policy


def kinds(folder: Path) -> dict[str, EntryKind]:
    with Folder(folder) as opened:
        return {entry.path: entry.kind for entry in opened.entries()}


def test_every_entry_is_told_without_following_it(tmp_path: Path) -> None:
    build(
        tmp_path,
        {"a.csv": "x", "l": {"link": "/etc"}, "p": {"pipe": True}, "s": {"socket": True}, "d/e.csv": "x"},
    )

    assert kinds(tmp_path) == {
        "a.csv": EntryKind.FILE,
        "l": EntryKind.LINK,
        "p": EntryKind.PIPE,
        "s": EntryKind.SOCKET,
        "d": EntryKind.FOLDER,
        "d/e.csv": EntryKind.FILE,
    }


def test_a_device_is_listed_as_one_and_never_opened() -> None:
    with Folder(Path("/dev")) as opened:
        entry = next(entry for entry in opened.entries() if entry.path == "null")

        assert entry.kind is EntryKind.DEVICE
        assert not entry.readable
        with pytest.raises(Closed):
            opened.read("null", 10)


def test_a_named_pipe_put_in_the_place_of_a_file_does_not_make_the_reader_wait(tmp_path: Path) -> None:
    build(tmp_path, {"a.csv": "x"})
    with Folder(tmp_path) as opened:
        build(tmp_path, {"a.csv": {"pipe": True}})

        with pytest.raises(Closed):
            opened.read("a.csv", 10)


@pytest.mark.parametrize("swap", ["a.csv", "folder/b.csv"])
def test_a_link_put_in_the_place_of_a_file_is_not_followed(tmp_path: Path, swap: str) -> None:
    build(tmp_path / "in", {"a.csv": "x", "folder/b.csv": "x"})
    (tmp_path / "secret").write_text("secret")
    with Folder(tmp_path / "in") as opened:
        build(tmp_path / "in", {swap: {"link": str(tmp_path / "secret")}})

        with pytest.raises(Closed):
            opened.read(swap, 10)


def test_a_link_put_in_the_place_of_a_folder_is_not_followed(tmp_path: Path) -> None:
    build(tmp_path / "in", {"folder/b.csv": "x"})
    build(tmp_path / "out", {"b.csv": "secret"})
    with Folder(tmp_path / "in") as opened:
        (tmp_path / "in/folder/b.csv").unlink()
        (tmp_path / "in/folder").rmdir()
        (tmp_path / "in/folder").symlink_to(tmp_path / "out")

        with pytest.raises(Closed):
            opened.read("folder/b.csv", 10)


def test_a_path_with_parents_in_it_cannot_leave_the_folder(tmp_path: Path) -> None:
    build(tmp_path / "in", {"b.csv": "x"})
    (tmp_path / "in" / "loop").symlink_to("..")
    with Folder(tmp_path / "in") as opened, pytest.raises(Closed):
        opened.read("loop/in/b.csv", 10)


def test_a_file_larger_than_asked_is_hashed_and_not_kept(tmp_path: Path) -> None:
    build(tmp_path, {"a.csv": "12345"})
    with Folder(tmp_path) as opened:
        found = opened.read("a.csv", 4)

    assert found.data is None
    assert found.size == 5


@pytest.mark.parametrize(("name", "word"), [("missing", "no folder"), ("file", "is a file")])
def test_what_is_no_folder_is_refused_in_words(tmp_path: Path, name: str, word: str) -> None:
    (tmp_path / "file").write_text("x")

    with pytest.raises(Invalid, match=word):
        Folder(tmp_path / name)


def test_a_file_that_may_not_be_read_is_a_block(tmp_path: Path) -> None:
    build(tmp_path, {"a.csv": "arm,n\nA,20\n"})
    (tmp_path / "a.csv").chmod(0)

    report = examine(tmp_path, default_policy())

    assert report.verdict is Verdict.BLOCK
    assert "cannot be read" in report.findings[0].message


def test_a_folder_that_may_not_be_listed_is_a_block(tmp_path: Path) -> None:
    build(tmp_path, {"a.csv": "arm,n\nA,20\n", "inner/b.csv": "arm,n\nA,20\n"})
    (tmp_path / "inner").chmod(0)
    try:
        report = examine(tmp_path, default_policy())
    finally:
        (tmp_path / "inner").chmod(0o700)

    assert report.verdict is Verdict.BLOCK


def test_a_folder_nested_without_end_is_a_block(tmp_path: Path) -> None:
    place = tmp_path
    for _ in range(60):
        place = place / "d"
    place.mkdir(parents=True)

    assert examine(tmp_path, default_policy()).verdict is Verdict.BLOCK


def test_ten_thousand_entries_are_enough(tmp_path: Path) -> None:
    for number in range(10_001):
        os.mkdir(tmp_path / str(number))

    report = examine(tmp_path, default_policy())

    assert report.verdict is Verdict.BLOCK
    assert "10000" in report.findings[0].message


def test_a_name_that_is_no_utf8_is_a_block(tmp_path: Path) -> None:
    with open(os.fsencode(tmp_path) + b"/t\xff.csv", "w") as file:
        file.write("arm,n\nA,20\n")

    report = examine(tmp_path, default_policy())

    assert {finding.check for finding in report.all_findings} == {"PKG-03"}
    assert report.verdict is Verdict.BLOCK
