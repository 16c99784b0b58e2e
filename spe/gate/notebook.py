"""The way to a notebook on this host: its socket, which stands in a folder the notebook itself may write.

The socket is opened by inode without following links, then connected to through that handle: a link planted
in its place cannot lead the gate to another socket of the host.
"""

import asyncio
import errno
import os
import stat
from functools import partial
from pathlib import Path

import aiohttp
from aiohttp.client_exceptions import UnixClientConnectorError
from aiohttp.client_proto import ResponseHandler
from aiohttp.client_reqrep import ClientRequest
from aiohttp.tracing import Trace

from spe.domain.errors import Denial
from spe.gate.session import SILENT

MOST_CONNECTIONS = 128
QUIET_HEADERS = ("User-Agent", "Accept", "Accept-Encoding", "Content-Type")
TIMES = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=120)


class NotebookConnector(aiohttp.UnixConnector):
    """Connects to the socket at `path`, and to nothing that a link at `path` points to."""

    async def _create_connection(
        self,
        req: ClientRequest,
        traces: list[Trace],  # noqa: ARG002  # the library's signature
        timeout: aiohttp.ClientTimeout,
    ) -> ResponseHandler:
        try:
            handle = open_socket(Path(self.path))
            try:
                async with asyncio.timeout(timeout.sock_connect):
                    _, protocol = await self._loop.create_unix_connection(
                        partial(ResponseHandler, self._loop), f"/proc/self/fd/{handle}"
                    )
            finally:
                os.close(handle)
        except OSError as error:
            raise UnixClientConnectorError(self.path, req.connection_key, error) from error
        return protocol


def open_socket(path: Path) -> int:
    """A handle (`O_PATH`) of the socket at `path` owned by this account. Raises OSError for anything else."""
    handle = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    status = os.fstat(handle)
    if stat.S_ISSOCK(status.st_mode) and status.st_uid == os.geteuid():
        return handle
    os.close(handle)
    raise OSError(errno.ENOTSOCK, "not a socket of this account")


def client(connector: aiohttp.BaseConnector, times: aiohttp.ClientTimeout = TIMES) -> aiohttp.ClientSession:
    """An HTTP client of one notebook: no cookies kept, nothing decoded, no proxy from the environment."""
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        skip_auto_headers=QUIET_HEADERS,
        timeout=times,
        trust_env=False,
    )


class SocketPlace:
    """A notebook at a socket of this host."""

    def __init__(self, path: Path) -> None:
        self.client = client(NotebookConnector(str(path), limit=MOST_CONNECTIONS))

    def silence(self) -> Denial:
        """A socket knows nothing about why nobody answers."""
        return SILENT

    async def close(self) -> None:
        """End the connections."""
        await self.client.close()
