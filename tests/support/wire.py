"""The browser's door of a running environment, byte by byte: what arrives, and what the gate counted for it.

A `Line` is a kernel's websocket whose frames are looked at, not interpreted; `Meter` asks the gate itself.
"""

import asyncio
import json
import socket
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from aiohttp import WSMsgType
from yarl import URL

from spe.adapters.cluster.embedded.client import SupervisorClient
from spe.cli.demo.browser import SUBPROTOCOL, Browser, Notebook, decode, encode
from tests.support.person import Company, Granted, until

SECONDS = 60.0
MOST_KEPT = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Meter:
    """What the gate of a workspace counts for one person."""

    people: Company
    workspace: str
    key: str

    def session(self) -> dict[str, Any]:
        """The person's standing, from the gate's control socket."""
        with socket.socket(socket.AF_UNIX) as line, line.makefile("rb") as answer:
            line.settimeout(SECONDS)
            line.connect(str(self.people.layout.gate(self.workspace) / "control.sock"))
            line.sendall(b"GET /status HTTP/1.1\r\nHost: gate\r\nConnection: close\r\n\r\n")
            sessions = json.loads(answer.read().partition(b"\r\n\r\n")[2])["sessions"]
        mine = self.people.id(self.key)
        return next(session for session in sessions if session["person"] == mine)

    @property
    def used(self) -> int:
        """Bytes gone today."""
        return int(self.session()["used_bytes"])


def gate_pid(people: Company, workspace: str) -> int:
    """The process of a workspace's gate, once it takes calls."""

    def look() -> int:
        gates = SupervisorClient(people.layout.control).status()["gates"]
        return next((int(g["pid"] or 0) for g in gates if g["workspace"] == workspace and g["ready"]), 0)

    return until(f"the gate of {workspace} is ready", look)


@dataclass(slots=True)
class Heard:
    """What came over a line: bytes and message types of the notebook, the gate's own sentences, how it ended."""

    size: int = 0
    kinds: list[str] = field(default_factory=list)
    data: bytearray = field(default_factory=bytearray)
    sentences: list[str] = field(default_factory=list)
    code: int | None = None
    reason: str = ""

    def take(self, data: bytes) -> None:
        """Count one frame; the gate's own lines are kept apart."""
        if data[:1] == b"{":  # events are text
            kind, username, content = "event", "", {}
        else:
            _, header, _, content = decode(data)
            kind, username = header["msg_type"], header["username"]
        if username == "spe":
            self.sentences.append(content["text"])
            return
        self.size += len(data)
        self.kinds.append(content.get("execution_state", kind) if kind == "status" else kind)
        self.data += data[: MOST_KEPT - len(self.data)]

    def idle_after(self, kind: str) -> bool:
        """Whether the kernel said that it is idle since the last message of this type."""
        since = self.kinds[::-1].index(kind) if kind in self.kinds else len(self.kinds)
        return "idle" in self.kinds[len(self.kinds) - since :]


class Line:
    """A websocket to a kernel, or to the events of a notebook."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self._session = uuid.uuid4().hex

    async def say(self, kind: str, content: Mapping[str, Any], *, channel: str = "shell") -> None:
        """Send one message."""
        await self.socket.send_bytes(encode(channel, kind, uuid.uuid4().hex, self._session, content))

    async def execute(self, code: str, **content: Any) -> None:
        """Send a cell."""
        usual = {"silent": False, "store_history": False, "allow_stdin": True, "stop_on_error": True}
        await self.say("execute_request", {"code": code, "user_expressions": {}, **usual, **content})

    async def ask(self, kind: str, content: Mapping[str, Any], *, channel: str = "shell") -> Heard:
        """Send one message and, behind it, a cell that prints a mark; what came until mark and replies were there."""
        mark = uuid.uuid4().hex
        replies = 2 if kind == "execute_request" else 1
        await self.say(kind, content, channel=channel)
        await self.execute(f"print({mark!r})")

        def enough(heard: Heard) -> bool:
            printed = heard.data.count(mark.encode()) > 1  # the first is the echo of the code
            return printed and heard.kinds.count("execute_reply") >= replies and heard.idle_after("stream")

        return await self.hear(enough)

    async def flood(self, code: str, enough: Callable[[Heard], bool] = lambda _: False) -> Heard:
        """Run a cell until that is enough or the line has ended; again when a hurried kernel left printing out."""
        heard, rounds = Heard(), 0
        while heard.code is None and not enough(heard):
            rounds += 1
            await self.execute(code)
            await self.hear(lambda so_far: enough(so_far) or so_far.kinds.count("execute_reply") >= rounds, heard)  # noqa: B023  # called in this round only
        return heard

    async def hear(self, enough: Callable[[Heard], bool], heard: Heard | None = None) -> Heard:
        """Listen until that is enough, or the line has ended; adds to what was heard."""
        heard = heard or Heard()
        while not enough(heard):
            message = await asyncio.wait_for(self.socket.receive(), SECONDS)
            if message.type not in (WSMsgType.BINARY, WSMsgType.TEXT):
                heard.code = self.socket.close_code
                heard.reason = str(message.extra or "")
                return heard
            heard.take(message.data if isinstance(message.data, bytes) else message.data.encode())
        return heard


@asynccontextmanager
async def line(browser: Browser, notebook: Notebook, path: str = "") -> AsyncIterator[Line]:
    """A websocket of the notebook's: its kernel's channels, or `path`."""
    where = path or f"api/kernels/{notebook.kernel}/channels?session_id={uuid.uuid4().hex}"
    parts = urlsplit(notebook.base)
    async with browser.http.ws_connect(
        URL(notebook.base + where, encoded=True),
        protocols=() if path else (SUBPROTOCOL,),
        headers={"Origin": f"{parts.scheme}://{parts.netloc}"},
        max_msg_size=0,
    ) as opened:
        yield Line(opened)


@asynccontextmanager
async def at_desk(people: Company, granted: Granted, key: str) -> AsyncIterator[tuple[Browser, Notebook]]:
    """A person's browser with their notebook opened and a kernel to which no line leads yet."""
    async with people.browser(key) as browser:
        notebook = await browser.open_notebook(granted.workspace, people.id(key))
        notebook.kernel = (await notebook.call("POST", "api/kernels", json={"name": "python3"}))["id"]
        yield browser, notebook
