"""The rules of an egress request, one function and one sentence each; none knows when it is asked."""

from spe.domain.egress.request import EgressContext
from spe.domain.errors import Denial
from spe.domain.wording import several


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
