"""Measuring folders that somebody may have prepared."""

import asyncio
import os
from pathlib import Path

import pytest

from spe.adapters.cluster.embedded.usage import Unmeasurable, measured


def size(*folders: Path) -> int:
    return asyncio.run(measured([str(folder) for folder in folders]))


def test_files_below_all_folders_count(tmp_path: Path) -> None:
    (tmp_path / "a" / "deep").mkdir(parents=True)
    (tmp_path / "b").mkdir()
    before = size(tmp_path / "a", tmp_path / "b")
    (tmp_path / "a" / "deep" / "file").write_bytes(bytes(range(256)) * 4096)
    (tmp_path / "b" / "file").write_bytes(bytes(range(256)) * 4096)
    assert size(tmp_path / "a", tmp_path / "b") - before >= 2 * 1024 * 1024


def test_links_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "big").mkdir()
    (tmp_path / "big" / "file").write_bytes(b"x" * 1024 * 1024)
    (tmp_path / "small").mkdir()
    (tmp_path / "small" / "link").symlink_to(tmp_path / "big")
    (tmp_path / "small" / "loop").symlink_to(tmp_path / "small")
    assert size(tmp_path / "small") < 64 * 1024


def test_a_folder_that_is_not_there_holds_nothing(tmp_path: Path) -> None:
    assert size(tmp_path / "none") == 0


def test_a_closed_folder_cannot_be_measured(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0)
    with pytest.raises(Unmeasurable, match="cannot be read"):
        size(tmp_path)


def test_a_tree_too_deep_to_name_cannot_be_measured(tmp_path: Path) -> None:
    here = os.open(tmp_path, os.O_RDONLY)
    for _ in range(300):
        os.mkdir("x" * 20, dir_fd=here)
        below = os.open("x" * 20, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    with pytest.raises(Unmeasurable):
        size(tmp_path)
    from spe.adapters.cluster.embedded import folders

    folders.remove(tmp_path / ("x" * 20))
