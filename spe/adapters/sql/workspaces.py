"""Workspaces and notebook sessions as rows."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from spe.adapters.sql.columns import child, counted, json_column, metadata, moment, seq, text, version
from spe.adapters.sql.table import SqlTable
from spe.domain.ids import PermitId, PersonId, WorkspaceId
from spe.domain.workspace import Condition, Session, SessionState, Workspace, WorkspaceState

workspaces = sa.Table(
    "workspaces",
    metadata,
    seq(),
    text("id", unique=True),
    text("permit", child("permits.id"), index=True),
    text("state", index=True),
    moment("created_at"),
    json_column("conditions"),
    version(),
    counted(),
)

sessions = sa.Table(
    "sessions",
    metadata,
    seq(),
    text("workspace", child("workspaces.id")),
    text("person", child("people.id")),
    text("state"),
    text("message"),
    moment("since"),
    version(),
    sa.UniqueConstraint("workspace", "person"),
    counted(),
)


class Workspaces(SqlTable[WorkspaceId, Workspace]):
    """Workspaces by id."""

    noun = "workspace"
    table = workspaces

    def to_row(self, entity: Workspace) -> dict[str, Any]:
        """The columns of a workspace."""
        return {
            "id": entity.id,
            "permit": entity.permit,
            "state": entity.state.value,
            "created_at": entity.created_at,
            "conditions": [[c.name, c.holds, c.reason, c.since] for c in entity.conditions],
            "version": entity.version,
        }

    def from_rows(self, rows: Sequence[sa.Row[Any]]) -> list[Workspace]:
        """The workspaces of these rows."""
        return [
            Workspace(
                id=WorkspaceId(row.id),
                permit=PermitId(row.permit),
                state=WorkspaceState(row.state),
                created_at=row.created_at,
                conditions=tuple(
                    Condition(name=name, holds=holds, reason=reason, since=datetime.fromisoformat(since))
                    for name, holds, reason, since in row.conditions
                ),
                version=row.version,
            )
            for row in rows
        ]


class Sessions(SqlTable[tuple[WorkspaceId, PersonId], Session]):
    """Notebook sessions by workspace and person."""

    noun = "session"
    table = sessions
    key = ("workspace", "person")

    def to_row(self, entity: Session) -> dict[str, Any]:
        """The columns of a session."""
        return {
            "workspace": entity.workspace,
            "person": entity.person,
            "state": entity.state.value,
            "message": entity.message,
            "since": entity.since,
            "version": entity.version,
        }

    def from_rows(self, rows: Sequence[sa.Row[Any]]) -> list[Session]:
        """The sessions of these rows."""
        return [
            Session(
                workspace=WorkspaceId(row.workspace),
                person=PersonId(row.person),
                state=SessionState(row.state),
                message=row.message,
                since=row.since,
                version=row.version,
            )
            for row in rows
        ]
