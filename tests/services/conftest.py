"""Each test stands in its own copy of one prepared world."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.ground import Ground
from tests.support.prepared import Template


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Template:
    return Template(tmp_path_factory.mktemp("template"))


@pytest.fixture
def ground(template: Template, tmp_path: Path) -> Iterator[Ground]:
    with template.copy(tmp_path / "world") as found:
        yield found
