"""Ending access: a cut, a no, silence and the end of a session close what is open and refuse what comes."""

import asyncio
import json
import time
from typing import Any

import aiohttp
from aiohttp import WSMsgType, web

from spe.gate.messages import SUBPROTOCOL
from tests.gate.support import OTHER, PERSON, World, frame, parts_of, until, world


async def kernel(request: web.Request) -> web.StreamResponse:
    """Answers each message with a status, and keeps the websocket open."""
    if not request.headers.get("Upgrade"):
        return web.json_response({})
    ws = web.WebSocketResponse(protocols=[SUBPROTOCOL])
    await ws.prepare(request)
    async for _ in ws:
        await ws.send_bytes(frame("status"))
    return ws


async def endless(request: web.Request) -> web.StreamResponse:
    """An answer that never ends."""
    response = web.StreamResponse()
    response.enable_chunked_encoding()
    await response.prepare(request)
    while True:
        await response.write(b"x" * 100)
        await asyncio.sleep(0.02)


async def to_the_end(ws: aiohttp.ClientWebSocketResponse) -> tuple[list[str], int | None, str]:
    """The lines the gate wrote into the notebook, the close code and its reason."""
    lines: list[str] = []
    async with asyncio.timeout(20):
        while True:
            message = await ws.receive()
            if message.type is WSMsgType.BINARY:
                parts = parts_of(message.data)
                if json.loads(parts[1]).get("username") == "spe":
                    lines.append(json.loads(parts[4])["text"])
            elif message.type is WSMsgType.CLOSE:
                return lines, message.data, str(message.extra)
            else:
                return lines, None, ""


async def ask(ws: aiohttp.ClientWebSocketResponse) -> None:
    await ws.send_bytes(frame("execute_request", channel="shell"))
    assert (await ws.receive(timeout=10)).type is WSMsgType.BINARY


def run(story: Any) -> Any:
    return asyncio.run(story)


def test_a_cut_closes_the_websocket_with_a_sentence_and_refuses_what_comes() -> None:
    async def story() -> Any:
        async with world(kernel) as around, around.socket() as ws:
            await ask(ws)
            ended = asyncio.create_task(to_the_end(ws))
            done = await around.control("POST", "/cut", {"person": PERSON, "reason": "the permit was revoked."})
            status, _, body = await around.get("api/contents/a")
            await until(lambda: around.portal.named("cut"))
            outbound = await around.call("spe.sock", "GET", "/workspace/permit")
            return await ended, done, status, body, outbound[0], around.portal.named("cut")

    (lines, code, reason), done, status, body, outbound, events = run(story())
    assert "the permit was revoked." in lines[0]
    assert code == 4403
    assert "the permit was revoked." in reason
    assert done["websockets_closed"] == 1
    assert (status, outbound) == (403, 403)
    assert b"the permit was revoked." in body
    assert events[0]["person"] == PERSON
    assert events[0]["detail"]["reason"] == "the permit was revoked."


def test_a_cut_does_not_wait_for_a_browser_that_does_not_read() -> None:
    async def flood(request: web.Request) -> web.StreamResponse:
        ws = web.WebSocketResponse(protocols=[SUBPROTOCOL])
        await ws.prepare(request)
        while True:
            await ws.send_bytes(frame("stream", {"name": "stdout", "text": "x" * 50_000}))

    async def story() -> tuple[dict[str, Any], int]:
        async with world(flood, daily_bytes=10**10) as around, around.socket():
            seen = -1

            async def stuck() -> bool:
                nonlocal seen
                before, seen = seen, await around.used()
                return 0 < before == seen

            await until(stuck)
            done = await around.control("POST", "/cut", {"person": None, "reason": "enough."})
            return done, (await around.session())["websockets"]

    done, left = run(story())
    assert done["websockets_closed"] == 1
    assert left == 0


def test_a_cut_breaks_an_answer_under_way() -> None:
    async def story() -> bool:
        async with world(endless) as around:
            waiting = asyncio.create_task(around.get("api/contents/a"))
            await until(around.used)
            await around.control("POST", "/cut", {"person": PERSON, "reason": "enough."})
            try:
                await asyncio.wait_for(waiting, 10)
            except aiohttp.ClientError:
                return True
            return False

    assert run(story())


def test_a_cut_of_one_person_leaves_the_other_alone() -> None:
    async def story() -> list[bool]:
        async with world(kernel) as around:
            around.write_session(OTHER)
            await around.control("POST", "/reload")
            await around.control("POST", "/cut", {"person": PERSON, "reason": "enough."})
            return [(await around.session(who))["may_pass"] for who in (PERSON, OTHER)]

    assert run(story()) == [False, True]


def test_a_cut_outlives_reload_and_restart_until_the_session_is_written_anew() -> None:
    async def may(around: World) -> bool:
        return bool((await around.session())["may_pass"])

    async def story() -> list[bool]:
        async with world(kernel) as around:
            await around.control("POST", "/cut", {"person": PERSON, "reason": "enough."})
            await around.control("POST", "/reload")
            seen = [await may(around)]
            around.kill()
            await around.start()
            seen.append(await may(around))
            around.write_session()
            await around.control("POST", "/reload")
            return [*seen, await may(around)]

    assert run(story()) == [False, False, True]


def test_a_session_file_taken_away_ends_the_session_and_its_doors() -> None:
    async def story() -> Any:
        async with world(kernel) as around, around.socket() as ws:
            await ask(ws)
            (around.folder / "sessions" / f"{PERSON}.json").unlink()
            ended = asyncio.create_task(to_the_end(ws))
            applied = await around.control("POST", "/reload")
            status, _, _ = await around.get("lab")
            return applied, await ended, status, around.door("spe.sock").exists()

    applied, (_, code, _), status, door = run(story())
    assert applied["removed"] == [PERSON]
    assert code == 4403
    assert status == 404
    assert not door


