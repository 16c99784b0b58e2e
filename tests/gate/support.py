"""A world around one real gate process: a portal, a Hub and a notebook that answer whatever a test wants."""

import asyncio
import base64
import contextlib
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from spe.gate.ledger import Ledger
from spe.gate.messages import SUBPROTOCOL, write_message

WORKSPACE = "ws-1"
PERSON = "p-ada"
OTHER = "p-bob"
BASE = f"/user/{PERSON}/{WORKSPACE}/"
ORIGIN = "http://localhost:8000"
HOST = "localhost:8000"
PORTAL = "http://127.0.0.1:9000"
PASS = "pass-of-the-tests"
TOKEN = "t" * 32
KERNEL = "11111111-2222-3333-4444-555555555555"
CHANNELS = f"api/kernels/{KERNEL}/channels"
FAR = "2099-01-01T00:00:00Z"
COOKIE = f"spe-pass={PASS}"
HEADERS = {"Host": HOST, "Origin": ORIGIN, "Cookie": COOKIE}

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


def frame(kind: str, content: dict[str, Any] | None = None, *, channel: str = "iopub", parent: str = "") -> bytes:
    """A message as a notebook or a browser would put it on the websocket."""
    header = {"msg_id": f"m-{kind}", "msg_type": kind, "session": "s", "username": "u", "date": "", "version": "5.3"}
    parts: list[Any] = [header, {"msg_id": parent} if parent else {}, {}, content or {}]
    return write_message(channel, [json.dumps(part).encode() for part in parts])


def parts_of(data: bytes) -> list[bytes]:
    """Channel, header, parent, metadata, content and buffers of a frame."""
    count = int.from_bytes(data[:8], "little")
    offsets = [int.from_bytes(data[8 * (i + 1) : 8 * (i + 2)], "little") for i in range(count)]
    return [data[a:b] for a, b in pairwise(offsets)]


async def until(condition: Callable[[], Any], seconds: float = 20.0) -> Any:
    """Wait for a condition; the value when it holds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = condition()
        if asyncio.iscoroutine(value):
            value = await value
        if value:
            return value
        await asyncio.sleep(0.01)
    raise AssertionError("the condition never held")


@dataclass
class Portal:
    """The portal's internal socket: says yes or no, keeps events, records workspace calls."""

    path: Path
    entitled: bool = True
    silent: bool = False
    until: str | None = None
    events: list[dict[str, Any]] = field(default_factory=list)
    calls: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)
    codes: dict[tuple[str, str], str] = field(default_factory=dict)
    runner: web.AppRunner | None = None

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if request.path.startswith("/gate/"):
            assert request.headers["Authorization"] == f"Bearer {TOKEN}"
        if request.path == "/gate/entitled":
            if self.silent:
                await asyncio.sleep(3600)
            return web.json_response({"entitled": self.entitled, "until": self.until})
        if request.path == "/gate/passes":
            if self.silent:
                await asyncio.sleep(3600)
            body = await request.json()
            person = self.codes.pop((body["code"], challenge_of(body["verifier"])), None)
            return web.json_response({"person": person} if person else {}, status=200 if person else 401)
        if request.path == "/gate/events":
            self.events.append(await request.json())
            return web.json_response({}, status=202)
        body = b"".join([chunk async for chunk in request.content.iter_any()])
        self.calls.append((request.method, request.raw_path, dict(request.headers), body))
        return web.json_response({"bytes": len(body)}, headers={"X-Secret": "no", "ETag": '"1"'})

    async def open(self) -> None:
        self.runner = await serve_unix(self.handle, self.path)

    async def close(self) -> None:
        if self.runner is not None:
            await self.runner.cleanup()
            self.runner = None

    def named(self, event: str) -> list[dict[str, Any]]:
        return [body for body in self.events if body["event"] == event]


