"""Notebook sandboxes of the embedded environment, started for the Hub's thin spawner.

In a cluster the Hub makes pods itself and this port is not used.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from spe.domain.ids import PersonId, WorkspaceId


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """Whether a session's sandbox runs; `exit` and `log` tell how it ended, `reason` why it was ended."""

    running: bool
    url: str = ""
    exit: int | None = None
    log: str = ""
    reason: str = ""


class Sandboxes(Protocol):
    """Starts, watches and ends notebook sandboxes."""

    def start(self, workspace: WorkspaceId, person: PersonId, *, environment: Mapping[str, str], base_url: str) -> str:
        """Start and wait until the notebook answers; the URL by which the Hub's proxy enters (the gate).

        A running sandbox of the same specification is left as it is. Raises `Rejected` with the end of
        the log when the process ended, `Unavailable` when the supervisor is silent.
        """
        ...

    def poll(self, workspace: WorkspaceId, person: PersonId) -> Running:
        """Whether it runs now. Raises `Unavailable`."""
        ...

    def stop(self, workspace: WorkspaceId, person: PersonId) -> None:
        """End it and wait until it is gone; fine when it was not there. Raises `Unavailable`."""
        ...
