"""One environment on the cluster for all tests that do not end it."""

import asyncio
import time
from collections.abc import Iterator

import pytest

from spe.cli.demo.play import tell
from spe.cli.demo.story import SEED, Tale
from tests.cluster.cast import call_together
from tests.cluster.house import House, house
from tests.cluster.people import Town


@pytest.fixture(scope="session")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """The chart installed with every production adapter."""
    with house(tmp_path_factory.mktemp("house")) as made:
        yield made


@pytest.fixture(scope="session")
def tale(opened: House) -> Tale:
    """Nothing has happened yet: everybody is registered."""
    return Tale(
        portal=opened.portal,
        hub=opened.hub,
        home=opened.folder,
        players=asyncio.run(call_together(opened)),
        started=time.monotonic(),
        data=opened.data,
        source=lambda place: f"hostPath:{place}",
    )


@pytest.fixture(scope="session")
def people(opened: House, tale: Tale) -> Iterator[Town]:
    """Everybody at work; two dataset versions and a secret are there."""
    assert asyncio.run(tell(tale, SEED[:2])) == 0, opened.told()
    town = Town(opened, tale)
    yield town
    town.close()
