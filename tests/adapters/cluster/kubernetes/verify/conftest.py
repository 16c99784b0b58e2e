"""One instance on the cluster for each module that needs one."""

from collections.abc import Iterator

import pytest

from tests.adapters.cluster.kubernetes.ground import Ground, ground


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    with ground(tmp_path_factory.mktemp("accounts")) as made:
        yield made
