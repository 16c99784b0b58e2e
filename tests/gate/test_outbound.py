"""The doors out of a sandbox: the listed calls with the gate's word on who calls, nothing else."""

import asyncio
import io
import os
import stat
from typing import Any

import pytest
from aiohttp import web

from tests.gate.support import OTHER, PERSON, TOKEN, World, client, world

FORGED = {
    "Authorization": "Bearer forged",
    "X-Spe-Person": OTHER,
    "x-spe-person": OTHER,
    "X-Spe-Workspace": "ws-2",
    "X-Forwarded-For": "127.0.0.1",
    "Cookie": "portal=1",
    "Content-Type": "text/csv",
}


def run(story: Any) -> Any:
    return asyncio.run(story)


def test_the_hub_gets_the_notebooks_own_token_and_answer_comes_back() -> None:
    async def story() -> tuple[int, bytes, list[Any]]:
        async with world() as around:
            status, _, body = await around.call(
                "hub.sock", "GET", "/hub/api/user", headers={"Authorization": "token x"}
            )
            return status, body, around.hub_asked

    status, body, asked = run(story())
    assert (status, body) == (200, b'{"path": "/hub/api/user"}')
    [(method, path, headers, _)] = asked
    assert (method, path, headers["Authorization"]) == ("GET", "/hub/api/user", "token x")


def test_activity_is_posted_for_the_own_person_only() -> None:
    async def story() -> tuple[list[int], list[Any]]:
        async with world() as around:
            codes = [
                (await around.call("hub.sock", "POST", f"/hub/api/users/{who}/activity", data=b"{}"))[0]
                for who in (PERSON, OTHER)
            ]
            return codes, around.hub_asked

    codes, asked = run(story())
    assert codes == [200, 403]
    assert [(path, body) for _, path, _, body in asked] == [(f"/hub/api/users/{PERSON}/activity", b"{}")]


@pytest.mark.parametrize("path", ["/hub/api/users", "/hub/api/proxy", "/hub/api/shutdown", "/hub/home", "/metrics"])
def test_other_hub_addresses_are_refused(path: str) -> None:
    async def story() -> tuple[list[int], list[Any]]:
        async with world() as around:
            codes = [(await around.call("hub.sock", method, path))[0] for method in ("GET", "POST", "DELETE", "PUT")]
            return codes, around.hub_asked

    assert run(story()) == ([403] * 4, [])


def test_a_large_body_does_not_reach_the_hub() -> None:
    async def chunks() -> Any:
        for _ in range(20):
            yield b"x" * 10_000

    async def story() -> list[int]:
        async with world() as around:
            path = f"/hub/api/users/{PERSON}/activity"
            known = await around.call("hub.sock", "POST", path, data=b"x" * 100_000)
            chunked = await around.call("hub.sock", "POST", path, data=chunks())
            return [known[0], chunked[0]]

    assert all(code >= 400 for code in run(story()))


def test_the_portal_hears_the_gates_word_on_who_calls_whatever_the_caller_writes() -> None:
    async def story() -> tuple[int, dict[str, str], list[Any]]:
        async with world() as around:
            status, headers, _ = await around.call(
                "spe.sock", "PUT", "/workspace/egress/e-1/files/a%20b.csv", headers=FORGED, data=b"a,b\n"
            )
            return status, headers, around.portal.calls

    status, answer, calls = run(story())
    assert status == 200
    [(method, path, headers, body)] = calls
    assert (method, path, body) == ("PUT", "/workspace/egress/e-1/files/a%20b.csv", b"a,b\n")
    given = [(name.lower(), value) for name, value in headers.items()]
    assert [value for name, value in given if name == "authorization"] == [f"Bearer {TOKEN}"]
    assert [value for name, value in given if name == "x-spe-person"] == [PERSON]
    assert not {"cookie", "x-forwarded-for", "x-spe-workspace"} & {name for name, _ in given}
    assert answer["Etag"] == '"1"'
    assert "X-Secret" not in answer


def test_each_persons_door_says_that_person() -> None:
    async def story() -> list[str]:
        async with world() as around:
            around.write_session(OTHER)
            await around.control("POST", "/reload")
            async with client(around.door("spe.sock", OTHER)) as http:
                await (await http.get("http://x/workspace/permit", headers={"X-Spe-Person": PERSON})).read()
            await around.call("spe.sock", "GET", "/workspace/permit")
            return [headers["X-Spe-Person"] for _, _, headers, _ in around.portal.calls]

    assert run(story()) == [OTHER, PERSON]


