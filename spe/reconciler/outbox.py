"""Owed effects, carried out from the record; each handler may be repeated at any point.

Three lanes, so that neither a long check nor a workspace in the making ever delays a revocation.
"""

import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta

from spe.domain.errors import NotFound, SpeError, Stale
from spe.domain.ids import PermitId, RequestId, WorkspaceId
from spe.domain.intent import Intent
from spe.domain.principal import RECONCILER
from spe.ports.store import UnitOfWork
from spe.reconciler.loop import Reconciler
from spe.services.app import App
from spe.services.journal import under

log = logging.getLogger("spe.outbox")
LONGEST_WAIT = 60.0
MOST = 10_000


class Outbox:
    """Drains what one lane owes."""

    def __init__(self, app: App, kinds: Mapping[str, Callable[[str], None]]) -> None:
        self._app = app
        self._kinds = kinds

    def due(self) -> list[Intent]:
        """What this lane owes by now, the oldest first."""
        house = self._app.house
        with house.ports.store.read() as uow:
            return [i for i in uow.outbox.due(house.ports.clock.now(), limit=MOST) if i.kind in self._kinds]

    def due_by_permit(self) -> dict[str, list[Intent]]:
        """What this lane owes by now for each permit, the oldest first; what has none stands by itself."""
        owed: dict[str, list[Intent]] = {}
        due = self.due()
        with self._app.house.ports.store.read() as uow:
            for intent in due:
                owed.setdefault(_permit_of(uow, intent), []).append(intent)
        return owed

    def drain(self, stop: threading.Event) -> int:
        """Carry out what is due; returns how many succeeded. Raises `Stale` when somebody else may lead by now."""
        return self.carry_out(self.due(), stop)

    def carry_out(self, intents: Iterable[Intent], stop: threading.Event) -> int:
        """These, one after the other; returns how many succeeded. Raises `Stale` as `drain` does."""
        store, clock = self._app.house.ports.store, self._app.house.ports.clock
        done = 0
        for intent in intents:
            if stop.is_set():
                break
            self._app.house.may_act()
            try:
                with under(f"effect-{intent.id}"):
                    self._kinds[intent.kind](intent.subject)
            except Stale:
                continue  # somebody else moved it; look again in the next round
            except NotFound as error:
                log.warning("%s %s: %s", intent.kind, intent.subject, error)
            except SpeError as error:
                wait = self._later(intent, str(error))
                log.warning("%s %s: %s; again in %.1f s", intent.kind, intent.subject, error, wait)
                continue
            except Exception as error:
                # One effect that cannot be carried out must not hold up the others, least of all a revocation.
                log.exception("%s %s: unexpected", intent.kind, intent.subject)
                self._later(intent, f"unexpected: {type(error).__name__}")
                continue
            with store.begin() as uow:
                uow.outbox.done(intent, clock.now())
            done += 1
        return done

    def _later(self, intent: Intent, error: str) -> float:
        """Try again, each time after twice the wait, at most a minute; returns the wait in seconds."""
        wait: float = min(LONGEST_WAIT, 0.5 * 2 ** min(intent.attempts, 7))
        clock = self._app.house.ports.clock
        with self._app.house.ports.store.begin() as uow:
            uow.outbox.again(intent, clock.now() + timedelta(seconds=wait), error[:500])
        return wait


def _permit_of(uow: UnitOfWork, intent: Intent) -> str:
    if not intent.kind.startswith("workspace:"):
        return intent.subject
    try:
        return uow.workspaces.get(WorkspaceId(intent.subject)).permit
    except NotFound:
        return intent.subject


def cuts(app: App) -> dict[str, Callable[[str], None]]:
    """What waits for nothing: nobody is inside any more."""
    reconciler = Reconciler(app)
    return {
        "permit:cut": lambda permit: _for_each(app, permit, reconciler.cut),
        "workspace:cut": lambda workspace: reconciler.cut(WorkspaceId(workspace)),
    }


def spaces(app: App) -> dict[str, Callable[[str], None]]:
    """Workspaces made, changed and removed."""
    reconciler = Reconciler(app)

    def make(permit: str) -> None:
        app.workspaces.ensure(PermitId(permit), by=RECONCILER)

    def reconcile(workspace: str) -> None:
        reconciler.reconcile(WorkspaceId(workspace))

    return {
        "permit:workspace": make,
        "permit:reconcile": lambda permit: _for_each(app, permit, reconciler.reconcile),
        "workspace:reconcile": reconcile,
    }


def _for_each(app: App, permit: str, act: Callable[[WorkspaceId], object]) -> None:
    with app.house.ports.store.read() as uow:
        found = [w.id for w in uow.workspaces.select(permit=permit) if w.state != "closed"]
    for workspace in found:
        act(workspace)


def slow(app: App) -> dict[str, Callable[[str], None]]:
    """What may take its time: checks, copies, messages."""
    return {
        "egress:check": lambda request: app.checks.run(RequestId(request)),
        "egress:release": lambda request: app.releases.begin(RequestId(request)),
        "egress:copy": lambda request: app.releases.finish(RequestId(request)),
        "egress:notify": lambda request: notify(app, RequestId(request)),
        "egress:recall": lambda request: notify(app, RequestId(request)),
    }


def notify(app: App, request_id: RequestId) -> None:
    """Tell the author where the request stands; ids and states only (security note T36)."""
    with app.house.ports.store.read() as uow:
        request = uow.egress.get(request_id)
    app.house.ports.notifier.tell(
        request.author, f"Egress request {request.id}", f"Your egress request {request.id} is now {request.state}."
    )
