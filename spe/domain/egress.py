"""The egress request: frozen outputs on their way through checks and reviews to release.

    draft → submitted → checking → in-review → approved → releasing → released (→ recalled)
                            └→ blocked  └→ returned / rejected       withdrawn

A machine never releases and a person never decides on their own work or project; reviewed bytes
are released bytes (by SHA-256, under the policy digest that was reviewed).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from spe.domain.errors import Denial
from spe.domain.ids import PermitId, PersonId, RequestId, WorkspaceId
from spe.domain.machine import Machine, Transition
from spe.domain.principal import Permission
from spe.domain.review import Standing, Vote, current, reviewers, tally
from spe.domain.wording import several


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


def _denial(code: str, message: str) -> Denial:
    return Denial(code=code, message=message)


def actor_is_author(c: EgressContext) -> Denial | None:
    """Only the author moves a draft."""
    if c.actor == c.request.author:
        return None
    return _denial("not-author", "Only the person who wrote this request may do that.")


def permit_is_in_force(c: EgressContext) -> Denial | None:
    """Nothing leaves under a permit that is not active now."""
    if c.permit_in_force:
        return None
    return _denial("permit-not-active", "The permit is not active, so nothing leaves under it; ask the board.")


def permit_has_ended(c: EgressContext) -> Denial | None:
    """Only the end of the permit takes a request out of people's hands."""
    if c.permit_ended:
        return None
    return _denial("permit-not-ended", "The permit has not ended.")


def has_outputs(c: EgressContext) -> Denial | None:
    """An empty request has nothing to check."""
    if c.request.outputs:
        return None
    return _denial("no-outputs", "Add at least one file.")


def purpose_is_given(c: EgressContext) -> Denial | None:
    """Missing context is the second most common reason for rejection (OpenSAFELY)."""
    if c.request.purpose.strip():
        return None
    return _denial("purpose-missing", "Say in one sentence what the outputs are for.")


def outputs_are_sealed(c: EgressContext) -> Denial | None:
    """Every output is in the airlock under its digest."""
    broken = sorted(o.path for o in c.request.outputs if c.stored_digests.get(o.path) != o.sha256)
    if not broken:
        return None
    return _denial(
        "output-changed",
        f"{', '.join(broken)}: the stored bytes are not the bytes that were submitted; "
        "submit the request again, and tell the operator.",
    )


def report_covers_every_output(c: EgressContext) -> Denial | None:
    """No report, no verdict: silence is a refusal."""
    missing = sorted(p for p, d in c.request.digests.items() if c.reported_digests.get(p) != d)
    if not missing and c.request.digests:
        return None
    return _denial("report-missing", f"There is no report of the checks on {', '.join(missing) or 'any output'}.")


def nothing_blocks(c: EgressContext) -> Denial | None:
    """A blocking finding keeps a request out of review unless it was waived."""
    left = c.blocking - c.waived
    if not left:
        return None
    return _denial(
        "blocking-findings",
        several(len(left), "finding blocks", "findings block") + " this request; change the files they name.",
    )


def something_blocks(c: EgressContext) -> Denial | None:
    """Only blocking findings block."""
    if c.blocking - c.waived:
        return None
    return _denial("nothing-blocks", "No finding blocks this request.")


def waivers_are_allowed(c: EgressContext) -> Denial | None:
    """Whether blocking findings may be waived is the policy's word."""
    if c.waivers_allowed:
        return None
    return _denial("no-waivers", "The policy of these datasets allows no exception to a blocking finding.")


def actor_is_not_author(c: EgressContext) -> Denial | None:
    """Nobody judges their own outputs."""
    if c.actor != c.request.author:
        return None
    return _denial("own-request", "You wrote this request; other checkers decide on it.")


def actor_is_not_on_permit(c: EgressContext) -> Denial | None:
    """Nobody judges the outputs of a project they work in."""
    if c.actor not in c.on_permit:
        return None
    return _denial("own-project", "You work under this permit; checkers without a tie to it decide.")


def actor_has_not_voted(c: EgressContext) -> Denial | None:
    """One review per checker and round."""
    if c.actor not in {v.checker for v in c.counted}:
        return None
    return _denial("already-voted", "You have already reviewed this round; your votes stand.")


