"""Processes of this host as /proc shows them: who descends from whom, and whether one is still the same one.

A process is its number and its start time, so that a number given out again is not taken for the old one.
"""

from pathlib import Path

Process = tuple[int, str]
"""Number and start time (in ticks since boot)."""


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the state on; empty when there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def descendants(ancestor: int) -> dict[Process, str]:
    """The process itself and everything below it → command line."""
    facts = {int(p.name): fields for p in Path("/proc").glob("[0-9]*") if (fields := _stat(int(p.name)))}
    found = {ancestor} & facts.keys()
    while more := {pid for pid, fields in facts.items() if int(fields[1]) in found} - found:
        found |= more
    return {(pid, facts[pid][19]): command_line(pid) for pid in found}


def command_line(pid: int) -> str:
    """Its words with spaces between; empty when it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""


def alive(process: Process) -> bool:
    """Whether it still runs: a dead one that only waits to be reaped does not."""
    fields = _stat(process[0])
    return bool(fields) and fields[19] == process[1] and fields[0] not in "ZX"
