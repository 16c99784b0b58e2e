"""A notebook's place taken by the smallest server there is: `python -m tests.bench.small_server SOCKET`.

It answers every request with a little JSON, and on a kernel's channels it sends as many messages of a size
as the browser asks for, each laid out as the Jupyter protocol says. It runs in a process of its own, as a
notebook does, so that what is measured in front of it is not slowed down by sharing its loop.
"""

import json
import sys
from typing import Any

from aiohttp import WSMsgType, web

from spe.gate.messages import SUBPROTOCOL, parse_message, write_message

ASK = "execute_request"
ANSWER = "execute_reply"
LISTING = {"name": "", "path": "", "type": "directory", "content": None, "format": None, "writable": True}


def message(channel: str, kind: str, content: dict[str, Any]) -> bytes:
    """A message on a kernel's websocket."""
    header = {"msg_id": f"m-{kind}", "msg_type": kind, "session": "s", "username": "u", "date": "", "version": "5.3"}
    return write_message(channel, [json.dumps(part).encode() for part in (header, {}, {}, content)])


def flood(count: int, size: int) -> bytes:
    """The request for `count` messages of `size` bytes of text."""
    return message("shell", ASK, {"code": "", "count": count, "size": size})


async def _listing(_: web.Request) -> web.Response:
    return web.json_response(LISTING)


async def _channels(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse(protocols=(SUBPROTOCOL,), compress=False, max_msg_size=0)
    await socket.prepare(request)
    async for frame in socket:
        asked = parse_message(frame.data) if frame.type is WSMsgType.BINARY else None
        if asked is None or asked.kind != ASK:
            continue
        wanted = json.loads(frame.data[frame.data.rindex(b'{"code"') :])
        output = message("iopub", "stream", {"name": "stdout", "text": "x" * wanted["size"]})
        for _ in range(wanted["count"]):
            await socket.send_bytes(output)
        await socket.send_bytes(message("shell", ANSWER, {"status": "ok"}))
    return socket


def application() -> web.Application:
    """The server."""
    app = web.Application()
    app.router.add_get("/{rest:.*}/channels", _channels)
    app.router.add_get("/{rest:.*}", _listing)
    return app


if __name__ == "__main__":
    web.run_app(application(), path=sys.argv[1], print=None, access_log=None)
