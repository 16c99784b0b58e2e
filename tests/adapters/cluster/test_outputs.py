"""The outputs folder as the portal sees it: regular files only, whatever its owner puts there."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from spe.adapters.cluster.embedded.layout import Layout
from spe.adapters.cluster.embedded.outputs import EmbeddedOutputs
from spe.domain.errors import Invalid
from spe.domain.ids import new_person, new_workspace

WORKSPACE, PERSON = new_workspace(), new_person()


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(run=tmp_path / "run", home=tmp_path / "home")


@pytest.fixture
def folder(layout: Layout) -> Iterator[Path]:
    path = layout.outputs(WORKSPACE, PERSON)
    path.mkdir(parents=True)
    yield path
    for below in path.iterdir():
        if below.is_dir() and not below.is_symlink():
            below.chmod(0o700)


def test_before_the_first_session_there_is_nothing(layout: Layout) -> None:
    assert EmbeddedOutputs(layout).candidates(WORKSPACE, PERSON) == ()


def test_regular_files_are_listed_by_path_and_read(layout: Layout, folder: Path) -> None:
    (folder / "tables").mkdir()
    (folder / "tables" / "one.csv").write_bytes(b"a,b\n")
    (folder / "figure.png").write_bytes(b"png")
    found = EmbeddedOutputs(layout).candidates(WORKSPACE, PERSON)
    assert [(c.path, c.size, c.problem) for c in found] == [("figure.png", 3, ""), ("tables/one.csv", 4, "")]
    assert b"".join(EmbeddedOutputs(layout).read(WORKSPACE, PERSON, "tables/one.csv")) == b"a,b\n"


def test_links_pipes_and_sockets_are_reported_and_never_read(layout: Layout, folder: Path) -> None:
    secret = folder.parent / "secret"
    secret.write_text("secret")
    (folder / "link").symlink_to(secret)
    (folder / "linked").symlink_to(folder.parent)
    os.mkfifo(folder / "pipe")
    handle = os.open(folder, os.O_PATH)
    with socket.socket(socket.AF_UNIX) as end:
        end.bind(f"/proc/self/fd/{handle}/sock")
    os.close(handle)
    found = {c.path: c.problem for c in EmbeddedOutputs(layout).candidates(WORKSPACE, PERSON)}
    assert set(found) == {"link", "linked", "pipe", "sock"}
    assert all(found.values())
    for path in ("link", "linked/secret", "pipe", "sock"):
        with pytest.raises(Invalid):
            EmbeddedOutputs(layout).read(WORKSPACE, PERSON, path)


@pytest.mark.parametrize("path", ["", "/etc/passwd", "../home", "a/../../home", "none", ".", "a\0b"])
def test_a_path_that_leads_elsewhere_is_invalid(layout: Layout, folder: Path, path: str) -> None:
    with pytest.raises(Invalid):
        EmbeddedOutputs(layout).read(WORKSPACE, PERSON, path)


def test_a_closed_folder_and_an_unreadable_name_are_reported(layout: Layout, folder: Path) -> None:
    (folder / "closed").mkdir(mode=0)
    (Path(os.fsdecode(os.fsencode(folder) + b"/\xff"))).touch()
    found = {c.path: c.problem for c in EmbeddedOutputs(layout).candidates(WORKSPACE, PERSON)}
    assert "cannot be opened" in found["closed"]
    assert "not readable text" in found["�"]


def test_no_more_than_a_thousand_are_listed(layout: Layout, folder: Path) -> None:
    for number in range(1100):
        (folder / f"{number}").touch()
    assert len(EmbeddedOutputs(layout).candidates(WORKSPACE, PERSON)) == 1000
