"""A small cluster on loopback addresses around one real gate process: each pod is an address of 127.0.0.0/8.

A pod calls from its own address, as the kernel knows it, and its notebook listens there; the portal says which
address is whose, and says it as slowly or wrongly as a test wants.
"""

import asyncio
import contextlib
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from spe.gate.ledger import Ledger
from spe.gate.messages import SUBPROTOCOL
from tests.gate.support import (
    BASE,
    CHANNELS,
    FAR,
    HEADERS,
    ORIGIN,
    OTHER,
    PASS,
    PERSON,
    TOKEN,
    WORKSPACE,
    Answer,
    plain,
    until,
)
from tests.gate.support import PORTAL as PORTAL_URL

ACCOUNT_TOKEN = "account-token-of-the-gates-pod"
INBOUND, DOOR, CONTROL, SPARE = 8888, 8081, 8082, 8083
Answered = tuple[int, dict[str, str], bytes]


@dataclass
class ClusterPortal:
    """The portal's internal application at an address. `table` is what the cluster would say of pods."""

    host: str
    table: dict[str, str] = field(default_factory=dict)
    hello: Any = field(default_factory=lambda: {"workspace": WORKSPACE, "token": TOKEN})
    hello_status: int = 200
    hello_hangs: bool = False
    addresses_status: int = 200
    entitled: bool = True
    silent: bool = False
    shown: list[str] = field(default_factory=list)
    questions: list[float] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    calls: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)
    runner: web.ServerRunner | None = None

    @property
    def url(self) -> str:
        return f"http://{self.host}:9001"

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        given = request.headers.get("Authorization", "")
        if request.path == "/gate/hello":
            self.shown.append(given)
            if self.hello_hangs:
                await asyncio.sleep(3600)
            return web.json_response(self.hello, status=self.hello_status)
        assert given == f"Bearer {TOKEN}"
        if self.silent and request.path.startswith("/gate/"):
            await asyncio.sleep(3600)
        if request.path == "/gate/addresses":
            self.questions.append(time.monotonic())
            return web.json_response(self.table, status=self.addresses_status)
        if request.path == "/gate/entitled":
            return web.json_response({"entitled": self.entitled, "until": None})
        if request.path == "/gate/events":
            self.events.append(json.loads(await request.read()))
            return web.json_response({}, status=202)
        body = b"".join([chunk async for chunk in request.content.iter_any()])
        self.calls.append((request.method, request.raw_path, dict(request.headers), body))
        return web.json_response({"bytes": len(body)})

    async def open(self) -> None:
        self.runner = await serve(self.handle, self.host, 9001)

    async def close(self) -> None:
        if self.runner is not None:
            await self.runner.cleanup()
            self.runner = None


async def serve(handler: Any, host: str, port: int) -> web.ServerRunner:
    runner = web.ServerRunner(web.Server(handler, auto_decompress=False), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, host, port).start()
    return runner


