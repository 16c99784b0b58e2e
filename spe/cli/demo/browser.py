"""A person at a browser, without the browser: signs in by link, opens the notebook, runs cells.

It goes where a browser goes (portal, Hub's proxy, gate) with cookies only, and speaks the Jupyter
kernel protocol in its websocket form `v1.kernel.websocket.jupyter.org`.
"""

import asyncio
import json
import re
import struct
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from yarl import URL

SUBPROTOCOL = "v1.kernel.websocket.jupyter.org"
MOST_HOPS = 20  # as browsers do (Fetch standard, HTTP-redirect fetch)
CSRF = re.compile(r'name="csrf"\s+value="([^"]+)"')


class Refusal(Exception):
    """A door said no: the status and the beginning of its answer."""

    def __init__(self, status: int, text: str) -> None:
        self.status = status
        super().__init__(f"{status}: {text[:300]}")


@dataclass(slots=True)
class Cell:
    """What running a cell gave: printed text, results, an error's last line."""

    text: str = ""
    results: list[str] = field(default_factory=list)
    error: str = ""


class Browser:
    """One browser profile: its cookies, no scripts."""

    def __init__(self, *, portal: str, hub: str) -> None:
        self.portal = portal
        self.hub = hub
        self._jar = aiohttp.CookieJar(unsafe=True)
        self._http = aiohttp.ClientSession(cookie_jar=self._jar, timeout=aiohttp.ClientTimeout(total=60))

    async def close(self) -> None:
        """Close every connection."""
        await self._http.close()

    async def sign_in(self, link: str) -> None:
        """Open a one-time link and press its button."""
        page = await self._page("GET", link)
        found = CSRF.search(page)
        await self._page("POST", link, data={"csrf": found[1] if found else ""})

    async def open_notebook(self, workspace: str, person: str) -> "Notebook":
        """Open the notebook as its link does; every redirect between portal and Hub is followed."""
        base = f"{self.hub}/user/{person}/{workspace}/"
        await self._page("GET", base + "lab")
        return Notebook(self, base)

    async def _page(self, method: str, url: str, **given: Any) -> str:
        headers = {"Origin": f"{urlsplit(url).scheme}://{urlsplit(url).netloc}"} if method == "POST" else {}
        address = URL(url, encoded=True)
        async with self._http.request(method, address, headers=headers, max_redirects=MOST_HOPS, **given) as answer:
            text = await answer.text()
            if answer.status >= 400:
                raise Refusal(answer.status, text)
            return text

    def cookie(self, url: str, name: str) -> str:
        """A cookie that would be sent to `url`."""
        found = self._jar.filter_cookies(URL(url)).get(name)
        return found.value if found else ""

    @property
    def http(self) -> aiohttp.ClientSession:
        """The session with the cookies."""
        return self._http


class Notebook:
    """An opened notebook: its API and one kernel."""

    def __init__(self, browser: Browser, base: str) -> None:
        self.base = base
        self.browser = browser
        self._session = uuid.uuid4().hex
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self.kernel = ""

    async def call(self, method: str, path: str, **given: Any) -> Any:
        """One call of the notebook's API, as its page makes it. Raises `Refusal`."""
        headers = {"X-XSRFToken": self.browser.cookie(self.base, "_xsrf"), "Origin": self._origin}
        async with self.browser.http.request(
            method, URL(self.base + path, encoded=True), headers=headers, **given
        ) as a:
            text = await a.text()
            if a.status >= 400:
                raise Refusal(a.status, text)
            return json.loads(text) if text else None

    async def put(self, path: str, document: str) -> None:
        """Save a notebook document."""
        content = {"type": "notebook", "format": "json", "content": json.loads(document)}
        await self.call("PUT", f"api/contents/{path}", json=content)

    async def start_kernel(self) -> None:
        """Start a kernel and connect to it."""
        answer = await self.call("POST", "api/kernels", json={"name": "python3"})
        self.kernel = answer["id"]
        await self.connect()

    async def connect(self) -> None:
        """Connect to the kernel, also once more after a connection that was cut, as the notebook's page does."""
        if self._socket is not None:
            await self._socket.close()
        url = f"{self.base}api/kernels/{self.kernel}/channels?session_id={self._session}"
        self._socket = await self.browser.http.ws_connect(
            URL(url, encoded=True), protocols=(SUBPROTOCOL,), headers={"Origin": self._origin}, max_msg_size=0
        )

    async def run(self, code: str, *, seconds: float = 120) -> Cell:
        """Run one cell to its end."""
        assert self._socket is not None, "start the kernel first"
        message_id = uuid.uuid4().hex
        await self._socket.send_bytes(
            encode(
                "shell",
                "execute_request",
                message_id,
                self._session,
                {
                    "code": code,
                    "silent": False,
                    "store_history": False,
                    "user_expressions": {},
                    "allow_stdin": False,
                    "stop_on_error": True,
                },
            )
        )
        cell = Cell()
        deadline = time.monotonic() + seconds
        replied = idle = False
        while not (replied and idle):
            message = await asyncio.wait_for(self._socket.receive(), max(0.1, deadline - time.monotonic()))
            if message.type is not aiohttp.WSMsgType.BINARY:
                raise ConnectionResetError(f"The connection was cut: {message.data} {message.extra or ''}".strip())
            channel, header, parent, content = decode(message.data)
            if parent.get("msg_id") != message_id:
                continue
            replied = replied or (channel == "shell" and header["msg_type"] == "execute_reply")
            idle = idle or (header["msg_type"] == "status" and content.get("execution_state") == "idle")
            _add(cell, header["msg_type"], content)
        return cell

    async def closed(self, *, seconds: float) -> str:
        """Wait until the other side closes the kernel's connection; the reason it gave."""
        assert self._socket is not None
        deadline = time.monotonic() + seconds
        while True:
            message = await asyncio.wait_for(self._socket.receive(), max(0.05, deadline - time.monotonic()))
            if message.type is aiohttp.WSMsgType.BINARY:
                continue
            return str(message.extra or message.data or "closed")

    @property
    def _origin(self) -> str:
        parts = urlsplit(self.base)
        return f"{parts.scheme}://{parts.netloc}"


def _add(cell: Cell, kind: str, content: Mapping[str, Any]) -> None:
    if kind == "stream":
        cell.text += content["text"]
    elif kind in ("execute_result", "display_data"):
        cell.results.append(content["data"].get("text/plain", ""))
    elif kind == "error":
        cell.error = f"{content['ename']}: {content['evalue']}"


def encode(channel: str, kind: str, message_id: str, session: str, content: Mapping[str, Any]) -> bytes:
    """A kernel message in the v1 websocket layout: count, offsets, then the parts."""
    header = {
        "msg_id": message_id,
        "msg_type": kind,
        "session": session,
        "username": "",
        "version": "5.3",
        "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
    parts = [channel.encode(), *(json.dumps(p).encode() for p in (header, {}, {}, content))]
    offsets = [8 * (1 + len(parts) + 1)]
    for part in parts:
        offsets.append(offsets[-1] + len(part))
    return struct.pack(f"<{len(offsets) + 1}Q", len(offsets), *offsets) + b"".join(parts)


def decode(data: bytes) -> tuple[str, dict[str, Any], dict[str, Any], dict[str, Any]]:
    """(channel, header, parent header, content) of a message in the v1 layout."""
    (count,) = struct.unpack_from("<Q", data)
    offsets = struct.unpack_from(f"<{count}Q", data, 8)
    part = [data[a:b] for a, b in pairwise(offsets)]
    return part[0].decode(), json.loads(part[1]), json.loads(part[2]), json.loads(part[4])
