"""One workspace in each place where workspaces can live, for the contract of the cluster and the sandboxes."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from spe.adapters.cluster.kubernetes.api import Api
from spe.adapters.cluster.kubernetes.cluster import KubernetesCluster
from spe.adapters.cluster.kubernetes.connection import connect
from spe.adapters.cluster.kubernetes.kinds import NAMESPACE, VOLUME
from spe.adapters.cluster.kubernetes.sessions import KubernetesSandboxes
from spe.domain.ids import PermitId, PersonId, WorkspaceId, new_workspace
from spe.domain.permit import Limits
from spe.ports.cluster import Cluster, Exposure, Observed, SessionPlace, Step, StepKind
from spe.ports.sandbox import Sandboxes
from tests.adapters.cluster import places
from tests.adapters.cluster.kubernetes import ground
from tests.adapters.cluster.support import World
from tests.support.faulty_api import front

REMOVAL = ground.REMOVAL
SECOND = "ds-bbbbbbbbbbbbbbbb/2"


class Case:
    """A workspace that is not there yet, the ports that act on it, and what only its own place can do."""

    cluster: Cluster
    sandboxes: Sandboxes
    workspace: WorkspaceId
    permit: PermitId
    person: PersonId
    limits: Limits
    data: tuple[Exposure, ...]

    def step(self, kind: StepKind, *, cluster: Cluster | None = None, **fields: Any) -> None:
        values = {"permit": self.permit, "token": "t" * 40, "limits": self.limits, **fields}
        (cluster or self.cluster).apply(Step(kind=kind, workspace=self.workspace, **values))

    def seat(self, *people: PersonId) -> tuple[SessionPlace, ...]:
        expires = datetime.now(UTC) + timedelta(days=30)
        return tuple(SessionPlace(person=p, name="Ada", expires=expires) for p in people or (self.person,))

    def provision(self, *people: PersonId, data: int = 1) -> None:
        """As the reconciler does it, with the first so many versions."""
        shown = self.data[:data]
        self.step(StepKind.FOLDERS)
        self.step(StepKind.GATE)
        self.step(StepKind.SEAL)
        self.step(StepKind.DATA, data=shown)
        self.step(StepKind.GATE, data=shown, places=self.seat(*people))

    def remove(self) -> None:
        for kind in REMOVAL:
            self.step(kind, reason="The permit ended.")

    def seen(self) -> Observed:
        return self.cluster.observe(self.workspace)

    def prepare(self, person: PersonId | None = None) -> str:
        """Ask for a session's start; where the Hub's proxy enters."""
        who = person or self.person
        base = f"/user/{who}/{self.workspace}/"
        return self.sandboxes.start(self.workspace, who, environment={}, base_url=base).url

    # -- what differs

    def start(self, person: PersonId | None = None) -> None:
        """A session that runs."""
        raise NotImplementedError

    def again(self) -> Cluster:
        """The port as another process has it, which knows nothing of what this one did."""
        raise NotImplementedError

    def neighbour(self) -> "Case":
        """Another workspace in the same place."""
        raise NotImplementedError

    def stranger(self) -> Callable[[], object]:
        """Something beside the workspace that nobody of us made; tells how it is now."""
        raise NotImplementedError

    @contextlib.contextmanager
    def silence(self) -> Iterator[None]:
        """Nothing answers that says what is there."""
        raise NotImplementedError
        yield

    def clear(self) -> None:
        """Leave nothing, also after a failure."""


class OnHost(Case):
    """A world of its own on this host."""

    def __init__(self, folder: Path, world: World | None = None) -> None:
        self._owner = world is None
        self._folder = folder
        (folder / "home").mkdir(parents=True, exist_ok=True)
        self.world = world or World(home=folder / "home").up()
        kinds = (("first", "ds-aaaaaaaaaaaaaaaa/1"), ("second", SECOND))
        self._place = places.place(self.world)
        self.data = tuple(places.exposure(folder / f"{self._place.workspace}-{name}", key) for name, key in kinds)
        self.cluster, self.sandboxes = self._place.cluster, self._place.sandboxes
        self.workspace, self.permit, self.person = self._place.workspace, self._place.permit, self._place.person
        self.limits = Limits()

    def start(self, person: PersonId | None = None) -> None:
        self.prepare(person)

    def again(self) -> Cluster:
        return places.place(self.world).cluster

    def neighbour(self) -> Case:
        return OnHost(self._folder, self.world)

    def stranger(self) -> Callable[[], object]:
        folders = [self.world.layout.workspaces / name for name in ("notes", f"{new_workspace()}x")]
        for folder in folders:
            folder.mkdir(parents=True)
            (folder / "letter.txt").write_text("Dear Ada,\n")
        return lambda: [(f.stat().st_ino, f.stat().st_mtime_ns, (f / "letter.txt").read_text()) for f in folders]

    @contextlib.contextmanager
    def silence(self) -> Iterator[None]:
        self.world.end()
        yield

    def clear(self) -> None:
        if self._owner:
            self.world.clear()


class OnCluster(Case):
    """A namespace of an instance on the suite's cluster, by the accounts that the chart gives."""

    def __init__(self, where: ground.Ground) -> None:
        self._ground = where
        self._place = where.place()
        self.data = (ground.exposure("/etc"), ground.exposure("/usr", key=SECOND))
        self.cluster: Cluster = self._place.cluster
        self.sandboxes: Sandboxes = KubernetesSandboxes(where.hands("portal"))
        self.workspace, self.permit, self.person = self._place.workspace, self._place.permit, self._place.person
        self.limits = ground.SMALL

    def start(self, person: PersonId | None = None) -> None:
        self._place.session(person)

    def again(self) -> Cluster:
        return KubernetesCluster(self._ground.hands())

    def neighbour(self) -> Case:
        return OnCluster(self._ground)

    def stranger(self) -> Callable[[], object]:
        house, admin = self._ground.house, self._ground.admin
        name = f"{house.name}-{new_workspace()}"
        labels = {"spe.local/instance": house.name, "spe.local/workspace": self.workspace}
        house.make({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {"a": "b"}}})
        spec = {"accessModes": ["ReadOnlyMany"], "capacity": {"storage": "1Mi"}, "hostPath": {"path": "/opt"}}
        volume = {"name": f"x-{name}", "labels": labels}
        house.make({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": volume, "spec": spec})

        def how() -> object:
            found = [admin.find(NAMESPACE, name), admin.find(VOLUME, f"x-{name}")]
            return [(one["metadata"]["uid"], one["metadata"]["labels"], one["spec"]) if one else None for one in found]

        return how

    @contextlib.contextmanager
    def silence(self) -> Iterator[None]:
        kept = self.cluster, self.sandboxes
        with front(connect(self._ground.kubeconfig("reconciler"))) as between:
            between.faults = lambda method, path: "away"
            hands = replace(self._ground.hands(), api=Api(between.client(), seconds=1.0))
            self.cluster, self.sandboxes = KubernetesCluster(hands), KubernetesSandboxes(hands)
            try:
                yield
            finally:
                self.cluster, self.sandboxes = kept

    def clear(self) -> None:
        self.remove()
