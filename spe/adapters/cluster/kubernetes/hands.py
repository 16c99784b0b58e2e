"""What every step of this adapter works with, and the few moves that several steps share."""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from spe.adapters.cluster.kubernetes import view
from spe.adapters.cluster.kubernetes.api import Api
from spe.adapters.cluster.kubernetes.gatecontrol import GateControl, Reach
from spe.adapters.cluster.kubernetes.kinds import POD, Document, annotations_of, labels_of
from spe.adapters.cluster.kubernetes.names import PERSON, Names
from spe.adapters.cluster.kubernetes.site import Site
from spe.adapters.cluster.kubernetes.snapshot import Snapshot, is_session, look
from spe.domain.errors import Rejected, Unavailable
from spe.domain.ids import WorkspaceId, is_id

END_SECONDS = 20.0

log = logging.getLogger("spe.cluster")
Tokens = Callable[[WorkspaceId], str]
"""The gate token of a workspace. Raises `Unavailable` when the key cannot be reached."""


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hands:
    """The API server, the installation (what `where` answers), and the way to gates."""

    api: Api
    where: Callable[[], Site]
    tokens: Tokens
    reach: Reach
    now: Callable[[], datetime] = _now

    @property
    def site(self) -> Site:
        """The installation. Raises `Unavailable` as long as the API server never said what it is."""
        return self.where()

    def own(self, workspace: WorkspaceId) -> Names:
        """The names of a workspace. Raises `Rejected` for what is no id: nothing is ever called so."""
        demand_id(workspace)
        return Names(instance=self.site.instance, workspace=workspace)

    def look(self, workspace: WorkspaceId) -> Snapshot:
        """What is there now."""
        return look(self.api, self.own(workspace))

    def gate(self, seen: Snapshot) -> GateControl | None:
        """The control of the gate that runs; None when it has no address or no pod.

        Raises `Unavailable` when its token cannot be made.
        """
        address = view.gate_address(seen)
        if not address or not view.awake(seen) or not seen.gate_pods:
            return None
        return self.reach(address, self.tokens(seen.own.workspace))

    def note(self, namespace: Document, patch: Document) -> None:
        """Write notes on exactly this namespace; nothing is sent when it says so already."""
        noted, wanted = annotations_of(namespace), patch["metadata"]["annotations"]
        if any(noted.get(name) != text for name, text in wanted.items()):
            self.api.patch(namespace, patch)

    def end(self, seen: Snapshot, which: Callable[[Document], bool], reason: str) -> None:
        """End the notebooks for which `which` says so, and wait until they are gone.

        The people are told first where the gate can still tell them; that is never waited for twice.
        """
        own, chosen = seen.own, [pod for pod in seen.notebooks if which(pod)]
        if not chosen:
            return
        self.tell(seen, sorted({labels_of(pod)[PERSON] for pod in chosen}), reason)
        self.ask(seen, which)
        self.api.until(
            POD,
            own.namespace,
            lambda pods: not any(is_session(own, pod) and which(pod) for pod in pods),
            labels=own.labels,
            seconds=END_SECONDS,
        )

    def ask(self, seen: Snapshot, which: Callable[[Document], bool]) -> None:
        """Ask the notebooks for which `which` says so to end, without waiting."""
        for pod in seen.notebooks:
            if which(pod):
                self.api.remove(pod)

    def tell(self, seen: Snapshot, people: Iterable[str], reason: str) -> None:
        """Have the gate cut these people with the reason; a gate that does not answer is no obstacle."""
        try:
            gate = self.gate(seen)
            for person in people if gate is not None and reason else ():
                assert gate is not None
                gate.cut(person, reason)
        except (Unavailable, Rejected) as error:
            log.info("%s: nobody could be told: %s", seen.own.workspace, error)


def demand_id(name: str) -> None:
    """Raises `Rejected` for a name that is no id, before it becomes part of anything's name or of a query."""
    if not is_id(name):
        raise Rejected("cluster", f"{name[:40]!r} is not an id, so it names nothing.")


def all_of(_: Any) -> bool:
    """Chooses everything."""
    return True
