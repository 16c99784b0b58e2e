"""Notebook sandboxes, started for the Hub's spawner: processes of one host, or places in which the Hub makes pods."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from spe.domain.ids import PersonId, WorkspaceId


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """Where the Hub's proxy enters (the gate); in a cluster `pod` says what the Hub's pod must be made of.

    `pod` is a plain JSON object, the facts that the canonical pod depends on; None where none is to be made.
    """

    url: str
    pod: Mapping[str, Any] | None = None


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

    def start(
        self, workspace: WorkspaceId, person: PersonId, *, environment: Mapping[str, str], base_url: str
    ) -> Started:
        """Start and wait until the notebook answers; in a cluster, until all is ready for its pod.

        A running sandbox of the same specification is left as it is. Raises `Rejected` with the end of
        the log when the process ended, `Unavailable` when the supervisor or the cluster is silent.
        """
        ...

    def poll(self, workspace: WorkspaceId, person: PersonId) -> Running:
        """Whether it runs now. Raises `Unavailable`."""
        ...

    def stop(self, workspace: WorkspaceId, person: PersonId) -> None:
        """End it and wait until it is gone; fine when it was not there. Raises `Unavailable`."""
        ...
