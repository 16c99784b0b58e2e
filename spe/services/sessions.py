"""Notebook sessions: people start and stop them here; the Hub and its spawner only carry it out.

The same question, who may enter, is asked at the button, when the Hub asks before a spawn, when the
spawner asks for a sandbox, and by the gate while the session lives.
"""

import hashlib
from collections.abc import Iterator, Mapping, Set
from dataclasses import replace
from datetime import datetime, timedelta

from spe.domain.entry import EntryContext, denials_to_enter
from spe.domain.errors import Denial, NotFound, Refused, SpeError
from spe.domain.ids import PersonId, WorkspaceId
from spe.domain.permit import Permit, PermitState
from spe.domain.principal import GATE, RECONCILER, Permission, Principal
from spe.domain.workspace import Session, SessionState
from spe.ports.hub import Progress
from spe.ports.sandbox import Running, Started
from spe.ports.store import UnitOfWork
from spe.services.context import House
from spe.services.journal import record
from spe.services.paging import every
from spe.services.transact import demand

LIVE = ("starting", "running")
LONGEST_START = timedelta(minutes=5)
"""Longer than the Hub waits for a start."""


class SessionService:
    """Starts, stops and watches sessions."""

    def __init__(self, house: House) -> None:
        self._house = house

    def denials(self, workspace: WorkspaceId, person: PersonId) -> tuple[Denial, ...]:
        """Why this person may not enter this workspace now."""
        with self._house.ports.store.read() as uow:
            return denials_to_enter(self._context(uow, workspace, person))

    def start(self, workspace: WorkspaceId, *, by: Principal) -> Session:
        """Ask the Hub to start the person's notebook. Returns at once; `progress` tells how it goes."""
        by = demand(by, Permission.SESSION_START)
        now = self._now()
        with self._house.ports.store.begin() as uow:
            denials = denials_to_enter(self._context(uow, workspace, by.person))
            if denials:
                raise Refused(denials)
            session = self._write(uow, workspace, by.person, SessionState.STARTING, "The notebook is starting.", now)
            record(uow, event="session.requested", kind="workspace", subject=workspace, now=now, by=by)
        try:
            self._house.ports.hub.ensure_person(by.person)
            self._house.ports.hub.start(workspace, by.person)
        except SpeError as error:
            self._note(workspace, by.person, SessionState.FAILED, str(error))
            raise
        return session

    def progress(self, workspace: WorkspaceId, *, by: Principal) -> Iterator[Progress]:
        """How the start goes, until it is ready or failed."""
        for step in self._house.ports.hub.progress(workspace, by.person):
            if step.ready or step.failed:
                state = SessionState.RUNNING if step.ready else SessionState.FAILED
                self._note(workspace, by.person, state, step.message)
            yield step

    def stop(self, workspace: WorkspaceId, *, by: Principal) -> None:
        """End one's own session; fine when there is none."""
        self._end(workspace, by.person, "Stopped by its owner.", by=by)

    def end_idle(self, workspace: WorkspaceId, *, by: Principal) -> int:
        """End the sessions that nobody has used for the permit's idle time; returns how many."""
        demand(by, Permission.WORKSPACE_RECONCILE)
        with self._house.ports.store.read() as uow:
            minutes = uow.permits.get(uow.workspaces.get(workspace).permit).terms.limits.idle_minutes
        idle = self._house.ports.cluster.idle(workspace)
        over = [person for person, seconds in idle.items() if seconds >= minutes * 60]
        for person in over:
            self._end(workspace, person, f"Ended after {minutes} minutes without use.", by=by)
        return len(over)

    def mine(self, workspace: WorkspaceId, *, by: Principal) -> Session | None:
        """One's own session in the workspace, if there ever was one."""
        with self._house.ports.store.read() as uow:
            return uow.sessions.find((workspace, by.person))

    def entitled_anywhere(self, person: PersonId) -> bool:
        """Whether the person may enter at least one workspace: the Hub asks this."""
        with self._house.ports.store.read() as uow:
            if uow.people.find(person) is None:
                return False
            return any(
                not denials_to_enter(self._context(uow, w.id, person)) for w in every(uow.workspaces, state="ready")
            )

    def entitled_until(self, workspace: WorkspaceId, person: PersonId) -> datetime | None:
        """Until when the person may be in the workspace; None when they may not. The gate asks this."""
        with self._house.ports.store.read() as uow:
            context = self._context(uow, workspace, person)
            if denials_to_enter(context):
                return None
            return min(context.permit.terms.ends, context.now + self.longest)

    def why_not(self, workspace: WorkspaceId, person: PersonId) -> str:
        """The sentence for somebody who may not be in the workspace: the board's own where it ended the permit."""
        with self._house.ports.store.read() as uow:
            context = self._context(uow, workspace, person)
        denials = denials_to_enter(context)
        if not denials:
            return ""
        permit = context.permit
        ended = permit.state is not PermitState.ACTIVE and permit.names(person)
        return permit.reason if ended and permit.reason else denials[0].message

    @property
    def longest(self) -> timedelta:
        """How long a session may last at most."""
        return timedelta(hours=self._house.policies().rules.session_hours)

    def launch(
        self, workspace: WorkspaceId, person: PersonId, *, environment: Mapping[str, str], base_url: str
    ) -> Started:
        """Start the sandbox for the Hub's spawner; only for a start that was asked for here (T79)."""
        denials = self._denials_to_launch(workspace, person)
        if denials:
            raise Refused(denials)
        self._house.ports.sandboxes.stop(workspace, person)  # an older one has tokens that the Hub forgot
        started = self._house.ports.sandboxes.start(workspace, person, environment=environment, base_url=base_url)
        late = self._denials_to_launch(workspace, person)
        if late:
            self._house.ports.sandboxes.stop(workspace, person)
            raise Refused(late)
        return started

    def opened(self, workspace: WorkspaceId, person: PersonId) -> None:
        """The session's address is open in the Hub's proxy: from now on a browser that goes there arrives."""
        self._note(workspace, person, SessionState.RUNNING, "The notebook runs.")

    def _denials_to_launch(self, workspace: WorkspaceId, person: PersonId) -> tuple[Denial, ...]:
        with self._house.ports.store.read() as uow:
            denials = denials_to_enter(self._context(uow, workspace, person))
            session = uow.sessions.find((workspace, person))
        if session is None or session.state not in LIVE:
            return (*denials, Denial(code="not-requested", message="Start the session from the portal."))
        return denials

    def poll(self, workspace: WorkspaceId, person: PersonId) -> Running:
        """Whether the sandbox runs, for the Hub's spawner."""
        state = self._house.ports.sandboxes.poll(workspace, person)
        if not state.running:
            self._ended(workspace, person, state.reason)
        return state

    def halt(self, workspace: WorkspaceId, person: PersonId) -> None:
        """End the sandbox, for the Hub's spawner."""
        self._house.ports.sandboxes.stop(workspace, person)
        self._ended(workspace, person)

    def gate_event(
        self,
        workspace: WorkspaceId,
        person: PersonId | None,
        event: str,
        facts: Mapping[str, str | int],
        *,
        identity: str = "",
    ) -> None:
        """Write down what the gate reports: a budget that is spent, a cut, refused requests.

        A gate delivers until it hears an answer; the same `identity` is written down once.
        """
        now = self._now()
        key = f"gate:{hashlib.sha256(f'{workspace} {identity}'.encode()).hexdigest()}" if identity else ""
        with self._house.ports.store.begin() as uow:
            uow.workspaces.get(workspace)
            if key:
                if uow.answer_of(key) is not None:
                    return
                uow.keep_answer(key, "taken", now)
            record(
                uow,
                event=f"gate.{event}",
                kind="workspace",
                subject=workspace,
                now=now,
                by=GATE,
                facts={**facts, **({"person": person} if person else {})},
            )

    def tell_hub(self, workspace: WorkspaceId) -> None:
        """Bring the Hub and the record together, whatever was lost between them.

        Servers of ended sessions go, those that are open are running, and a start of which the Hub has
        known nothing for minutes has failed. Raises `Unavailable` while the Hub is silent.
        """
        there = [server for server in self._house.ports.hub.running() if server.workspace == workspace]
        for person in self._lost(workspace, {server.person for server in there}):
            self._note(workspace, person, SessionState.FAILED, "The notebook did not start; start it again.")
        for server in there:
            with self._house.ports.store.read() as uow:
                session = uow.sessions.find((workspace, server.person))
            if session is None or session.state not in LIVE:
                self._house.ports.hub.stop(workspace, server.person)
            elif server.ready:
                self.opened(workspace, server.person)

    def _lost(self, workspace: WorkspaceId, there: Set[PersonId]) -> list[PersonId]:
        """Whose session is said to be starting, for longer than a start takes, while the Hub has none."""
        late = self._now() - LONGEST_START
        with self._house.ports.store.read() as uow:
            starting = uow.sessions.select(workspace=workspace, state=SessionState.STARTING)
            return [PersonId(s.person) for s in starting if s.since < late and s.person not in there]

    def _end(self, workspace: WorkspaceId, person: PersonId, message: str, *, by: Principal) -> None:
        now = self._now()
        with self._house.ports.store.begin() as uow:
            session = uow.sessions.find((workspace, person))
            if session is None:
                raise NotFound("You have no session in this workspace.")
            if session.state in LIVE:
                uow.sessions.save(replace(session, state=SessionState.STOPPED, message=message, since=now))
                record(uow, event="session.stopped", kind="workspace", subject=workspace, now=now, by=by)
        self._house.ports.sandboxes.stop(workspace, person)
        self._house.ports.hub.stop(workspace, person)

    def _ended(self, workspace: WorkspaceId, person: PersonId, reason: str = "") -> None:
        with self._house.ports.store.read() as uow:
            session = uow.sessions.find((workspace, person))
        if session is not None and session.state is SessionState.RUNNING:
            self._note(workspace, person, SessionState.STOPPED, reason or "The notebook has ended.")

    def _note(self, workspace: WorkspaceId, person: PersonId, state: SessionState, message: str) -> None:
        now = self._now()
        with self._house.ports.store.begin() as uow:
            session = uow.sessions.find((workspace, person))
            if session is not None and session.state is not state and session.state in LIVE:
                uow.sessions.save(replace(session, state=state, message=message[:500], since=now))
                record(
                    uow,
                    event=f"session.{state}",
                    kind="workspace",
                    subject=workspace,
                    now=now,
                    by=RECONCILER,
                    facts={"person": person},
                )

    def _write(
        self,
        uow: UnitOfWork,
        workspace: WorkspaceId,
        person: PersonId,
        state: SessionState,
        message: str,
        now: datetime,
    ) -> Session:
        old = uow.sessions.find((workspace, person))
        if old is None:
            session = Session(workspace=workspace, person=person, state=state, message=message, since=now)
            uow.sessions.add(session)
            return session
        if old.state in LIVE:
            return old
        return uow.sessions.save(replace(old, state=state, message=message, since=now))

    def _context(self, uow: UnitOfWork, workspace_id: WorkspaceId, person_id: PersonId) -> EntryContext:
        workspace = uow.workspaces.find(workspace_id)
        person = uow.people.find(person_id)
        if workspace is None or person is None:
            raise NotFound("There is no such workspace for you.")
        permit: Permit = uow.permits.get(workspace.permit)
        rules = self._house.policies().rules
        return EntryContext(
            now=self._now(),
            person=person,
            permit=permit,
            workspace=workspace,
            acceptance=uow.accepted(person_id, permit.id),
            terms_version=rules.terms_version,
            training_required=rules.training_required,
        )

    def _now(self) -> datetime:
        return self._house.ports.clock.now()
