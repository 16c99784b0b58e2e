"""The workspace of a permit and the moves of its life; the story is told by its conditions.

Logic reads `state`; people read `conditions` (`network-sealed: true since …`). The seal is observed
from inside before data is exposed, and it goes last at teardown.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from spe.domain.dataset import Guarantee
from spe.domain.errors import Denial
from spe.domain.ids import PermitId, WorkspaceId
from spe.domain.machine import Machine, Transition
from spe.domain.principal import Permission


class WorkspaceState(StrEnum):
    """Where a workspace stands."""

    REQUESTED = "requested"
    PROVISIONING = "provisioning"
    READY = "ready"
    STOPPED = "stopped"
    FAILED = "failed"
    CLOSING = "closing"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One observed fact about a workspace: its name, whether it holds, why, since when."""

    name: str
    holds: bool
    reason: str
    since: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace:
    """The isolated place of one permit."""

    id: WorkspaceId
    permit: PermitId
    state: WorkspaceState
    created_at: datetime
    conditions: tuple[Condition, ...] = ()
    version: int = 0

    def condition(self, name: str) -> Condition | None:
        """The condition of that name, if it was ever observed."""
        return next((c for c in self.conditions if c.name == name), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkspaceContext:
    """What the guards of a workspace look at."""

    now: datetime
    permit_in_force: bool
    permit_ended: bool
    needs: frozenset[Guarantee] = frozenset()
    guarantees: frozenset[Guarantee] = frozenset()
    in_sync: bool = False
    anything_left: bool = True
    seal_holds: bool = False


def permit_is_in_force(c: WorkspaceContext) -> Denial | None:
    """Nothing starts without a permit that is active now."""
    if c.permit_in_force:
        return None
    return Denial(code="permit-not-active", message="The permit is not active; the board decides about that.")


def guarantees_suffice(c: WorkspaceContext) -> Denial | None:
    """The environment must promise what each dataset needs."""
    missing = sorted(c.needs - c.guarantees)
    if not missing:
        return None
    return Denial(
        code="guarantee-missing",
        message="A dataset of the permit needs "
        + ", ".join(missing)
        + ", which this environment does not give; move the workspace to one that does.",
    )


def seal_was_observed(c: WorkspaceContext) -> Denial | None:
    """No data before the sealed network was seen from inside."""
    if c.seal_holds:
        return None
    return Denial(code="seal-not-observed", message="The network seal has not been observed from inside yet.")


def observed_equals_desired(c: WorkspaceContext) -> Denial | None:
    """Ready means: what is there is what should be there."""
    if c.in_sync:
        return None
    return Denial(code="not-in-sync", message="The workspace is still being made.")


def nothing_is_left(c: WorkspaceContext) -> Denial | None:
    """Closed means: observed to be gone, not merely asked to go."""
    if not c.anything_left:
        return None
    return Denial(code="still-there", message="Parts of the workspace are still there.")


def _from(*states: WorkspaceState) -> frozenset[WorkspaceState]:
    return frozenset(states)


_W = WorkspaceState
_LIVE = _from(_W.REQUESTED, _W.PROVISIONING, _W.READY, _W.STOPPED, _W.FAILED)

WORKSPACE: Machine[WorkspaceState, WorkspaceContext] = Machine(
    name="workspace",
    initial=_W.REQUESTED,
    final=_from(_W.CLOSED),
    transitions=(
        Transition(
            verb="provision",
            title="Make the workspace",
            sources=_from(_W.REQUESTED),
            target=_W.PROVISIONING,
            permission=Permission.WORKSPACE_RECONCILE,
            event="workspace.provisioning",
            guards=(permit_is_in_force, guarantees_suffice),
            effects=("reconcile",),
        ),
        Transition(
            verb="confirm",
            title="Confirm that it is ready",
            sources=_from(_W.PROVISIONING),
            target=_W.READY,
            permission=Permission.WORKSPACE_RECONCILE,
            event="workspace.ready",
            guards=(permit_is_in_force, seal_was_observed, observed_equals_desired),
        ),
        Transition(
            verb="stop",
            title="Stop the workspace",
            sources=_from(_W.READY),
            target=_W.STOPPED,
            permission=Permission.WORKSPACE_OPERATE,
            event="workspace.stopped",
            effects=("cut", "reconcile"),
        ),
        Transition(
            verb="start",
            title="Start the workspace",
            sources=_from(_W.STOPPED),
            target=_W.PROVISIONING,
            permission=Permission.WORKSPACE_OPERATE,
            event="workspace.started",
            guards=(permit_is_in_force,),
            effects=("reconcile",),
        ),
        Transition(
            verb="fail",
            title="Mark as failed",
            sources=_from(_W.REQUESTED, _W.PROVISIONING, _W.READY),
            target=_W.FAILED,
            permission=Permission.WORKSPACE_RECONCILE,
            event="workspace.failed",
            effects=("cut",),
        ),
        Transition(
            verb="retry",
            title="Try again",
            sources=_from(_W.FAILED),
            target=_W.REQUESTED,
            permission=Permission.WORKSPACE_OPERATE,
            event="workspace.retried",
            guards=(permit_is_in_force,),
            effects=("reconcile",),
        ),
        Transition(
            verb="close",
            title="Close the workspace",
            sources=_LIVE,
            target=_W.CLOSING,
            permission=Permission.WORKSPACE_RECONCILE,
            event="workspace.closing",
            effects=("cut", "reconcile"),
        ),
        Transition(
            verb="seal",
            title="Confirm that nothing is left",
            sources=_from(_W.CLOSING),
            target=_W.CLOSED,
            permission=Permission.WORKSPACE_RECONCILE,
            event="workspace.closed",
            guards=(nothing_is_left,),
        ),
    ),
)

OPEN = frozenset(set(WorkspaceState) - {WorkspaceState.CLOSED})


class SessionState(StrEnum):
    """Where a notebook session stands."""

    STARTING = "starting"
    RUNNING = "running"
    STOPPED = "stopped"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One authorised user's notebook server in a workspace; at most one per pair."""

    workspace: WorkspaceId
    person: str
    state: SessionState
    message: str
    since: datetime
    version: int = 0
