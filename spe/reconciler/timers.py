"""What happens because time passes: expiry, closing, drift, strays, held releases, checkpoints."""

import logging
from collections.abc import Callable
from datetime import timedelta

from spe.domain.egress import EgressState
from spe.domain.errors import SpeError, Stale
from spe.domain.permit import PermitState
from spe.domain.principal import TIMERS
from spe.domain.workspace import OPEN, WorkspaceState
from spe.reconciler.loop import Reconciler
from spe.services.app import App
from spe.services.disclosure import policy_for
from spe.services.paging import every

log = logging.getLogger("spe.timers")


class Timers:
    """Ticks of different length over one app."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._reconciler = Reconciler(app)

    def second(self) -> None:
        """Each second: permits that reached their end, or begin now."""
        self._app.permits.tick(by=TIMERS)

    def minute(self) -> None:
        """Each minute: drift, strays, idle sessions, releases, a checkpoint, old rows; a silent port stops its part."""
        parts: tuple[Callable[[], object], ...] = (
            self.owe_reconciliation,
            self.sweep,
            self.end_idle_sessions,
            lambda: self._app.egress.lapse(by=TIMERS),
            self.owe_releases,
            self._app.audit.seal_if_grown,
            self.drop_done_effects,
        )
        for part in parts:
            try:
                part()
            except Stale:
                raise
            except SpeError as error:
                log.warning("%s; again in a minute", error)

    def owe_reconciliation(self) -> None:
        """Every open workspace is looked at again, so that drift is found without an event."""
        house = self._app.house
        now = house.ports.clock.now()
        with house.ports.store.begin() as uow:
            with_space = set()
            for workspace in every(uow.workspaces, state=OPEN):
                with_space.add(workspace.permit)
                uow.outbox.put("workspace:reconcile", workspace.id, now)
            for permit in every(uow.permits, state=PermitState.ACTIVE):
                if permit.id not in with_space:
                    uow.outbox.put("permit:workspace", permit.id, now)

    def sweep(self) -> None:
        """Remove what belongs to no open workspace; what is there is asked first, because the record precedes it."""
        house = self._app.house
        there = house.ports.cluster.owned()
        with house.ports.store.read() as uow:
            known = {w.id for w in every(uow.workspaces, state=OPEN)}
        for workspace in there:
            if workspace not in known:
                self._reconciler.remove_stray(workspace)

    def end_idle_sessions(self) -> None:
        """Sessions that nobody uses end; what is saved stays."""
        with self._app.house.ports.store.read() as uow:
            ready = [w.id for w in every(uow.workspaces, state=WorkspaceState.READY)]
        for workspace in ready:
            self._app.sessions.end_idle(workspace, by=TIMERS)

    def drop_done_effects(self) -> int:
        """Forget effects that were carried out days ago, a batch in each transaction; how many."""
        house = self._app.house
        before = house.ports.clock.now() - timedelta(days=house.policies().rules.outbox_days)
        dropped = 0
        while True:
            with house.ports.store.begin() as uow:
                gone = uow.outbox.prune(before)
            dropped += gone
            if not gone:
                return dropped

    def owe_releases(self) -> None:
        """Requests in the middle of something are owed their next step again, whatever was lost.

        Those under review go back to the checks when the policy is another one now.
        """
        house = self._app.house
        now = house.ports.clock.now()
        owed = {
            EgressState.SUBMITTED: "egress:check",
            EgressState.CHECKING: "egress:check",
            EgressState.APPROVED: "egress:release",
            EgressState.RELEASING: "egress:copy",
        }
        policies = house.policies()
        with house.ports.store.begin() as uow:
            for request in every(uow.egress, state=tuple(owed)):
                uow.outbox.put(owed[request.state], request.id, now)
            for request in every(uow.egress, state=EgressState.IN_REVIEW):
                if policy_for(policies, uow, request.permit).digest != request.policy_digest:
                    uow.outbox.put("egress:check", request.id, now)
