"""Egress requests, their frozen outputs and what was approved, as rows.

Which outputs were approved is kept per round in a table of its own, one row per file and digest: the
database lets a row in only when enough independent checkers voted for exactly these bytes.
"""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from spe.adapters.sql.columns import child, counted, digest, json_column, metadata, moment, seq, text, version, whole
from spe.adapters.sql.table import SqlTable
from spe.domain.egress import Declaration, EgressRequest, EgressState, Output, OutputKind
from spe.domain.ids import PermitId, PersonId, RequestId, WorkspaceId

egress = sa.Table(
    "egress",
    metadata,
    seq(),
    text("id", unique=True),
    text("workspace", child("workspaces.id"), index=True),
    text("permit", child("permits.id"), index=True),
    text("author", child("people.id")),
    text("purpose"),
    text("state", index=True),
    moment("created_at"),
    whole("round"),
    text("policy_digest"),
    text("report"),
    text("views"),
    text("verdict"),
    text("reason"),
    version(),
    counted(),
)

egress_outputs = sa.Table(
    "egress_outputs",
    metadata,
    text("request", child("egress.id"), primary_key=True),
    text("path", primary_key=True),
    whole("place"),
    digest("sha256"),
    whole("size"),
    json_column("declaration"),
    sa.CheckConstraint("length(sha256) = 64", name="sha256"),
    sa.CheckConstraint("size >= 0", name="size"),
)

egress_approved = sa.Table(
    "egress_approved",
    metadata,
    text("request", child("egress.id"), primary_key=True),
    sa.Column("round", sa.BigInteger(), primary_key=True, autoincrement=False),
    text("path", primary_key=True),
    digest("sha256"),
)


def _parts() -> sa.Select[Any]:
    approval = sa.and_(
        egress_approved.c.request == egress.c.id,
        egress_approved.c.round == egress.c.round,
        egress_approved.c.path == egress_outputs.c.path,
    )
    return (
        sa.select(egress_outputs, egress_approved.c.path.label("approved"))
        .select_from(
            egress_outputs.join(egress, egress.c.id == egress_outputs.c.request).outerjoin(egress_approved, approval)
        )
        .where(egress_outputs.c.request.in_(sa.bindparam("requests", expanding=True)))
        .order_by(egress_outputs.c.request, egress_outputs.c.place)
    )


_PARTS = _parts()


class Requests(SqlTable[RequestId, EgressRequest]):
    """Egress requests by id."""

    noun = "egress request"
    table = egress
    parts = True

    def to_row(self, entity: EgressRequest) -> dict[str, Any]:
        """The columns of a request."""
        return {
            "id": entity.id,
            "workspace": entity.workspace,
            "permit": entity.permit,
            "author": entity.author,
            "purpose": entity.purpose,
            "state": entity.state.value,
            "created_at": entity.created_at,
            "round": entity.round,
            "policy_digest": entity.policy_digest,
            "report": entity.report,
            "views": entity.views,
            "verdict": entity.verdict,
            "reason": entity.reason,
            "version": entity.version,
        }

    def write_parts(self, entity: EgressRequest, stored: EgressRequest | None) -> None:
        """Write outputs that differ, and approvals of this round that are new."""
        self._write_outputs(entity, stored.outputs if stored else ())
        known = stored.approved if stored and stored.round == entity.round else frozenset()
        for path in sorted(known - entity.approved):
            self._t.run(
                sa.delete(egress_approved).where(
                    egress_approved.c.request == entity.id,
                    egress_approved.c.round == entity.round,
                    egress_approved.c.path == path,
                )
            )
        rows = [
            {"request": entity.id, "round": entity.round, "path": path, "sha256": entity.digests.get(path, "")}
            for path in sorted(entity.approved - known)
        ]
        if rows:
            self._t.run(sa.insert(egress_approved), rows)

    def _write_outputs(self, entity: EgressRequest, stored: tuple[Output, ...]) -> None:
        old = {row["path"]: row for row in _output_rows(entity.id, stored)}
        new = {row["path"]: row for row in _output_rows(entity.id, entity.outputs)}
        gone = sorted(set(old) - set(new))
        mine = egress_outputs.c.request == entity.id
        if gone:
            self._t.run(sa.delete(egress_outputs).where(mine, egress_outputs.c.path.in_(gone)))
        for path in sorted(set(new) & set(old)):
            if new[path] != old[path]:
                self._t.run(sa.update(egress_outputs).where(mine, egress_outputs.c.path == path).values(new[path]))
        fresh = [row for path, row in new.items() if path not in old]
        if fresh:
            self._t.run(sa.insert(egress_outputs), fresh)

    def from_rows(self, rows: Sequence[sa.Row[Any]]) -> list[EgressRequest]:
        """The requests of these rows, with outputs and approvals of the current round."""
        outputs: dict[str, list[Output]] = {row.id: [] for row in rows}
        approved: dict[str, set[str]] = {row.id: set() for row in rows}
        for part in self._t.run(_PARTS, {"requests": sorted(outputs)}).all():
            outputs[part.request].append(_output(part))
            if part.approved is not None:
                approved[part.request].add(part.path)
        return [
            EgressRequest(
                id=RequestId(row.id),
                workspace=WorkspaceId(row.workspace),
                permit=PermitId(row.permit),
                author=PersonId(row.author),
                purpose=row.purpose,
                state=EgressState(row.state),
                created_at=row.created_at,
                outputs=tuple(outputs[row.id]),
                round=row.round,
                policy_digest=row.policy_digest,
                report=row.report,
                views=row.views,
                verdict=row.verdict,
                reason=row.reason,
                approved=frozenset(approved[row.id]),
                version=row.version,
            )
            for row in rows
        ]


def _output_rows(request: str, outputs: tuple[Output, ...]) -> list[dict[str, Any]]:
    return [
        {
            "request": request,
            "path": output.path,
            "place": place,
            "sha256": output.sha256,
            "size": output.size,
            "declaration": _declaration(output.declaration),
        }
        for place, output in enumerate(outputs)
    ]


def _declaration(value: Declaration) -> dict[str, Any]:
    return {
        "path": value.path,
        "title": value.title,
        "kind": value.kind.value,
        "population": value.population,
        "unit": value.unit,
        "data": value.data,
        "notes": value.notes,
    }


def _output(row: sa.Row[Any]) -> Output:
    said = row.declaration
    return Output(
        path=row.path,
        sha256=row.sha256,
        size=row.size,
        declaration=Declaration(**{**said, "kind": OutputKind(said["kind"])}),
    )
