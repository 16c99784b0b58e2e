"""What a gate in a pod keeps in memory beyond its process, so that a container that was started again goes on.

Two documents in a folder that lives as long as the pod: who the portal said this gate is, and the configuration
it was given. Each is replaced in one step; one that cannot be read counts as not there.
"""

import contextlib
import json
import os
from pathlib import Path
from typing import Any

LARGEST = 4 * 1024 * 1024


class Kept:
    """The documents in `folder`, readable by this account only."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def write(self, name: str, document: Any) -> None:
        """Replace a document. Raises OSError; then the old one stands."""
        beside = self._folder / f".{name}.new"
        with contextlib.suppress(FileNotFoundError):
            beside.unlink()
        handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "w") as file:
            json.dump(document, file)
        beside.rename(self._folder / f"{name}.json")

    def read(self, name: str) -> Any:
        """The document, or None."""
        try:
            with (self._folder / f"{name}.json").open("rb") as file:
                return json.loads(file.read(LARGEST + 1))
        except (OSError, ValueError, RecursionError):
            return None

    def forget(self, name: str) -> None:
        """Keep it no longer. Raises OSError."""
        (self._folder / f"{name}.json").unlink(missing_ok=True)