def challenge_of(verifier: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


async def serve_unix(handler: Answer, path: Path) -> web.AppRunner:
    server = web.Server(handler, auto_decompress=False)  # type: ignore[arg-type]
    runner = web.ServerRunner(server, shutdown_timeout=0.1)
    await runner.setup()
    path.unlink(missing_ok=True)
    await web.UnixSite(runner, str(path)).start()
    return runner  # type: ignore[return-value]


@dataclass
class World:
    """Folders, neighbours and the process of one gate."""

    root: Path
    portal: Portal
    answer: Answer
    hub_answer: Answer
    asked: list[web.Request] = field(default_factory=list)
    hub_asked: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)
    process: subprocess.Popen[bytes] | None = None
    hub: str = ""
    deadline: float = 3600.0
    gate: dict[str, Any] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        return self.root / "g"

    @property
    def inbound(self) -> Path:
        return self.folder / "in.sock"

    def door(self, name: str, person: str = PERSON) -> Path:
        return self.root / "d" / person / name

    def log(self) -> str:
        return (self.root / "log").read_text()

    def write_gate(self) -> None:
        config = {
            "workspace": WORKSPACE,
            "permit": "pm-1",
            "token": TOKEN,
            "portal": str(self.portal.path),
            "hub": self.hub,
            "mirror": None,
            "assets": {"lab": str(self.root / "lab"), "server": str(self.root / "server")},
            "state": str(self.root / "state"),
            "deadline_seconds": self.deadline,
            "public_origins": [ORIGIN],
            "portal_url": PORTAL,
            **self.gate,
        }
        (self.folder / "gate.json").write_text(json.dumps(config))

    def write_session(self, person: str = PERSON, **changes: Any) -> None:
        (self.root / "n" / person).mkdir(parents=True, exist_ok=True)
        session = {
            "person": person,
            "name": "Ada Lovelace",
            "base_url": f"/user/{person}/{WORKSPACE}/",
            "notebook": str(self.root / "n" / person / "nb.sock"),
            "door": str(self.root / "d" / person),
            "daily_bytes": 10_000_000,
            "message_bytes": 1_000_000,
            "terminals": False,
            "expires": FAR,
            **changes,
        }
        folder = self.folder / "sessions"
        folder.mkdir(exist_ok=True)
        beside = folder / f".{person}"
        beside.write_text(json.dumps(session))
        beside.rename(folder / f"{person}.json")

    def let_in(self, person: str = PERSON) -> None:
        """Give the tests' browser a pass, as one that has come back from the portal has it."""
        (self.root / "state").mkdir(mode=0o700, exist_ok=True)
        (self.root / "state" / "gate.sqlite").touch(mode=0o600)
        with contextlib.closing(Ledger(self.root / "state" / "gate.sqlite")) as ledger:
            ledger.keep_pass(person, hashlib.sha256(PASS.encode()).hexdigest(), time.time() + 86400)

    async def start(self) -> None:
        """Start the gate process and wait until its doors are open."""
        with (self.root / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "spe.gate", str(self.folder)], stderr=log, env={**os.environ}
            )
        await until(self._is_ready)

    async def _is_ready(self) -> bool:
        assert self.process is not None
        if self.process.poll() is not None:
            raise AssertionError(f"the gate ended: {self.log()}")
        try:
            return bool(await self.status()) and self.inbound.exists()
        except (aiohttp.ClientError, OSError):
            return False

    async def answers(self) -> bool:
        """True when the gate started last answers, and not one that is ending."""
        try:
            return bool(await self.status()) and bool(await self.get("api"))
        except (aiohttp.ClientError, OSError):
            return False

    def kill(self) -> None:
        """SIGKILL: nothing is said, nothing is written."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)
            self.process.wait(20)

    async def control(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        async with (
            client(self.folder / "control.sock") as http,
            http.request(method, "http://gate" + path, json=body) as answer,
        ):
            return dict(await answer.json())

    async def status(self) -> dict[str, Any]:
        return await self.control("GET", "/status")

    async def session(self, person: str = PERSON) -> dict[str, Any]:
        return next(s for s in (await self.status())["sessions"] if s["person"] == person)

    async def used(self) -> int:
        return int((await self.session())["used_bytes"])

    async def get(self, path: str, method: str = "GET", **given: Any) -> tuple[int, dict[str, str], bytes]:
        """One request of a browser below the session's base URL."""
        headers = {**HEADERS, **given.pop("headers", {})}
        async with (
            client(self.inbound) as http,
            http.request(method, "http://x" + BASE + path, headers=headers, allow_redirects=False, **given) as answer,
        ):
            return answer.status, dict(answer.headers), await answer.read()

    @contextlib.asynccontextmanager
    async def socket(
        self,
        path: str = CHANNELS,
        *,
        protocols: tuple[str, ...] = (SUBPROTOCOL,),
        headers: dict[str, str] | None = None,
    ) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        """A websocket of a browser."""
        async with (
            client(self.inbound) as http,
            http.ws_connect(
                "http://x" + BASE + path, protocols=protocols, headers={**HEADERS, **(headers or {})}, max_msg_size=0
            ) as ws,
        ):
            yield ws

    async def call(
        self, door: str, method: str, path: str, *, headers: dict[str, str] | None = None, data: Any = None
    ) -> tuple[int, dict[str, str], bytes]:
        """One call from inside the sandbox."""
        async with (
            client(self.door(door)) as http,
            http.request(method, "http://door" + path, headers=headers, data=data) as answer,
        ):
            return answer.status, dict(answer.headers), await answer.read()


def client(path: Path) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(path)), cookie_jar=aiohttp.DummyCookieJar())


async def plain(request: web.Request) -> web.StreamResponse:
    """A notebook that says a little JSON to everything."""
    return web.json_response({"path": request.path})


@contextlib.asynccontextmanager
async def world(
    answer: Answer = plain,
    *,
    start: bool = True,
    deadline: float = 3600.0,
    gate: dict[str, Any] | None = None,
    **session: Any,
) -> AsyncIterator[World]:
    """Everything up, the gate confirmed; all of it gone afterwards."""
    root = Path(tempfile.mkdtemp(prefix="spe-", dir="/tmp"))
    around = World(root=root, portal=Portal(root / "portal.sock"), answer=answer, hub_answer=plain, deadline=deadline)
    around.gate = gate or {}
    runners: list[web.AppRunner] = []

    async def notebook(request: web.Request) -> web.StreamResponse:
        around.asked.append(request)
        return await around.answer(request)

    async def hub(request: web.Request) -> web.StreamResponse:
        around.hub_asked.append((request.method, request.raw_path, dict(request.headers), await request.read()))
        return await around.hub_answer(request)

    try:
        for name in ("g/sessions", "lab/static", "lab/themes", "server/favicons"):
            (root / name).mkdir(parents=True)
        (root / "lab/static/main.js").write_text("console.log('own copy')")
        around.write_session(**session)
        await around.portal.open()
        runners.append(await serve_unix(notebook, root / "n" / PERSON / "nb.sock"))
        server = web.ServerRunner(web.Server(hub), shutdown_timeout=0.1)  # type: ignore[arg-type]
        await server.setup()
        site = web.TCPSite(server, "127.0.0.1", 0)
        await site.start()
        runners.append(server)  # type: ignore[arg-type]
        around.hub = f"http://127.0.0.1:{server.addresses[0][1]}"
        around.write_gate()
        if start:
            around.let_in()
            await around.start()
        yield around
    finally:
        around.stop()
        for runner in runners:
            await runner.cleanup()
        await around.portal.close()
        shutil.rmtree(root, ignore_errors=True)
