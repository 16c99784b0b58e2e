"""What should be there for a workspace now, from the record alone. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from spe.domain.dataset import DatasetVersion
from spe.domain.ids import PersonId, WorkspaceId
from spe.domain.permit import ENDED, Limits, Permit, PermitState
from spe.domain.workspace import Workspace, WorkspaceState
from spe.ports.cluster import Exposure, SessionPlace

GONE = frozenset({WorkspaceState.CLOSING, WorkspaceState.CLOSED})
SHUT = frozenset({WorkspaceState.STOPPED, WorkspaceState.FAILED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Desired:
    """`present`: anything at all; `open`: people may be inside. Data is there only while it is open.

    `reason` is the sentence that people read whose session ends because it is not open.
    """

    workspace: WorkspaceId
    permit: str
    present: bool
    open: bool
    data: tuple[Exposure, ...] = ()
    places: tuple[SessionPlace, ...] = ()
    limits: Limits = field(default_factory=Limits)
    reason: str = ""


def desired(
    workspace: Workspace,
    permit: Permit,
    versions: Iterable[DatasetVersion],
    names: Mapping[PersonId, str],
    *,
    now: datetime,
) -> Desired:
    """The end of a permit is simply a desired state that has become empty."""
    present = workspace.state not in GONE and permit.state not in ENDED
    in_force = permit.in_force(now)
    is_open = present and in_force and workspace.state not in SHUT
    usable = sorted((v for v in versions if not v.withdrawn), key=lambda v: v.key)
    return Desired(
        workspace=workspace.id,
        permit=permit.id,
        present=present,
        open=is_open,
        data=tuple(Exposure(key=v.key, source=v.source, mount=v.mount, digest=v.manifest.digest) for v in usable)
        if is_open
        else (),
        places=tuple(
            SessionPlace(person=p, name=names.get(p, p), expires=permit.terms.ends) for p in sorted(permit.terms.people)
        )
        if is_open
        else (),
        limits=permit.terms.limits,
        reason="" if is_open else _why_closed(workspace, permit, in_force),
    )


def _why_closed(workspace: Workspace, permit: Permit, in_force: bool) -> str:
    if in_force:
        return f"The workspace is {workspace.state}."
    if permit.state is PermitState.ACTIVE:
        return "The permit's time is over, or has not begun."
    return permit.reason or f"The permit is {permit.state}."
