"""Control groups (version 2) when the host has delegated them: then limits hold for a whole sandbox.

Only after the files were written and read back is the guarantee given. An ordinary account gets a
delegated group from its service manager, for instance `systemd-run --user --scope -p Delegate=yes`.
"""

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

from spe.adapters.bubblewrap.sandbox import Bounds

_NEEDED = frozenset({"cpu", "memory", "pids"})
_PERIOD = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlGroups:
    """A group of ours in which groups for sandboxes can be made."""

    root: Path

    def make(self, name: str, bounds: Bounds) -> Path:
        """A group with these limits, made or set again. Raises `OSError` when one does not hold."""
        group = self.root / ("s-" + name.replace("/", "--"))
        group.mkdir(exist_ok=True)
        for file, value in limits(bounds).items():
            (group / file).write_text(value)
            if (group / file).read_text().split() != value.split():
                raise OSError(f"{file} did not keep its value")
        with contextlib.suppress(OSError):
            (group / "memory.swap.max").write_text("0")
        return group

    def remove(self, group: Path) -> None:
        """Remove a group whose processes are gone."""
        with contextlib.suppress(OSError):
            group.rmdir()


def limits(bounds: Bounds) -> dict[str, str]:
    """File of a control group → its value."""
    return {
        "memory.max": str(_pages(bounds.memory_bytes)) if bounds.memory_bytes else "max",
        "memory.oom.group": "1",
        "pids.max": str(bounds.processes) if bounds.processes else "max",
        "cpu.max": f"{round(bounds.cpu * _PERIOD)} {_PERIOD}" if bounds.cpu else f"max {_PERIOD}",
    }


def _pages(size: int) -> int:
    """The kernel keeps whole pages."""
    page = os.sysconf("SC_PAGE_SIZE")
    return size // page * page


def delegated(*, group: Path | None = None) -> ControlGroups | None:
    """Our own delegated group, tried out, or None. We move into a leaf of it, as version 2 demands."""
    own = group or own_group()
    if own is None or not os.access(own, os.W_OK) or not os.access(own / "cgroup.procs", os.W_OK):
        return None
    try:
        if not set((own / "cgroup.controllers").read_text().split()) >= _NEEDED:
            return None
        leaf = own / "supervisor"
        leaf.mkdir(exist_ok=True)
        (leaf / "cgroup.procs").write_text(str(os.getpid()))
        (own / "cgroup.subtree_control").write_text(" ".join(f"+{name}" for name in sorted(_NEEDED)))
        found = ControlGroups(root=own)
        found.remove(found.make("trial", Bounds()))
    except OSError:
        with contextlib.suppress(OSError):
            (own / "cgroup.procs").write_text(str(os.getpid()))
        return None
    return found


def own_group() -> Path | None:
    """Where this process stands in the version 2 hierarchy, if there is one."""
    try:
        lines = Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines()
        mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    below = next((line[3:] for line in lines if line.startswith("0::")), None)
    places = [line.split()[4] for line in mounts if " - cgroup2 " in line]
    if below is None or not places:
        return None
    return Path(places[0]) / below.lstrip("/")
