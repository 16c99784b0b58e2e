"""What researchers call inside a workspace reaches the gate by its port as it does by a socket."""

import asyncio
import os
import subprocess
import sys
from typing import Any

import pytest

from tests.gate.pods import DOOR, cluster
from tests.gate.support import PERSON

PROGRAM = """
import sys, spe.notebook
try:
    print(spe.notebook.call("GET", "/permit"))
except spe.notebook.Refused as refused:
    print(refused.status, *refused.sentences)
"""


async def inside(door: str) -> str:
    """What the program prints; it calls from the machine's usual loopback address."""
    env = {**{k: v for k, v in os.environ.items() if not k.startswith("SPE_")}, "SPE_DOOR": door}
    command = [sys.executable, "-c", PROGRAM]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=60, env=env)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def run(story: Any) -> Any:
    return asyncio.run(story)


def test_a_call_from_a_pod_reaches_the_portal_for_the_person_whose_pod_it_is() -> None:
    async def story() -> Any:
        async with cluster(PERSON) as around:
            around.portal.table[PERSON] = "127.0.0.1"
            said = await inside(f"http://{around.host}:{DOOR}")
            [(method, path, headers, _)] = around.portal.calls
            return said, method, path, headers["X-Spe-Person"]

    assert run(story()) == ("{'bytes': 0}", "GET", "/workspace/permit", PERSON)


def test_a_refusal_by_the_gate_is_told_with_its_sentences() -> None:
    async def story() -> str:
        async with cluster(PERSON) as around:
            return await inside(f"http://{around.host}:{DOOR}")

    said = run(story())
    assert said.startswith("403 No session of this workspace runs at the address that calls.")


@pytest.mark.parametrize("door", ["https://127.0.0.1:8081", "http://", "http://127.0.0.1:port", "ftp://127.0.0.1"])
def test_a_door_that_is_none_is_said_so(door: str) -> None:
    assert "SPE_DOOR does not name the gate" in run(inside(door))


def test_a_gate_that_is_not_there_is_told_apart_from_a_refusal() -> None:
    said = run(inside("http://127.0.0.1:9"))
    assert said.startswith("503 The gate does not answer")
