"""Removing what a sandbox wrote: deep, closed, linked."""

import os
from pathlib import Path

import pytest

from spe.adapters.cluster.embedded import folders
from spe.adapters.cluster.embedded.layout import Layout
from spe.domain.ids import new_person, new_workspace


def test_a_folder_that_is_not_there_is_fine(tmp_path: Path) -> None:
    folders.remove(tmp_path / "none" / "none")
    folders.remove(tmp_path / "none")


def test_what_links_point_to_stays(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "kept").write_text("kept")
    (tmp_path / "tree" / "inner").mkdir(parents=True)
    (tmp_path / "tree" / "link").symlink_to(tmp_path / "outside")
    (tmp_path / "tree" / "inner" / "link").symlink_to(tmp_path / "outside")
    folders.remove(tmp_path / "tree")
    assert not (tmp_path / "tree").exists()
    assert (tmp_path / "outside" / "kept").read_text() == "kept"


def test_a_link_in_the_place_of_the_folder_is_removed_itself(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "tree").symlink_to(tmp_path / "outside")
    folders.remove(tmp_path / "tree")
    assert (tmp_path / "outside").is_dir()
    assert not (tmp_path / "tree").is_symlink()


@pytest.mark.parametrize("mode", [0o000, 0o100, 0o400, 0o500])
def test_a_folder_closed_to_its_owner_is_opened_and_removed(tmp_path: Path, mode: int) -> None:
    (tmp_path / "tree" / "closed" / "deeper").mkdir(parents=True)
    (tmp_path / "tree" / "closed" / "deeper" / "file").touch()
    (tmp_path / "tree" / "closed" / "deeper").chmod(mode)
    (tmp_path / "tree" / "closed").chmod(mode)
    folders.remove(tmp_path / "tree")
    assert not (tmp_path / "tree").exists()


def test_a_tree_deeper_than_any_path_is_removed(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    here = os.open(tmp_path / "tree", os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("deeper-and-deeper", dir_fd=here)
        below = os.open("deeper-and-deeper", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    folders.remove(tmp_path / "tree")
    assert not (tmp_path / "tree").exists()


def test_a_home_shows_the_way_to_what_lies_beside_it(tmp_path: Path) -> None:
    layout = Layout(run=tmp_path / "run", home=tmp_path / "home")
    places = folders.make_places(layout, new_workspace(), new_person())
    again = {name: os.readlink(places.home / name) for name in ("data", "outputs", "shared")}
    assert again == {"data": "/data", "outputs": "/workspace/outputs", "shared": "/workspace/shared"}
