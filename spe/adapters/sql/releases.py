"""Releases and their files as rows; at most one release of a request stands at a time."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from spe.adapters.sql.columns import child, counted, digest, metadata, moment, seq, text, version, whole
from spe.adapters.sql.table import SqlTable
from spe.domain.ids import PersonId, ReleaseId, RequestId
from spe.domain.release import Release, ReleasedFile

releases = sa.Table(
    "releases",
    metadata,
    seq(),
    text("id", unique=True),
    text("request", child("egress.id"), index=True),
    text("recipient", child("people.id"), index=True),
    text("receipt"),
    moment("released_at"),
    moment("links_until"),
    moment("recalled_at", nullable=True),
    version(),
    counted(),
)
sa.Index(
    "uq_releases_standing",
    releases.c.request,
    unique=True,
    sqlite_where=releases.c.recalled_at.is_(None),
    postgresql_where=releases.c.recalled_at.is_(None),
)

release_files = sa.Table(
    "release_files",
    metadata,
    text("release", child("releases.id"), primary_key=True),
    text("path", primary_key=True),
    whole("place"),
    digest("sha256"),
    whole("size"),
)


class Releases(SqlTable[ReleaseId, Release]):
    """Releases by id; their files are written with them and never again."""

    noun = "release"
    table = releases

    def to_row(self, entity: Release) -> dict[str, Any]:
        """The columns of a release."""
        return {
            "id": entity.id,
            "request": entity.request,
            "recipient": entity.recipient,
            "receipt": entity.receipt,
            "released_at": entity.released_at,
            "links_until": entity.links_until,
            "recalled_at": entity.recalled_at,
            "version": entity.version,
        }

    def write_parts(self, entity: Release, stored: Release | None) -> None:
        """Write the files of a new release."""
        if stored is None and entity.files:
            rows = [
                {"release": entity.id, "path": file.path, "place": place, "sha256": file.sha256, "size": file.size}
                for place, file in enumerate(entity.files)
            ]
            self._t.run(sa.insert(release_files), rows)

    def from_rows(self, rows: Sequence[sa.Row[Any]]) -> list[Release]:
        """The releases of these rows, with their files."""
        files: dict[str, list[ReleasedFile]] = {row.id: [] for row in rows}
        statement = sa.select(release_files).where(release_files.c.release.in_(sorted(files)))
        for file in self._t.all(statement.order_by(release_files.c.release, release_files.c.place)):
            files[file.release].append(ReleasedFile(path=file.path, sha256=file.sha256, size=file.size))
        return [
            Release(
                id=ReleaseId(row.id),
                request=RequestId(row.request),
                recipient=PersonId(row.recipient),
                files=tuple(files[row.id]),
                receipt=row.receipt,
                released_at=row.released_at,
                links_until=row.links_until,
                recalled_at=row.recalled_at,
                version=row.version,
            )
            for row in rows
        ]
