"""A workspace as it was read, and whether what should stand there does. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from spe.adapters.cluster.kubernetes import compare
from spe.adapters.cluster.kubernetes.kinds import Document, Kind, is_leaving, kind_of, name_of
from spe.adapters.cluster.kubernetes.site import Site
from spe.adapters.cluster.kubernetes.snapshot import Snapshot
from spe.adapters.cluster.kubernetes.verify.finding import CouldNotLook
from spe.adapters.cluster.kubernetes.verify.pods import Difference


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A workspace as it was read. `troubles` are kinds that could not be; `pods` where its pods differ."""

    site: Site
    seen: Snapshot
    now: datetime
    pods: tuple[Difference, ...] = ()
    troubles: Mapping[Kind, str] = field(default_factory=dict)

    def demand(self, kind: Kind) -> None:
        """Raise `CouldNotLook` when this kind could not be read."""
        if kind in self.troubles:
            raise CouldNotLook(f"{kind.plural}: {self.troubles[kind]}")

    @property
    def namespace(self) -> Document:
        """The namespace. Raises `CouldNotLook` when it is gone."""
        if self.seen.namespace is None:
            raise CouldNotLook("its namespace is not there any more")
        return self.seen.namespace

    def all(self, kind: Kind) -> list[Document]:
        """Everything of a kind in the namespace, whoever made it."""
        return self.seen.inside.get(kind, [])


def stands(place: Place, manifests: Iterable[Document]) -> Iterator[str]:
    """Which of these are not there as they are meant, one sentence each."""
    for manifest in manifests:
        kind, what = kind_of(manifest), f"{manifest['kind']} {name_of(manifest)}"
        live = place.seen.one(kind, name_of(manifest))
        if live is None:
            yield f"{what} is not there"
            continue
        if is_leaving(live):
            yield f"{what} is being removed"
        yield from (f"{what} differs at {path}" for path in compare.deviations(compare.shaped(manifest), live))
