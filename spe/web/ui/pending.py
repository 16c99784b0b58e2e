"""Proposals that wait for confirmation, as one member of the board sees them."""

from spe.domain.permit import Change
from spe.domain.principal import Permission, Principal
from spe.services.permits import PermitView

MISSING = "confirmations-missing"


def waiting_for(view: PermitView, change: Change, me: Principal) -> tuple[str, ...]:
    """Why this member cannot confirm the change now, one sentence each; empty when they can."""
    if not me.may(Permission.PERMIT_CONFIRM):
        return ("Members of the data access board confirm this.",)
    if me.person == change.proposed_by:
        return ("You proposed this; another member of the board confirms it.",)
    if me.person in change.confirmed_by:
        return ("You have confirmed this; another member of the board is still needed.",)
    if me.person in change.terms.people:
        return ("The proposal names you; others decide on it.",)
    offer = next((o for o in view.offers if o.verb == change.verb), None)
    if offer is None:
        return (f"A permit that is {view.permit.state} cannot be changed in this way any more.",)
    return tuple(d.message for d in offer.denials if d.code != MISSING)