def review_is_open(c: EgressContext) -> Denial | None:
    """After enough reviews the request is consolidated, not reviewed further."""
    if len(c.finished) < c.reviewers_needed:
        return None
    return _denial("review-complete", "Enough checkers have reviewed this; it waits for the joint decision.")


def reviews_suffice(c: EgressContext) -> Denial | None:
    """Enough distinct checkers have judged every output: one approval never releases."""
    missing = c.reviewers_needed - len(c.finished - {c.request.author} - c.on_permit)
    if missing <= 0:
        return None
    return _denial(
        "reviews-missing", several(missing, "more checker", "more checkers") + " must review every output first."
    )


def actor_reviewed(c: EgressContext) -> Denial | None:
    """The joint decision is written down by one of those who reviewed."""
    if c.actor in c.finished:
        return None
    return _denial("not-a-reviewer", "Only a checker who reviewed this round writes down the joint decision.")


def an_output_passes(c: EgressContext) -> Denial | None:
    """There must be something to release."""
    if c.passing:
        return None
    return _denial("nothing-approved", "No output was approved by every reviewer; return or reject the request.")


def reason_is_given(c: EgressContext) -> Denial | None:
    """A no comes with a reason that the author can act on."""
    if c.reason.strip():
        return None
    return _denial("reason-missing", "Give a reason: the author will read it.")


def policy_is_as_reviewed(c: EgressContext) -> Denial | None:
    """A changed policy sends the request back to the checks."""
    if c.policy_digest and c.policy_digest == c.request.policy_digest:
        return None
    return _denial(
        "policy-changed",
        "The disclosure policy changed after this request was checked; the checks and the review start again.",
    )


def policy_changed(c: EgressContext) -> Denial | None:
    """Checks are repeated only when the policy is another one now."""
    if c.policy_digest != c.request.policy_digest:
        return None
    return _denial("policy-unchanged", "The policy is the one that was checked.")


def _from(*states: EgressState) -> frozenset[EgressState]:
    return frozenset(states)


_E = EgressState
_INDEPENDENT = (actor_is_not_author, actor_is_not_on_permit)
_CONSOLIDATES = (*_INDEPENDENT, reviews_suffice, actor_reviewed)
_AS_REVIEWED = (
    permit_is_in_force,
    policy_is_as_reviewed,
    outputs_are_sealed,
    reviews_suffice,
    nothing_blocks,
)

