"""Requests a browser, or a script with its cookies, can send to get a file out: as tables of bytes.

An `Http` shape is what goes down a fresh connection to the browser's port; the answer is judged elsewhere.
"""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
SUBPROTOCOL = "v1.kernel.websocket.jupyter.org"
KERNEL = "11111111-2222-3333-4444-555555555555"
FIRST_SECONDS = 20.0
SILENCE_SECONDS = 0.7
PATIENCE_SECONDS = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Whose browser asks, and where: host and port, base URL, another person's base URL, the cookies."""

    host: str
    base: str
    other: str
    cookies: str
    xsrf: str

    @property
    def port(self) -> int:
        """The browser's port."""
        return int(self.host.rpartition(":")[2])


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """One attempt. `open`: an answer that carries bytes is expected, and counted; else nothing may come."""

    name: str
    make: Callable[[Place], bytes]
    open: bool = False
    hangs: bool = False


def http(name: str, path: str, *lines: str, method: str = "GET", body: str = "", open: bool = False) -> Shape:  # noqa: A002  # the word of the table
    """A well-formed request with this path (relative to the base URL unless it begins with a slash) and headers."""

    def make(place: Place) -> bytes:
        target = path.format(base=place.base, host=place.host, other=place.other)
        target = target if target.startswith(("/", "http", "*", place.host)) else place.base + target
        head = [f"{method} {target} HTTP/1.1", f"Host: {place.host}", f"Cookie: {place.cookies}"]
        head += [f"X-XSRFToken: {place.xsrf}", *(line.format(host=place.host) for line in lines)]
        head += [] if any(line.startswith("Connection") for line in lines) else ["Connection: close"]
        head += [f"Content-Length: {len(body)}", "Content-Type: application/json"] if body else []
        return "\r\n".join(head).encode() + b"\r\n\r\n" + body.encode()

    return Shape(name=name, make=make, open=open)


def raw(name: str, text: str, *, open: bool = False, hangs: bool = False) -> Shape:  # noqa: A002  # the word of the table
    """Bytes as they stand: lines end as HTTP wants; BASE, HEAD and FILE stand for what every request has."""

    def make(place: Place) -> bytes:
        head = f"Host: {place.host}\nCookie: {place.cookies}\nX-XSRFToken: {place.xsrf}"
        file = f"GET {place.base}files/table.csv HTTP/1.1\n{head}\nConnection: close\n\n"
        whole = text.replace("FILE", file).replace("SIZE", str(len(file) + file.count("\n")))
        whole = whole.replace("HEAD", head).replace("BASE", place.base).replace("HOST", place.host)
        return whole.replace("\n", "\r\n").encode()

    return Shape(name=name, make=make, open=open, hangs=hangs)


WEBSOCKET = ("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {KEY}")
OWN = "Origin: http://{host}"
CHANNELS = f"api/kernels/{KERNEL}/channels"

