"""A whole environment as a person starts it: `spe up` in a process of its own, on free ports, in a new home."""

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import spe
from tests.support import small_disk

SOURCE = Path(spe.__file__).parent.parent


def free_ports(count: int) -> list[int]:
    """Ports of the loopback that nobody holds now."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


@dataclass
class Instance:
    """A running environment."""

    home: Path
    run: Path
    process: subprocess.Popen[str]
    output: Path
    pid: int
    """Of `spe up` itself: with a disk of its own another program stands before it, which would die alone."""

    @property
    def said(self) -> str:
        """What it has printed so far."""
        return self.output.read_text(encoding="utf-8", errors="replace")

    @property
    def facts(self) -> dict[str, Any]:
        """`demo.json`."""
        found: dict[str, Any] = json.loads((self.home / "demo.json").read_text())
        return found

    def wait(self, seconds: float) -> int:
        """Wait for its end."""
        return self.process.wait(timeout=seconds)

    def wait_until_seeded(self, seconds: float = 240) -> None:
        """Wait until the demonstration is in use."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if "Ctrl-C stops everything" in self.said:
                return
            if self.process.poll() is not None:
                break
            time.sleep(0.2)
        raise AssertionError(f"not seeded:\n{self.said[-6000:]}\n{self.logs()}")

    def logs(self) -> str:
        """The ends of the children's logs, for a failing test."""
        files = sorted((self.home / "logs").glob("*.log"))
        return "\n".join(f"--- {path.name}\n{path.read_text(errors='replace')[-3000:]}" for path in files)

    def resize_disk(self, size: int) -> None:
        """Give the disk of its own another size."""
        _, _, pid, _, *inside = self.home.parts  # the home as seen through /proc/PID
        small_disk.resize(int(pid), Path("/", *inside), size)

    def stop(self, seconds: float = 30) -> int:
        """As Ctrl-C does."""
        if self.process.poll() is None:
            os.kill(self.pid, signal.SIGINT)
        return self.process.wait(timeout=seconds)


def environment() -> dict[str, str]:
    """A small environment, as a person's shell has."""
    kept = ("PATH", "HOME", "LANG", "SPE_NODE_MODULES", "TMPDIR")
    return {
        **{name: os.environ[name] for name in kept if name in os.environ},
        "PYTHONPATH": str(SOURCE),
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def _inner(process: "subprocess.Popen[str]") -> int:
    """The process that bubblewrap started and waits for."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and process.poll() is None:
        for child in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split():
            if b"bwrap" not in Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0")[0]:
                return int(child)
        time.sleep(0.02)
    raise AssertionError("the environment with a disk of its own has not started")


@contextmanager
def instance(*words: str, disk_bytes: int = 0, **variables: str) -> Iterator[Instance]:
    """`spe up` with these words and variables; it is stopped and its home removed at the end.

    With `disk_bytes` its home is a disk of its own of that size, which an ordinary account may mount in a
    namespace: `Instance.home` then shows that disk from outside.
    """
    port, hub, api, control = free_ports(4)
    with tempfile.TemporaryDirectory(prefix="spe-home-", ignore_cleanup_errors=True) as folder:
        home = Path(folder) / "home"
        output = Path(folder) / "output.txt"
        if disk_bytes:
            home.mkdir()
        given = environment() | {
            "SPE_HUB_API_PORT": str(api),
            "SPE_PROXY_API_PORT": str(control),
            "SPE_RUN": f"/tmp/spe-r{secrets.token_hex(4)}",
            **variables,
        }
        with output.open("w") as file:
            process = subprocess.Popen(
                [
                    *(small_disk.words(home, disk_bytes) if disk_bytes else ()),
                    sys.executable,
                    "-m",
                    "spe.cli.main",
                    "up",
                    "--home",
                    str(home),
                    "--port",
                    str(port),
                    "--hub-port",
                    str(hub),
                    *words,
                ],
                stdout=file,
                stderr=subprocess.STDOUT,
                env=given,
                cwd=folder,
                text=True,
            )
        pid = _inner(process) if disk_bytes else process.pid
        shown = Path(f"/proc/{pid}/root{home}") if disk_bytes else home
        running = Instance(home=shown, run=Path(given["SPE_RUN"]), process=process, output=output, pid=pid)
        try:
            yield running
        finally:
            try:
                running.stop(20)
            except subprocess.TimeoutExpired:
                os.kill(pid, signal.SIGKILL)
                process.wait()
