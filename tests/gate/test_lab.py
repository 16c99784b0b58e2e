"""A real JupyterLab server behind a real gate: the page, its files, a kernel, and a real flood."""

import asyncio
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import jupyter_server
from aiohttp import WSMsgType

from spe.gate.messages import write_message
from tests.gate.support import BASE, PERSON, World, parts_of, until, world

SHARED = Path(sys.prefix) / "share" / "jupyter" / "lab"
SERVER = Path(jupyter_server.__file__).parent / "static"
TOKEN = "0123456789abcdef0123456789abcdef"
AUTHORIZED = {"Authorization": f"token {TOKEN}"}
ASSETS = {"assets": {"lab": str(SHARED), "server": str(SERVER)}}


@contextlib.asynccontextmanager
async def lab(**session: Any) -> AsyncIterator[World]:
    """The world with JupyterLab in the notebook's place (no sandbox around it here)."""
    async with world(gate=ASSETS, **session) as around:
        socket = around.root / "n" / PERSON / "nb.sock"
        socket.unlink()
        home = around.root / "home"
        home.mkdir()
        (home / "rows.csv").write_text("a,b\n1,2\n")
        environment = {**os.environ, "HOME": str(home), "JUPYTER_RUNTIME_DIR": str(around.root / "rt")}
        command = [
            *(sys.executable, "-m", "jupyterlab", "--no-browser", f"--ServerApp.sock={socket}"),
            *(f"--ServerApp.base_url={BASE}", f"--ServerApp.root_dir={home}", f"--IdentityProvider.token={TOKEN}"),
            "--ZMQChannelsWebsocketConnection.iopub_data_rate_limit=1e12",
            "--ZMQChannelsWebsocketConnection.iopub_msg_rate_limit=1e12",
        ]
        with (around.root / "lab.log").open("wb") as log:
            process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
        try:
            await until(lambda: _is_up(around), 60)
            yield around
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:  # how it ends is not ours
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(10)


async def _is_up(around: World) -> bool:
    return (await around.get("api"))[0] == 200


async def kernel(around: World) -> str:
    status, _, body = await around.get("api/kernels", "POST", headers=AUTHORIZED, json={"name": "python3"})
    assert status == 201, body
    return f"api/kernels/{json.loads(body)['id']}/channels?session_id={uuid.uuid4()}"


def request(kind: str, content: dict[str, Any], channel: str = "shell") -> bytes:
    header = {
        "msg_id": str(uuid.uuid4()),
        "msg_type": kind,
        "session": "browser",
        "username": "ada",
        "date": "2026-01-01T00:00:00Z",
        "version": "5.3",
    }
    return write_message(channel, [json.dumps(part).encode() for part in (header, {}, {}, content)])


def code(text: str) -> bytes:
    return request("execute_request", {"code": text, "silent": False, "store_history": True, "allow_stdin": False})


async def answers(ws: aiohttp.ClientWebSocketResponse, until_type: str) -> tuple[dict[str, list[Any]], int | None]:
    """Contents by message type until one type came, or the close code."""
    seen: dict[str, list[Any]] = {}
    async with asyncio.timeout(60):
        while True:
            message = await ws.receive()
            if message.type is not WSMsgType.BINARY:
                return seen, message.data if message.type is WSMsgType.CLOSE else None
            parts = parts_of(message.data)
            kind = json.loads(parts[1])["msg_type"]
            seen.setdefault(kind, []).append(json.loads(parts[4]))
            if kind == until_type:
                return seen, None


def test_the_page_loads_with_every_file_from_the_gates_copy() -> None:
    async def story() -> Any:
        async with lab() as around:
            status, headers, page = await around.get("lab", headers={**AUTHORIZED, "Accept": "text/html"})
            names = re.findall(rf'"{BASE}(static/[^"?]+[.][a-z0-9]+)', page.decode())
            files = [(name, *(await around.get(name))[:2]) for name in names]
            return status, headers, files, await around.session()

    status, headers, files, session = asyncio.run(story())
    assert status == 200
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    assert len(files) >= 3
    assert [(name, code) for name, code, _ in files if code != 200] == []
    assert {row["kind"] for row in session["spent"]} == {"page", "version"}


def test_what_jupyterlab_asks_at_start_is_answered() -> None:
    paths = [
        "api/me",
        "api/kernelspecs",
        "api/kernels",
        "api/sessions",
        "api/contents?content=1",
        "api/contents/rows.csv?content=1&hash=0&type=file&format=text",
        "lab/api/settings",
        "lab/api/settings/@jupyterlab/apputils-extension:themes",
        "lab/api/workspaces",
        "lab/api/translations",
        "kernelspecs/python3/logo-svg.svg",
        "api/config/jupyterlab",
        "lab/api/themes/@jupyterlab/theme-light-extension/index.css",
    ]

    async def story() -> list[tuple[str, int]]:
        async with lab() as around:
            return [(path, (await around.get(path, headers=AUTHORIZED))[0]) for path in paths]

    assert [row for row in asyncio.run(story()) if row[1] != 200] == []


def test_a_cell_runs_and_its_output_is_counted() -> None:
    async def story() -> Any:
        async with lab() as around:
            path = await kernel(around)
            async with around.socket(path, headers=AUTHORIZED) as ws:
                await ws.send_bytes(request("kernel_info_request", {}))
                await answers(ws, "kernel_info_reply")
                await ws.send_bytes(request("debug_request", {"type": "request", "command": "debugInfo"}, "control"))
                await ws.send_bytes(code("print(6 * 7)"))
                seen, _ = await answers(ws, "stream")
            return seen, await around.session()

    seen, session = asyncio.run(story())
    assert seen["stream"] == [{"name": "stdout", "text": "42\n"}]
    assert "debug_reply" not in seen
    counted = {(row["channel"], row["kind"]) for row in session["spent"]}
    assert {("iopub", "status"), ("shell", "kernel_info_reply"), ("iopub", "stream")} <= counted


def test_a_real_kernel_that_prints_too_much_is_cut_at_the_budget() -> None:
    budget = 5_000_000

    async def story() -> Any:
        async with lab(daily_bytes=budget, message_bytes=4_000_000) as around:
            path = await kernel(around)
            async with around.socket(path, headers=AUTHORIZED) as ws:
                await ws.send_bytes(request("kernel_info_request", {}))
                await answers(ws, "kernel_info_reply")
                await ws.send_bytes(
                    code("import sys\nfor n in range(400):\n    print('x' * 50_000)\n    sys.stdout.flush()")
                )
                seen, closed = await answers(ws, "never")
            await until(lambda: around.portal.named("budget-exceeded"))
            return seen, closed, (await around.session())["used_bytes"]

    seen, closed, used = asyncio.run(story())
    printed = sum(len(item["text"]) for item in seen["stream"] if item["name"] == "stdout")
    assert 1_000_000 < printed <= budget
    assert used == budget
    assert closed == 4429
    assert "allowance" in seen["stream"][-1]["text"]


def test_a_file_is_saved_through_the_gate() -> None:
    async def story() -> tuple[int, str]:
        async with lab() as around:
            body = {"type": "file", "format": "text", "content": "hello"}
            status, _, _ = await around.get("api/contents/new.txt", "PUT", headers=AUTHORIZED, json=body)
            return status, (around.root / "home" / "new.txt").read_text()

    assert asyncio.run(story()) == (201, "hello")
