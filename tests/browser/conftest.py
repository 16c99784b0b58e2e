"""A seeded environment and one Chromium for all tests of this package."""

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser as Chromium

from tests.browser.visitor import Visitor
from tests.support.chromium import launched
from tests.support.instance import instance
from tests.support.person import Company, company


@pytest.fixture(scope="package")
def people() -> Iterator[Company]:
    """Everybody of the demonstration, in a running environment."""
    with instance("--demo") as running:
        running.wait_until_seeded()
        with company(running) as everybody:
            yield everybody


@pytest.fixture(scope="package")
def chromium() -> Iterator[Chromium]:
    with launched() as browser:
        yield browser


@pytest.fixture
def visit(people: Company, chromium: Chromium) -> Iterator[Callable[..., Visitor]]:
    """`visit("board-a")`: that person signs in, in a browser context of their own that ends with the test."""
    contexts = []

    def arrive(key: str, *, script: bool = True) -> Visitor:
        context = chromium.new_context(
            viewport={"width": 1280, "height": 800},
            color_scheme="light",
            reduced_motion="reduce",
            java_script_enabled=script,
        )
        contexts.append(context)
        visitor = Visitor(key=key, portal=people.facts["portal"], page=context.new_page(), script=script)
        visitor.sign_in(people.link(key))
        return visitor

    yield arrive
    for context in contexts:
        context.close()
