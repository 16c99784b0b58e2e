"""The words of the pages: what states, kinds, modes and guarantees are called, and how loud each is.

Tables only. A tone never stands alone: every tag carries its word, so nothing is said by colour.
"""

from dataclasses import dataclass
from typing import Final

from spe.domain.dataset import AccessMode, Guarantee
from spe.domain.egress import EgressState, OutputKind
from spe.domain.permit import PermitState
from spe.domain.principal import Role
from spe.domain.review import Decision
from spe.domain.verdict import Severity, Verdict
from spe.domain.workspace import SessionState, WorkspaceState


@dataclass(frozen=True, slots=True)
class Word:
    """A label, its tone (quiet, info, good, warn, bad) and one sentence of meaning."""

    label: str
    tone: str = "quiet"
    meaning: str = ""


ROLES: Final = {
    Role.AUTHORISED_USER: Word("Researcher", meaning="Works in the workspaces of the permits that name them."),
    Role.BOARD: Word("Data access board", meaning="Grants, changes and ends permits."),
    Role.CHECKER: Word("Output checker", meaning="Reviews outputs before they leave."),
    Role.OPERATOR: Word("Operator", meaning="Runs the environment; sees no data and approves nothing."),
    Role.AUDITOR: Word("Auditor", meaning="Reads and verifies the audit log."),
}

PERMIT_STATES: Final = {
    PermitState.PROPOSED: Word("Proposed", "info", "It gives no access until another board member confirms it."),
    PermitState.ACTIVE: Word("Active", "good", "It gives access during its term."),
    PermitState.SUSPENDED: Word("Suspended", "warn", "Nobody has access; the workspace is kept."),
    PermitState.DECLINED: Word("Declined", "quiet", "The proposal was declined; it never gave access."),
    PermitState.EXPIRED: Word("Expired", "quiet", "The term is over; the workspace is being taken down."),
    PermitState.REVOKED: Word("Revoked", "bad", "Access was taken away; the workspace is being taken down."),
    PermitState.CLOSED: Word("Closed", "quiet", "Nothing of it is open any more; the evidence stays."),
}

WORKSPACE_STATES: Final = {
    WorkspaceState.REQUESTED: Word("Requested", "info", "It will be made shortly."),
    WorkspaceState.PROVISIONING: Word("Being made", "info", "Folders, gate and network seal are being made."),
    WorkspaceState.READY: Word("Ready", "good", "You can start a notebook session."),
    WorkspaceState.STOPPED: Word("Stopped", "warn", "An operator stopped it; the work in it is kept."),
    WorkspaceState.FAILED: Word("Failed", "bad", "Something could not be made; an operator sees the reason."),
    WorkspaceState.CLOSING: Word("Closing", "warn", "The permit ended; the workspace is being taken down."),
    WorkspaceState.CLOSED: Word("Closed", "quiet", "The workspace is gone; the evidence stays."),
}

SESSION_STATES: Final = {
    SessionState.STARTING: Word("Starting", "info"),
    SessionState.RUNNING: Word("Running", "good"),
    SessionState.STOPPED: Word("Stopped", "quiet"),
    SessionState.FAILED: Word("Failed", "bad"),
}

EGRESS_STATES: Final = {
    EgressState.DRAFT: Word("Draft", "quiet", "Only you and your project see it. Describe the files, then submit."),
    EgressState.SUBMITTED: Word("Submitted", "info", "The files are frozen and wait for the automatic checks."),
    EgressState.CHECKING: Word("Being checked", "info", "The automatic checks are running."),
    EgressState.BLOCKED: Word("Blocked by checks", "bad", "A finding stops the request. Change the files it names."),
    EgressState.IN_REVIEW: Word("In review", "info", "Two output checkers review it independently."),
    EgressState.RETURNED: Word("Returned", "warn", "The checkers ask for changes. It is with the author now."),
    EgressState.REJECTED: Word("Rejected", "bad", "The checkers refused it. This is final."),
    EgressState.APPROVED: Word("Approved", "good", "The approved files are about to be released."),
    EgressState.RELEASING: Word("Being released", "good", "The approved files are being copied."),
    EgressState.RELEASED: Word("Released", "good", "The files and their receipt can be downloaded."),
    EgressState.RECALLED: Word("Recalled", "bad", "The release was withdrawn; nothing can be downloaded any more."),
    EgressState.WITHDRAWN: Word("Withdrawn", "quiet", "The author took it back."),
}

