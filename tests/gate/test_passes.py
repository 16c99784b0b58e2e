"""A browser is let in by the gate's own pass, whatever server answers in the notebook's place."""

import asyncio
from base64 import urlsafe_b64encode
from collections.abc import Awaitable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest
from aiohttp import web

from tests.gate.support import BASE, CHANNELS, COOKIE, HEADERS, OTHER, PERSON, PORTAL, World, until, world

STRANGER = {"Cookie": ""}


async def asks(around: World, page: str = "lab") -> tuple[str, str]:
    """A browser without a pass opens a page: the challenge it takes to the portal, and the cookie it keeps."""
    status, headers, _ = await around.get(page, headers=STRANGER)
    assert status == 303
    there = urlsplit(headers["Location"])
    assert f"{there.scheme}://{there.netloc}{there.path}" == f"{PORTAL}/enter/ws-1/{PERSON}"
    cookie, *attributes = headers["Set-Cookie"].split("; ")
    assert {f"Path={BASE}", "HttpOnly", "SameSite=Lax"} <= set(attributes)
    return parse_qs(there.query)["challenge"][0], cookie


async def comes_back(around: World, code: str, cookie: str) -> tuple[int, dict[str, str], bytes]:
    return await around.get(f"spe/enter?code={code}", headers={"Cookie": cookie})


def story(act: Any, **given: Any) -> Any:
    async def told() -> Any:
        async with world(**given) as around:
            return await act(around)

    return asyncio.run(told())


def test_a_browser_that_comes_back_from_the_portal_gets_a_pass_and_the_page_it_wanted() -> None:
    async def act(around: World) -> None:
        challenge, asked = await asks(around, "lab/tree/a%20b.ipynb?reset")
        around.portal.codes["code-1", challenge] = PERSON
        status, headers, _ = await comes_back(around, "code-1", asked)
        assert (status, headers["Location"]) == (303, BASE + "lab/tree/a%20b.ipynb?reset")
        cookie, *attributes = headers["Set-Cookie"].split("; ")
        assert cookie.startswith("spe-pass=")
        assert {f"Path={BASE}", "HttpOnly", "SameSite=Lax"} <= set(attributes)
        assert around.asked == []
        assert (await around.get("lab", headers={"Cookie": cookie}))[0] == 200
        assert "spe-" not in str(around.asked[0].headers)

    story(act)


SHAPES = {
    "contents": ("api/contents/secret.csv", "GET"),
    "saving": ("api/contents/secret.csv", "PUT"),
    "kernels": ("api/kernels", "POST"),
    "assets": ("static/lab/main.js", "GET"),
    "settings": ("lab/api/settings", "GET"),
}


@pytest.mark.parametrize("name", SHAPES)
def test_without_a_pass_nothing_reaches_the_notebook(name: str) -> None:
    path, method = SHAPES[name]

    async def act(around: World) -> None:
        status, _, body = await around.get(path, method, headers=STRANGER)
        assert status == 403
        assert b"no-pass" in body
        assert around.asked == []

    story(act)


def test_without_a_pass_no_kernel_is_connected() -> None:
    async def act(around: World) -> None:
        with pytest.raises(aiohttp.WSServerHandshakeError) as no:
            async with around.socket(CHANNELS, headers=STRANGER):
                pass
        assert no.value.status == 403
        assert around.asked == []

    story(act)


@pytest.mark.parametrize("cookie", ["spe-pass=", "spe-pass=guess", "spe-asked=x.bGFi", f"x{COOKIE}", "spe-pass"])
def test_a_pass_that_was_not_given_out_opens_nothing(cookie: str) -> None:
    async def act(around: World) -> int:
        return (await around.get("api/contents", headers={"Cookie": cookie}))[0]

    assert story(act) == 403


def test_the_hub_itself_may_ask_whether_the_notebook_is_up_and_nobody_through_its_proxy() -> None:
    async def act(around: World) -> list[int]:
        by_proxy = {"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Host": "localhost:8000"}
        return [
            (await around.get("api", headers=STRANGER))[0],
            (await around.get("api", headers=STRANGER | by_proxy))[0],
            (await around.get("api", headers=by_proxy))[0],
        ]

    assert story(act) == [200, 403, 200]


async def _wrong_browser(around: World) -> Awaitable[Any]:
    challenge, _ = await asks(around)
    around.portal.codes["code", challenge] = PERSON
    return comes_back(around, "code", (await asks(around))[1])


