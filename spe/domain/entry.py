"""Who may enter a workspace now: each missing thing is one sentence that says what to do next."""

from dataclasses import dataclass
from datetime import datetime

from spe.domain.dataset import AccessMode
from spe.domain.errors import Denial
from spe.domain.permit import Permit, PermitState
from spe.domain.person import Acceptance, Person
from spe.domain.workspace import Workspace, WorkspaceState


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryContext:
    """Everything that entry depends on."""

    now: datetime
    person: Person
    permit: Permit
    workspace: Workspace
    acceptance: Acceptance | None
    terms_version: str
    training_required: bool
    modes_offered: frozenset[AccessMode] = frozenset({AccessMode.DIRECT})


def denials_to_enter(c: EntryContext) -> tuple[Denial, ...]:
    """Every reason why this person may not enter this workspace now; empty when they may."""
    trained = c.person.trained_until is not None and c.now < c.person.trained_until
    terms = c.permit.terms
    rows = (
        (not c.person.active, "account-off", "Your account was switched off; ask an operator."),
        (not c.permit.names(c.person.id), "not-on-permit", "You are not an authorised user of this permit."),
        (
            c.permit.state is not PermitState.ACTIVE,
            "permit-not-active",
            f"The permit is {c.permit.state}; the data access board decides about that.",
        ),
        (c.now < terms.starts, "term-not-begun", f"The permit begins on {terms.starts:%d %B %Y at %H:%M} UTC."),
        (c.now >= terms.ends, "term-over", f"The permit ended on {terms.ends:%d %B %Y at %H:%M} UTC."),
        (
            c.acceptance is None or c.acceptance.terms != c.terms_version,
            "terms-not-accepted",
            "Accept the terms of use first; they are on the workspace's page.",
        ),
        (
            c.training_required and not trained,
            "training-missing",
            "Your training record is missing or out of date; an operator enters it.",
        ),
        (
            c.workspace.state is not WorkspaceState.READY,
            "workspace-not-ready",
            f"The workspace is {c.workspace.state}; its page shows what is missing.",
        ),
        (
            terms.access_mode not in c.modes_offered,
            "access-mode",
            f"The permit asks for the access mode “{terms.access_mode}”, which this environment does not offer.",
        ),
    )
    return tuple(Denial(code=code, message=message) for wrong, code, message in rows if wrong)
