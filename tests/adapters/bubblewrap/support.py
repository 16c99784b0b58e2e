"""Running one program in a real sandbox and taking what it printed."""

import json
import os
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from spe.adapters.bubblewrap import host as hosts
from spe.adapters.bubblewrap import launch
from spe.adapters.bubblewrap.sandbox import Bind, Bounds, SandboxSpec


@cache
def host() -> hosts.Host:
    return hosts.look()


def specification(code: str, **changes: Any) -> SandboxSpec:
    values: dict[str, Any] = {
        "name": "test",
        "command": (host().python.executable, "-c", code),
        "folders": ("/home/researcher",),
        "bounds": Bounds(),
        **changes,
    }
    return SandboxSpec(**values)


def run(code: str, **changes: Any) -> tuple[int, str]:
    """Exit status and output of Python code inside."""
    with tempfile.TemporaryFile() as said:
        with launch.prepared(specification(code, **changes), host()) as ready:
            process = subprocess.Popen(
                ready.arguments,
                env=launch.OUTER_ENVIRONMENT,
                pass_fds=ready.pass_fds,
                stdin=ready.stdin,
                stdout=said,
                stderr=said,
            )
        os.close(launch.begin(process, ready))
        status = process.wait(60)
        said.seek(0)
        return status, said.read().decode()


def answer(code: str, **changes: Any) -> Any:
    """What code inside printed as its last line, in JSON."""
    status, said = run(code, **changes)
    assert status == 0, said
    return json.loads(said.splitlines()[-1])


def data_folder(root: Path) -> tuple[Path, tuple[Bind, ...]]:
    """A folder with three files, and how it is exposed."""
    folder = root / "dataset"
    (folder / "deep").mkdir(parents=True)
    (folder / "a.csv").write_text("id,value\n1,2\n")
    (folder / "b.bin").write_bytes(bytes(range(256)) * 64)
    (folder / "deep" / "c.txt").write_text("c")
    return folder, (Bind(source=str(folder), target="/data/ds/1"),)
