"""How a permit ends: the kernel's connection closed, the sandbox gone, secrets, data and folders after it."""

import asyncio
import json
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Any

import pytest

from spe.cli.demo import notebook, story
from spe.cli.demo.cast import Player
from spe.cli.demo.story import SECRET_NAME, Tale
from tests.integration.test_kill import processes
from tests.support.instance import Instance, instance

ROUNDS = int(os.environ.get("SPE_ROUNDS", "10"))
BOUND = 2.0
"""Seconds that the environment promises, as a median."""
SERVER = "jupyterhub.singleuser"


def tale_of(running: Instance) -> Tale:
    """A story over the seeded environment, with its datasets and people."""
    facts = running.facts
    tale = Tale(
        portal=facts["portal"],
        hub=facts["hub"],
        home=running.home,
        players={p["key"]: Player(**p) for p in facts["people"]},
        started=time.monotonic(),
    )
    tale.datasets = [tale.desk("operator").get(f"/datasets/{key}") for key in facts["datasets"]]
    return tale


async def gone(what: str, look: Callable[[], bool], began: float) -> float:
    """Seconds since `began` until `look` is true."""
    while not await asyncio.to_thread(look):
        assert time.monotonic() - began < 30, f"{what} is still there"
        await asyncio.sleep(0.01)
    return time.monotonic() - began


async def opened(tale: Tale) -> None:
    """A new permit with its workspace, the second researcher inside, a secret borrowed."""
    await story.permit(tale)
    await story.workspace(tale)
    await story.open_notebook(tale, "researcher-b")
    lent = json.loads(await story.run(tale, notebook.SECRET.format(name=SECRET_NAME)))
    assert lent["exit"] == 0, lent


async def ended(running: Instance, tale: Tale, end: Callable[[], Any]) -> tuple[float, float]:
    """End the permit; seconds until the websocket closed and until the sandbox's processes were gone."""
    assert tale.notebook is not None
    before = len(processes(running, SERVER))
    began = time.monotonic()
    cut = asyncio.create_task(tale.notebook.closed(seconds=30))
    await asyncio.sleep(0)
    await asyncio.to_thread(end)
    reason = await cut
    closed = time.monotonic() - began
    sandbox = await gone("the sandbox", lambda: len(processes(running, SERVER)) < before, began)
    print(f"closed after {closed:.2f} s, processes gone after {sandbox:.2f} s ({reason})")
    operator = tale.desk("operator")
    path = f"/workspaces/{tale.workspace}"
    await gone("the workspace", lambda: operator.get(path)["state"] == "closed", began)
    assert not (running.home / "workspaces" / tale.workspace).exists()
    events = [e["event"] for e in tale.desk("auditor").get("/audit/entries", subject=tale.workspace)["items"]]
    for event in ("secret.leased", "secret.revoked", "workspace.closed"):
        assert event in events, events
    return closed, sandbox


async def rounds(running: Instance) -> None:
    tale = tale_of(running)
    try:
        seen = []
        for _ in range(ROUNDS):
            await opened(tale)
            board, address = tale.desk("board-a"), f"/permits/{tale.permit}:revoke"
            seen.append(await ended(running, tale, lambda b=board, a=address: b.post(a, {"reason": "It is over."})))
        closed, sandbox = (median(one) for one in zip(*seen, strict=True))
        print(f"median of {ROUNDS}: websocket {closed:.2f} s, processes {sandbox:.2f} s")
        assert closed <= BOUND
        assert sandbox <= BOUND
        await opened(tale)
        terms = tale.desk("board-a").get(f"/permits/{tale.permit}")["terms"]
        soon = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
        tale.desk("board-a").post(f"/permits/{tale.permit}:amend", {**terms, "ends": soon})
        clock = running.home / "clock-offset"
        await ended(running, tale, lambda: clock.write_text(str(2 * 3600)))
        assert tale.desk("board-a").get(f"/permits/{tale.permit}")["state"] in ("expired", "closed")
    finally:
        await tale.close()


@pytest.mark.timeout(600)
def test_a_revoked_or_expired_permit_ends_everything_but_the_evidence() -> None:
    with instance("--demo") as running:
        running.wait_until_seeded()
        asyncio.run(rounds(running))
