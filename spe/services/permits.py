"""Permits: propose, confirm, narrow, suspend, revoke, expire; with a preview of each effect.

A widening becomes a `Change` that waits for other members of the board; the narrowing half of a
mixed amendment acts at once (what narrows needs one person, what widens needs more).
"""

import re
from dataclasses import dataclass, replace
from datetime import datetime

from spe.domain import ids
from spe.domain.egress import SETTLED
from spe.domain.errors import Denial, Invalid, NotFound, Refused
from spe.domain.ids import ChangeId, PermitId, PersonId
from spe.domain.machine import Offer
from spe.domain.permit import (
    ENDED,
    Change,
    Permit,
    PermitContext,
    PermitState,
    Terms,
    confirmer_is_not_on_permit,
    confirmer_is_not_proposer,
    meet,
    narrowings,
    problems_of,
    widenings,
)
from spe.domain.principal import Permission, Principal, Role
from spe.domain.wording import several
from spe.domain.workspace import WorkspaceState
from spe.ports.store import UnitOfWork
from spe.services.context import House
from spe.services.journal import record
from spe.services.paging import every
from spe.services.transact import PERMITS, apply, demand, offers

KIND = re.compile(r"[a-z][a-z0-9-]{1,39}")
WIDE_ROLES = frozenset({Role.BOARD, Role.OPERATOR, Role.AUDITOR, Role.SYSTEM})
NARROWING = frozenset({"suspend", "revoke", "decline"})


@dataclass(frozen=True, slots=True, kw_only=True)
class PermitView:
    """A permit as shown: itself, what waits for confirmation, and what this person may do."""

    permit: Permit
    pending: tuple[Change, ...]
    offers: tuple[Offer, ...]
    in_force: bool


