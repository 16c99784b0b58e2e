"""People, permits and one live workspace on the suite's cluster at a time, brought about by legal moves."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from spe.adapters.cluster.kubernetes.api import Api
from spe.adapters.cluster.kubernetes.connection import connect
from spe.adapters.cluster.kubernetes.kinds import Kind
from spe.adapters.cluster.kubernetes.sessions import KubernetesSandboxes
from spe.domain.errors import SpeError
from spe.domain.principal import RECONCILER
from spe.domain.workspace import SessionState, WorkspaceState
from tests.adapters.cluster.kubernetes.ground import SMALL, Place
from tests.adapters.cluster.kubernetes.ground import Ground as Here
from tests.adapters.cluster.kubernetes.remains import beside, left, state
from tests.support import databases
from tests.support.ground import CAST, SECRET, SETUP, Ground, bare
from tests.support.hub_stack import wait_for
from tests.support.outside import Hubless, Processes, Spawning, Told, bound, hands_of
from tests.support.prepared import store_of
from tests.support.vault import Environment


@dataclass
class Estate:
    """`ground` acts in this process, where nobody is killed; `told` is for the others."""

    here: Here
    ground: Ground
    told: Told
    vault: Environment
    hub: Hubless
    processes: Processes
    spawning: Spawning
    things: list[tuple[Kind, str, str]] = field(default_factory=list)
    before: list[Any] = field(default_factory=list)
    said: str = ""
    """How the sentence begins that people read whose session has ended."""

    @property
    def place(self) -> Place:
        """The workspace as the adapter's tests see it."""
        found, workspace = self.here.place(), self.ground.workspace
        return replace(found, workspace=workspace.id, permit=workspace.permit, person=self.ground.id_of("researcher"))

    def grant(self) -> None:
        """One more permit; nothing follows yet."""
        self.ground.permit_id = self.ground.grant(self.ground.terms("researcher", limits=SMALL))
        self.ground.app.workspaces.ensure(self.ground.permit_id, by=RECONCILER)
        self.ground.workspace_id = self.ground.workspace_of(self.ground.permit_id)

    def settle(self, state: WorkspaceState, *, seconds: float = 240.0) -> None:
        """Do in this process what is owed, until the workspace is in this state."""

        def reached() -> bool:
            self.ground.settle()
            return self.ground.workspace.state is state

        wait_for(reached, f"the workspace is {state}", seconds=seconds)

    def inhabit(self) -> None:
        """A session, a lease, and things of somebody else beside them."""
        self.ground.open_session()
        place = self.place
        wait_for(lambda: place.cluster.addresses(place.workspace), "the session has an address")
        self.ground.app.secrets.lease(self.ground.workspace_id, SECRET, person=self.ground.by("researcher"))
        self.things = list(beside(self.here, place))
        wait_for(lambda: all(state(place, self.things)), "what is beside stands")
        self.before = state(place, self.things)
        assert len(left(place)) > 15

    def live(self) -> None:
        """A workspace with somebody at work."""
        self.grant()
        self.settle(WorkspaceState.READY)
        self.inhabit()

    def revoke(self) -> None:
        """One member of the board ends the permit."""
        self.said = "Ended: The study was stopped."
        self.ground.app.permits.narrow(
            self.ground.permit_id, "revoke", reason="The study was stopped.", by=self.ground.by("board")
        )

    def expire(self, *, seconds: float = 3.0) -> None:
        """The permit's end is moved to a moment from now; nobody does anything then."""
        self.said = "Ended: The permit"
        ends = datetime.now(UTC) + timedelta(seconds=seconds)
        self.ground.app.permits.amend(
            self.ground.permit_id, replace(self.ground.permit.terms, ends=ends), by=self.ground.by("board")
        )

    def closed(self) -> bool:
        """Whether the record says that it is over."""
        return self.ground.workspace.state is WorkspaceState.CLOSED

    def gone(self) -> bool:
        """Do in this process what is owed; whether nothing of it is left on the cluster."""
        self.ground.settle()
        return not left(self.place)

    def follow(self, *, seconds: float = 60.0) -> None:
        """Wait until others have ended it, by the record and on the cluster; a minute is what is promised."""
        try:
            wait_for(self.closed, "the workspace is closed", seconds=seconds)
        except AssertionError as error:
            error.add_note(f"owed: {self.owed()}; left: {left(self.place)}; {self.processes.said()}")
            raise
        self.assert_over()

    def assert_over(self) -> None:
        """The one end that there is, however it was reached."""
        place, app, auditor = self.place, self.ground.app, self.ground.by("auditor")
        assert self.closed()
        assert left(place) == []
        assert state(place, self.things) == self.before
        assert app.house.ports.secrets.confirm_revoked(place.workspace)
        sessions = app.workspaces.view(place.workspace, by=auditor).sessions
        assert {s.state for s in sessions} <= {SessionState.STOPPED}
        assert all(s.message.startswith(self.said) for s in sessions), [s.message for s in sessions]
        entries, problems = app.audit.verify(by=auditor)
        assert (entries > 0, problems) == (True, ())

    def owed(self) -> list[str]:
        """What is still to be done, with the reason why it is not."""
        with self.ground.app.house.ports.store.read() as uow:
            return [f"{i.kind}: {i.last_error}" for i in uow.outbox.open()]

    def clear(self) -> None:
        """End what a failed test left, so that the next one has only its own."""
        for view in self.ground.app.workspaces.all(by=self.ground.by("auditor")):
            if view.workspace.state is not WorkspaceState.CLOSED and view.permit.state not in ("revoked", "expired"):
                try:
                    self.ground.app.permits.narrow(view.permit.id, "revoke", reason="x", by=self.ground.by("board"))
                except SpeError:
                    continue
        wait_for(self._all_closed, "everything is closed", seconds=120)

    def _all_closed(self) -> bool:
        self.ground.settle()
        views = self.ground.app.workspaces.all(by=self.ground.by("auditor"))
        return all(v.workspace.state is WorkspaceState.CLOSED for v in views)


@contextmanager
def estate(here: Here, vault: Environment, folder: Path, *, database: str = "named") -> Iterator[Estate]:
    """People of every role, a dataset on the node and a secret in Vault; no permit yet."""
    folder.chmod(0o755)
    ground = bare(folder, url=databases.fresh(database, folder).url)
    hub, url = Hubless(), store_of(ground).url
    told = Told(
        url=url,
        folder=folder,
        kubeconfig=here.kubeconfig("reconciler"),
        site=here.site,
        vault=vault.settings(),
        hub=hub.url,
    )
    secrets = vault.store()
    portal = hands_of(replace(told, kubeconfig=here.kubeconfig("portal")), secrets)
    spawning = Spawning(KubernetesSandboxes(portal), Api(connect(here.kubeconfig("hub"))))
    ground.app = ground.hub.app = bound(ground, told, secrets=secrets, sandboxes=spawning, hub=ground.hub)
    people(ground)
    processes = Processes(folder)
    made = Estate(here=here, ground=ground, told=told, vault=vault, hub=hub, processes=processes, spawning=spawning)
    try:
        yield made
    finally:
        processes.end()
        hub.close()
        store_of(ground).close()


def people(ground: Ground) -> None:
    """The cast, a dataset and a secret."""
    for name, role in CAST.items():
        ground.people[name] = ground.app.people.register(
            issuer="https://login.example", subject=name, name=name.title(), organisation="Institute", roles=[role],
            by=SETUP,
        )  # fmt: skip
    ground.dataset = ground.register_dataset()
    ground.app.secrets.put(SECRET, "value-of-the-registry-key", by=ground.by("operator"))
