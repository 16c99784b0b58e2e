"""A world on PostgreSQL and two portals over it: the tests of one portal pass behind both."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import databases
from tests.support.databases import POSTGRES
from tests.support.ground import Ground, world
from tests.support.prepared import store_of
from tests.web.replicas import Replicated, replica


@pytest.fixture(params=POSTGRES)
def ground(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ground]:
    with world(tmp_path, url=databases.fresh(request.param, tmp_path).url) as made:
        yield made


@pytest.fixture
def front(ground: Ground) -> Iterator[Replicated]:
    made = Replicated(ground, second=replica(ground, store_of(ground).url))
    for portal in made.each:
        # FastAPI builds its routes at the first request, behind a switch for warnings that threads share.
        assert portal.client().get("/api/v1/nowhere").status_code == 404
    yield made
    assert made.second is not None
    store_of(made.each[1].ground).close()
