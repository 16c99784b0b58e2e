"""One seeded environment for all tests that do not end it."""

import secrets
from collections.abc import Iterator

import pytest

from tests.support.instance import instance
from tests.support.person import Company, company

MARK = f"planted-{secrets.token_hex(8)}"
"""Stands in the environment of the portal's process, in its title."""


@pytest.fixture(scope="session")
def people() -> Iterator[Company]:
    """Everybody at work in an environment of their own."""
    with instance("--demo", SPE_TITLE=f"Environment of the tests, {MARK}") as running:
        running.wait_until_seeded()
        with company(running) as everybody:
            yield everybody
