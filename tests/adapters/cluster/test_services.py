"""A kept child: what is said of it at every instant."""

import asyncio
import os
import signal
import sys
from pathlib import Path

from spe.adapters.cluster.embedded.services import Service, ServiceSpec, inherited


def test_a_service_is_ready_only_while_its_process_runs(tmp_path: Path) -> None:
    """Between the end of the process and the next start there are turns of the loop in which others ask."""

    async def watch() -> list[bool]:
        spec = ServiceSpec(
            name="sleeper",
            arguments=(sys.executable, "-c", "import time; time.sleep(1000)"),
            environment=inherited(),
        )
        service = Service(spec, log=tmp_path / "sleeper.log", on_decisive_end=lambda _: None)
        assert await service.wait_ready(seconds=20)
        assert service.pid is not None
        os.kill(service.pid, signal.SIGKILL)
        said_when_gone = []
        while service.starts == 1:
            if service.pid is None:
                said_when_gone.append(service.ready)
            await asyncio.sleep(0)
        await service.stop()
        return said_when_gone

    said = asyncio.run(watch())
    assert said
    assert not any(said)
