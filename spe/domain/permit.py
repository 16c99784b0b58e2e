"""The permit: people, dataset versions, purpose, term and limits, and the moves of its life.

What widens access needs confirmation by other board members; what narrows it needs one and acts at
once (separation of duties, ISO/IEC 27001:2022 A 5.3; security note T40). A pending widening is a
`Change`: it waits beside the permit until enough have confirmed.
"""

import math
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from spe.domain.dataset import AccessMode
from spe.domain.errors import Denial
from spe.domain.ids import ChangeId, PermitId, PersonId
from spe.domain.machine import Machine, Transition
from spe.domain.principal import Permission
from spe.domain.text import has_unseen
from spe.domain.wording import several


class PermitState(StrEnum):
    """Where a permit stands."""

    PROPOSED = "proposed"
    ACTIVE = "active"
    SUSPENDED = "suspended"
    DECLINED = "declined"
    EXPIRED = "expired"
    REVOKED = "revoked"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a session of the permit may use: bytes, cores, bytes of disk, bytes a day to the browser."""

    memory_bytes: int = 2 * 1024**3
    cpu: float = 1.0
    disk_bytes: int = 4 * 1024**3
    daily_bytes: int = 50 * 1024**2
    idle_minutes: int = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a permit allows; a change of the permit is a change of these."""

    title: str
    purpose: str
    people: frozenset[PersonId]
    datasets: frozenset[str]
    starts: datetime
    ends: datetime
    limits: Limits = Limits()
    access_mode: AccessMode = AccessMode.DIRECT
    secrets: frozenset[str] = frozenset()
    conditions: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Permit:
    """A recorded authorisation (EHDS Article 68; a data use agreement has another `kind`)."""

    id: PermitId
    kind: str
    issuer: str
    terms: Terms
    state: PermitState
    proposed_by: PersonId
    created_at: datetime
    confirmed_by: frozenset[PersonId] = frozenset()
    reason: str = ""
    version: int = 0

    def in_force(self, now: datetime) -> bool:
        """Whether the permit gives access at this instant; the term is half open, [starts, ends)."""
        return self.state is PermitState.ACTIVE and self.terms.starts <= now < self.terms.ends

    def names(self, person: PersonId) -> bool:
        """Whether the person is an authorised user of this permit."""
        return person in self.terms.people


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A widening that waits for confirmation: the verb and the terms that would hold afterwards."""

    id: ChangeId
    permit: PermitId
    verb: str
    terms: Terms
    proposed_by: PersonId
    proposed_at: datetime
    confirmed_by: frozenset[PersonId] = frozenset()
    settled: str = ""
    version: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PermitContext:
    """What the guards of a permit look at; `confirmations` excludes the proposer."""

    now: datetime
    actor: PersonId
    permit: Permit
    confirmations_needed: int = 1
    proposed_by: PersonId | None = None
    confirmations: frozenset[PersonId] = frozenset()
    widens: tuple[str, ...] = ()
    reason: str = ""
    open_workspaces: int = 0
    open_requests: int = 0


def term_runs(c: PermitContext) -> Denial | None:
    """An ended term cannot come back to life; a renewal is an amendment made in time."""
    if c.now < c.permit.terms.ends:
        return None
    return Denial(
        code="term-over",
        message=f"The permit's term ended on {c.permit.terms.ends:%d %B %Y at %H:%M} UTC; apply for a new permit.",
    )


def term_is_over(c: PermitContext) -> Denial | None:
    """Only a permit past its end expires."""
    if c.now >= c.permit.terms.ends:
        return None
    return Denial(code="term-runs", message="The permit's term has not ended yet.")


def confirmer_is_not_proposer(c: PermitContext) -> Denial | None:
    """Nobody confirms their own proposal."""
    if c.actor != c.proposed_by:
        return None
    return Denial(
        code="own-proposal",
        message="You proposed this; another member of the board confirms it.",
    )


def confirmer_is_not_on_permit(c: PermitContext) -> Denial | None:
    """Nobody decides on a permit that names them (security note T40)."""
    if not c.permit.names(c.actor):
        return None
    return Denial(code="own-permit", message="You are an authorised user of this permit, so you cannot decide on it.")


def confirmations_suffice(c: PermitContext) -> Denial | None:
    """The number of further board members that the policy asks for."""
    others = c.confirmations - {c.proposed_by}
    missing = c.confirmations_needed - len(others)
    if missing <= 0:
        return None
    return Denial(
        code="confirmations-missing",
        message=f"{missing} more member{'s' if missing > 1 else ''} of the board must confirm this.",
    )


def reason_is_given(c: PermitContext) -> Denial | None:
    """Taking access away is written down with a reason that the person reads."""
    if c.reason.strip():
        return None
    return Denial(code="reason-missing", message="Give a reason: the people on the permit will read it.")


def nothing_is_open(c: PermitContext) -> Denial | None:
    """A permit closes when its workspace is closed and no egress request is under way."""
    if not c.open_workspaces and not c.open_requests:
        return None
    return Denial(
        code="still-open",
        message=f"Still open: {several(c.open_workspaces, 'workspace', 'workspaces')} and "
        f"{several(c.open_requests, 'egress request', 'egress requests')}.",
    )


def _from(*states: PermitState) -> frozenset[PermitState]:
    return frozenset(states)


_P = PermitState
_DECIDES = (confirmer_is_not_on_permit,)

PERMIT: Machine[PermitState, PermitContext] = Machine(
    name="permit",
    initial=_P.PROPOSED,
    final=_from(_P.DECLINED, _P.CLOSED),
    transitions=(
        Transition(
            verb="activate",
            title="Confirm the permit",
            sources=_from(_P.PROPOSED),
            target=_P.ACTIVE,
            permission=Permission.PERMIT_CONFIRM,
            event="permit.activated",
            guards=(term_runs, *_DECIDES, confirmer_is_not_proposer, confirmations_suffice),
            effects=("workspace",),
        ),
        Transition(
            verb="decline",
            title="Decline the permit",
            sources=_from(_P.PROPOSED),
            target=_P.DECLINED,
            permission=Permission.PERMIT_NARROW,
            event="permit.declined",
            guards=(reason_is_given,),
        ),
        Transition(
            verb="amend",
            title="Amend the permit",
            sources=_from(_P.ACTIVE, _P.SUSPENDED),
            target=None,
            permission=Permission.PERMIT_CONFIRM,
            event="permit.amended",
            guards=(term_runs, *_DECIDES, confirmer_is_not_proposer, confirmations_suffice),
            effects=("reconcile",),
        ),
        Transition(
            verb="narrow",
            title="Narrow the permit",
            sources=_from(_P.ACTIVE, _P.SUSPENDED),
            target=None,
            permission=Permission.PERMIT_NARROW,
            event="permit.narrowed",
            guards=(),
            effects=("reconcile",),
        ),
        Transition(
            verb="suspend",
            title="Suspend the permit",
            sources=_from(_P.ACTIVE),
            target=_P.SUSPENDED,
            permission=Permission.PERMIT_NARROW,
            event="permit.suspended",
            guards=(reason_is_given,),
            effects=("cut", "reconcile"),
        ),
        Transition(
            verb="resume",
            title="Resume the permit",
            sources=_from(_P.SUSPENDED),
            target=_P.ACTIVE,
            permission=Permission.PERMIT_CONFIRM,
            event="permit.resumed",
            guards=(term_runs, *_DECIDES, confirmer_is_not_proposer, confirmations_suffice),
            effects=("reconcile",),
        ),
        Transition(
            verb="revoke",
            title="Revoke the permit",
            sources=_from(_P.PROPOSED, _P.ACTIVE, _P.SUSPENDED),
            target=_P.REVOKED,
            permission=Permission.PERMIT_NARROW,
            event="permit.revoked",
            guards=(reason_is_given,),
            effects=("cut", "reconcile"),
        ),
        Transition(
            verb="expire",
            title="Let the permit expire",
            sources=_from(_P.PROPOSED, _P.ACTIVE, _P.SUSPENDED),
            target=_P.EXPIRED,
            permission=Permission.PERMIT_END,
            event="permit.expired",
            guards=(term_is_over,),
            effects=("cut", "reconcile"),
        ),
        Transition(
            verb="close",
            title="Close the permit",
            sources=_from(_P.EXPIRED, _P.REVOKED),
            target=_P.CLOSED,
            permission=Permission.PERMIT_END,
            event="permit.closed",
            guards=(nothing_is_open,),
        ),
    ),
)

ENDED = frozenset({PermitState.EXPIRED, PermitState.REVOKED, PermitState.CLOSED, PermitState.DECLINED})


_LIMITS = ("memory_bytes", "cpu", "disk_bytes", "daily_bytes", "idle_minutes")


def widenings(old: Terms, new: Terms) -> tuple[str, ...]:
    """One sentence for each way in which `new` gives more than `old`; empty when it only narrows."""
    rising = [name for name in _LIMITS if getattr(new.limits, name) > getattr(old.limits, name)]
    facts = (
        (
            new.people - old.people,
            several(len(new.people - old.people), "more person gets access.", "more people get access."),
        ),
        (new.datasets - old.datasets, f"More data: {', '.join(sorted(new.datasets - old.datasets))}."),
        (new.starts < old.starts, f"Access starts earlier, on {new.starts:%d %B %Y}."),
        (new.ends > old.ends, f"Access lasts longer, until {new.ends:%d %B %Y}."),
        (rising, f"Limits rise: {', '.join(rising).replace('_', ' ')}."),
        (
            old.access_mode is AccessMode.STREAMED and new.access_mode is AccessMode.DIRECT,
            "Access changes from streamed pixels to the person's own browser.",
        ),
        (new.secrets - old.secrets, f"More secrets: {', '.join(sorted(new.secrets - old.secrets))}."),
        (new.purpose != old.purpose, "The purpose changes."),
        (new.conditions != old.conditions, "The conditions change."),
    )
    return tuple(sentence for holds, sentence in facts if holds)


def narrowings(old: Terms, new: Terms) -> tuple[str, ...]:
    """One sentence for each way in which `new` gives less than `old`."""
    falling = [name for name in _LIMITS if getattr(new.limits, name) < getattr(old.limits, name)]
    facts = (
        (old.people - new.people, several(len(old.people - new.people), "person loses access.", "people lose access.")),
        (old.datasets - new.datasets, f"Data withdrawn: {', '.join(sorted(old.datasets - new.datasets))}."),
        (new.starts > old.starts, f"Access starts later, on {new.starts:%d %B %Y}."),
        (new.ends < old.ends, f"Access ends earlier, on {new.ends:%d %B %Y}."),
        (falling, f"Limits fall: {', '.join(falling).replace('_', ' ')}."),
        (
            old.access_mode is AccessMode.DIRECT and new.access_mode is AccessMode.STREAMED,
            "Access changes from the person's own browser to streamed pixels.",
        ),
        (old.secrets - new.secrets, f"Secrets withdrawn: {', '.join(sorted(old.secrets - new.secrets))}."),
        (old.title != new.title, "The title changes."),
    )
    return tuple(sentence for holds, sentence in facts if holds)


def meet(old: Terms, new: Terms) -> Terms:
    """The part of `new` that `old` already gives: what may act at once, without confirmation."""
    limits = Limits(
        memory_bytes=min(old.limits.memory_bytes, new.limits.memory_bytes),
        cpu=min(old.limits.cpu, new.limits.cpu),
        disk_bytes=min(old.limits.disk_bytes, new.limits.disk_bytes),
        daily_bytes=min(old.limits.daily_bytes, new.limits.daily_bytes),
        idle_minutes=min(old.limits.idle_minutes, new.limits.idle_minutes),
    )
    streamed = AccessMode.STREAMED in (old.access_mode, new.access_mode)
    return replace(
        old,
        title=new.title,
        people=old.people & new.people,
        datasets=old.datasets & new.datasets,
        starts=max(old.starts, new.starts),
        ends=min(old.ends, new.ends),
        limits=limits,
        access_mode=AccessMode.STREAMED if streamed else AccessMode.DIRECT,
        secrets=old.secrets & new.secrets,
    )


LONGEST_TEXT = 2000
_LINES = "\n\t"
_UNSEEN = "Remove the control and invisible characters."
_LONG = f"Shorten the text to {LONGEST_TEXT} characters."
_NO_ZONE = "Give date and time with a time zone, such as 2027-01-31T00:00:00Z."


def problems_of(terms: Terms, *, now: datetime) -> dict[str, str]:
    """What is wrong with proposed terms, field by field, each sentence saying what to do; the first one counts."""
    zoned = {name for name in ("starts", "ends") if getattr(terms, name).tzinfo is not None}
    checks = (
        ("title", not terms.title.strip(), "Give the permit a title."),
        ("title", "\n" in terms.title, "Write the title in one line."),
        (
            "purpose",
            not terms.purpose.strip(),
            "State the purpose: it is shown at each entry (EHDS Article 68).",
        ),
        *((name, has_unseen(text, besides=_LINES), _UNSEEN) for name, text in _texts(terms)),
        *((name, len(text) > LONGEST_TEXT, _LONG) for name, text in _texts(terms)),
        ("people", not terms.people, "Name at least one authorised user."),
        ("datasets", not terms.datasets, "Name at least one dataset version."),
        ("starts", "starts" not in zoned, _NO_ZONE),
        ("ends", "ends" not in zoned, _NO_ZONE),
        ("ends", len(zoned) == 2 and terms.ends <= terms.starts, "The end must come after the start."),
        ("ends", "ends" in zoned and terms.ends <= now, "The end lies in the past; choose a later date."),
        ("limits", not _possible(terms.limits), "Limits are positive numbers."),
    )
    found: dict[str, str] = {}
    for name, wrong, sentence in checks:
        if wrong:
            found.setdefault(name, sentence)
    return found


def _texts(terms: Terms) -> tuple[tuple[str, str], ...]:
    return ("title", terms.title), ("purpose", terms.purpose), ("conditions", terms.conditions)


def _possible(limits: Limits) -> bool:
    """Whether every limit is a number above nothing; what is no number compares as neither."""
    return all(0 < getattr(limits, name) < math.inf for name in _LIMITS)
