"""One running chain for all tests of the Hub; every test brings people nobody has seen."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.hub_stack import Stack, running_stack
from tests.support.standin_portal import Script


@pytest.fixture(scope="session")
def chain() -> Iterator[Stack]:
    quick = {"refresh_seconds": 1, "route_check_seconds": 1, "poll_seconds": 1}
    with running_stack(sessions_per_person=2, **quick) as stack:
        yield stack


@pytest.fixture
def stack(chain: Stack) -> Iterator[Stack]:
    yield chain
    # Whoever was entitled stays so: a session may be shared by the tests of a file.
    script = chain.portal.script
    script.silent = False
    chain.portal.script = Script(entitled=script.entitled)


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """A folder whose path leaves room for a socket's name."""
    folder = Path(tempfile.mkdtemp(prefix="spe-", dir="/tmp"))
    yield folder
    shutil.rmtree(folder)
