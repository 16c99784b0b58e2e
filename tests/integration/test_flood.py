"""A flood in a notebook ends at the day's budget: the connection is cut, the person is told, the audit knows.

Through portal, Hub, proxy and gate, as a person's browser goes. What arrived is counted here, on the browser's
side, and held against the permit's limit.
"""

import asyncio
import os
import signal

import aiohttp
import pytest

from spe.cli.demo.browser import Browser, Notebook, Refusal
from spe.domain.permit import Limits
from tests.support.person import Company, Granted, until
from tests.support.wire import Heard, Meter, at_desk, gate_pid, line

WHO, OTHER = "researcher-a", "researcher-b"
SMALL = 20 * 1024**2
FLOOD = 200_000_000
IN_PIECES = f"for _ in range({FLOOD} // 100_000): print('x' * 99_999, flush=True)"
IN_ONE = f"print('x' * {FLOOD}, flush=True)"
LARGEST_PIECE = 500_000
TOO_MANY, OVER = 429, 4429


async def flooded(people: Company, granted: Granted, key: str, code: str) -> Heard:
    """What a person's browser got of a flood, until the end of the connection."""
    async with at_desk(people, granted, key) as (browser, notebook):
        async with line(browser, notebook) as own:
            heard = await own.flood(code)
        print(f"{key}: {heard.size} of {FLOOD} bytes arrived, closed with {heard.code}: “{heard.reason}”")
        print(f"{key}: in the notebook: “{heard.sentences[-1].strip()}”")
        return heard


async def turned_away(browser: Browser, notebook: Notebook) -> list[str]:
    """Whatever is asked anew the same day gets the sentence instead; returns them."""
    sentences = []
    for path in ("api/contents?content=1", "api/kernels", "api/me", "lab"):
        with pytest.raises(Refusal) as no:
            await notebook.call("GET", path)
        assert no.value.status == TOO_MANY, no.value
        sentences.append(str(no.value))
    for path in ("", "api/events/subscribe"):
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            async with line(browser, notebook, path):
                pass
        assert refused.value.status == TOO_MANY, refused.value
    return sentences


async def works(people: Company, granted: Granted, key: str) -> None:
    async with people.kernel(granted.workspace, key) as notebook:
        assert (await notebook.run("print('still here')")).text == "still here\n"


def exceeded(people: Company, granted: Granted, key: str) -> list[dict[str, object]]:
    """What the auditor reads about a person's spent budget."""
    entries = people.events(granted.workspace, "gate.budget-exceeded")
    return [entry["details"] for entry in entries if entry["details"]["person"] == people.id(key)]


def test_printing_200_mb_ends_at_the_budget_for_the_day_and_for_this_person_only(people: Company) -> None:
    granted = people.grant(WHO, OTHER, limits={"daily_bytes": SMALL})
    meter = Meter(people=people, workspace=granted.workspace, key=WHO)
    people.enter(granted, WHO)

    async def story() -> list[str]:
        async with at_desk(people, granted, WHO) as (browser, notebook):
            async with line(browser, notebook) as own:
                heard = await own.flood(IN_PIECES)
            told(heard)
            assert SMALL - LARGEST_PIECE < heard.size <= SMALL
            assert "allowance" in heard.sentences[-1]
            assert "spe egress submit" in heard.sentences[-1]
            said = await turned_away(browser, notebook)
            people.enter(granted, OTHER)
            await works(people, granted, OTHER)
            killed = gate_pid(people, granted.workspace)
            os.kill(killed, signal.SIGKILL)
            until("the gate is a new process", lambda: gate_pid(people, granted.workspace) != killed)
            said += await turned_away(browser, notebook)
            await works(people, granted, OTHER)
            return said

    said = asyncio.run(story())
    print("asked anew:", said[0])
    assert [sentence for sentence in said if "00:00 UTC" not in sentence or "egress" not in sentence] == []
    assert meter.session()["remaining_bytes"] == 0
    assert Meter(people=people, workspace=granted.workspace, key=OTHER).session()["remaining_bytes"] > SMALL // 2
    entries = until("the auditor reads it", lambda: exceeded(people, granted, WHO))
    print("audit:", entries)
    assert {entry["limit"] for entry in entries} == {SMALL}
    assert exceeded(people, granted, OTHER) == []


def test_neither_a_gate_killed_in_a_flood_nor_a_new_session_gives_a_byte_back(people: Company) -> None:
    granted = people.grant(WHO, limits={"daily_bytes": SMALL})
    people.enter(granted, WHO)

    async def story() -> tuple[Heard, Heard]:
        async with at_desk(people, granted, WHO) as (browser, notebook):
            killed = gate_pid(people, granted.workspace)
            async with line(browser, notebook) as own:
                first = await own.flood(IN_PIECES, lambda heard: heard.size > SMALL // 4)
                os.kill(killed, signal.SIGKILL)
                await own.hear(lambda heard: False, first)
            until("the gate is a new process", lambda: gate_pid(people, granted.workspace) != killed)
            async with line(browser, notebook) as own:
                return first, await own.flood(IN_PIECES)

    async def opened() -> int:
        async with people.browser(WHO) as browser:
            with pytest.raises(Refusal) as no:
                await browser.open_notebook(granted.workspace, people.id(WHO))
            return no.value.status

    first, second = asyncio.run(story())
    print(f"{first.size} bytes until the kill, {second.size} after it, of {SMALL}")
    assert second.code == OVER
    assert first.size + second.size <= SMALL
    people.desk(WHO).post(f"/workspaces/{granted.workspace}/session:stop")
    people.enter(granted, WHO)
    assert asyncio.run(opened()) == TOO_MANY


def told(heard: Heard) -> None:
    """The end of the allowance, in a code and in whole sentences."""
    assert heard.code == OVER
    assert heard.reason.endswith("."), heard.reason


def test_the_usual_budget_ends_a_flood_in_pieces_and_in_one(people: Company) -> None:
    limit = Limits().daily_bytes
    granted = people.grant(WHO, OTHER)
    assert people.desk(WHO).get(f"/permits/{granted.permit}")["terms"]["limits"]["daily_bytes"] == limit
    for key, code, least in ((WHO, IN_PIECES, limit - LARGEST_PIECE), (OTHER, IN_ONE, 0)):
        people.enter(granted, key)
        heard = asyncio.run(flooded(people, granted, key, code))
        told(heard)
        assert least < heard.size <= limit
        entries = until("the auditor reads it", lambda key=key: exceeded(people, granted, key))  # type: ignore[misc]
        assert entries[0]["limit"] == limit
