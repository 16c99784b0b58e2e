"""Worlds that are cleared after each test."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.adapters.cluster.support import World


@pytest.fixture
def make_world(tmp_path: Path) -> Iterator[Callable[..., World]]:
    """Makes worlds that are not up yet."""
    made: list[World] = []

    def make(**changes: Any) -> World:
        home = tmp_path / f"home-{len(made)}"
        home.mkdir()
        made.append(World(home=home, **changes))
        return made[-1]

    yield make
    for world in made:
        world.clear()


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    """One environment that is up."""
    return make_world().up()
