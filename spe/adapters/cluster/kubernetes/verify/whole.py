"""A whole cluster as it was read. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from spe.adapters.cluster.kubernetes.admission import Observation, Places
from spe.adapters.cluster.kubernetes.kinds import Document, Kind
from spe.adapters.cluster.kubernetes.verify.finding import CouldNotLook


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole:
    """The cluster as it was read: objects by kind, from everywhere in `lists`, from the canary in `inside`, from the
    release's namespace in `release`, from where datasets are looked at in `intake`.

    `policies` and `space` are what should be there: the admission policies, and the canary. `observed` is what the
    API server said to each attempt. `kubelets` are the nodes' own settings. What could not be read is a sentence
    in `troubles`. `trusted` are subjects that may have rights in workspaces, `Group:operators`.
    """

    places: Places
    version: tuple[int, int]
    policies: tuple[Document, ...]
    space: tuple[Document, ...]
    lists: Mapping[Kind, tuple[Document, ...]]
    inside: Mapping[Kind, tuple[Document, ...]] = field(default_factory=dict)
    release: Mapping[Kind, tuple[Document, ...]] = field(default_factory=dict)
    intake: Mapping[Kind, tuple[Document, ...]] = field(default_factory=dict)
    observed: tuple[Observation, ...] = ()
    unobserved: str = ""
    kubelets: Mapping[str, Mapping[str, Any] | str] = field(default_factory=dict)
    troubles: Mapping[Kind, str] = field(default_factory=dict)
    trusted: frozenset[str] = frozenset()

    def demand(self, kind: Kind) -> None:
        """Raise `CouldNotLook` when this kind could not be read."""
        if kind in self.troubles:
            raise CouldNotLook(f"{kind.plural}: {self.troubles[kind]}")

    def all(self, kind: Kind) -> tuple[Document, ...]:
        """Every object of a kind."""
        return self.lists.get(kind, ())

    @property
    def instance(self) -> str:
        """Whose cluster is looked at."""
        return self.places.instance
