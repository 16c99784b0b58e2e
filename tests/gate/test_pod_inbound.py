"""Towards a pod: held until it is up, never to an address that is not the person's any more, cut as everywhere."""

import asyncio
import json
import time
from typing import Any

import aiohttp
from aiohttp import web

from tests.gate.pods import Cluster, cluster
from tests.gate.support import COOKIE, OTHER, PERSON, until
from tests.gate.test_revocation import ask, endless, kernel, to_the_end

ADA, ANEW, BOB = 10, 12, 11
HELD = 9.0


def run(story: Any) -> Any:
    return asyncio.run(story)


# the Hub's question


def test_the_hubs_question_is_held_until_the_notebook_answers() -> None:
    """First there is no address, then nobody listens there, then the server answers: one question, one yes."""

    async def story() -> Any:
        async with cluster(PERSON) as around:
            asking = asyncio.create_task(around.check())
            await until(lambda: len(around.portal.questions) >= 3)
            around.portal.table[PERSON] = around.at(ADA)
            await asyncio.sleep(0.5)
            early = asking.done()
            began = time.monotonic()
            await around.notebook(ADA)
            status = await asking
            return early, status, time.monotonic() - began, around.asked[0][0], around.at(ADA)

    early, status, seconds, asked, address = run(story())
    assert not early
    assert status == 200
    assert seconds < 5
    assert asked == address


def test_questions_about_addresses_keep_their_distance_while_a_start_is_waited_for() -> None:
    async def story() -> Any:
        async with cluster(PERSON, OTHER) as around:
            asking = [asyncio.create_task(around.check(who)) for who in (PERSON, OTHER) for _ in range(10)]
            await until(lambda: len(around.portal.questions) >= 8)
            times = list(around.portal.questions)
            await around.pod(ADA, PERSON)
            await around.pod(BOB, OTHER)
            return times, await asyncio.gather(*asking)

    times, answers = run(story())
    assert set(answers) == {200}
    assert (times[-1] - times[0]) / (len(times) - 1) >= 0.14


def test_a_notebook_that_never_comes_up_is_answered_before_the_hub_gives_up() -> None:
    async def story() -> Any:
        async with cluster(PERSON) as around:
            began = time.monotonic()
            statuses = await asyncio.gather(around.check(), around.check("p-unknown"))
            return statuses, time.monotonic() - began

    statuses, seconds = run(story())
    assert all(status >= 500 for status in statuses)  # anything less would count as up
    assert seconds >= HELD - 0.5


def test_a_notebook_that_takes_the_question_and_says_nothing_does_not_hold_it_longer() -> None:
    async def mute(request: web.BaseRequest) -> web.StreamResponse:
        await asyncio.sleep(3600)
        raise AssertionError

    async def story() -> Any:
        async with cluster(PERSON) as around:
            await around.pod(ADA, answer=mute)
            return await asyncio.wait_for(around.check(), HELD + 10)

    assert run(story()) >= 500


def test_only_the_hubs_question_is_held() -> None:
    async def story() -> Any:
        async with cluster(PERSON) as around:
            began = time.monotonic()
            seen = [(await around.get(path))[0] for path in ("api", "api/contents/a", "lab")]
            return seen, time.monotonic() - began

    seen, seconds = run(story())
    assert seen == [502, 502, 502]
    assert seconds < HELD


def test_a_person_who_may_not_pass_is_not_up_for_the_hub_either() -> None:
    async def story() -> int:
        async with cluster(PERSON) as around:
            await around.pod(ADA)
            await around.control("POST", "/cut", {"person": PERSON, "reason": "enough."})
            return await around.check()

    assert run(story()) == 503


# where it is


def test_each_persons_browser_reaches_that_persons_pod() -> None:
    async def story() -> Any:
        async with cluster(PERSON, OTHER) as around:
            await around.pod(ADA, PERSON)
            await around.pod(BOB, OTHER)
            calls = [around.get(f"api/contents/{n}", person=who) for n in range(20) for who in (PERSON, OTHER)]
            await asyncio.gather(*calls)
            return {(address, request.path.split("/")[2]) for address, request in around.asked}, around

    seen, around = run(story())
    assert seen == {(around.at(ADA), PERSON), (around.at(BOB), OTHER)}


async def _moves(around: Cluster, number: int | None) -> None:
    """The pod is gone or another one; the gate hears of it when it next asks."""
    if number is None:
        del around.portal.table[PERSON]
    else:
        around.portal.table[PERSON] = around.at(number)
    await asyncio.sleep(1.1)  # longer than an answer counts as fresh
    await around.call(ADA, "GET", "/workspace/permit")


