"""The Hub as the core sees it: sessions by workspace and person, nothing of its tokens or routes.

All calls may be repeated. They raise `Unavailable` when the Hub did not answer in a way that decides, and
`Rejected` with its sentence when it answered no; nothing else.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from spe.domain.ids import PersonId, WorkspaceId


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """One step of a start: `percent` 0-100. The last step of a start is either `ready` or `failed`."""

    percent: int
    message: str
    ready: bool = False
    failed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class HubSession:
    """A session the Hub knows as starting, running or stopping; `ready` when its page can be opened."""

    workspace: WorkspaceId
    person: PersonId
    ready: bool


class Hub(Protocol):
    """Starts and stops sessions. One session is one person in one workspace."""

    def ensure_person(self, person: PersonId) -> None:
        """Make the person known to the Hub; known already is fine."""

    def start(self, workspace: WorkspaceId, person: PersonId) -> None:
        """Ask for a start and return as soon as the Hub took it; `progress` tells how it goes.

        Makes the person known first. A session that starts or runs already is left as it is. `Rejected` when
        the person may not enter now. A refusal by the portal's own start appears in `progress`.
        """

    def progress(self, workspace: WorkspaceId, person: PersonId) -> Iterator[Progress]:
        """The steps of a start until it is ready or failed, as they happen.

        Running already: one `ready` step. Not starting, or unknown: one `failed` step saying so.
        """

    def stop(self, workspace: WorkspaceId, person: PersonId) -> None:
        """Stop the session and return once the Hub has forgotten it; unknown is fine.

        `Unavailable` when it is still stopping after the adapter's patience: call again.
        """

    def running(self) -> tuple[HubSession, ...]:
        """Every session the Hub has, ordered by workspace and person."""

    def forget(self, person: PersonId) -> None:
        """Stop the person's sessions and remove the person with all their Hub tokens; unknown is fine."""
