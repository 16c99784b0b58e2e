"""How session starts go, kept for the pages that show it: one thread for each start listens to the Hub.

Nothing here decides; a portal that was restarted simply listens again when somebody looks.
"""

import threading
from dataclasses import dataclass, field

from fastapi import Request

from spe.domain.errors import SpeError
from spe.domain.ids import PersonId, WorkspaceId
from spe.domain.principal import Principal
from spe.ports.hub import Progress
from spe.services.app import App

MOST_STEPS = 50
Key = tuple[WorkspaceId, PersonId]


@dataclass(slots=True)
class Start:
    """The steps of one start as they were heard, and whether anybody still listens."""

    steps: list[Progress] = field(default_factory=list)
    listening: bool = True

    @property
    def percent(self) -> int:
        """How far it is."""
        return self.steps[-1].percent if self.steps else 0


class Starts:
    """The starts that this portal has heard of."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[Key, Start] = {}

    def listen(self, app: App, workspace: WorkspaceId, *, by: Principal) -> None:
        """Begin to listen to a start, unless somebody does."""
        with self._lock:
            known = self._known.get((workspace, by.person))
            if known is not None and known.listening:
                return
            start = self._known[workspace, by.person] = Start()
        threading.Thread(target=_hear, args=(app, workspace, by, start), name="session-start", daemon=True).start()

    def of(self, workspace: WorkspaceId, person: PersonId) -> Start | None:
        """What was heard of a start, or None."""
        with self._lock:
            return self._known.get((workspace, person))


def _hear(app: App, workspace: WorkspaceId, by: Principal, start: Start) -> None:
    try:
        for step in app.sessions.progress(workspace, by=by):
            if len(start.steps) < MOST_STEPS:
                start.steps.append(step)
    except SpeError as error:
        start.steps.append(Progress(percent=start.percent, message=" ".join(error.sentences)))
    finally:
        start.listening = False


_MAKING = threading.Lock()


def starts_of(request: Request) -> Starts:
    """The starts known to this application."""
    state = request.app.state
    with _MAKING:
        if not hasattr(state, "starts"):
            state.starts = Starts()
    found: Starts = state.starts
    return found