def test_a_new_pod_takes_over_and_what_was_open_to_the_old_one_ends() -> None:
    async def story() -> Any:
        async with cluster(PERSON) as around:
            await around.pod(ADA, answer=kernel)
            await around.notebook(ANEW)
            async with around.socket() as ws:
                await ask(ws)
                ended = asyncio.create_task(to_the_end(ws))
                await _moves(around, ANEW)
                _, code, reason = await ended
            around.asked.clear()
            status = (await around.get("api/contents/a"))[0]
            old = (await around.call(ADA, "GET", "/workspace/permit"))[0]
            new = (await around.call(ANEW, "GET", "/workspace/permit"))[0]
            return code, reason, status, [a for a, _ in around.asked] == [around.at(ANEW)], old, new

    code, reason, status, only_new, old, new = run(story())
    assert code == 1001
    assert "started anew" in reason
    assert (status, only_new) == (200, True)
    assert (old, new) == (403, 200)


def test_an_answer_under_way_from_the_old_pod_is_broken_off() -> None:
    async def story() -> bool:
        async with cluster(PERSON) as around:
            await around.pod(ADA, answer=endless)
            waiting = asyncio.create_task(around.get("api/contents/a"))
            await until(lambda: around.asked)
            await _moves(around, ANEW)
            try:
                await asyncio.wait_for(waiting, 10)
            except aiohttp.ClientError:
                return True
            return False

    assert run(story())


def test_an_upload_under_way_from_the_old_pod_is_broken_off() -> None:
    """A pod that was deleted but still runs may not go on to speak for its person."""

    async def story() -> Any:
        async with cluster(PERSON) as around:
            await around.pod(ADA)
            gone = asyncio.Event()

            async def body() -> Any:
                yield b"x" * 1000
                await gone.wait()
                yield b"y" * 1000

            path = "/workspace/egress/e-1/files/a.csv"
            sending = asyncio.create_task(around.call(ADA, "PUT", path, data=body()))
            await until(lambda: around.portal.questions)
            await asyncio.sleep(0.3)
            del around.portal.table[PERSON]
            await asyncio.sleep(1.1)
            await around.get("api/contents/a")  # a new connection: the gate asks where the notebook is
            gone.set()
            try:
                await asyncio.wait_for(sending, 10)
            except aiohttp.ClientError:
                return around.portal.calls
            return "it went on"

    assert run(story()) == []


def test_a_session_whose_pod_is_gone_is_told_so() -> None:
    async def story() -> Any:
        async with cluster(PERSON) as around:
            runner = await around.pod(ADA)
            seen = (await around.get("lab"))[0]
            await runner.cleanup()
            await _moves(around, None)
            page = await around.get("lab", headers={"Accept": "text/html"})
            stranger = await around.get("api/contents/a", headers={"Cookie": "spe-pass=guessed"})
            return seen, page[0], page[2].decode(), stranger[0], stranger[2].decode()

    seen, status, page, other, said = run(story())
    assert (seen, status) == (200, 502)
    assert "This session was ended: its notebook does not run any more." in page
    assert "Open the portal" in page
    assert other == 403
    assert "ended" not in said


def test_a_pod_that_is_gone_is_not_connected_to_again_though_another_listens_at_its_address() -> None:
    """The address of an ended pod may be a colleague's a moment later."""

    async def story() -> Any:
        async with cluster(PERSON, OTHER) as around:
            runner = await around.pod(ADA, PERSON)
            await around.get("api/contents/a")
            await runner.cleanup()
            around.asked.clear()
            around.portal.table.clear()
            await around.pod(ADA, OTHER)
            await asyncio.sleep(1.1)  # longer than an answer counts as fresh
            own = (await around.get("api/contents/a"))[0]
            theirs = (await around.get("api/contents/a", person=OTHER))[0]
            return own, theirs, {request.path.split("/")[2] for _, request in around.asked}

    assert run(story()) == (502, 200, {OTHER})


# who may pass


