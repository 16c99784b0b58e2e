"""One environment on the cluster for all tests that do not end it; a small cluster has no room for it afterwards."""

from collections.abc import Iterator

import pytest

from spe.cli.demo.story import Tale
from tests.cluster.house import House, house
from tests.cluster.people import Town, at_work, beginning


@pytest.fixture(scope="package")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """The chart installed with every production adapter."""
    with house(tmp_path_factory.mktemp("house")) as made:
        yield made


@pytest.fixture(scope="package")
def tale(opened: House) -> Tale:
    """Nothing has happened yet: everybody is registered."""
    return beginning(opened)


@pytest.fixture(scope="package")
def everybody(opened: House, tale: Tale) -> Iterator[Town]:
    """Everybody at work; two dataset versions and a secret are there."""
    with at_work(opened, tale) as town:
        yield town


@pytest.fixture(scope="module")
def people(everybody: Town) -> Iterator[Town]:
    """The same people for the tests of one module, whose permits end with it: a small cluster has no room to spare."""
    yield everybody
    everybody.end_permits()
