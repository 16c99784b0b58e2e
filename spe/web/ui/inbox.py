"""Which requests need a checker now: one pile each for what needs them, waits for others, is returned, is done."""

from collections.abc import Iterable
from typing import Final

from spe.domain.egress import EgressState
from spe.services.reviews import ReviewView

PILES: Final = (
    ("needs-me", "Needs me"),
    ("waiting", "Waiting for others"),
    ("returned", "Returned to the author"),
    ("done", "Done"),
)
ACTS: Final = frozenset({"review", "approve", "return", "reject", "waive"})
MERELY_BLOCKED: Final = frozenset({"blocking-findings"})
WITH_OTHERS: Final = frozenset({EgressState.IN_REVIEW, EgressState.BLOCKED, EgressState.APPROVED})


def acts_of(view: ReviewView) -> frozenset[str]:
    """What this checker may do to the request now. A waiver is closed only by reasons other than what it waives."""
    open_ones = {o.verb for o in view.offers if o.open and o.verb in ACTS}
    waivable = {o.verb for o in view.offers if o.verb == "waive" and {d.code for d in o.denials} <= MERELY_BLOCKED}
    return frozenset(open_ones | waivable)


def pile_of(view: ReviewView) -> str:
    """The pile a request lies on for this checker."""
    if view.request.state is EgressState.RETURNED:
        return "returned"
    if view.request.state not in WITH_OTHERS:
        return "done"
    return "needs-me" if acts_of(view) else "waiting"


def sorted_inbox(views: Iterable[ReviewView]) -> dict[str, list[ReviewView]]:
    """The requests by pile, oldest first in each."""
    piles: dict[str, list[ReviewView]] = {name: [] for name, _ in PILES}
    for view in views:
        piles[pile_of(view)].append(view)
    return piles