@pytest.mark.parametrize(
    "path",
    [
        "/gate/entitled?person=p-ada",
        "/gate/events",
        "/hub/entitled?user=p-ada",
        "/workspace/../gate/events",
        "/workspace/%2e%2e/gate/events",
        "/workspace%2f..%2fgate/events",
        "//gate/events",
        "/workspace//../gate/events",
        "/oauth/token",
        "/",
    ],
)
def test_nothing_of_the_portal_but_the_workspace_api_is_reached(path: str) -> None:
    async def story() -> tuple[bytes, list[Any], list[Any]]:
        async with world() as around:
            reader, writer = await asyncio.open_unix_connection(str(around.door("spe.sock")))
            writer.write(f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{{}}".encode())
            answer = await reader.readuntil(b"\r\n")
            writer.close()
            return answer, around.portal.calls, around.portal.events

    answer, calls, events = run(story())
    assert answer.startswith(b"HTTP/1.1 403")
    assert (calls, events) == ([], [])


def test_a_large_upload_streams_through_in_both_framings() -> None:
    size = 30_000_000

    async def chunks() -> Any:
        for _ in range(30):
            yield b"x" * (size // 30)

    async def story() -> list[bytes]:
        async with world() as around:
            path = "/workspace/egress/e-1/files/big.bin"
            whole = await around.call("spe.sock", "PUT", path, data=io.BytesIO(b"x" * size))
            pieces = await around.call("spe.sock", "PUT", path, data=chunks())
            return [whole[2], pieces[2]]

    assert run(story()) == [b'{"bytes": 30000000}'] * 2


def test_the_mirror_gives_listed_names_by_reading_only() -> None:
    async def story() -> tuple[list[int], list[Any]]:
        async with world(start=False) as around:
            around.gate = {"mirror": around.hub + "/pypi", "mirror_names": ["numpy"]}
            around.write_gate()
            await around.start()
            calls = [
                ("GET", "/mirror/simple/numpy/"),
                ("GET", "/mirror/simple/pandas/"),
                ("GET", "/mirror/simple/numpy/?data=1"),
                ("POST", "/mirror/simple/numpy/"),
                ("GET", "/mirror/../hub/api/users"),
            ]
            codes = [(await around.call("spe.sock", *call, headers=FORGED))[0] for call in calls]
            return codes, around.hub_asked

    codes, asked = run(story())
    assert codes == [200, 403, 403, 403, 403]
    [(method, path, headers, _)] = asked
    assert (method, path) == ("GET", "/pypi/simple/numpy/")
    assert "Authorization" not in headers


def test_without_a_mirror_nothing_is_fetched() -> None:
    async def story() -> int:
        async with world() as around:
            return int((await around.call("spe.sock", "GET", "/mirror/simple/numpy/"))[0])

    assert run(story()) == 403


def test_a_silent_neighbour_is_an_error_with_a_sentence() -> None:
    async def story() -> tuple[int, bytes]:
        async with world() as around:
            await around.portal.close()
            status, _, body = await around.call("spe.sock", "GET", "/workspace/permit")
            return status, body

    status, body = run(story())
    assert status == 503
    assert b"does not answer" in body


def test_a_redirect_of_the_hub_is_not_followed() -> None:
    async def away(request: web.Request) -> web.StreamResponse:
        return web.Response(status=302, headers={"Location": "/hub/api/users"})

    async def story() -> tuple[int, dict[str, str], int]:
        async with world() as around:
            around.hub_answer = away
            async with (
                client(around.door("hub.sock")) as http,
                http.get("http://x/hub/api/user", allow_redirects=False) as answer,
            ):
                return answer.status, dict(answer.headers), len(around.hub_asked)

    status, headers, asked = run(story())
    assert (status, asked) == (302, 1)
    assert "Location" not in headers


def test_too_many_connections_from_a_sandbox_do_not_block_the_browsers_door() -> None:
    async def story() -> int:
        async with world() as around:
            held = []
            for _ in range(200):
                try:
                    held.append(await asyncio.open_unix_connection(str(around.door("spe.sock"))))
                except OSError:
                    break
            status, _, _ = await around.get("api/contents/a")
            for _, writer in held:
                writer.close()
            return status

    assert run(story()) == 200


def test_all_sockets_are_for_the_own_account_only() -> None:
    async def modes(around: World) -> list[int]:
        paths = [around.inbound, around.folder / "control.sock", around.door("hub.sock"), around.door("spe.sock")]
        return [stat.S_IMODE(os.stat(path).st_mode) for path in paths]

    async def story() -> list[int]:
        async with world() as around:
            return await modes(around)

    assert run(story()) == [0o600] * 4


def test_a_call_with_a_query_the_portal_may_want_passes() -> None:
    async def story() -> list[str]:
        async with world() as around:
            await around.call("spe.sock", "GET", "/workspace/guide/start?lang=en")
            return [path for _, path, _, _ in around.portal.calls]

    assert run(story()) == ["/workspace/guide/start?lang=en"]
