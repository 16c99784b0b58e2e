"""What should be there for a workspace now, from the record alone. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from spe.domain.dataset import DatasetVersion
from spe.domain.ids import PersonId, WorkspaceId
from spe.domain.permit import ENDED, Limits, Permit
from spe.domain.workspace import Workspace, WorkspaceState
from spe.ports.cluster import Exposure, SessionPlace

GONE = frozenset({WorkspaceState.CLOSING, WorkspaceState.CLOSED})
SHUT = frozenset({WorkspaceState.STOPPED, WorkspaceState.FAILED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Desired:
    """`present`: anything at all; `open`: people may be inside. Data is there only while it is open."""

    workspace: WorkspaceId
    permit: str
    present: bool
    open: bool
    data: tuple[Exposure, ...] = ()
    places: tuple[SessionPlace, ...] = ()
    limits: Limits = field(default_factory=Limits)


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
    is_open = present and permit.in_force(now) and workspace.state not in SHUT
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
    )
