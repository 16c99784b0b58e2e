"""The Hub's login through the gate: its redirects and cookies pass, written anew."""

import asyncio

from aiohttp import web

from tests.gate.support import BASE, HOST, client, serve_unix, world

AUTHORIZE = (
    f"/hub/api/oauth2/authorize?client_id=jupyterhub-user-p-ada-ws-1&redirect_uri={BASE}oauth_callback&state=eyJ9"
)
TOKEN_COOKIE = "jupyterhub-user-p-ada-ws-1"
VERSION = "6.1.1"


async def hub_login(request: web.Request) -> web.StreamResponse:
    """What JupyterHub's single-user server answers to somebody who is not signed in yet."""
    if request.path == BASE + "api":
        return web.json_response({"version": "2.21.1"}, headers={"X-JupyterHub-Version": VERSION})
    if request.path == BASE + "oauth_callback":
        answer = web.Response(status=302, headers={"Location": BASE + "lab"})
        answer.headers["Set-Cookie"] = f'{TOKEN_COOKIE}="2|1:0|token="; HttpOnly; Path={BASE}'
        return answer
    answer = web.Response(status=302, headers={"Location": AUTHORIZE})
    answer.set_cookie(f"{TOKEN_COOKIE}-oauth-state-ab", "state", path=BASE, max_age=600)
    return answer


def test_a_person_is_sent_to_the_hub_and_comes_back_with_a_cookie() -> None:
    async def story() -> list[tuple[int, dict[str, str], bytes]]:
        async with world(hub_login) as around:
            return [await around.get("lab"), await around.get("oauth_callback?code=c&state=eyJ9")]

    there, back = asyncio.run(story())
    assert (there[0], there[1]["Location"]) == (302, AUTHORIZE)
    assert there[1]["Set-Cookie"].startswith(f"{TOKEN_COOKIE}-oauth-state-ab=state; ")
    assert f"Path={BASE}" in there[1]["Set-Cookie"]
    assert (back[0], back[1]["Location"]) == (302, BASE + "lab")
    assert back[1]["Set-Cookie"].startswith(f'{TOKEN_COOKIE}="2|1:0|token="; ')
    assert "HttpOnly" in back[1]["Set-Cookie"]


def test_the_hub_sees_its_version_when_it_looks_whether_a_session_is_up() -> None:
    async def story() -> tuple[int, str | None]:
        async with world(hub_login) as around, client(around.inbound) as http, http.get(f"http://x{BASE}api") as answer:
            return answer.status, answer.headers.get("X-JupyterHub-Version")

    assert asyncio.run(story()) == (200, VERSION)


def test_a_session_whose_notebook_is_not_up_yet_is_not_taken_for_one_that_is() -> None:
    async def story() -> list[int]:
        async with world(hub_login) as around:
            socket = around.root / "n" / "p-ada" / "nb.sock"
            socket.unlink()
            early = await around.get("api")
            runner = await serve_unix(hub_login, socket)
            later = await around.get("api")
            await runner.cleanup()
            return [early[0], later[0]]

    assert asyncio.run(story()) == [502, 200]


def test_the_host_reaches_the_notebook_unchanged() -> None:
    async def story() -> list[str]:
        async with world() as around:
            await around.get("lab")
            return [request.headers["Host"] for request in around.asked]

    assert asyncio.run(story()) == [HOST]