def test_a_cut_ends_websockets_and_both_directions() -> None:
    async def story() -> Any:
        async with cluster(PERSON) as around:
            await around.pod(ADA, answer=kernel)
            async with around.socket() as ws:
                await ask(ws)
                ended = asyncio.create_task(to_the_end(ws))
                _, done = await around.control("POST", "/cut", {"person": PERSON, "reason": "the permit was revoked."})
                lines, code, reason = await ended
            page = await around.get("api/contents/a")
            door = [(await around.call(ADA, "GET", path))[0] for path in ("/workspace/permit", "/hub/api/user")]
            await until(lambda: [e for e in around.portal.events if e["event"] == "cut"])
            return lines, code, reason, done["websockets_closed"], page, door, around.portal.calls

    lines, code, reason, closed, page, door, calls = run(story())
    assert "the permit was revoked." in lines[0]
    assert (code, closed) == (4403, 1)
    assert "the permit was revoked." in reason
    assert page[0] == 403
    assert b"This session was ended: the permit was revoked." in page[2]
    assert door == [403, 403]
    assert calls == []


def test_a_place_taken_away_ends_its_websocket() -> None:
    async def story() -> Any:
        async with cluster(PERSON) as around:
            await around.pod(ADA, answer=kernel)
            async with around.socket() as ws:
                await ask(ws)
                ended = asyncio.create_task(to_the_end(ws))
                await around.configure(OTHER)
                _, code, _ = await ended
            return code, (await around.get("lab"))[0], (await around.call(ADA, "GET", "/workspace/permit"))[0]

    assert run(story()) == (4403, 404, 403)


def test_a_portal_that_is_silent_longer_than_the_deadline_cuts_people() -> None:
    async def story() -> Any:
        async with cluster(PERSON, deadline=1.0) as around:
            await around.pod(ADA, answer=kernel)
            async with around.socket() as ws:
                await ask(ws)
                around.portal.silent = True
                _, code, reason = await to_the_end(ws)
            _, _, body = await around.get("api/contents/a")
            door = (await around.call(ADA, "GET", "/workspace/permit"))[0]
            around.portal.silent = False
            await until(lambda: _passes(around))
            return code, reason, json.loads(body)["code"], door, (await around.get("api/contents/a"))[0]

    code, reason, why, door, again = run(story())
    assert (code, why, door) == (4403, "not-confirmed", 403)
    assert "not confirmed" in reason
    assert again == 200


async def _passes(around: Cluster) -> bool:
    return bool((await around.session_of())["may_pass"])


def test_a_portal_that_is_silent_about_addresses_only_does_not_move_anybody() -> None:
    async def story() -> Any:
        async with cluster(PERSON) as around:
            await around.pod(ADA)
            await around.get("api/contents/a")
            around.portal.addresses_status = 503
            await asyncio.sleep(1.1)  # longer than an answer counts as fresh
            return (await around.get("api/contents/a"))[0], (await around.call(ADA, "GET", "/workspace/permit"))[0]

    assert run(story()) == (200, 200)


def test_a_portal_that_is_silent_about_addresses_for_too_long_is_named_as_what_is_missing() -> None:
    """What is open goes on, for it cannot be another pod's; nothing new is opened."""

    async def once(request: web.BaseRequest) -> web.StreamResponse:
        response = web.json_response({})
        response.force_close()
        return response

    async def story() -> Any:
        async with cluster(PERSON, deadline=3.0) as around:
            await around.pod(ADA, answer=once)
            seen = (await around.get("api/contents/a"))[0]
            around.portal.addresses_status = 503

            async def said() -> bytes:
                status, _, body = await around.get("api/contents/a")
                return body if status == 502 else b""

            body = await until(said)
            return seen, body, (await around.call(ADA, "GET", "/workspace/permit"))[0]

    seen, body, door = run(story())
    assert seen == 200
    assert b"The portal has not said in time where the notebook is." in body
    assert door == 403


def test_without_a_pass_a_pods_browser_is_sent_to_the_portal_as_on_one_host() -> None:
    async def story() -> Any:
        async with cluster(PERSON) as around:
            await around.pod(ADA)
            bare = {"Cookie": COOKIE.replace("pass-of", "not-of")}
            return (await around.get("lab", headers=bare))[0], (await around.get("api/me", headers=bare))[0]

    assert run(story()) == (303, 403)


def test_told_to_stop_it_writes_its_counters_exactly() -> None:
    async def story() -> Any:
        async with cluster(PERSON) as around:
            await around.pod(ADA)
            await around.get("api/contents/a")
            before = (await around.session_of())["used_bytes"]
            around.end()
            around.spawn()
            await until(around.is_configured)
            return before, (await around.session_of())["used_bytes"]

    before, after = run(story())
    assert before == after > 0
