"""A world and its front door for each test, and one for each module of tests that only read."""

from collections.abc import Iterator

import pytest

from tests.support.ground import Ground, world
from tests.web.front import Front


@pytest.fixture
def ground(tmp_path) -> Iterator[Ground]:
    with world(tmp_path) as made:
        yield made


@pytest.fixture
def front(ground: Ground) -> Front:
    return Front(ground)


@pytest.fixture(scope="module")
def shared_front(tmp_path_factory) -> Iterator[Front]:
    with world(tmp_path_factory.mktemp("world")) as made:
        yield Front(made)
