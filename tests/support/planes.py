"""A control plane as processes that may be killed: portals and reconcilers, over one PostgreSQL.

What is outside of it (cluster, sandboxes, messages) is one file, which each call on it reads and replaces under a lock.
Run as a program, this module is such a process; its words are portal or reconciler, URL, FOLDER and PORT.
"""

import asyncio
import fcntl
import logging
import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from spe.adapters.clock import SystemClock
from spe.cli import listening
from spe.reconciler import leader
from spe.reconciler.leader import Loops
from spe.services.app import App
from spe.web.app import create_public
from tests.support.ground import bare
from tests.support.inmemory import GUARANTEES, MemoryCluster, MemoryNotifier, MemorySandboxes
from tests.support.prepared import over, rebound
from tests.web.front import WEB

ROOT = Path(__file__).parents[2]
LEASE = 2.0
PORTAL, RECONCILER = "portal", "reconciler"


@dataclass
class World:
    """Everything outside, as it is now."""

    cluster: MemoryCluster
    notifier: MemoryNotifier = field(default_factory=MemoryNotifier)

    @property
    def sandboxes(self) -> MemorySandboxes:
        return self.cluster.sandboxes


class Outside:
    """The world in its file."""

    def __init__(self, folder: Path) -> None:
        self._file, self._lock = folder / "world", folder / "world.lock"

    def keep(self, world: World) -> None:
        """Replace it at one stroke, so that nobody who is killed leaves half of it."""
        beside = self._file.with_name(f"world.{os.getpid()}.{threading.get_ident()}")
        beside.write_bytes(pickle.dumps(world))
        beside.replace(self._file)

    @contextmanager
    def now(self) -> Iterator[World]:
        """The world, alone, to look at or to change."""
        with self._lock.open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            world: World = pickle.loads(self._file.read_bytes())
            yield world
            self.keep(world)


class Part:
    """One of the ports of the world."""

    guarantees = GUARANTEES

    def __init__(self, outside: Outside, name: str) -> None:
        self._outside, self._name = outside, name

    def __getattr__(self, verb: str) -> Callable[..., Any]:
        def call(*words: Any, **named: Any) -> Any:
            with self._outside.now() as world:
                return getattr(getattr(world, self._name), verb)(*words, **named)

        return call


def plane(url: str, folder: Path) -> App:
    """The use cases of one process."""
    ground, outside = bare(folder, url=url), Outside(folder)
    parts = {name: Part(outside, name) for name in ("cluster", "sandboxes", "notifier")}
    app = over(ground, clock=SystemClock(), **parts)
    ground.hub.app = app
    return app


@dataclass
class Planes:
    """The processes by name; `ports` are those of the portals, on loopback."""

    url: str
    folder: Path
    ports: Mapping[str, int]
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, name: str) -> None:
        words = [name.partition("-")[0], self.url, str(self.folder), str(self.ports.get(name, 0))]
        command = [sys.executable, "-m", "tests.support.planes", *words]
        with (self.folder / f"{name}.log").open("ab") as log:
            self.running[name] = subprocess.Popen(
                [*command, str(self.ports.get(name, 0))], cwd=ROOT, stdout=log, stderr=log
            )

    def kill(self, name: str) -> None:
        """At once, whatever it does."""
        self.running[name].kill()
        self.running[name].wait()

    def end(self) -> None:
        for name in self.running:
            self.kill(name)

    def said(self) -> str:
        """What they wrote, tracebacks and warnings."""
        return "\n".join(f"{name}: {(self.folder / f'{name}.log').read_text()[-2000:]}" for name in self.running)


def main(role: str, url: str, folder: Path, port: int) -> None:
    app = plane(url, folder)
    if role == PORTAL:
        asyncio.run(listening.serve_until_signal([(create_public(app, WEB), listening.port("127.0.0.1", port))]))
        return
    leader.LEASE_SECONDS, leader.RENEW_SECONDS, leader.LOOK_SECONDS = LEASE, LEASE / 5, LEASE / 10
    loops = Loops(app, rebind=rebound, holder=f"{os.getpid()}", minute=1.0)
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    loops.start()
    ended.wait()
    loops.stop()


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]), int(sys.argv[4]))