def test_a_session_file_that_became_wrong_ends_its_session_and_is_named() -> None:
    async def story() -> Any:
        async with world(kernel) as around:
            (around.folder / "sessions" / f"{PERSON}.json").write_text("{}")
            applied = await around.control("POST", "/reload")
            return applied, (await around.get("lab"))[0]

    applied, status = run(story())
    assert list(applied["refused"]) == [f"{PERSON}.json"]
    assert status == 404


def test_new_limits_apply_without_closing_anything() -> None:
    async def story() -> Any:
        async with world(kernel) as around, around.socket() as ws:
            await ask(ws)
            around.write_session(daily_bytes=77, message_bytes=2048)
            await around.control("POST", "/reload")
            session = await around.session()
            return session["daily_bytes"], session["message_bytes"], session["websockets"]

    assert run(story()) == (77, 2048, 1)


def test_a_reload_asks_again_about_whom_the_portal_refused() -> None:
    """A session starts right after the terms were accepted; it cannot wait for the next round of questions."""

    async def story() -> list[bool]:
        async with world(kernel) as around:
            around.portal.entitled = False
            around.write_session(OTHER)
            await around.control("POST", "/reload")
            seen = [(await around.session(OTHER))["may_pass"]]
            around.portal.entitled = True
            await around.control("POST", "/reload")
            return [*seen, (await around.session(OTHER))["may_pass"]]

    assert run(story()) == [False, True]


def test_a_no_of_the_portal_closes_and_refuses_and_a_later_yes_opens_again() -> None:
    async def story() -> Any:
        async with world(kernel, deadline=0.6) as around:
            async with around.socket() as ws:
                await ask(ws)
                around.portal.entitled = False
                _, code, reason = await to_the_end(ws)
            refused = await around.get("lab", headers={"Accept": "text/html"})
            around.portal.entitled = True
            await until(lambda: _passes(around))
            return code, reason, refused[0], refused[2]

    code, reason, status, page = run(story())
    assert code == 4403
    assert "does not let you" in reason
    assert status == 403
    assert b"Open the portal" in page


async def _passes(around: World) -> bool:
    return bool((await around.session())["may_pass"])


def test_silence_of_the_portal_is_a_refusal_when_the_deadline_passes() -> None:
    async def story() -> Any:
        async with world(kernel, deadline=0.6) as around, around.socket() as ws:
            await ask(ws)
            around.portal.silent = True
            last_yes = time.monotonic()
            _, code, reason = await to_the_end(ws)
            waited = time.monotonic() - last_yes
            status, _, body = await around.get("api/contents/a")
            return code, reason, status, json.loads(body)["code"], waited

    code, reason, status, why, waited = run(story())
    assert code == 4403
    assert "not confirmed" in reason
    assert (status, why) == (403, "not-confirmed")
    assert waited > 0.1  # not at once: a yes holds until its deadline


def test_a_portal_that_is_gone_is_silence_too() -> None:
    async def story() -> int:
        async with world(kernel, deadline=0.4) as around:
            await around.portal.close()
            await until(lambda: _refused(around))
            return (await around.get("lab"))[0]

    assert run(story()) == 403


async def _refused(around: World) -> bool:
    return not await _passes(around)


def test_without_a_first_yes_nobody_enters() -> None:
    async def story() -> tuple[int, bytes, int]:
        async with world(kernel, start=False) as around:
            around.portal.entitled = False
            around.let_in()
            await around.start()
            status, _, body = await around.get("lab")
            return status, body, len(around.asked)

    status, body, asked = run(story())
    assert status == 403
    assert b"not-entitled" in body
    assert asked == 0


def test_the_portals_own_end_of_a_yes_is_kept() -> None:
    async def story() -> bool:
        async with world(kernel, start=False) as around:
            around.portal.until = "2001-01-01T00:00:00Z"
            await around.start()
            return await _passes(around)

    assert run(story()) is False


def test_the_end_of_a_session_closes_its_websocket() -> None:
    async def story() -> tuple[int | None, str, bytes]:
        async with world(kernel) as around, around.socket() as ws:
            await ask(ws)
            end = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 2))
            around.write_session(expires=end)
            await around.control("POST", "/reload")
            _, code, reason = await to_the_end(ws)
            return code, reason, (await around.get("lab"))[2]

    code, reason, body = run(story())
    assert code == 4403
    assert "reached its end" in reason
    assert b"expired" in body


def test_events_wait_for_a_portal_that_is_down_also_over_a_kill() -> None:
    async def story() -> list[dict[str, Any]]:
        async with world(kernel) as around:
            await around.portal.close()
            await around.control("POST", "/cut", {"person": PERSON, "reason": "enough."})
            around.kill()
            assert around.portal.events == []
            await around.portal.open()
            await around.start()
            await until(lambda: around.portal.named("cut"))
            return around.portal.named("cut")

    events = run(story())
    assert [event["detail"]["reason"] for event in events] == ["enough."]


def test_a_cut_that_is_not_understood_is_refused() -> None:
    bad: list[Any] = [{}, {"person": "../x"}, {"person": None, "reason": "a\nb"}, {"person": 1}, []]

    async def story() -> Any:
        async with world(kernel) as around:
            answers = [await around.control("POST", "/cut", body) for body in bad]
            return answers, (await around.session())["may_pass"]

    answers, passes = run(story())
    assert all("error" in answer for answer in answers)
    assert passes
