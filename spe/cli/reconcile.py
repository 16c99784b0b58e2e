"""`spe reconcile`: the loops alone, for a cluster: bring workspaces in line, work off what is owed, watch the clock.

Any number may run; one leads by a lease in the database, and writes of one that has lost it are refused.
"""

import asyncio

from spe import bootstrap
from spe.cli import listening
from spe.cli.serve import loops_of, speak
from spe.settings import Settings


def reconcile() -> None:
    """Run until a signal; settings come from `SPE_…` and the file named by `SPE_CONFIG`."""
    speak()
    asyncio.run(_reconcile(Settings()))


async def _reconcile(settings: Settings) -> None:
    from spe.cli.db import make_ready
    from spe.web.app import create_probes

    settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    make_ready(settings)
    app = bootstrap.build(settings)
    loops = loops_of(settings, app)
    loops.start()
    try:
        probes = create_probes(app, bootstrap.web_settings(settings))
        await listening.serve_until_signal([(probes, listening.port(settings.listen, settings.health_port))])
    finally:
        await asyncio.to_thread(loops.stop)
