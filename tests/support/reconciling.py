"""A process that reconciles, as one of several over one database; its words are URL, FOLDER and the lease in seconds.

Its world is in its memory, so that it always finds something to do; each step on it is a line in FOLDER/steps with the
process id, as soon as it begins. It says nothing and ends in good order on SIGTERM.
"""

import dataclasses
import logging
import os
import signal
import sys
import threading
import time
from pathlib import Path

from spe.adapters.clock import SystemClock
from spe.adapters.objects.local import LocalObjects
from spe.adapters.secrets.local import LocalSecrets
from spe.adapters.sql import SqlStore
from spe.ports.cluster import Step
from spe.reconciler import leader
from spe.reconciler.leader import Loops
from tests.support.ground import bare
from tests.support.inmemory import MemoryCluster, MemorySandboxes
from tests.support.prepared import over, rebound

STEP_SECONDS = 0.02


@dataclasses.dataclass
class Journalled(MemoryCluster):
    """A world whose steps take a while and are written down when they begin."""

    journal: Path = Path()

    def apply(self, step: Step) -> None:
        with self.journal.open("a") as journal:
            journal.write(f"{time.monotonic_ns()} {os.getpid()} {step.kind}\n")
        time.sleep(STEP_SECONDS)
        super().apply(step)


def main(url: str, folder: Path, lease: float) -> None:
    leader.LEASE_SECONDS, leader.RENEW_SECONDS, leader.LOOK_SECONDS = lease, lease / 5, lease / 10
    ground = bare(folder, url=url)
    app = over(
        ground,
        store=SqlStore(url),
        objects=LocalObjects(folder / "objects"),
        secrets=LocalSecrets(folder / "secrets.sealed", folder / "seal.key"),
        cluster=Journalled(sandboxes=MemorySandboxes(), journal=folder / "steps"),
        clock=SystemClock(),
    )
    ground.hub.app = app
    loops = Loops(app, rebind=rebound, holder=f"{os.getpid()}", minute=0.5)
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    loops.start()
    ended.wait()
    loops.stop()


if __name__ == "__main__":
    logging.basicConfig(level=logging.ERROR)
    main(sys.argv[1], Path(sys.argv[2]), float(sys.argv[3]))
