import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from aiohttp import web

from spe.hub.portal import PortalClient, PortalRefused, PortalSilent, sentence_of

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def ask(folder: Path, handler: Handler | None, path: str = "/hub/x", seconds: float = 5) -> dict[str, object]:
    """One GET to a server that answers as the test says; no server when it says nothing."""

    async def talk() -> dict[str, object]:
        runner = None
        if handler is not None:
            app = web.Application()
            app.router.add_get("/{rest:.*}", handler)
            runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
            await runner.setup()
            await web.UnixSite(runner, str(folder / "p.sock")).start()
        try:
            return await PortalClient(str(folder / "p.sock"), "the-token").get(path, seconds=seconds)
        finally:
            if runner is not None:
                await runner.cleanup()

    return asyncio.run(talk())


@pytest.fixture
def folder(short_folder: Path) -> Path:
    return short_folder


def answering(status: int = 200, text: str = "{}", **headers: str) -> Handler:
    async def handler(request: web.Request) -> web.Response:
        return web.Response(status=status, text=text, content_type="application/json", headers=headers)

    return handler


def test_the_token_is_shown_as_bearer(folder: Path) -> None:
    async def handler(request: web.Request) -> web.Response:
        return web.json_response({"seen": request.headers["Authorization"]})

    assert ask(folder, handler) == {"seen": "Bearer the-token"}


def test_a_portal_at_a_port_is_asked_there() -> None:
    async def talk() -> dict[str, object]:
        app = web.Application()
        app.router.add_get("/hub/x", answering(200, '{"entitled": true}'))
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        try:
            return await PortalClient(f"http://127.0.0.1:{port}", "the-token").get("/hub/x", seconds=5)
        finally:
            await runner.cleanup()

    assert asyncio.run(talk()) == {"entitled": True}


@pytest.mark.parametrize(
    "handler",
    [
        answering(500),
        answering(503, '{"entitled": true}'),
        answering(200, "not json"),
        answering(200, "[true]"),
        answering(200, "true"),
        answering(302, "{}", Location="/hub/other"),
        answering(200, '{"a": "' + "x" * (2 << 20) + '"}'),
    ],
    ids=["500", "503", "no-json", "list", "true", "redirect", "endless"],
)
def test_an_answer_that_decides_nothing_is_silence(folder: Path, handler: Handler) -> None:
    with pytest.raises(PortalSilent):
        ask(folder, handler)


def test_nobody_listening_is_silence(folder: Path) -> None:
    with pytest.raises(PortalSilent):
        ask(folder, None)


def test_no_answer_in_time_is_silence(folder: Path) -> None:
    async def handler(request: web.Request) -> web.Response:
        await asyncio.sleep(30)
        return web.Response()

    with pytest.raises(PortalSilent):
        ask(folder, handler, seconds=0.2)


def test_a_refusal_carries_status_code_and_sentence(folder: Path) -> None:
    problem = '{"title": "Refused", "detail": "The permit ended.", "remedy": "Ask the board.", "code": "ended"}'
    with pytest.raises(PortalRefused) as refused:
        ask(folder, answering(409, problem))
    assert (refused.value.status, refused.value.code) == (409, "ended")
    assert refused.value.sentence == "The permit ended. Ask the board."


@pytest.mark.parametrize(
    ("problem", "sentence"),
    [
        ({"title": "Refused"}, "Refused"),
        ({"title": "Refused", "detail": "Because."}, "Because."),
        ({"detail": "two\nlines\x1b[31m"}, "two lines [31m"),
        ({"detail": 7}, "The portal refused without giving a reason; ask the operator."),
        ({}, "The portal refused without giving a reason; ask the operator."),
    ],
)
def test_a_problem_becomes_one_plain_line(problem: dict[str, object], sentence: str) -> None:
    assert sentence_of(problem) == sentence


def test_a_sentence_has_an_end() -> None:
    assert len(sentence_of({"detail": "x" * 5000})) == 1000


def test_the_token_is_in_no_repr() -> None:
    assert "the-token" not in repr(PortalClient("/nowhere", "the-token"))
