"""The egress request as a record: its outputs, what the author declares of them, and what rules may look at."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from spe.domain.ids import PermitId, PersonId, RequestId, WorkspaceId
from spe.domain.review import Standing, Vote, current, reviewers, tally


class EgressState(StrEnum):
    """Where an egress request stands."""

    DRAFT = "draft"
    SUBMITTED = "submitted"
    CHECKING = "checking"
    BLOCKED = "blocked"
    IN_REVIEW = "in-review"
    RETURNED = "returned"
    REJECTED = "rejected"
    APPROVED = "approved"
    RELEASING = "releasing"
    RELEASED = "released"
    RECALLED = "recalled"
    WITHDRAWN = "withdrawn"


class OutputKind(StrEnum):
    """What an output is, in the researcher's declaration."""

    FREQUENCY_TABLE = "frequency-table"
    MAGNITUDE_TABLE = "magnitude-table"
    REGRESSION = "regression"
    SURVIVAL = "survival"
    FIGURE = "figure"
    GWAS = "gwas"
    ALLELE_FREQUENCIES = "allele-frequencies"
    MODEL = "model"
    CODE = "code"
    TEXT = "text"
    OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """What the researcher says about one output; not itself released."""

    path: str
    title: str = ""
    kind: OutputKind = OutputKind.OTHER
    population: int | None = None
    unit: str = "person"
    data: str = ""
    notes: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """One frozen file: its path in the request, SHA-256 in hexadecimal, size in bytes, declaration."""

    path: str
    sha256: str
    size: int
    declaration: Declaration


@dataclass(frozen=True, slots=True, kw_only=True)
class EgressRequest:
    """A proposal to take outputs out. `round` counts submissions; `report` and `views` are digests of evidence."""

    id: RequestId
    workspace: WorkspaceId
    permit: PermitId
    author: PersonId
    purpose: str
    state: EgressState
    created_at: datetime
    outputs: tuple[Output, ...] = ()
    round: int = 0
    policy_digest: str = ""
    report: str = ""
    views: str = ""
    verdict: str = ""
    reason: str = ""
    approved: frozenset[str] = frozenset()
    version: int = 0

    @property
    def digests(self) -> dict[str, str]:
        """SHA-256 by path."""
        return {o.path: o.sha256 for o in self.outputs}


@dataclass(frozen=True, slots=True, kw_only=True)
class EgressContext:
    """What the guards of an egress request look at; gathered by the service before it asks."""

    now: datetime
    actor: PersonId
    request: EgressRequest
    permit_in_force: bool
    on_permit: frozenset[PersonId]
    votes: tuple[Vote, ...] = ()
    reviewers_needed: int = 2
    policy_digest: str = ""
    reported_digests: Mapping[str, str] = field(default_factory=dict)
    stored_digests: Mapping[str, str | None] = field(default_factory=dict)
    blocking: frozenset[str] = frozenset()
    waived: frozenset[str] = frozenset()
    waivers_allowed: bool = False
    reason: str = ""
    permit_ended: bool = False

    @property
    def counted(self) -> tuple[Vote, ...]:
        """The votes that count for this round and these digests."""
        return current(self.votes, round_=self.request.round, digests=self.request.digests)

    @property
    def finished(self) -> frozenset[PersonId]:
        """Checkers who judged every output."""
        return reviewers(self.counted, frozenset(self.request.digests))

    @property
    def standings(self) -> dict[str, Standing]:
        """How each output stands."""
        return tally(self.counted, self.request.digests)

    @property
    def passing(self) -> frozenset[str]:
        """Paths that enough checkers approved and nobody objected to."""
        return frozenset(p for p, s in self.standings.items() if s.approved(self.reviewers_needed))