EGRESS: Machine[EgressState, EgressContext] = Machine(
    name="egress request",
    initial=_E.DRAFT,
    final=_from(_E.REJECTED, _E.RECALLED, _E.WITHDRAWN),
    transitions=(
        Transition(
            verb="submit",
            title="Submit for checking",
            sources=_from(_E.DRAFT, _E.RETURNED, _E.BLOCKED),
            target=_E.SUBMITTED,
            permission=Permission.EGRESS_AUTHOR,
            event="egress.submitted",
            guards=(actor_is_author, permit_is_in_force, has_outputs, purpose_is_given, outputs_are_sealed),
            effects=("check",),
        ),
        Transition(
            verb="withdraw",
            title="Withdraw",
            sources=_from(_E.DRAFT, _E.SUBMITTED, _E.RETURNED, _E.BLOCKED),
            target=_E.WITHDRAWN,
            permission=Permission.EGRESS_AUTHOR,
            event="egress.withdrawn",
            guards=(actor_is_author,),
        ),
        Transition(
            verb="lapse",
            title="Close because the permit ended",
            sources=_from(_E.DRAFT, _E.SUBMITTED, _E.RETURNED, _E.BLOCKED, _E.IN_REVIEW, _E.APPROVED),
            target=_E.WITHDRAWN,
            permission=Permission.PERMIT_END,
            event="egress.lapsed",
            guards=(permit_has_ended,),
            effects=("notify",),
        ),
        Transition(
            verb="start-checks",
            title="Start the checks",
            sources=_from(_E.SUBMITTED),
            target=_E.CHECKING,
            permission=Permission.EGRESS_CHECK,
            event="egress.checking",
            guards=(outputs_are_sealed,),
        ),
        Transition(
            verb="refer",
            title="Refer to the checkers",
            sources=_from(_E.CHECKING),
            target=_E.IN_REVIEW,
            permission=Permission.EGRESS_CHECK,
            event="egress.referred",
            guards=(report_covers_every_output, nothing_blocks),
            effects=("notify",),
        ),
        Transition(
            verb="block",
            title="Block",
            sources=_from(_E.CHECKING),
            target=_E.BLOCKED,
            permission=Permission.EGRESS_CHECK,
            event="egress.blocked",
            guards=(something_blocks,),
            effects=("notify",),
        ),
        Transition(
            verb="waive",
            title="Waive a blocking finding",
            sources=_from(_E.BLOCKED),
            target=_E.IN_REVIEW,
            permission=Permission.EGRESS_REVIEW,
            event="egress.waived",
            guards=(
                waivers_are_allowed,
                *_INDEPENDENT,
                reason_is_given,
                nothing_blocks,
                report_covers_every_output,
            ),
        ),
        Transition(
            verb="review",
            title="Review the outputs",
            sources=_from(_E.IN_REVIEW),
            target=None,
            permission=Permission.EGRESS_REVIEW,
            event="egress.reviewed",
            guards=(*_INDEPENDENT, actor_has_not_voted, review_is_open, policy_is_as_reviewed),
        ),
        Transition(
            verb="approve",
            title="Approve for release",
            sources=_from(_E.IN_REVIEW),
            target=_E.APPROVED,
            permission=Permission.EGRESS_REVIEW,
            event="egress.approved",
            guards=(
                *_CONSOLIDATES,
                an_output_passes,
                policy_is_as_reviewed,
                nothing_blocks,
                permit_is_in_force,
            ),
            effects=("release",),
        ),
        Transition(
            verb="return",
            title="Return to the author",
            sources=_from(_E.IN_REVIEW),
            target=_E.RETURNED,
            permission=Permission.EGRESS_REVIEW,
            event="egress.returned",
            guards=(*_CONSOLIDATES, reason_is_given),
            effects=("notify",),
        ),
        Transition(
            verb="reject",
            title="Reject",
            sources=_from(_E.IN_REVIEW),
            target=_E.REJECTED,
            permission=Permission.EGRESS_REVIEW,
            event="egress.rejected",
            guards=(*_CONSOLIDATES, reason_is_given),
            effects=("notify",),
        ),
        Transition(
            verb="recheck",
            title="Check again under the new policy",
            sources=_from(_E.IN_REVIEW, _E.APPROVED, _E.BLOCKED),
            target=_E.SUBMITTED,
            permission=Permission.EGRESS_CHECK,
            event="egress.recheck",
            guards=(policy_changed,),
            effects=("check",),
        ),
        Transition(
            verb="release",
            title="Release",
            sources=_from(_E.APPROVED),
            target=_E.RELEASING,
            permission=Permission.EGRESS_RELEASE,
            event="egress.releasing",
            guards=(*_AS_REVIEWED, an_output_passes),
            effects=("copy",),
        ),
        Transition(
            verb="confirm-release",
            title="Confirm the release",
            sources=_from(_E.RELEASING),
            target=_E.RELEASED,
            permission=Permission.EGRESS_RELEASE,
            event="egress.released",
            guards=(*_AS_REVIEWED, an_output_passes),
            effects=("notify",),
        ),
        Transition(
            verb="undo-release",
            title="Take back a release that was not finished",
            sources=_from(_E.RELEASING),
            target=_E.APPROVED,
            permission=Permission.EGRESS_RELEASE,
            event="egress.release-undone",
        ),
        Transition(
            verb="recall",
            title="Recall",
            sources=_from(_E.RELEASED),
            target=_E.RECALLED,
            permission=Permission.EGRESS_RECALL,
            event="egress.recalled",
            guards=(*_INDEPENDENT, reason_is_given),
            effects=("recall",),
        ),
    ),
)

SETTLED = frozenset({_E.REJECTED, _E.WITHDRAWN, _E.RELEASED, _E.RECALLED})


def release_stops(c: EgressContext) -> tuple[Denial, ...]:
    """Every reason why an approved request may not be released now."""
    return tuple(d for guard in (*_AS_REVIEWED, an_output_passes) if (d := guard(c)) is not None)
