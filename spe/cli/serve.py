"""`spe serve`: the portal with its API on loopback, its internal application on a socket, and the loops.

Two listeners in one process: what the Hub and the gates may ask is not reachable from a browser.
"""

import asyncio
import contextlib
import logging
import os
import signal
import socket
from pathlib import Path

import uvicorn

from spe import bootstrap
from spe.reconciler.leader import Loops
from spe.settings import Settings


def serve() -> None:
    """Run until a signal; settings come from `SPE_…`."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    for noisy in ("httpx", "httpcore", "httpx2", "httpcore2", "alembic"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    settings = Settings()
    asyncio.run(_serve(settings))


async def _serve(settings: Settings) -> None:
    from spe.adapters.sql import migrations
    from spe.web.app import create_internal, create_public

    settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    migrations.upgrade(settings.database)
    app = bootstrap.build(settings)
    web = bootstrap.web_settings(settings)
    loops = Loops(app, rebind=lambda house: bootstrap.bind(settings, house), holder=bootstrap.holder(settings))
    public = _server(create_public(app, web))
    internal = _server(create_internal(app, web))
    listening = (
        (public, _tcp(settings.port)),
        (internal, _unix(bootstrap.layout(settings).internal)),
    )
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    loops.start()
    tasks = [asyncio.create_task(server.serve(sockets=[sock])) for server, sock in listening]
    try:
        done = asyncio.create_task(stopping.wait())
        await asyncio.wait([done, *tasks], return_when=asyncio.FIRST_COMPLETED)
    finally:
        for server, _ in listening:
            server.should_exit = True
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.to_thread(loops.stop)


class _Server(uvicorn.Server):
    """A server whose signals are handled by `_serve`."""

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


def _tcp(port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("127.0.0.1", port))
    return sock


def _unix(path: Path) -> socket.socket:
    beside = path.with_name(f"{path.name}.{os.getpid()}")
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.bind(str(beside))
    beside.chmod(0o600)
    sock.listen(256)
    beside.replace(path)
    return sock
