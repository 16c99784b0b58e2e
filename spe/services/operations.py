"""What an operator sees of the environment itself: owed effects, the state of each part, what it promises."""

from collections.abc import Callable
from dataclasses import dataclass

from spe.domain.dataset import Guarantee
from spe.domain.errors import SpeError
from spe.domain.ids import WorkspaceId
from spe.domain.intent import Intent
from spe.domain.principal import Permission, Principal
from spe.ports.cluster import Observed
from spe.services.context import House
from spe.services.transact import demand


@dataclass(frozen=True, slots=True, kw_only=True)
class PartHealth:
    """One part of the environment: its name, whether it answers, and what it says."""

    name: str
    well: bool
    sentences: tuple[str, ...]


class OperationsService:
    """Looks at the environment; changes nothing."""

    def __init__(self, house: House) -> None:
        self._house = house

    def owed(self, *, by: Principal) -> tuple[Intent, ...]:
        """Effects that were decided and are not carried out yet, oldest first."""
        demand(by, Permission.WORKSPACE_OPERATE)
        with self._house.ports.store.read() as uow:
            return uow.outbox.open()

    def health(self, *, by: Principal) -> tuple[PartHealth, ...]:
        """Each part asked now; a part that does not answer is told with its sentence."""
        demand(by, Permission.WORKSPACE_OPERATE)
        ports = self._house.ports
        return (
            _part("Database", lambda: tuple(ports.store.problems()), ok="The schema is current, writing is durable."),
            _part("Hub", self._hub, ok="It answers."),
            _part("Cluster", self._cluster, ok="It answers."),
            _part("Secret store", self._secrets, ok="It answers and is unsealed."),
            _part("Policies", self._policies, ok="They are complete and readable."),
        )

    def guarantees(self, *, by: Principal) -> frozenset[Guarantee]:
        """What the cluster promises."""
        demand(by, Permission.WORKSPACE_READ)
        return self._house.ports.cluster.guarantees

    def observed(self, workspace: WorkspaceId, *, by: Principal) -> Observed:
        """What is there of a workspace now. Raises `Unavailable`."""
        demand(by, Permission.WORKSPACE_OPERATE)
        return self._house.ports.cluster.observe(workspace)

    def disclosure_policies(self, *, by: Principal) -> tuple[str, ...]:
        """The names of the disclosure policies that a dataset can be registered under."""
        demand(by, Permission.DATASET_READ)
        return tuple(sorted(self._house.policies().disclosure))

    def _hub(self) -> tuple[str, ...]:
        self._house.ports.hub.running()
        return ()

    def _cluster(self) -> tuple[str, ...]:
        self._house.ports.cluster.owned()
        return ()

    def _secrets(self) -> tuple[str, ...]:
        self._house.ports.secrets.names()
        return ()

    def _policies(self) -> tuple[str, ...]:
        return () if self._house.policies().disclosure else ("No disclosure policy is loaded; nothing can be judged.",)


def _part(name: str, ask: Callable[[], tuple[str, ...]], *, ok: str) -> PartHealth:
    try:
        problems = ask()
    except SpeError as error:
        problems = (*error.sentences, error.remedy)
    return PartHealth(name=name, well=not problems, sentences=problems or (ok,))
