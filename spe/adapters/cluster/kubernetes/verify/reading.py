"""Reading everything that is judged, once: what cannot be read is kept as a sentence, and nothing is guessed."""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, TypeVar

from spe.adapters.cluster.kubernetes import canary
from spe.adapters.cluster.kubernetes.admission import Observation, Places
from spe.adapters.cluster.kubernetes.api import Api
from spe.adapters.cluster.kubernetes.kinds import (
    ADMISSION_BINDING,
    ADMISSION_POLICY,
    CLUSTER_ROLE,
    CLUSTER_ROLE_BINDING,
    NAMESPACE,
    NODE,
    POLICY,
    ROLE,
    ROLE_BINDING,
    VOLUME,
    Document,
    Kind,
    name_of,
)
from spe.adapters.cluster.kubernetes.names import Names, installation, owner_of
from spe.adapters.cluster.kubernetes.objects.intake import namespace_of
from spe.adapters.cluster.kubernetes.site import Site
from spe.adapters.cluster.kubernetes.snapshot import INSIDE, Snapshot
from spe.adapters.cluster.kubernetes.verify.place import Place
from spe.adapters.cluster.kubernetes.verify.pods import Canonical, found
from spe.adapters.cluster.kubernetes.verify.whole import Whole
from spe.domain.errors import Rejected, Unavailable
from spe.domain.ids import WorkspaceId

T = TypeVar("T")
_EVERYWHERE = (
    ADMISSION_BINDING,
    ADMISSION_POLICY,
    CLUSTER_ROLE,
    CLUSTER_ROLE_BINDING,
    NAMESPACE,
    NODE,
    ROLE_BINDING,
    VOLUME,
)


class Reader:
    """Asks one API server; remembers by kind what it was not told."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self.troubles: dict[Kind, str] = {}

    def all(self, kind: Kind, namespace: str = "", labels: Mapping[str, str] | None = None) -> list[Document]:
        """Everything of a kind; empty, and remembered as trouble, when it cannot be read."""
        return self._tried(lambda: self._api.all(kind, namespace, labels=labels), [], kind)

    def find(self, kind: Kind, name: str) -> Document | None:
        """One object; None when it is not there or, remembered as trouble, cannot be read."""
        return self._tried(lambda: self._api.find(kind, name), None, kind)

    def _tried(self, ask: Callable[[], T], otherwise: T, kind: Kind) -> T:
        try:
            return ask()
        except (Rejected, Unavailable) as error:
            self.troubles[kind] = str(error)
            return otherwise


def whole(
    api: Api,
    *,
    places: Places,
    version: tuple[int, int],
    policies: tuple[Document, ...],
    space: tuple[Document, ...],
    observe: Callable[[], tuple[Observation, ...]],
    trusted: Iterable[str] = (),
) -> Whole:
    """The cluster as it is now. `observe` tries the policies; it may raise `Rejected` and `Unavailable`."""
    reader, unobserved = Reader(api), ""
    lists = {kind: tuple(reader.all(kind)) for kind in _EVERYWHERE}
    inside = {kind: tuple(reader.all(kind, canary.namespace_of(places.instance))) for kind in INSIDE}
    release = {POLICY: tuple(reader.all(POLICY, places.release_namespace))}
    intake = {kind: tuple(reader.all(kind, namespace_of(places.instance))) for kind in (POLICY, ROLE)}
    observed: tuple[Observation, ...] = ()
    try:
        observed = observe()
    except (Rejected, Unavailable) as error:
        unobserved = str(error)
    return Whole(
        places=places,
        version=version,
        policies=policies,
        space=space,
        lists=lists,
        inside=inside,
        release=release,
        intake=intake,
        observed=observed,
        unobserved=unobserved,
        kubelets={name_of(node): _kubelet(api, name_of(node)) for node in lists[NODE]},
        troubles=reader.troubles,
        trusted=frozenset(trusted),
    )


def _kubelet(api: Api, node: str) -> Mapping[str, Any] | str:
    """A node's own settings, asked through the API server; a sentence when it does not tell them."""
    try:
        answer = api.send("GET", f"{NODE.path(node)}/proxy/configz")
    except (Rejected, Unavailable) as error:
        return str(error)
    settings: Mapping[str, Any] = answer.get("kubeletconfig") or {}
    return settings


def workspaces(facts: Whole) -> tuple[WorkspaceId, ...]:
    """Every workspace that has a namespace here."""
    found = {owner_of(namespace, facts.instance) for namespace in facts.all(NAMESPACE)}
    return tuple(sorted(workspace for workspace in found if workspace is not None))


def place(api: Api, site: Site, workspace: WorkspaceId, canonical: Canonical, *, now: datetime) -> Place:
    """One workspace as it is now."""
    reader, own = Reader(api), Names(instance=site.instance, workspace=workspace)
    namespace = reader.find(NAMESPACE, own.namespace)
    if namespace is not None and owner_of(namespace, own.instance) != workspace:
        namespace = None
    inside = {kind: reader.all(kind, own.namespace) for kind in (*INSIDE, ROLE)}
    volumes = [
        v for v in reader.all(VOLUME, labels=installation(own.instance)) if owner_of(v, own.instance) == workspace
    ]
    seen = Snapshot(own=own, namespace=namespace, inside=inside, volumes=tuple(volumes))
    differing = found(site, seen, canonical) if namespace is not None else ()
    return Place(site=site, seen=seen, now=now, pods=differing, troubles=reader.troubles)
