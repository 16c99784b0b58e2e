"""The life of an egress request: frozen outputs on their way through checks and reviews to release.

    draft → submitted → checking → in-review → approved → releasing → released (→ recalled)
                            └→ blocked  └→ returned / rejected       withdrawn

A machine never releases and a person never decides on their own work or project; reviewed bytes
are released bytes (by SHA-256, under the policy digest that was reviewed).
"""

from spe.domain.egress.guards import (
    actor_has_not_voted,
    actor_is_author,
    actor_is_not_author,
    actor_is_not_on_permit,
    actor_reviewed,
    an_output_passes,
    has_outputs,
    nothing_blocks,
    outputs_are_sealed,
    permit_has_ended,
    permit_is_in_force,
    policy_changed,
    policy_is_as_reviewed,
    purpose_is_given,
    reason_is_given,
    report_covers_every_output,
    review_is_open,
    reviews_suffice,
    something_blocks,
    waivers_are_allowed,
)
from spe.domain.egress.request import EgressContext, EgressState
from spe.domain.errors import Denial
from spe.domain.machine import Machine, Transition
from spe.domain.principal import Permission


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
