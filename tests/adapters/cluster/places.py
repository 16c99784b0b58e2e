"""The adapters over one world: cluster, sandboxes, and steps for them."""

import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jupyter_server

from spe.adapters.cluster.embedded.cluster import EmbeddedCluster, GateFacts
from spe.adapters.cluster.embedded.sessions import EmbeddedSandboxes
from spe.domain.ids import PermitId, PersonId, WorkspaceId, new_permit, new_person, new_workspace
from spe.ports.cluster import Exposure, Observed, SessionPlace, Step, StepKind
from tests.adapters.bubblewrap.support import host
from tests.adapters.cluster.support import LISTEN, World

# What it finds is printed before the socket listens: whoever waits for the socket can read it.
SHOW = (
    """
import json, os
found = {name: sorted(os.listdir(name)) for name in ("/data", "/run/door", "/home/researcher", "/workspace")}
print(json.dumps({"folders": found, "environment": sorted(os.environ)}), flush=True)
"""
    + LISTEN
)


@dataclass(slots=True, kw_only=True)
class Place:
    """One workspace of one world, and what acts on it."""

    world: World
    cluster: EmbeddedCluster
    sandboxes: EmbeddedSandboxes
    workspace: WorkspaceId
    permit: PermitId
    person: PersonId
    data: tuple[Exposure, ...] = ()

    def step(self, kind: StepKind, **fields: Any) -> None:
        self.cluster.apply(Step(kind=kind, workspace=self.workspace, permit=self.permit, token="t" * 40, **fields))

    def seat(self, *people: PersonId) -> tuple[SessionPlace, ...]:
        expires = datetime.now(UTC) + timedelta(hours=1)
        return tuple(SessionPlace(person=p, name="Ada", expires=expires) for p in people or (self.person,))

    def provision(self) -> None:
        """Folders, gate, seal, data, people: as the reconciler does it."""
        self.step(StepKind.FOLDERS)
        self.step(StepKind.GATE)
        self.step(StepKind.SEAL)
        self.step(StepKind.DATA, data=self.data)
        self.step(StepKind.GATE, data=self.data, places=self.seat())

    def start(self, person: PersonId | None = None, **environment: str) -> str:
        who = person or self.person
        return self.sandboxes.start(
            self.workspace, who, environment=environment, base_url=f"/user/{who}/{self.workspace}/"
        ).url

    def seen(self) -> Observed:
        return self.cluster.observe(self.workspace)


def exposure(folder: Path, key: str = "ds-aaaaaaaaaaaaaaaa/1") -> Exposure:
    folder.mkdir(parents=True)
    (folder / "table.csv").write_text("id,value\n1,2\n")
    return Exposure(key=key, source=str(folder), mount=f"/data/{key}", digest="sha256:" + "0" * 64)


def place(world: World, *, code: str = SHOW, data: tuple[Exposure, ...] = ()) -> Place:
    """A fresh workspace in a world that is up."""
    share = Path(sys.prefix) / "share" / "jupyter" / "lab"
    facts = GateFacts(
        hub="http://127.0.0.1:9",
        lab=share,
        server=Path(jupyter_server.__file__).parent / "static",
        public_origins=("http://localhost:8000",),
        portal_url="http://127.0.0.1:9000",
    )
    command = (host().python.executable, "-c", code)
    return Place(
        world=world,
        cluster=EmbeddedCluster(layout=world.layout, client=world.client, host=host(), gate=facts),
        sandboxes=EmbeddedSandboxes(layout=world.layout, client=world.client, host=host(), command=command),
        workspace=new_workspace(),
        permit=new_permit(),
        person=new_person(),
        data=data,
    )