@dataclass
class Cluster:
    """Addresses, neighbours and the process of one gate."""

    root: Path
    net: str
    portal: ClusterPortal
    deadline: float
    asked: list[tuple[str, web.BaseRequest]] = field(default_factory=list)
    hub_asked: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)
    process: subprocess.Popen[bytes] | None = None
    runners: list[web.ServerRunner] = field(default_factory=list)

    def at(self, number: int) -> str:
        """An address of this cluster: 1 is the gate, 2 the portal, 3 the Hub, 4 its proxy, people's pods from 10."""
        return f"{self.net}.{number}"

    @property
    def host(self) -> str:
        return self.at(1)

    def log(self) -> str:
        return (self.root / "log").read_text()

    def lines(self, event: str) -> list[dict[str, Any]]:
        found = [json.loads(line) for line in self.log().splitlines() if line.startswith("{")]
        return [line for line in found if line["event"] == event]

    # the process

    def spawn(self) -> None:
        given = {name: str(self.root / name) for name in ("state", "run")}
        given |= {"token_file": str(self.root / "token"), "portal": self.portal.url, "host": self.host}
        with (self.root / "log").open("ab") as log:
            command = [sys.executable, "-m", "tests.gate.pod_process", json.dumps(given)]
            self.process = subprocess.Popen(command, stderr=log, env={**os.environ})

    async def start(self) -> None:
        """Start it and wait until it knows who it is."""
        self.spawn()
        await until(self.is_named)

    async def is_named(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log()
        try:
            return (await self.control("GET", "/status"))[0] == 200
        except (aiohttp.ClientError, OSError):
            return False

    async def is_configured(self) -> bool:
        return await self.is_named() and bool((await self.status())["configured"])

    def kill(self) -> None:
        self.end(signal.SIGKILL)

    def end(self, number: signal.Signals = signal.SIGTERM) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)
            self.process.wait(20)

    # what it is told

    def gate(self, **changes: Any) -> dict[str, Any]:
        return {
            "workspace": WORKSPACE,
            "permit": "pm-1",
            "hub": f"http://{self.at(3)}:8081",
            "mirror": None,
            "assets": {"lab": str(self.root / "lab"), "server": str(self.root / "server")},
            "deadline_seconds": self.deadline,
            "public_origins": [ORIGIN],
            "portal_url": PORTAL_URL,
            **changes,
        }

    def session(self, person: str = PERSON, **changes: Any) -> dict[str, Any]:
        return {
            "person": person,
            "name": "Ada Lovelace",
            "base_url": f"/user/{person}/{WORKSPACE}/",
            "address": None,
            "daily_bytes": 10_000_000,
            "message_bytes": 1_000_000,
            "terminals": False,
            "expires": FAR,
            **changes,
        }

    async def configure(self, *people: str, **gate: Any) -> dict[str, Any]:
        """Give it a place for each person. Raises AssertionError when it does not take that."""
        document = {"gate": self.gate(**gate), "sessions": [self.session(person) for person in people]}
        status, answer = await self.control("PUT", "/configuration", document)
        assert status == 200, answer
        return answer

    async def control(
        self, method: str, path: str, body: Any = None, *, token: str | None = TOKEN, whence: int = 2
    ) -> tuple[int, dict[str, Any]]:
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        async with (
            self.client(whence) as http,
            http.request(method, f"http://{self.host}:{CONTROL}{path}", json=body, headers=headers) as answer,
        ):
            return answer.status, dict(await answer.json())

    async def status(self) -> dict[str, Any]:
        return (await self.control("GET", "/status"))[1]

    async def session_of(self, person: str = PERSON) -> dict[str, Any]:
        return next(s for s in (await self.status())["sessions"] if s["person"] == person)

    def let_in(self, *people: str) -> None:
        """Give the tests' browser a pass, as one that has come back from the portal has it."""
        with contextlib.closing(Ledger(self.root / "state" / "gate.sqlite")) as ledger:
            for person in people:
                ledger.keep_pass(person, hashlib.sha256(PASS.encode()).hexdigest(), time.time() + 86400)

    # who calls

    def client(self, number: int) -> aiohttp.ClientSession:
        """Somebody at an address."""
        connector = aiohttp.TCPConnector(local_addr=(self.at(number), 0), force_close=True)
        return aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())

    async def ask(self, number: int, port: int, method: str, path: str, **given: Any) -> Answered:
        async with (
            self.client(number) as http,
            http.request(method, f"http://{self.host}:{port}{path}", allow_redirects=False, **given) as answer,
        ):
            return answer.status, dict(answer.headers), await answer.read()

    async def call(self, number: int, method: str, path: str, **given: Any) -> Answered:
        """From inside a pod, at the door."""
        return await self.ask(number, DOOR, method, path, **given)

    async def get(self, path: str, *, person: str = PERSON, **given: Any) -> Answered:
        """From a browser, by way of the proxy."""
        base = BASE.replace(PERSON, person)
        headers = {**HEADERS, "X-Forwarded-For": "127.0.0.1", **given.pop("headers", {})}
        return await self.ask(4, INBOUND, given.pop("method", "GET"), base + path, headers=headers, **given)

    async def check(self, person: str = PERSON) -> int:
        """The Hub's question whether a notebook is up."""
        return (await self.ask(3, INBOUND, "GET", BASE.replace(PERSON, person) + "api"))[0]

    @contextlib.asynccontextmanager
    async def socket(
        self, path: str = CHANNELS, *, headers: dict[str, str] | None = None
    ) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        address, shown = f"http://{self.host}:{INBOUND}{BASE}{path}", {**HEADERS, **(headers or {})}
        async with (
            self.client(4) as http,
            http.ws_connect(address, protocols=(SUBPROTOCOL,), headers=shown, max_msg_size=0) as ws,
        ):
            yield ws

    # pods

    async def notebook(self, number: int, answer: Answer = plain) -> web.ServerRunner:
        """A notebook that listens at an address; who is asked there is kept."""

        async def handle(request: web.BaseRequest) -> web.StreamResponse:
            self.asked.append((self.at(number), request))
            return await answer(request)  # type: ignore[arg-type]

        runner = await serve(handle, self.at(number), 8888)
        self.runners.append(runner)
        return runner

    async def pod(self, number: int, person: str = PERSON, answer: Answer = plain) -> web.ServerRunner:
        """A notebook, and the portal knows whose it is."""
        self.portal.table[person] = self.at(number)
        return await self.notebook(number, answer)


@contextlib.asynccontextmanager
async def cluster(*people: str, start: bool = True, deadline: float = 3600.0) -> AsyncIterator[Cluster]:
    """Portal and Hub up, the gate told of places for `people`; all of it gone afterwards."""
    root = Path(tempfile.mkdtemp(prefix="spe-", dir="/tmp"))
    net = f"127.{random.randint(16, 250)}.{random.randint(1, 250)}"
    around = Cluster(root=root, net=net, portal=ClusterPortal(host=f"{net}.2"), deadline=deadline)

    async def hub(request: web.BaseRequest) -> web.StreamResponse:
        around.hub_asked.append((request.method, request.raw_path, dict(request.headers), await request.read()))
        return web.json_response({"path": request.path})

    try:
        for name in ("lab/static", "lab/themes", "server/favicons"):
            (root / name).mkdir(parents=True)
        (root / "token").write_text(ACCOUNT_TOKEN + "\n")
        await around.portal.open()
        around.runners.append(await serve(hub, around.at(3), 8081))
        if start:
            await around.start()
        if people:
            await around.configure(*people)
            around.let_in(*people)
        yield around
    finally:
        around.end()
        for runner in around.runners:
            await runner.cleanup()
        await around.portal.close()
        shutil.rmtree(root, ignore_errors=True)


__all__ = ["ACCOUNT_TOKEN", "OTHER", "PERSON", "TOKEN", "WORKSPACE", "Cluster", "cluster"]
