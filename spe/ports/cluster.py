"""The place where workspaces live: folders and processes on one host, or namespaces of a cluster.

An adapter translates steps into the world and says what it sees; it never decides. Everything is
level-triggered: `observe` looks afresh each time, `apply` makes one step true and may be repeated.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from spe.domain.dataset import Guarantee
from spe.domain.ids import PersonId, WorkspaceId
from spe.domain.permit import Limits


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposure:
    """A dataset version as exposed: its key, where the bytes are, where they appear, its digest."""

    key: str
    source: str
    mount: str
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SealReport:
    """What a probe saw from inside, without data: each attempt by name, and whether it was stopped."""

    holds: bool
    attempts: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionPlace:
    """A person's place in a workspace: what the gate must know to let them in."""

    person: PersonId
    name: str
    expires: datetime


class StepKind(StrEnum):
    """Everything that can be made true of a workspace, in the order of provisioning."""

    FOLDERS = "folders"
    GATE = "gate"
    SEAL = "seal"
    DATA = "data"
    CUT = "cut"
    STOP_SESSIONS = "stop-sessions"
    WITHDRAW_DATA = "withdraw-data"
    REMOVE_GATE = "remove-gate"
    REMOVE_FOLDERS = "remove-folders"
    UNSEAL = "unseal"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step for one workspace; the fields that a kind needs are set, the rest are empty."""

    kind: StepKind
    workspace: WorkspaceId
    permit: str = ""
    token: str = ""
    reason: str = ""
    person: PersonId | None = None
    limits: Limits = field(default_factory=Limits)
    data: tuple[Exposure, ...] = ()
    places: tuple[SessionPlace, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """What is there now: never cached, strays included."""

    workspace: WorkspaceId
    folders: bool = False
    gate: bool = False
    seal: SealReport | None = None
    data: frozenset[tuple[str, str]] = frozenset()
    places: frozenset[PersonId] = frozenset()
    limits: Limits | None = None
    sessions: frozenset[PersonId] = frozenset()

    @property
    def anything(self) -> bool:
        """Whether any part of the workspace is left."""
        return bool(self.folders or self.gate or self.seal or self.data or self.sessions or self.places)


class Cluster(Protocol):
    """Where workspaces are made and removed."""

    @property
    def guarantees(self) -> frozenset[Guarantee]:
        """What this adapter promises, as found out at start."""
        ...

    def owned(self) -> tuple[WorkspaceId, ...]:
        """Every workspace of which anything is there, strays included."""
        ...

    def observe(self, workspace: WorkspaceId) -> Observed:
        """All this adapter owns for the workspace. Never cached. Raises `Unavailable`."""
        ...

    def idle(self, workspace: WorkspaceId) -> Mapping[PersonId, float]:
        """Seconds since each running session was last in use; a computation under way is use. Raises `Unavailable`."""
        ...

    def recognise(self, token: str) -> WorkspaceId:
        """The workspace whose gate runs under the account that this token is of.

        Asked of the cluster each time, for the portal's audience only; the account must be a workspace's gate,
        in a namespace that this adapter made. Raises `Unauthenticated` for every other token, `Rejected` where
        gates are not told apart in this way, `Unavailable` when the cluster is silent.
        """
        ...

    def addresses(self, workspace: WorkspaceId) -> Mapping[PersonId, str]:
        """At which address each person's notebook runs, as the cluster itself says now; empty on one host.

        Only of pods that have not ended and are not being deleted: the address of such a one may be another's
        already. Never cached. Raises `Unavailable`.
        """
        ...

    def apply(self, step: Step) -> None:
        """Make one step true. Safe to repeat. Raises `Unavailable` or `Rejected`, nothing else."""
        ...