async def _no_browser(around: World) -> Awaitable[Any]:
    challenge, _ = await asks(around)
    around.portal.codes["code", challenge] = PERSON
    return comes_back(around, "code", "")


async def _used_before(around: World) -> Awaitable[Any]:
    challenge, cookie = await asks(around)
    around.portal.codes["code", challenge] = PERSON
    await comes_back(around, "code", cookie)
    return comes_back(around, "code", cookie)


async def _somebody_else(around: World) -> Awaitable[Any]:
    challenge, cookie = await asks(around)
    around.portal.codes["code", challenge] = OTHER
    return comes_back(around, "code", cookie)


async def _invented(around: World) -> Awaitable[Any]:
    _, cookie = await asks(around)
    return comes_back(around, "invented", cookie)


@pytest.mark.parametrize("attack", [_wrong_browser, _no_browser, _used_before, _somebody_else, _invented])
def test_a_code_opens_only_to_the_browser_that_asked_once_and_for_its_person(attack: Any) -> None:
    async def act(around: World) -> tuple[int, dict[str, str], bytes]:
        return await (await attack(around))  # type: ignore[no-any-return]

    status, headers, body = story(act)
    assert status == 403
    assert "Set-Cookie" not in headers
    assert b"portal" in body


def test_when_the_portal_is_silent_nobody_comes_in() -> None:
    async def act(around: World) -> tuple[int, bytes]:
        challenge, cookie = await asks(around)
        around.portal.codes["code", challenge] = PERSON
        await around.portal.close()
        status, _, body = await comes_back(around, "code", cookie)
        return status, body

    status, body = story(act)
    assert status == 403
    assert b"does not say who" in body


@pytest.mark.parametrize("page", ["../../p-bob/ws-1/lab", "//evil.example/", "oauth_callback?code=x", "files/a", "\0"])
def test_a_forged_wish_leads_to_the_first_page_only(page: str) -> None:
    async def act(around: World) -> str:
        challenge, cookie = await asks(around)
        around.portal.codes["code", challenge] = PERSON
        forged = cookie.partition(".")[0] + "." + urlsafe_b64encode(page.encode()).decode()
        status, headers, _ = await comes_back(around, "code", forged)
        assert status == 303
        return headers["Location"]

    assert story(act) == BASE + "lab"


def test_a_notebook_can_neither_read_nor_give_out_a_pass() -> None:
    async def gives(request: web.Request) -> web.StreamResponse:
        answer = web.Response(text="{}")
        answer.set_cookie("spe-pass", "mine")
        answer.set_cookie("spe-asked", "mine")
        return answer

    async def act(around: World) -> None:
        status, headers, _ = await around.get("api/contents")
        assert status == 200
        assert "Set-Cookie" not in headers
        assert COOKIE not in str(around.asked[0].headers)

    story(act, answer=gives)


def test_a_pass_outlives_a_restart_of_the_gate_and_ends_with_its_session() -> None:
    async def act(around: World) -> list[int]:
        seen = [(await around.get("lab"))[0]]
        around.kill()
        await around.start()
        seen.append((await around.get("lab"))[0])
        (around.folder / "sessions" / f"{PERSON}.json").unlink()
        await around.control("POST", "/reload")
        around.write_session()
        await around.control("POST", "/reload")
        await until(lambda: around.log().count("reloaded") >= 3)
        return [*seen, (await around.get("lab"))[0]]

    assert story(act) == [200, 200, 303]


def test_why_a_session_ended_is_told_to_its_person_only() -> None:
    async def act(around: World) -> list[bytes]:
        await around.control("POST", "/cut", {"person": PERSON, "reason": "The board's reason."})
        own, stranger = await around.get("api/contents"), await around.get("api/contents", headers=STRANGER)
        return [own[2], stranger[2]]

    own, stranger = story(act)
    assert b"The board's reason." in own
    assert b"The board's reason." not in stranger


def test_a_pass_of_another_person_opens_nothing_here() -> None:
    async def act(around: World) -> int:
        around.write_session(OTHER)
        await around.control("POST", "/reload")
        async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(around.inbound))) as http:
            address = f"http://x/user/{OTHER}/ws-1/api/contents"
            async with http.get(address, headers=HEADERS) as answer:
                return answer.status

    assert story(act) == 403
