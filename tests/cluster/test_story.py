"""The story on a cluster: the same steps as on one host, played against the chart's release."""

import asyncio
import time
from dataclasses import replace

import pytest

from spe.cli.demo.play import tell
from spe.cli.demo.story import ENDING, SEED, Tale
from tests.cluster.house import House

pytestmark = [pytest.mark.servers, pytest.mark.timeout(1500)]


def test_the_story_is_told_on_a_cluster(opened: House, tale: Tale) -> None:
    told = replace(tale, datasets=[], desks={}, started=time.monotonic())
    assert asyncio.run(tell(told, (*SEED, *ENDING))) == 0, opened.told()
