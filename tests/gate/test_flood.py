"""A flood ends at the budget: the connection is cut, the person is told why, the audit hears of it once."""

import asyncio
import contextlib
import json
import time
from typing import Any

import aiohttp
import pytest
from aiohttp import WSMsgType, web

from spe.gate.messages import SUBPROTOCOL
from spe.gate.websocket import LARGEST_READ, LONGEST_REASON, MOST_LEFT_OUT, brief
from tests.gate.support import PERSON, frame, parts_of, until, world

BUDGET = 5_000_000
FLOOD = 20_000_000
PIECE = 20_000


async def flood(request: web.Request) -> web.StreamResponse:
    """A kernel that prints far more than anybody may see."""
    if not request.headers.get("Upgrade"):
        return web.Response(body=b"x" * PIECE)
    ws = web.WebSocketResponse(protocols=[SUBPROTOCOL])
    await ws.prepare(request)
    await ws.receive()
    sent = 0
    while sent < FLOOD and not ws.closed:
        data = frame("stream", {"name": "stdout", "text": "x" * PIECE})
        await ws.send_bytes(data)
        sent += len(data)
    await ws.close()
    return ws


async def drink(ws: aiohttp.ClientWebSocketResponse) -> tuple[int, list[dict[str, Any]], int | None]:
    """Bytes received of the flood, the gate's own messages, the close code."""
    await ws.send_bytes(frame("execute_request", channel="shell"))
    total = 0
    notices: list[dict[str, Any]] = []
    async with asyncio.timeout(60):
        while True:
            message = await ws.receive()
            if message.type is not WSMsgType.BINARY:
                return total, notices, message.data if message.type is WSMsgType.CLOSE else None
            parts = parts_of(message.data)
            if json.loads(parts[1])["username"] == "spe":
                notices.append({"parent": json.loads(parts[2]), "content": json.loads(parts[4])})
            else:
                total += len(message.data)


def test_a_flood_is_cut_at_the_budget_and_the_person_is_told_in_the_notebook() -> None:
    async def story() -> Any:
        async with world(flood, daily_bytes=BUDGET) as around:
            async with around.socket() as ws:
                total, notices, code = await drink(ws)
            status = await around.session()
            again = await around.get("api/contents/a", headers={"Accept": "text/html"})
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                async with around.socket():
                    pass
            await until(lambda: around.portal.named("budget-exceeded"))
            return total, notices, code, status, again, refused.value.status, around.portal.named("budget-exceeded")

    total, notices, code, status, again, handshake, events = asyncio.run(story())
    assert BUDGET - 2 * PIECE < total <= BUDGET
    assert status["used_bytes"] == BUDGET
    assert total <= sum(row["bytes"] for row in status["spent"] if row["kind"] == "stream")
    assert code == 4429
    assert "allowance" in notices[-1]["content"]["text"]
    assert notices[-1]["parent"]["msg_id"] == "m-execute_request"
    assert again[0] == 429
    assert b"00:00 UTC" in again[2]
    assert handshake == 429
    assert [event["person"] for event in events] == [PERSON]
    assert events[0]["detail"]["limit"] == BUDGET


def test_the_reason_of_a_cut_is_made_of_whole_sentences_and_says_what_to_do() -> None:
    async def story() -> str:
        async with world(flood, daily_bytes=BUDGET) as around, around.socket() as ws:
            await ws.send_bytes(frame("execute_request", channel="shell"))
            async with asyncio.timeout(60):
                while (message := await ws.receive()).type is WSMsgType.BINARY:
                    pass
            return str(message.extra)

    reason = asyncio.run(story())
    assert reason.startswith("Today's allowance for data shown in the browser is used up until 00:00 UTC.")
    assert reason.endswith("Results leave by egress request.")


@pytest.mark.parametrize(
    ("sentence", "reason"),
    [
        ("It ended.", b"It ended."),
        ("", b""),
        ("One. " + "two " * 40 + ".", b"One."),
        ("One. Two. " + "x" * 120 + ".", b"One. Two."),
        ("é" * 200, "é".encode() * 58 + "…".encode()),
    ],
)
def test_a_close_frame_has_room_for_few_words(sentence: str, reason: bytes) -> None:
    assert brief(sentence) == reason
    assert len(brief(sentence)) <= LONGEST_REASON


def test_two_websockets_of_one_person_share_the_budget() -> None:
    async def story() -> int:
        async with world(flood, daily_bytes=BUDGET) as around, around.socket() as one, around.socket() as two:
            return sum(total for total, _, _ in await asyncio.gather(drink(one), drink(two)))

    assert asyncio.run(story()) <= BUDGET


def test_small_answers_end_at_the_budget_too() -> None:
    async def story() -> tuple[int, int]:
        async with world(flood, daily_bytes=PIECE * 10) as around:
            total = 0
            for _ in range(30):
                status, _, body = await around.get("api/contents/a")
                total += len(body) if status == 200 else 0
            return total, (await around.get("api/contents/a"))[0]

    total, status = asyncio.run(story())
    assert PIECE * 8 <= total <= PIECE * 10
    assert status == 429


