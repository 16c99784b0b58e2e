"""The adapter's own notes about a workspace: exposures, limits, the last seal report; and the gate's files.

Every note is written beside and renamed, so a reader finds the old text or the new one. What cannot be
read counts as not there: the loop then makes it again.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from spe.adapters.cluster.embedded.layout import Layout, private
from spe.domain.permit import Limits
from spe.ports.cluster import Exposure, SealReport


class Records:
    """Reads and writes the notes of all workspaces."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def exposures(self, workspace: str) -> tuple[Exposure, ...]:
        """The dataset versions that sessions of the workspace get."""
        found = read_json(self._layout.record(workspace, "data"))
        try:
            return tuple(Exposure(**item) for item in found["exposures"])
        except (KeyError, TypeError):
            return ()

    def expose(self, workspace: str, data: tuple[Exposure, ...]) -> None:
        """Make it exactly these."""
        values = {"exposures": [asdict(exposure) for exposure in data]}
        write_json(self._layout.record(workspace, "data"), values)

    def limits(self, workspace: str) -> Limits | None:
        """The limits that sessions start with."""
        found = read_json(self._layout.record(workspace, "limits"))
        try:
            return Limits(**found) if found else None
        except TypeError:
            return None

    def limit(self, workspace: str, limits: Limits) -> None:
        """Set them."""
        write_json(self._layout.record(workspace, "limits"), asdict(limits))

    def seal(self, workspace: str, *, shape: str) -> SealReport | None:
        """The last report, if it was made for this shape of sandbox on this boot of the machine."""
        found = read_json(self._layout.record(workspace, "seal"))
        if found.get("shape") != shape or not isinstance(found.get("attempts"), dict):
            return None
        return SealReport(holds=found.get("holds") is True, attempts=found["attempts"])

    def sealed(self, workspace: str, report: SealReport, *, shape: str) -> None:
        """Keep a report."""
        values = {"shape": shape, "holds": report.holds, "attempts": report.attempts}
        write_json(self._layout.record(workspace, "seal"), values)


def read_json(path: Path) -> dict[str, Any]:
    """The object in the file; empty when there is none that can be read."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def write_json(path: Path, values: Mapping[str, Any]) -> bool:
    """Write, mode 0600, all or nothing. False when the file already says so: it is then left untouched."""
    text = json.dumps(values, indent=1, sort_keys=True)
    try:
        if path.read_text(encoding="utf-8") == text:
            return False
    except (OSError, ValueError):
        pass
    private(path.parent)
    beside = path.with_name(f".{path.name}.new")
    number = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with open(number, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
    return True
