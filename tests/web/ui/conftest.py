"""One furnished world for tests that only read pages."""

import pytest

from tests.web.front import Front
from tests.web.ui.browser import Browser
from tests.web.ui.estate import Estate, estate


@pytest.fixture(scope="module")
def furnished(shared_front: Front) -> Estate:
    return estate(shared_front.ground)


@pytest.fixture(scope="module")
def browsers(shared_front: Front):
    known: dict[str, Browser] = {}

    def of(name: str) -> Browser:
        return known.setdefault(name, Browser(shared_front, name))

    return of
