"""Workspaces: one per permit, what is observed of them, and the operator's moves."""

from dataclasses import dataclass, replace
from datetime import datetime

from spe.domain import ids
from spe.domain.errors import NotFound
from spe.domain.ids import PermitId, PersonId, WorkspaceId
from spe.domain.machine import Offer
from spe.domain.permit import ENDED, Permit
from spe.domain.principal import Permission, Principal, Role
from spe.domain.workspace import (
    Condition,
    Session,
    SessionState,
    Workspace,
    WorkspaceContext,
    WorkspaceState,
)
from spe.ports.store import UnitOfWork
from spe.services.context import House
from spe.services.journal import record
from spe.services.transact import WORKSPACES, apply, demand, offers

SEEN_BY = frozenset({Role.BOARD, Role.OPERATOR, Role.AUDITOR, Role.SYSTEM})


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkspaceView:
    """A workspace with its permit, its sessions and what this person may do."""

    workspace: Workspace
    permit: Permit
    sessions: tuple[Session, ...]
    offers: tuple[Offer, ...]


class WorkspaceService:
    """Makes, shows and moves workspaces; the reconciler makes the world follow."""

    def __init__(self, house: House) -> None:
        self._house = house

    def ensure(self, permit_id: PermitId, *, by: Principal) -> Workspace:
        """The permit's workspace, made when there is none that is still open. Repeatable."""
        by = demand(by, Permission.WORKSPACE_RECONCILE)
        now = self._now()
        with self._house.ports.store.begin() as uow:
            permit = uow.permits.get(permit_id)
            for workspace in uow.workspaces.select(permit=permit_id):
                if workspace.state is not WorkspaceState.CLOSED:
                    return workspace
            workspace = Workspace(
                id=ids.new_workspace(), permit=permit.id, state=WorkspaceState.REQUESTED, created_at=now
            )
            uow.workspaces.add(workspace)
            record(
                uow,
                event="workspace.requested",
                kind="workspace",
                subject=workspace.id,
                now=now,
                by=by,
                after=workspace.state,
                facts={"permit": permit.id},
            )
            uow.outbox.put("workspace:reconcile", workspace.id, now)
            return workspace

    def view(self, workspace_id: WorkspaceId, *, by: Principal) -> WorkspaceView:
        """One workspace. Raises `NotFound` for those with no tie to it."""
        with self._house.ports.store.read() as uow:
            workspace = uow.workspaces.find(workspace_id)
            permit = uow.permits.find(workspace.permit) if workspace else None
            if workspace is None or permit is None or not self._may_see(permit, by):
                raise NotFound("There is no such workspace for you.")
            return self._view(uow, workspace, permit, by=by)

    def all(self, *, by: Principal) -> tuple[WorkspaceView, ...]:
        """The workspaces this person may see."""
        with self._house.ports.store.read() as uow:
            permits = {p.id: p for p in uow.permits.select() if self._may_see(p, by)}
            return tuple(
                self._view(uow, w, permits[w.permit], by=by) for w in uow.workspaces.select() if w.permit in permits
            )

    def move(self, workspace_id: WorkspaceId, verb: str, *, by: Principal) -> WorkspaceView:
        """Stop, start or retry a workspace, by an operator."""
        now = self._now()
        with self._house.ports.store.begin() as uow:
            workspace = uow.workspaces.get(workspace_id)
            permit = uow.permits.get(workspace.permit)
            context = self.context(uow, permit, now)
            workspace = apply(uow, WORKSPACES, workspace, verb, context, now=now, by=by)
            view = self._view(uow, workspace, permit, by=by)
        self._house.ring()
        return view

    def observe(
        self, workspace: Workspace, conditions: tuple[tuple[str, bool, str], ...], *, by: Principal
    ) -> Workspace:
        """Write down what was observed; a fact that did not change keeps its time. Facts are audited."""
        by = demand(by, Permission.WORKSPACE_RECONCILE)
        now = self._now()
        with self._house.ports.store.begin() as uow:
            fresh = uow.workspaces.get(workspace.id)
            merged = {c.name: c for c in fresh.conditions}
            for name, holds, reason in conditions:
                old = merged.get(name)
                if old is None or old.holds != holds:
                    record(
                        uow,
                        event="workspace.observed",
                        kind="workspace",
                        subject=workspace.id,
                        now=now,
                        by=by,
                        facts={"condition": name, "holds": holds},
                    )
                    merged[name] = Condition(name=name, holds=holds, reason=reason, since=now)
                elif old.reason != reason:
                    merged[name] = replace(old, reason=reason)
            ordered = tuple(sorted(merged.values(), key=lambda c: c.name))
            if ordered == fresh.conditions:
                return fresh
            return uow.workspaces.save(replace(fresh, conditions=ordered))

    def advance(self, workspace_id: WorkspaceId, verb: str, context: WorkspaceContext, *, by: Principal) -> Workspace:
        """One move by the reconciler."""
        with self._house.ports.store.begin() as uow:
            workspace = uow.workspaces.get(workspace_id)
            return apply(uow, WORKSPACES, workspace, verb, context, now=self._now(), by=by)

    def end_sessions(
        self, workspace_id: WorkspaceId, message: str, *, keep: frozenset[PersonId] = frozenset(), by: Principal
    ) -> None:
        """Write down that every session of the workspace has ended, but for those of the people to `keep`."""
        now = self._now()
        with self._house.ports.store.read() as uow:
            live = uow.sessions.select(workspace=workspace_id, state=("starting", "running"))
        if all(session.person in keep for session in live):
            return
        with self._house.ports.store.begin() as uow:
            for session in uow.sessions.select(workspace=workspace_id, state=("starting", "running")):
                if session.person in keep:
                    continue
                uow.sessions.save(replace(session, state=SessionState.STOPPED, message=message, since=now))
                record(
                    uow,
                    event="session.ended",
                    kind="workspace",
                    subject=workspace_id,
                    now=now,
                    by=by,
                    facts={"person": session.person},
                )

    def context(self, uow: UnitOfWork, permit: Permit, now: datetime) -> WorkspaceContext:
        """What the guards look at, without what only the reconciler observes."""
        versions = [uow.datasets.get(key) for key in sorted(permit.terms.datasets)]
        return WorkspaceContext(
            now=now,
            permit_in_force=permit.in_force(now),
            permit_ended=permit.state in ENDED,
            needs=frozenset().union(*(v.needs for v in versions)),
            guarantees=self._house.ports.cluster.guarantees,
        )

    def _view(self, uow: UnitOfWork, workspace: Workspace, permit: Permit, *, by: Principal) -> WorkspaceView:
        context = self.context(uow, permit, self._now())
        return WorkspaceView(
            workspace=workspace,
            permit=permit,
            sessions=uow.sessions.select(workspace=workspace.id),
            offers=offers(WORKSPACES, workspace, context, by=by),
        )

    def _may_see(self, permit: Permit, by: Principal) -> bool:
        return bool(by.roles & SEEN_BY) or permit.names(by.person)

    def _now(self) -> datetime:
        return self._house.ports.clock.now()