OUTPUT_KINDS: Final = {
    OutputKind.FREQUENCY_TABLE: Word("Table of counts or percentages"),
    OutputKind.MAGNITUDE_TABLE: Word("Table of means, sums or other magnitudes"),
    OutputKind.REGRESSION: Word("Regression results"),
    OutputKind.SURVIVAL: Word("Survival analysis"),
    OutputKind.FIGURE: Word("Figure"),
    OutputKind.GWAS: Word("GWAS summary statistics"),
    OutputKind.ALLELE_FREQUENCIES: Word("Allele frequencies"),
    OutputKind.MODEL: Word("Trained model"),
    OutputKind.CODE: Word("Program code"),
    OutputKind.TEXT: Word("Text"),
    OutputKind.OTHER: Word("Something else"),
}

VERDICTS: Final = {
    Verdict.PASS: Word("Checks passed", "good"),
    Verdict.REFER: Word("Needs attention", "warn"),
    Verdict.BLOCK: Word("Blocked", "bad"),
}

SEVERITIES: Final = {
    Severity.NOTE: Word("Note", "quiet"),
    Severity.REFER: Word("Look closely", "warn"),
    Severity.BLOCK: Word("Blocks", "bad"),
}

DECISIONS: Final = {
    Decision.APPROVE: Word("Approve", "good", "Safe to leave as it is."),
    Decision.CHANGE: Word("Ask for a change", "warn", "The author should change something and submit again."),
    Decision.REJECT: Word("Reject", "bad", "It should not leave."),
}

ACCESS_MODES: Final = {
    AccessMode.DIRECT: Word(
        "Direct",
        meaning="The notebook opens in the person's own browser. Everything sent to it is counted and limited per day.",
    ),
    AccessMode.STREAMED: Word(
        "Streamed", meaning="Only pixels of the notebook reach the browser. Not every environment offers this."
    ),
}

RESIDUAL_RISK: Final = {
    AccessMode.DIRECT: (
        "What is shown in a browser can be photographed, typed out or kept by that browser. The environment counts "
        "and limits every byte, refuses downloads and records what happened, but it cannot make a screen one-way. "
        "This remaining risk is accepted with the permit."
    ),
    AccessMode.STREAMED: (
        "What is shown on a screen can still be photographed. Text and files cannot be copied out through the stream."
    ),
}

GUARANTEES: Final = {
    Guarantee.NO_NETWORK: Word("No network", meaning="Nothing in a workspace can reach any network."),
    Guarantee.READ_ONLY_DATA: Word("Read-only data", meaning="Datasets cannot be changed from inside."),
    Guarantee.PRIVATE_PROCESSES: Word("Private processes", meaning="A session sees no process but its own."),
    Guarantee.USER_NAMESPACE: Word("User namespace", meaning="A session holds no rights on the host."),
    Guarantee.SEPARATE_KERNEL: Word("Separate kernel", meaning="Sessions run on a kernel of their own."),
    Guarantee.RESOURCE_LIMITS: Word("Resource limits", meaning="Memory, processors and disk are limited per session."),
    Guarantee.PIXEL_STREAM: Word("Pixel stream", meaning="Notebooks can be shown as pixels only."),
}

PERMIT_KINDS: Final = (
    ("data-permit", "Data permit"),
    ("data-request", "Data request"),
    ("data-use-agreement", "Data use agreement"),
    ("internal-approval", "Internal approval"),
)

TABLES: Final[dict[str, dict[str, Word]]] = {
    "permit": {str(k): v for k, v in PERMIT_STATES.items()},
    "workspace": {str(k): v for k, v in WORKSPACE_STATES.items()},
    "session": {str(k): v for k, v in SESSION_STATES.items()},
    "egress": {str(k): v for k, v in EGRESS_STATES.items()},
    "verdict": {str(k): v for k, v in VERDICTS.items()},
    "severity": {str(k): v for k, v in SEVERITIES.items()},
    "decision": {str(k): v for k, v in DECISIONS.items()},
    "kind": {str(k): v for k, v in OUTPUT_KINDS.items()},
    "role": {str(k): v for k, v in ROLES.items()},
    "mode": {str(k): v for k, v in ACCESS_MODES.items()},
    "guarantee": {str(k): v for k, v in GUARANTEES.items()},
}


def word(table: str, value: str) -> Word:
    """The word for a value of a table; an unknown value is shown as it is."""
    return TABLES[table].get(str(value), Word(str(value).replace("-", " ").capitalize()))
