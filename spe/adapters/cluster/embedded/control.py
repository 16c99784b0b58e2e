"""The supervisor's control socket: one JSON object a line each way, one request a connection, bounded.

The socket lies in a folder of mode 0700 and the kernel tells who is at the other end: only our own
account is answered. Answers: `{"ok": true, …}` or `{"ok": false, "code": …, "message": …}`.
"""

import asyncio
import contextlib
import json
import os
import socket
import struct
import traceback
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

LONGEST = 4 * 1024 * 1024
"""Bytes of the longest request or answer."""

_READ_SECONDS = 10.0

Verb = Callable[[Mapping[str, Any]], Awaitable[dict[str, Any]]]


class Failure(Exception):
    """A request that cannot be done: a code for programs, a sentence for people."""

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        super().__init__(message)


def encode(message: Mapping[str, Any]) -> bytes:
    """One message as a line."""
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"


class ControlServer:
    """Listens on the control socket and hands requests to a table of verbs."""

    def __init__(self, path: Path, verbs: Mapping[str, Verb]) -> None:
        self._path = path
        self._verbs = verbs
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        """Bind the socket; a stale file is replaced (the caller holds the run folder's lock)."""
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()
        self._server = await asyncio.start_unix_server(self._serve, self._path, limit=LONGEST)
        self._path.chmod(0o600)

    async def close(self) -> None:
        """Stop listening and remove the socket."""
        if self._server is not None:
            self._server.close()
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            answer = await self._answer(reader, writer)
            writer.write(encode(answer))
            await writer.drain()
        except OSError:
            pass  # the asker has gone; what was asked for is done or not, and can be seen
        finally:
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> dict[str, Any]:
        if _peer(writer) != os.geteuid():
            return _no("not-ours", "Only the account that runs the supervisor is answered.")
        try:
            line = await asyncio.wait_for(reader.readline(), _READ_SECONDS)
            request = json.loads(line)
            verb = self._verbs[request["verb"]]
        except (ValueError, KeyError, TypeError, TimeoutError):
            return _no("unreadable", f"Not a request; verbs are {', '.join(sorted(self._verbs))}.")
        try:
            return {"ok": True, **await verb(request)}
        except Failure as failure:
            return _no(failure.code, str(failure))
        except (KeyError, TypeError, ValueError) as error:
            return _no("unreadable", f"The request lacks or misnames something: {error}.")
        except Exception as error:
            traceback.print_exc()
            return _no("broken", f"The supervisor could not do it ({type(error).__name__}); its own log says more.")


def _no(code: str, message: str) -> dict[str, Any]:
    return {"ok": False, "code": code, "message": message}


def _peer(writer: asyncio.StreamWriter) -> int:
    end = writer.get_extra_info("socket")
    credentials = end.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return int(struct.unpack("3i", credentials)[1])