def test_work_is_still_saved_over_the_budget_and_the_answer_is_withheld() -> None:
    saved: list[bytes] = []

    async def notebook(request: web.Request) -> web.StreamResponse:
        saved.append(await request.read())
        return web.Response(body=b"SECRET" * 10)

    async def story() -> tuple[int, bytes]:
        async with world(notebook, daily_bytes=10) as around:
            status, _, body = await around.get("api/contents/a.ipynb", "PUT", json={"content": 1})
            return status, body

    status, body = asyncio.run(story())
    assert saved == [b'{"content": 1}']
    assert status == 429
    assert b"SECRET" not in body
    assert b"kept in the workspace" in body


def test_an_output_over_its_cap_is_left_out_with_a_sentence_and_many_end_the_connection() -> None:
    async def big(request: web.Request) -> web.StreamResponse:
        ws = web.WebSocketResponse(protocols=[SUBPROTOCOL])
        await ws.prepare(request)
        await ws.receive()
        for _ in range(MOST_LEFT_OUT + 5):
            await ws.send_bytes(frame("display_data", {"data": "x" * 300_000}))
        await ws.receive()
        return ws

    async def story() -> Any:
        async with world(big, message_bytes=100_000) as around:
            async with around.socket() as ws:
                ended = await drink(ws)
            await until(lambda: around.portal.named("message-too-large"))
            return ended

    total, notices, code = asyncio.run(story())
    assert total == 0
    assert code == 4413
    assert len(notices) == MOST_LEFT_OUT + 1
    assert "larger than this workspace lets through" in notices[0]["content"]["text"]


def test_a_long_print_is_divided_and_ends_at_the_budget() -> None:
    async def long(request: web.Request) -> web.StreamResponse:
        ws = web.WebSocketResponse(protocols=[SUBPROTOCOL], max_msg_size=0)
        await ws.prepare(request)
        await ws.receive()
        with contextlib.suppress(ConnectionError):
            await ws.send_bytes(frame("stream", {"name": "stdout", "text": "x" * FLOOD}))
            await ws.receive()
        return ws

    async def story() -> Any:
        async with world(long, daily_bytes=BUDGET, message_bytes=500_000) as around, around.socket() as ws:
            return await drink(ws)

    total, notices, code = asyncio.run(story())
    assert BUDGET * 0.8 < total <= BUDGET
    assert code == 4429
    assert "allowance" in notices[-1]["content"]["text"]


def test_a_message_too_large_to_look_at_ends_the_connection() -> None:
    async def huge(request: web.Request) -> web.StreamResponse:
        ws = web.WebSocketResponse(protocols=[SUBPROTOCOL])
        await ws.prepare(request)
        await ws.receive()
        with contextlib.suppress(ConnectionError):
            await ws.send_bytes(frame("stream", {"text": "x" * (LARGEST_READ + 1)}))
        return ws

    async def story(daily: int) -> Any:
        async with world(huge, daily_bytes=daily) as around:
            async with around.socket() as ws:
                total, notices, code = await drink(ws)
            await until(lambda: around.portal.events)
            return total, notices[-1]["content"]["text"], code, around.portal.events[0]["event"]

    total, said, code, event = asyncio.run(story(10**9))
    assert (total, code, event) == (0, 4413, "message-too-large")
    assert "larger than this workspace lets through" in said
    total, said, code, event = asyncio.run(story(BUDGET))
    assert (total, code, event) == (0, 4429, "budget-exceeded")
    assert "larger than what is left" in said


def test_a_refused_widget_is_explained_once() -> None:
    async def widget(request: web.Request) -> web.StreamResponse:
        ws = web.WebSocketResponse(protocols=[SUBPROTOCOL])
        await ws.prepare(request)
        await ws.receive()
        for _ in range(3):
            await ws.send_bytes(frame("comm_open", {"comm_id": "x"}))
        await ws.close()
        return ws

    async def story() -> Any:
        async with world(widget) as around, around.socket() as ws:
            return await drink(ws)

    _, notices, _ = asyncio.run(story())
    assert [n["content"]["text"] for n in notices if "widgets" in n["content"]["text"]] != []
    assert len(notices) == 1


def test_widgets_pass_and_are_counted_where_the_permit_allows_them() -> None:
    async def widget(request: web.Request) -> web.StreamResponse:
        ws = web.WebSocketResponse(protocols=[SUBPROTOCOL])
        await ws.prepare(request)
        await ws.receive()
        await ws.send_bytes(frame("comm_open", {"comm_id": "x"}))
        await ws.close()
        return ws

    async def story() -> Any:
        async with world(widget, message_families=["comm"]) as around:
            async with around.socket() as ws:
                total, _, _ = await drink(ws)
            return total, (await around.session())["spent"]

    total, spent = asyncio.run(story())
    assert total > 0
    assert [row["kind"] for row in spent] == ["comm_open"]


def test_the_gate_carries_a_flood_within_the_budget_without_growing() -> None:
    async def resident(pid: int) -> int:
        with open(f"/proc/{pid}/statm") as file:
            return int(file.read().split()[1]) * 4096

    async def story() -> tuple[int, int]:
        async with world(flood, daily_bytes=10**9) as around:
            assert around.process is not None
            before = await resident(around.process.pid)
            started = time.monotonic()
            async with around.socket() as ws:
                total, _, _ = await drink(ws)
            print(f"{total / 1e6 / (time.monotonic() - started):.0f} MB/s through the gate, JSON read on the other end")
            return total, await resident(around.process.pid) - before

    total, grown = asyncio.run(story())
    assert total >= FLOOD
    assert grown < 30_000_000
