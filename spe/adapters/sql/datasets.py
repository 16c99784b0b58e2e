"""Dataset versions as rows; a manifest is stored once, under its digest, and never changes.

Manifests may be long, so parsed ones are remembered by digest: a list of datasets reads each manifest
once in the life of the process.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa

from spe.adapters.sql.columns import child, counted, json_column, metadata, moment, seq, text, version
from spe.adapters.sql.remembered import Remembered
from spe.adapters.sql.table import SqlTable
from spe.adapters.sql.transaction import Transaction
from spe.domain.dataset import AccessMode, DatasetVersion, Guarantee, Manifest, ManifestFile
from spe.domain.errors import Corrupt
from spe.domain.ids import DatasetId

manifests = sa.Table("manifests", metadata, text("digest", primary_key=True), json_column("files"))

datasets = sa.Table(
    "datasets",
    metadata,
    seq(),
    text("key", unique=True),
    text("dataset"),
    text("number"),
    text("title"),
    text("holder"),
    text("description"),
    text("manifest", child("manifests.digest")),
    text("source"),
    json_column("needs"),
    json_column("access_modes"),
    text("disclosure_policy"),
    sa.Column("profile", sa.Text()),
    moment("registered_at"),
    text("registered_by"),
    sa.Column("withdrawn", sa.Boolean(), nullable=False),
    version(),
    sa.UniqueConstraint("dataset", "number"),
    counted(),
)


def _load(transaction: Transaction, digests: Sequence[str]) -> Iterable[tuple[str, Manifest]]:
    for row in transaction.all(sa.select(manifests).where(manifests.c.digest.in_(digests))):
        manifest = Manifest(files=tuple(ManifestFile(path=p, size=n, sha256=d) for p, n, d in row.files))
        if manifest.digest != row.digest:
            raise Corrupt(f"The manifest {row.digest} is not what its digest says.")
        yield row.digest, manifest


_MANIFESTS: Remembered[Manifest] = Remembered("manifest", _load, most=256)


class Datasets(SqlTable[str, DatasetVersion]):
    """Dataset versions by `dataset/number`."""

    noun = "dataset version"
    table = datasets
    key = ("key",)

    def prepare(self, entity: DatasetVersion) -> None:
        """Store the manifest when it is not there yet."""
        digest = entity.manifest.digest
        if not self._t.all(sa.select(manifests.c.digest).where(manifests.c.digest == digest)):
            files = [[f.path, f.size, f.sha256] for f in entity.manifest.files]
            self._t.run(sa.insert(manifests).values(digest=digest, files=files))

    def to_row(self, entity: DatasetVersion) -> dict[str, Any]:
        """The columns of a dataset version."""
        return {
            "key": entity.key,
            "dataset": entity.dataset,
            "number": entity.number,
            "title": entity.title,
            "holder": entity.holder,
            "description": entity.description,
            "manifest": entity.manifest.digest,
            "source": entity.source,
            "needs": entity.needs,
            "access_modes": entity.access_modes,
            "disclosure_policy": entity.disclosure_policy,
            "profile": entity.profile,
            "registered_at": entity.registered_at,
            "registered_by": entity.registered_by,
            "withdrawn": entity.withdrawn,
            "version": entity.version,
        }

    def from_rows(self, rows: Sequence[sa.Row[Any]]) -> list[DatasetVersion]:
        """The dataset versions of these rows."""
        found = _MANIFESTS.of(self._t, (row.manifest for row in rows))
        return [
            DatasetVersion(
                dataset=DatasetId(row.dataset),
                number=row.number,
                title=row.title,
                holder=row.holder,
                description=row.description,
                manifest=found[row.manifest],
                source=row.source,
                needs=frozenset(Guarantee(need) for need in row.needs),
                access_modes=frozenset(AccessMode(mode) for mode in row.access_modes),
                disclosure_policy=row.disclosure_policy,
                profile=row.profile,
                registered_at=row.registered_at,
                registered_by=row.registered_by,
                withdrawn=row.withdrawn,
                version=row.version,
            )
            for row in rows
        ]