FILES = [
    http("download", "files/table.csv"),
    http("download, only its head", "files/table.csv", method="HEAD"),
    http("download, a part", "files/table.csv", "Range: bytes=0-99"),
    http("download by query", "api/contents/table.csv?download=1"),
    http("download by encoded query", "api/contents/table.csv?%64ownload=1"),
    http("download from the Hub's root", "/files/table.csv"),
    http("download from the Hub's own pages", "/hub/user/files/table.csv"),
    http("view of a page", "view/table.html"),
    http("conversion to HTML", "nbconvert/html/story.ipynb?download=true"),
    http("conversion to a script", "nbconvert/script/story.ipynb"),
    http("conversion of a posted notebook", "nbconvert/html", method="POST", body="{}"),
    http("list of converters", "api/nbconvert"),
    http("archive of a folder", "archive-download/work?archiveToken=1&archiveFormat=zip"),
    http("directories endpoint", "directories/work"),
    http("zip endpoint", "zip-download?zipPath=work&zipToken=1"),
    http("tree of the classic interface", "tree/table.csv"),
    http("edit page of the classic interface", "edit/table.csv"),
    http("list of terminals", "api/terminals"),
    http("new terminal", "api/terminals", method="POST", body="{}"),
    http("terminal websocket", "terminals/websocket/1", *WEBSOCKET, OWN),
    http("port proxy", "proxy/8080/table.csv"),
    http("port proxy to a host", "proxy/localhost:8080/table.csv"),
    http("language server", "lsp/ws/pylsp", *WEBSOCKET, OWN),
    http("extension's listings", "lab/api/listings/@jupyterlab/listings"),
    http("extension manager", "lab/api/extensions"),
    http("news", "lab/api/news"),
    http("server status", "api/status"),
    http("API description", "api/spec.yaml"),
    http("metrics", "metrics"),
    http("shutdown", "api/shutdown", method="POST", body="{}"),
    http("custom style", "custom/custom.css"),
    http("classic extension", "nbextensions/table.js"),
]
PATHS = [
    http("planted asset", "static/lab/table.js"),
    http("planted theme", "lab/api/themes/table/index.css"),
    http("planted extension", "lab/extensions/table/static/remoteEntry.js"),
    http("asset with dots", "static/lab/../../files/table.csv"),
    http("asset with encoded dots", "static/lab/%2e%2e/%2e%2e/files/table.csv"),
    http("asset with doubly encoded dots", "static/lab/%252e%252e/files/table.csv"),
    http("asset with an encoded slash", "static%2f..%2ffiles%2ftable.csv"),
    http("asset with a backslash", "static\\..\\files\\table.csv"),
    http("asset with an overlong dot", "static/lab/%c0%ae%c0%ae/files/table.csv"),
    http("asset with a NUL", "static/lab/main.js%00table.csv"),
    http("asset with a path parameter", "static/..;/files/table.csv"),
    http("absolute file behind the assets", "static//etc/passwd"),
    http("dots from the Hub's assets", "/hub/static/../../{base}files/table.csv"),
    http("encoded letter", "%66iles/table.csv"),
    http("other letters", "FILES/table.csv"),
    http("empty segments", "//{base}files/table.csv"),
    http("contents and dots", "api/contents/../../files/table.csv"),
    http("contents and encoded dots", "api/contents/%2e%2e/%2e%2e/%2e%2e/etc/passwd"),
    http("contents and an encoded slash", "api/contents%2ftable.csv"),
    http("another person's notebook", "{other}api/contents/table.csv"),
    http("encoded base", "/%75ser/{base}files/table.csv"),
    http("absolute address", "http://{host}{base}files/table.csv"),
    http("allowed address, absolute", "http://{host}{base}api/contents/table.csv", open=True),
    http("another host, absolute", "http://evil.example{base}api/contents/table.csv", open=True),
    http("fragment", "api/contents/table.csv#/../files", open=True),
    http("token in the address", "lab?token=abc"),
    http("asterisk", "*", method="OPTIONS"),
    http("tunnel", "{host}", method="CONNECT"),
]
HEADERS = [
    http("head of contents", "api/contents/table.csv", method="HEAD"),
    http("options of contents", "api/contents/table.csv", method="OPTIONS"),
    http("trace", "api/contents/table.csv", method="TRACE"),
    http("WebDAV", "api/contents/table.csv", method="PROPFIND"),
    http("method by header", "api/contents/table.csv", "X-HTTP-Method-Override: HEAD", open=True),
    http("part of contents", "api/contents/table.csv", "Range: bytes=0-99"),
    http("part of contents, if unchanged", "api/contents/table.csv", 'If-Range: "x"'),
    http("part of an asset", "static/favicons/favicon.ico", "Range: bytes=0-3"),
    http("another site's request", "api/contents/table.csv", "Origin: http://evil.example"),
    http("request marked cross-site", "api/contents/table.csv", "Sec-Fetch-Site: cross-site"),
    http("two hosts", "api/contents/table.csv", "Host: evil.example", open=True),
    http("cookies twice", "api/contents/table.csv", "Cookie: a=b", open=True),
    http("forwarded host", "api/contents/table.csv", "X-Forwarded-Host: evil.example", open=True),
    http("change to HTTP/2", "api/contents/table.csv", "Upgrade: h2c", "Connection: Upgrade, HTTP2-Settings"),
    http("websocket on contents", "api/contents/table.csv", *WEBSOCKET, OWN),
    http("websocket of another origin", CHANNELS, *WEBSOCKET, "Origin: http://evil.example"),
    http("websocket without origin", CHANNELS, *WEBSOCKET),
    http("websocket without the subprotocol", CHANNELS, *WEBSOCKET, OWN),
    http("websocket in the old form", CHANNELS, *WEBSOCKET, OWN, "Sec-WebSocket-Protocol: v0"),
    http("channels without a websocket", CHANNELS),
    http("service worker", "static/lab/main.js", "Service-Worker: script"),
]
SMUGGLED = [
    raw(
        "length and chunks",
        "POST BASEapi/sessions HTTP/1.1\nHEAD\nContent-Length: 4\nTransfer-Encoding: chunked\n\n0\n\nFILE",
    ),
    raw(
        "chunks and length",
        "POST BASEapi/sessions HTTP/1.1\nHEAD\nTransfer-Encoding: chunked\nContent-Length: SIZE\n\n0\n\nFILE",
    ),
    raw("chunks", "POST BASEapi/sessions HTTP/1.1\nHEAD\nTransfer-Encoding: chunked\n\n0\n\nFILE"),
    raw(
        "chunks with an extension",
        'POST BASEapi/sessions HTTP/1.1\nHEAD\nTransfer-Encoding: chunked\n\n2;a="b"\n{}\n0\n\nFILE',
    ),
    raw(
        "chunks with a long extension",
        f"POST BASEapi/sessions HTTP/1.1\nHEAD\nTransfer-Encoding: chunked\n\n2;{'a' * 30000}\n{{}}\n0\n\nFILE",
    ),
    raw(
        "chunks with trailers",
        "POST BASEapi/sessions HTTP/1.1\nHEAD\nTransfer-Encoding: chunked\nTrailer: Host\n\n0\nHost: evil\n\nFILE",
    ),
    raw("chunks named oddly", "POST BASEapi/sessions HTTP/1.1\nHEAD\nTransfer-Encoding: xchunked\n\nFILE"),
    raw("chunks after a space", "POST BASEapi/sessions HTTP/1.1\nHEAD\nTransfer-Encoding : chunked\n\n0\n\nFILE"),
    raw(
        "chunks and identity", "POST BASEapi/sessions HTTP/1.1\nHEAD\nTransfer-Encoding: chunked, identity\n\n0\n\nFILE"
    ),
    raw(
        "chunk size that overflows",
        "POST BASEapi/sessions HTTP/1.1\nHEAD\nTransfer-Encoding: chunked\n\nfffffffffffffffff\n{}\n0\n\nFILE",
    ),
    raw("two lengths", "POST BASEapi/sessions HTTP/1.1\nHEAD\nContent-Length: 0\nContent-Length: SIZE\n\nFILE"),
    raw("equal lengths", "GET BASEapi/sessions HTTP/1.1\nHEAD\nContent-Length: 0\nContent-Length: 0\n\nFILE"),
    raw("length with a sign", "POST BASEapi/sessions HTTP/1.1\nHEAD\nContent-Length: +0\n\nFILE"),
    raw("length of a list", "POST BASEapi/sessions HTTP/1.1\nHEAD\nContent-Length: 0, 0\n\nFILE"),
    raw("body on a reading request", "GET BASEapi/sessions HTTP/1.1\nHEAD\nContent-Length: SIZE\n\nFILE"),
    raw("folded header", "GET BASEapi/sessions HTTP/1.1\nHEAD\nX: a\n b\n\nFILE"),
    raw("folded length", "POST BASEapi/sessions HTTP/1.1\nHEAD\nContent-Length:\n 0\n\nFILE"),
    raw("header without a name", "GET BASEapi/sessions HTTP/1.1\nHEAD\n: x\n\nFILE"),
    raw("space before the colon", "GET BASEfiles/table.csv HTTP/1.1\nHost : HOST\n\n"),
    raw("two spaces", "GET  BASEfiles/table.csv  HTTP/1.1\nHEAD\nConnection: close\n\n"),
    raw("another host", "GET BASEapi/contents/table.csv HTTP/1.1\nHost: evil.example\nConnection: close\n\n"),
    raw("no host", "GET BASEapi/contents/table.csv HTTP/1.1\nConnection: close\n\n"),
    raw("empty host", "GET BASEapi/contents/table.csv HTTP/1.1\nHost:\nConnection: close\n\n"),
    raw("host with a user", "GET BASEapi/contents/table.csv HTTP/1.1\nHost: evil@HOST\nConnection: close\n\n"),
    raw("pipelined behind an allowed request", "GET BASEapi/me HTTP/1.1\nHEAD\n\nFILE", open=True),
    raw("pipelined behind a refused request", "GET BASEfiles/a HTTP/1.1\nHEAD\n\nFILE"),
    raw(
        "pipelined behind a websocket",
        f"GET BASE{CHANNELS} HTTP/1.1\nHEAD\nUpgrade: websocket\nConnection: Upgrade\n\nFILE",
    ),
    raw("bare line feeds", "GET BASEfiles/table.csv HTTP/1.1\nHEAD\n\n"),
    raw("old protocol", "GET BASEapi/contents/table.csv HTTP/1.0\nHEAD\n\n", open=True),
    raw("oldest protocol", "GET BASEfiles/table.csv\n\n"),
    raw("HTTP/2 opening", "PRI * HTTP/2.0\n\nSM\n\n"),
    raw("huge header", f"GET BASEapi/sessions HTTP/1.1\nHEAD\nX: {'a' * 70000}\n\n"),
    raw("many headers", "GET BASEapi/sessions HTTP/1.1\nHEAD\n" + "Y: b\n" * 3000 + "\n", open=True),
    raw("expectation", "POST BASEapi/sessions HTTP/1.1\nHEAD\nExpect: 100-continue\nContent-Length: 2\n\n{}"),
    raw(
        "length that never comes",
        "POST BASEapi/sessions HTTP/1.1\nHEAD\nContent-Type: application/json\nContent-Length: 99999\n\n{}",
        hangs=True,
    ),
]
OPEN = [
    http("contents with content", "api/contents/table.csv?content=1&format=base64&type=file", open=True),
    http("notebook's page", "lab", open=True),
    http("settings", "lab/api/settings/x:table", open=True),
    http("workspace", "lab/api/workspaces/table", open=True),
    http("translations", "lab/api/translations/en", open=True),
    http("logo of a kernel", "kernelspecs/table/logo-64x64.png", open=True),
    http("list of kernels", "api/kernels", open=True),
    http("list of sessions", "api/sessions", open=True),
    http("version", "api", open=True),
    http("answer of a login", "oauth_callback?code=x&state=y", open=True),
    http("saved file's answer", "api/contents/table.csv", method="PUT", body="{}", open=True),
    http("new checkpoint's answer", "api/contents/table.csv/checkpoints", method="POST", body="{}", open=True),
    http("answer without an end", "api/contents/answer-endless", open=True),
    http("answer longer than allowed", "api/contents/answer-long"),
    http("status of its own", "api/contents/answer-status"),
    http("reason phrase", "api/contents/answer-reason", open=True),
    http("error with a text", "api/contents/answer-error", open=True),
    http("compressed", "api/contents/answer-gzip"),
    http("redirect", "api/contents/answer-redirect"),
    http("part without asking", "api/contents/answer-partial"),
    http("cookie", "api/contents/answer-cookie", open=True),
    http("early hints", "api/contents/answer-hints", open=True),
    http("body after no content", "api/contents/answer-empty", open=True),
    http("second answer behind the first", "api/contents/answer-two", open=True),
    http("body longer than its length", "api/contents/answer-lengths", open=True),
    http("length and chunks in the answer", "api/contents/answer-both", open=True),
    http("trailers", "api/contents/answer-trailer", open=True),
    http("websocket that is no notebook's", CHANNELS, *WEBSOCKET, OWN, f"Sec-WebSocket-Protocol: {SUBPROTOCOL}"),
    http("events", "api/events/subscribe", *WEBSOCKET, OWN, open=True),
]
SHAPES = [*FILES, *PATHS, *HEADERS, *SMUGGLED, *OPEN]


