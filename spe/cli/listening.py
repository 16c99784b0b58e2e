"""Several web applications in one process, from their sockets until a signal ends them all."""

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Iterable
from pathlib import Path

import uvicorn


async def serve_until_signal(applications: Iterable[tuple[object, socket.socket]]) -> None:
    """Serve each application on its socket until SIGTERM or SIGINT, or until one of them stops."""
    servers = [(_server(application), sock) for application, sock in applications]
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    tasks = [asyncio.create_task(server.serve(sockets=[sock])) for server, sock in servers]
    try:
        done = asyncio.create_task(stopping.wait())
        await asyncio.wait([done, *tasks], return_when=asyncio.FIRST_COMPLETED)
    finally:
        for server, _ in servers:
            server.should_exit = True
        await asyncio.gather(*tasks, return_exceptions=True)


def port(address: str, number: int) -> socket.socket:
    """A listening address, taken over at once from a process that ended."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((address, number))
    return sock


def unix(path: Path) -> socket.socket:
    """A Unix socket of mode 0600 that replaces an older one at one stroke."""
    beside = path.with_name(f"{path.name}.{os.getpid()}")
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.bind(str(beside))
    beside.chmod(0o600)
    sock.listen(256)
    beside.replace(path)
    return sock


class _Server(uvicorn.Server):
    """A server whose signals are handled by `serve_until_signal`."""

    @contextlib.contextmanager
    def capture_signals(self):  # type: ignore[no-untyped-def]
        """Leave the signals alone."""
        yield


def _server(app: object) -> uvicorn.Server:
    config = uvicorn.Config(
        app,  # type: ignore[arg-type]
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=2,
        lifespan="off",
        proxy_headers=False,
    )
    return _Server(config)
