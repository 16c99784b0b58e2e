"""Everything of one workspace as the API server has it at this moment: looked at afresh, never kept."""

from dataclasses import dataclass

from spe.adapters.cluster.kubernetes.api import Api
from spe.adapters.cluster.kubernetes.kinds import (
    CLAIM,
    DEPLOYMENT,
    LIMIT_RANGE,
    NAMESPACE,
    POD,
    POLICY,
    QUOTA,
    ROLE_BINDING,
    SERVICE,
    SERVICE_ACCOUNT,
    VOLUME,
    Document,
    Kind,
    is_leaving,
    labels_of,
    name_of,
)
from spe.adapters.cluster.kubernetes.names import (
    DATA_PREFIX,
    GATE,
    NOTEBOOK,
    PART,
    PERMIT,
    PERSON,
    PROBE,
    ROLE,
    Names,
    owner_of,
)
from spe.domain.ids import PersonId, is_id

INSIDE = (POLICY, QUOTA, LIMIT_RANGE, SERVICE_ACCOUNT, ROLE_BINDING, CLAIM, DEPLOYMENT, SERVICE, POD)
_ENDED = frozenset({"Succeeded", "Failed"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The namespace, what is in it by kind, and the workspace's volumes."""

    own: Names
    namespace: Document | None
    inside: dict[Kind, list[Document]]
    volumes: tuple[Document, ...]

    @property
    def permit(self) -> str:
        """The permit that the namespace says it is for."""
        return labels_of(self.namespace).get(PERMIT, "") if self.namespace else ""

    @property
    def leaving(self) -> bool:
        """Whether the namespace was asked to go."""
        return self.namespace is not None and is_leaving(self.namespace)

    def one(self, kind: Kind, name: str) -> Document | None:
        """An object of ours in the namespace, by name."""
        found = (item for item in self.inside.get(kind, ()) if name_of(item) == name and self.own.owns(item))
        return next(found, None)

    @property
    def notebooks(self) -> list[Document]:
        """Pods of sessions, ended ones too."""
        return [pod for pod in self.inside.get(POD, ()) if is_session(self.own, pod)]

    @property
    def sessions(self) -> frozenset[PersonId]:
        """People whose notebooks run, start, or are on their way out."""
        return frozenset(PersonId(labels_of(pod)[PERSON]) for pod in self.notebooks if is_alive(pod))

    @property
    def gate_pods(self) -> list[Document]:
        """Pods of the gate."""
        pods = self.inside.get(POD, ())
        return [pod for pod in pods if self.own.owns(pod) and labels_of(pod).get(ROLE) == GATE]

    @property
    def data_claims(self) -> list[Document]:
        """Claims of dataset versions."""
        claims = self.inside.get(CLAIM, ())
        return [claim for claim in claims if name_of(claim).startswith(DATA_PREFIX) and self.own.owns(claim)]


def look(api: Api, own: Names) -> Snapshot:
    """Ask for everything. Raises `Unavailable`: nothing is guessed."""
    namespace = api.find(NAMESPACE, own.namespace)
    if namespace is not None and owner_of(namespace, own.instance) != own.workspace:
        namespace = None  # somebody else's, whatever it is called
    inside = {kind: api.all(kind, own.namespace) for kind in INSIDE} if namespace is not None else {}
    volumes = [v for v in api.all(VOLUME, labels=own.labels) if owner_of(v, own.instance) == own.workspace]
    return Snapshot(own=own, namespace=namespace, inside=inside, volumes=tuple(volumes))


def is_session(own: Names, pod: Document) -> bool:
    """Whether a pod is some person's notebook: not the probe, which is like one."""
    labels = labels_of(pod)
    return (
        own.owns(pod) and labels.get(ROLE) == NOTEBOOK and labels.get(PART) != PROBE and is_id(labels.get(PERSON, ""))
    )


def is_alive(pod: Document) -> bool:
    """Whether a pod runs, will run, or is being ended."""
    return is_leaving(pod) or (pod.get("status") or {}).get("phase") not in _ENDED


def claims_of(pod: Document) -> frozenset[str]:
    """Names of the claims that a pod mounts."""
    volumes = (pod.get("spec") or {}).get("volumes") or []
    return frozenset(v["persistentVolumeClaim"]["claimName"] for v in volumes if v.get("persistentVolumeClaim"))


def data_of(pod: Document) -> frozenset[str]:
    """Names of the dataset claims that a pod mounts."""
    return frozenset(name for name in claims_of(pod) if name.startswith(DATA_PREFIX))