async def exchange(place: Place, shape: Shape) -> bytes:
    """All that came back on a connection of its own, until it ended or fell silent."""
    reader, writer = await asyncio.open_connection("127.0.0.1", place.port)
    got = bytearray()
    try:
        writer.write(shape.make(place))
        wait = PATIENCE_SECONDS if shape.hangs else FIRST_SECONDS
        with contextlib.suppress(TimeoutError, ConnectionError):
            while chunk := await asyncio.wait_for(reader.read(262_144), wait):
                got += chunk
                wait = SILENCE_SECONDS
        return bytes(got)
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


def answers(data: bytes) -> list[tuple[int, bytes]]:
    """Status and body of each answer in it; what follows a change of protocol is that one's body."""
    found = []
    while data:
        head, _, rest = data.partition(b"\r\n\r\n")
        first, _, lines = head.partition(b"\r\n")
        fields = {name.lower(): value.strip() for name, _, value in (s.partition(b":") for s in lines.split(b"\r\n"))}
        status = int(first.split(b" ")[1]) if first.startswith(b"HTTP/") else 0
        body, data = _body(status, fields, rest)
        found.append((status, body))
    return found


def _body(status: int, fields: dict[bytes, bytes], rest: bytes) -> tuple[bytes, bytes]:
    if status in (100, 103):
        return b"", rest
    if status != 101 and fields.get(b"transfer-encoding") == b"chunked":
        return _chunks(rest)
    if status != 101 and b"content-length" in fields:
        size = int(fields[b"content-length"])
        return rest[:size], rest[size:]
    return rest, b""


def _chunks(rest: bytes) -> tuple[bytes, bytes]:
    body = b""
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        count = int(size, 16)
        body, rest = body + rest[:count], rest[count + 2 :]
        if not count:
            break
    return body, rest
