"""A real supervisor in a child process, and waiting for what should become true."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from spe.adapters.bubblewrap.sandbox import Bind, SandboxSpec
from spe.adapters.cluster.embedded.client import SupervisorClient
from spe.adapters.cluster.embedded.layout import Layout
from tests.adapters.bubblewrap.support import host

PATIENCE = 30.0

LISTEN = """
import os, socket, sys
os.chdir("/run/nb")
end = socket.socket(socket.AF_UNIX)
end.bind("nb.sock")
end.listen()
print("listening", flush=True)
while True:
    end.accept()[0].close()
"""


def until(true: Callable[[], Any], what: str) -> Any:
    """Wait until it is true; the test fails with `what` when it does not become so."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        found = true()
        if found:
            return found
        time.sleep(0.01)
    raise AssertionError(f"did not become true: {what}")


def alive(pid: int) -> bool:
    """Whether the process runs; a zombie does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"


def gone(pid: int) -> bool:
    """Whether nothing of it is left, not even a zombie."""
    return not Path(f"/proc/{pid}").exists()


def mentions(word: str) -> list[int]:
    """Processes whose arguments hold a word."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and int(entry.name) != os.getpid():
            try:
                line = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if word.encode() in line and alive(int(entry.name)):
                found.append(int(entry.name))
    return found


@dataclass(slots=True, kw_only=True)
class World:
    """One environment on this host: folders, a supervisor, its client."""

    run: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="spe-", dir="/tmp").lower()))
    home: Path
    services: list[dict[str, Any]] = field(default_factory=list)
    gate: tuple[str, ...] = (sys.executable, "-m", "spe.gate")
    watch_seconds: float = 0.1
    process: subprocess.Popen[bytes] | None = None

    @property
    def layout(self) -> Layout:
        return Layout(run=self.run, home=self.home)

    @property
    def client(self) -> SupervisorClient:
        return SupervisorClient(self.layout.control)

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def up(self) -> "World":
        self.run.mkdir(mode=0o700, exist_ok=True)
        plan = {
            "run": str(self.run),
            "home": str(self.home),
            "services": self.services,
            "gate": self.gate,
            "watch_seconds": self.watch_seconds,
        }
        arguments = [sys.executable, "-m", "tests.adapters.cluster.program", json.dumps(plan)]
        self.process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line == b"ready\n", line + self.process.stdout.read()
        return self

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        assert self.process is not None
        assert self.process.stdout is not None
        if self.process.poll() is None:
            self.process.send_signal(number)
        status = self.process.wait(PATIENCE)
        self.process.stdout.close()
        return status

    def clear(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.end(signal.SIGKILL)
        if self.process is not None and self.process.stdout is not None:
            self.process.stdout.close()
        shutil.rmtree(self.run, ignore_errors=True)

    def specification(self, name: str = "ws/p", code: str = LISTEN, **changes: Any) -> SandboxSpec:
        folder = self.run / "n" / name
        folder.mkdir(parents=True, exist_ok=True)
        values: dict[str, Any] = {
            "name": name,
            "command": (host().python.executable, "-c", code),
            "folders": ("/home/researcher",),
            "writable": (Bind(source=str(folder), target="/run/nb"),),
            **changes,
        }
        return SandboxSpec(**values)

    def socket(self, name: str = "ws/p") -> Path:
        return self.run / "n" / name / "nb.sock"

    def start(self, name: str = "ws/p", **changes: Any) -> dict[str, Any]:
        """Start a listening sandbox; the supervisor's facts about it."""
        self.client.start_sandbox(self.specification(name, **changes), socket_path=self.socket(name), seconds=PATIENCE)
        return self.facts(name)

    def facts(self, name: str = "ws/p") -> dict[str, Any]:
        return next(box for box in self.client.status()["sandboxes"] if box["name"] == name)

    def service(self, name: str) -> dict[str, Any]:
        return next(service for service in self.client.status()["services"] if service["name"] == name)
