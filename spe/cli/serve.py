"""`spe serve`: the portal with its API, and what only gates and Hub may ask, on a listener of its own.

On one host the loops run in the same process; on a cluster `spe reconcile` runs them.
"""

import asyncio
import logging
import socket

from spe import bootstrap
from spe.cli import listening
from spe.reconciler.leader import Loops
from spe.services.app import App
from spe.settings import Settings

QUIET = ("httpx", "httpcore", "httpx2", "httpcore2", "alembic", "urllib3", "botocore", "kubernetes")


def serve() -> None:
    """Run until a signal; settings come from `SPE_…` and the file named by `SPE_CONFIG`."""
    speak()
    asyncio.run(_serve(Settings()))


def speak() -> None:
    """Log lines on standard error; libraries that print requests stay quiet."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    for noisy in QUIET:
        logging.getLogger(noisy).setLevel(logging.WARNING)


def loops_of(settings: Settings, app: App) -> Loops:
    """The loops over an app; whoever leads binds the app again over a fenced store."""
    return Loops(app, rebind=lambda house: bootstrap.bind(settings, house), holder=bootstrap.holder(settings))


async def _serve(settings: Settings) -> None:
    from spe.cli.db import make_ready
    from spe.web.app import create_internal, create_public

    settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    make_ready(settings)
    app = bootstrap.build(settings)
    web = bootstrap.web_settings(settings)
    sockets = (listening.port(settings.listen, settings.port), _internal(settings))
    loops = loops_of(settings, app) if settings.on_one_host else None
    if loops is not None:
        loops.start()
    try:
        await listening.serve_until_signal(
            zip((create_public(app, web), create_internal(app, web)), sockets, strict=True)
        )
    finally:
        if loops is not None:
            await asyncio.to_thread(loops.stop)


def _internal(settings: Settings) -> socket.socket:
    if settings.internal_port:
        return listening.port(settings.listen, settings.internal_port)
    from spe.bootstrap import embedded

    return listening.unix(embedded.layout(settings).internal)