class PermitService:
    """What the board does."""

    def __init__(self, house: House) -> None:
        self._house = house

    def propose(self, *, kind: str, issuer: str, terms: Terms, by: Principal) -> PermitView:
        """Propose a permit; it gives nothing until other board members confirm."""
        by = demand(by, Permission.PERMIT_PROPOSE)
        now = self._now()
        with self._house.ports.store.begin() as uow:
            self._check_terms(uow, terms, now)
            if KIND.fullmatch(kind) is None:
                raise Invalid({"kind": "Give a kind in lower-case letters, digits and hyphens, such as data-permit."})
            if not issuer.strip() or not issuer.isprintable() or len(issuer) > 200:
                raise Invalid({"issuer": "Give the issuer's name in one line, without control characters."})
            permit = Permit(
                id=ids.new_permit(),
                kind=kind,
                issuer=issuer,
                terms=terms,
                state=PermitState.PROPOSED,
                proposed_by=by.person,
                created_at=now,
            )
            if permit.names(by.person):
                raise Refused([Denial(code="own-permit", message="You cannot propose a permit that names you.")])
            uow.permits.add(permit)
            record(uow, event="permit.proposed", kind="permit", subject=permit.id, after=permit.state, now=now, by=by)
            self._pend(uow, permit, "activate", terms, now, by=by)
            return self._view(uow, permit, now, by=by)

    def confirm(self, change_id: ChangeId, *, by: Principal) -> PermitView:
        """Confirm a pending widening; the last confirmation needed carries it out."""
        by = demand(by, Permission.PERMIT_CONFIRM)
        now = self._now()
        with self._house.ports.store.begin() as uow:
            change = uow.changes.get(change_id)
            if change.settled:
                raise Refused([Denial(code="settled", message=f"This proposal was already {change.settled}.")])
            permit = uow.permits.get(change.permit)
            context = self._context(uow, permit, now, change=change, by=by)
            denials = [d for g in (confirmer_is_not_proposer, confirmer_is_not_on_permit) if (d := g(context))]
            if by.person in change.terms.people:
                denials.append(Denial(code="own-permit", message="The proposal names you; others decide on it."))
            if denials:
                raise Refused(denials)
            change = uow.changes.save(replace(change, confirmed_by=change.confirmed_by | {by.person}))
            record(
                uow,
                event="permit.confirmed",
                kind="permit",
                subject=permit.id,
                now=now,
                by=by,
                facts={"change": change.id, "verb": change.verb},
            )
            context = self._context(uow, permit, now, change=change, by=by)
            if len(change.confirmed_by) >= context.confirmations_needed:
                self._check_terms(uow, change.terms, now)
                uow.changes.save(replace(change, settled="carried out"))
                permit = apply(
                    uow,
                    PERMITS,
                    permit,
                    change.verb,
                    context,
                    now=now,
                    by=by,
                    changes={"terms": change.terms, "confirmed_by": change.confirmed_by, "reason": ""},
                    facts={"change": change.id},
                )
            view = self._view(uow, permit, now, by=by)
        self._house.ring()
        return view

    def amend(self, permit_id: PermitId, terms: Terms, *, by: Principal) -> PermitView:
        """Change the terms: what narrows acts at once, what widens waits for confirmation."""
        demand(by, Permission.PERMIT_PROPOSE)
        now = self._now()
        with self._house.ports.store.begin() as uow:
            permit = uow.permits.get(permit_id)
            if permit.state not in (PermitState.ACTIVE, PermitState.SUSPENDED):
                raise Refused([Denial(code="wrong-state", message=f"A permit that is {permit.state} is not amended.")])
            self._check_terms(uow, terms, now)
            narrowed = meet(permit.terms, terms)
            if narrowings(permit.terms, terms):
                context = self._context(uow, permit, now, by=by)
                permit = apply(uow, PERMITS, permit, "narrow", context, now=now, by=by, changes={"terms": narrowed})
                self._drop_pending(uow, permit, now, by=by)  # what was proposed before would undo the narrowing
            if widenings(permit.terms, terms):
                self._pend(uow, permit, "amend", terms, now, by=by)
            view = self._view(uow, permit, now, by=by)
        self._house.ring()
        return view

    def resume(self, permit_id: PermitId, *, by: Principal) -> PermitView:
        """Ask for a suspended permit to be active again; it waits for confirmation."""
        demand(by, Permission.PERMIT_PROPOSE)
        now = self._now()
        with self._house.ports.store.begin() as uow:
            permit = uow.permits.get(permit_id)
            if permit.state is not PermitState.SUSPENDED:
                raise Refused([Denial(code="wrong-state", message=f"A permit that is {permit.state} is not resumed.")])
            self._pend(uow, permit, "resume", permit.terms, now, by=by)
            return self._view(uow, permit, now, by=by)

    def narrow(self, permit_id: PermitId, verb: str, *, reason: str, by: Principal) -> PermitView:
        """Suspend, revoke or decline: one member of the board, at once, with a reason."""
        if verb not in NARROWING:
            raise Refused([Denial(code="unknown-verb", message=f"“{verb}” does not take access away from a permit.")])
        now = self._now()
        with self._house.ports.store.begin() as uow:
            permit = uow.permits.get(permit_id)
            context = replace(self._context(uow, permit, now, by=by), reason=reason)
            permit = apply(uow, PERMITS, permit, verb, context, now=now, by=by, changes={"reason": reason})
            self._drop_pending(uow, permit, now, by=by)
            view = self._view(uow, permit, now, by=by)
        self._house.ring()
        return view

    def examine(self, terms: Terms, *, by: Principal) -> None:
        """Say before anything is decided what is wrong with the terms. Raises `Invalid`."""
        demand(by, Permission.PERMIT_PROPOSE)
        with self._house.ports.store.read() as uow:
            self._check_terms(uow, terms, self._now())

    def preview(self, permit_id: PermitId, verb: str, terms: Terms | None = None, *, by: Principal) -> tuple[str, ...]:
        """What would happen, one sentence each, before anybody presses the button."""
        demand(by, Permission.PERMIT_READ)
        with self._house.ports.store.read() as uow:
            permit = uow.permits.find(permit_id)
            if permit is None or not self._may_see(permit, by):
                raise NotFound("There is no such permit for you.")
            workspaces = uow.workspaces.select(permit=permit_id)
            sessions = [
                s for w in workspaces for s in uow.sessions.select(workspace=w.id, state=("starting", "running"))
            ]
            requests = [r for r in uow.egress.select(permit=permit_id) if r.state not in SETTLED]
        if verb == "amend" and terms is not None:
            now_part = [f"At once: {s}" for s in narrowings(permit.terms, terms)]
            later = [f"After confirmation: {s}" for s in widenings(permit.terms, terms)]
            return (*now_part, *later) or ("Nothing changes.",)
        people = len(permit.terms.people)
        closing = [
            several(len(sessions), "open notebook session ends at once.", "open notebook sessions end at once."),
            several(people, "person loses access.", "people lose access."),
        ]
        ending = [
            "Leased secrets are revoked and the data goes from the workspace.",
            several(len(requests), "open egress request stays", "open egress requests stay")
            + " on file but nothing more is released.",
            "Evidence, decisions and released outputs stay.",
        ]
        table: dict[str, list[str]] = {
            "suspend": [*closing, "The workspace and the work in it stay; a resumption needs confirmation."],
            "revoke": [*closing, *ending, "This cannot be undone; a new permit is needed."],
            "resume": [several(people, "person", "people") + " may start sessions again, after confirmation."],
            "decline": ["The proposal ends; nobody gets access."],
            "activate": [
                several(people, "person gets", "people get")
                + f" access to {several(len(permit.terms.datasets), 'dataset version', 'dataset versions')}.",
                f"Access ends on {permit.terms.ends:%d %B %Y}.",
            ],
        }
        return tuple(table.get(verb, [f"“{verb}” is not something one can do to a permit."]))

    def view(self, permit_id: PermitId, *, by: Principal) -> PermitView:
        """One permit as this person may see it. Raises `NotFound` also for those with no tie to it."""
        with self._house.ports.store.read() as uow:
            permit = uow.permits.find(permit_id)
            if permit is None or not self._may_see(permit, by):
                raise NotFound("There is no such permit for you.")
            return self._view(uow, permit, self._now(), by=by)

    def all(self, *, by: Principal) -> tuple[PermitView, ...]:
        """The permits this person may see."""
        now = self._now()
        with self._house.ports.store.read() as uow:
            return tuple(self._view(uow, p, now, by=by) for p in uow.permits.select() if self._may_see(p, by))

    def tick(self, *, by: Principal) -> int:
        """Let permits past their end expire and close those with nothing open. Returns how many moved."""
        now = self._now()
        moved = 0
        with self._house.ports.store.read() as uow:
            permits = tuple(every(uow.permits, state=frozenset(PermitState) - PERMITS.machine.final))
        for permit in permits:
            verb = "close" if permit.state in ENDED else "expire"
            if verb == "expire" and now < permit.terms.ends:
                continue
            with self._house.ports.store.begin() as uow:
                fresh = uow.permits.get(permit.id)
                context = self._context(uow, fresh, now, by=by)
                if PERMITS.machine.find(fresh.state, verb) and not context_denies(fresh, verb, context):
                    apply(uow, PERMITS, fresh, verb, context, now=now, by=by)
                    if verb == "expire":
                        self._drop_pending(uow, fresh, now, by=by)
                    moved += 1
        if moved:
            self._house.ring()
        return moved

    def _check_terms(self, uow: UnitOfWork, terms: Terms, now: datetime) -> None:
        problems = problems_of(terms, now=now)
        for person in terms.people:
            found = uow.people.find(person)
            if found is None or not found.active:
                problems["people"] = f"{person} is not a person known here; an operator registers people."
        for key in terms.datasets:
            version = uow.datasets.find(key)
            if version is None or version.withdrawn:
                problems["datasets"] = f"{key} is not a registered dataset version; see the list of datasets."
            elif terms.access_mode not in version.access_modes:
                problems["access_mode"] = f"{version.title} may not be used in the access mode “{terms.access_mode}”."
        names = set(self._house.ports.secrets.names())
        unknown = sorted(terms.secrets - names)
        if unknown:
            problems["secrets"] = f"{', '.join(unknown)}: no such secret is stored; an operator stores it first."
        if problems:
            raise Invalid(problems)

    def _pend(self, uow: UnitOfWork, permit: Permit, verb: str, terms: Terms, now: datetime, *, by: Principal) -> None:
        self._drop_pending(uow, permit, now, by=by)
        change = Change(
            id=ids.new_change(), permit=permit.id, verb=verb, terms=terms, proposed_by=by.person, proposed_at=now
        )
        uow.changes.add(change)
        record(
            uow,
            event="permit.change-proposed",
            kind="permit",
            subject=permit.id,
            now=now,
            by=by,
            facts={"change": change.id, "verb": verb},
        )

    def _drop_pending(self, uow: UnitOfWork, permit: Permit, now: datetime, *, by: Principal) -> None:
        for change in uow.changes.select(permit=permit.id, settled=""):
            uow.changes.save(replace(change, settled="replaced"))
            record(
                uow,
                event="permit.change-dropped",
                kind="permit",
                subject=permit.id,
                now=now,
                by=by,
                facts={"change": change.id},
            )

    def _context(
        self, uow: UnitOfWork, permit: Permit, now: datetime, *, change: Change | None = None, by: Principal
    ) -> PermitContext:
        closed = WorkspaceState.CLOSED
        return PermitContext(
            now=now,
            actor=by.person,
            permit=permit,
            confirmations_needed=self._house.policies().rules.confirmations,
            proposed_by=change.proposed_by if change else permit.proposed_by,
            confirmations=change.confirmed_by if change else frozenset(),
            open_workspaces=sum(w.state is not closed for w in uow.workspaces.select(permit=permit.id)),
            open_requests=sum(r.state not in SETTLED for r in uow.egress.select(permit=permit.id)),
        )

    def _view(self, uow: UnitOfWork, permit: Permit, now: datetime, *, by: Principal) -> PermitView:
        pending = uow.changes.select(permit=permit.id, settled="")
        context = self._context(uow, permit, now, change=pending[0] if pending else None, by=by)
        context = replace(context, reason="asked in the form")
        return PermitView(
            permit=permit,
            pending=pending,
            offers=offers(PERMITS, permit, context, by=by),
            in_force=permit.in_force(now),
        )

    def _may_see(self, permit: Permit, by: Principal) -> bool:
        return bool(by.roles & WIDE_ROLES) or permit.names(by.person)

    def _now(self) -> datetime:
        return self._house.ports.clock.now()


def context_denies(permit: Permit, verb: str, context: PermitContext) -> bool:
    """Whether the machine would refuse the verb now."""
    transition = PERMITS.machine.find(permit.state, verb)
    return transition is None or any(guard(context) for guard in transition.guards)


def on_permit(permit: Permit) -> frozenset[PersonId]:
    """Everybody with a tie to the permit: those it names."""
    return permit.terms.people
