"""A whole environment to stand on in tests: the real services over a real database, objects and keys in a folder,
with the world outside in memory. Everything is reached by legal moves.

    with world(tmp_path) as ground:
        request = ground.submitted({"table.csv": CLEAN})
        ground.settle()
"""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from spe.adapters.cluster.embedded.sources import FolderSources
from spe.adapters.objects.local import LocalObjects
from spe.adapters.secrets import ed25519
from spe.adapters.secrets.local import LocalSecrets
from spe.adapters.sql import migrations
from spe.adapters.sql.store import SqlStore
from spe.domain.dataset import DatasetVersion
from spe.domain.egress import Declaration, EgressRequest, OutputKind
from spe.domain.ids import PermitId, PersonId, RequestId, WorkspaceId
from spe.domain.permit import Permit, Terms
from spe.domain.person import Person
from spe.domain.principal import Permission, Principal, Role
from spe.domain.review import Decision
from spe.domain.workspace import Workspace
from spe.policy.loader import policies_folder, read_policies
from spe.policy.policyset import PolicySet
from spe.reconciler.outbox import Outbox, cuts, slow, spaces
from spe.reconciler.timers import Timers
from spe.services.app import App
from spe.services.context import House, Ports
from spe.services.oauth import Client
from spe.services.reviews import Judgement
from tests.support.inmemory import (
    MemoryChecker,
    MemoryCluster,
    MemoryHub,
    MemoryNotifier,
    MemoryOutputs,
    MemorySandboxes,
    TurnableClock,
)

CAST: Mapping[str, Role] = {
    "researcher": Role.AUTHORISED_USER,
    "colleague": Role.AUTHORISED_USER,
    "outsider": Role.AUTHORISED_USER,
    "board": Role.BOARD,
    "board2": Role.BOARD,
    "checker": Role.CHECKER,
    "checker2": Role.CHECKER,
    "checker3": Role.CHECKER,
    "operator": Role.OPERATOR,
    "auditor": Role.AUDITOR,
}
"""Who there is: the first two are on the permit, the outsider is on none."""

SETUP = Principal(
    person=PersonId("system:setup"),
    issuer="spe",
    subject="setup",
    name="set-up",
    roles=frozenset({Role.SYSTEM}),
    permissions=frozenset({Permission.PEOPLE_MANAGE}),
)
CLIENT = Client(id="spe-hub", secret="s" * 40, redirect="http://localhost:8000/hub/oauth_callback")
SECRET = "registry-key"
CLEAN = b"arm,persons,events\nplacebo,246,120\ntreated,440,179\n"
NO_PERMIT, NO_WORKSPACE = PermitId(""), WorkspaceId("")
LEAKING = b"arm,persons\nplacebo,246\ntreated,3\n"


@dataclass
class Ground:
    """The environment of one test."""

    app: App
    folder: Path
    clock: TurnableClock
    cluster: MemoryCluster
    sandboxes: MemorySandboxes
    hub: MemoryHub
    outputs: MemoryOutputs
    checker: MemoryChecker
    notifier: MemoryNotifier
    policies: list[PolicySet]
    people: dict[str, Person] = field(default_factory=dict)
    dataset: DatasetVersion | None = None
    permit_id: PermitId = NO_PERMIT
    workspace_id: WorkspaceId = NO_WORKSPACE

    def by(self, name: str) -> Principal:
        """One of the cast as somebody who acts."""
        return self.app.people.principal(self.app.people.person(self.id_of(name)))

    def id_of(self, name: str) -> PersonId:
        """Their person id."""
        return self.people[name].id

    def token(self, name: str) -> str:
        """An API token of theirs."""
        return self.app.people.token(self.id_of(name), by=SETUP)

    def session(self, name: str) -> str:
        """The secret of a web session of theirs."""
        return self.app.people.redeem(self.app.people.link(self.id_of(name), by=SETUP))

    @property
    def permit(self) -> Permit:
        """The permit as it is now."""
        return self.app.permits.view(self.permit_id, by=self.by("auditor")).permit

    @property
    def workspace(self) -> Workspace:
        """The workspace as it is now."""
        return self.app.workspaces.view(self.workspace_id, by=self.by("auditor")).workspace

    def request(self, request: RequestId) -> EgressRequest:
        """An egress request as it is now."""
        with self.app.house.ports.store.read() as uow:
            return uow.egress.get(request)

    def settle(self) -> None:
        """Carry out everything that is owed, as the loops would, until nothing is."""
        Timers(self.app).second()
        lanes = [Outbox(self.app, lane(self.app)) for lane in (cuts, spaces, slow)]
        while sum(lane.drain(threading.Event()) for lane in lanes):
            pass

    def register_dataset(self, title: str = "Cohort") -> DatasetVersion:
        """One more dataset version of a small table."""
        source = self.folder / "data" / title.lower().replace(" ", "-")
        source.mkdir(parents=True, exist_ok=True)
        (source / "cohort.csv").write_text("id,arm,age\n" + "".join(f"{n},a,{40 + n % 9}\n" for n in range(60)))
        return self.app.datasets.register(str(source), title=title, holder="Hospital", by=self.by("operator"))

    def terms(self, *people: str, **changes: object) -> Terms:
        """Terms of a permit for these people and the dataset."""
        assert self.dataset is not None
        given: dict[str, object] = {
            "title": "Recurrence",
            "purpose": "Survival by therapy",
            "people": frozenset(self.id_of(p) for p in people),
            "datasets": frozenset({self.dataset.key}),
            "starts": self.clock.now() - timedelta(hours=1),
            "ends": self.clock.now() + timedelta(days=90),
            "secrets": frozenset({SECRET}),
        }
        return Terms(**(given | changes))  # type: ignore[arg-type]

    def grant(self, terms: Terms) -> PermitId:
        """A permit proposed by one member of the board and confirmed by another."""
        proposed = self.app.permits.propose(kind="data-permit", issuer="Board", terms=terms, by=self.by("board"))
        self.app.permits.confirm(proposed.pending[0].id, by=self.by("board2"))
        return proposed.permit.id

    def workspace_of(self, permit: PermitId) -> WorkspaceId:
        """The workspace of a permit, once it is there."""
        found = [v.workspace.id for v in self.app.workspaces.all(by=self.by("auditor")) if v.permit.id == permit]
        return found[-1]

    def accept(self, *names: str) -> None:
        """Let them accept the terms of use."""
        for name in names:
            self.app.people.accept_terms(self.permit_id, by=self.by(name))

    def open_session(self, name: str = "researcher") -> None:
        """Start their notebook and wait for it."""
        self.accept(name)
        self.app.sessions.start(self.workspace_id, by=self.by(name))
        for _ in self.app.sessions.progress(self.workspace_id, by=self.by(name)):
            pass

    def draft(self, files: Mapping[str, bytes], *, author: str = "researcher") -> RequestId:
        """A described draft of these files."""
        by = self.by(author)
        request = self.app.egress.create(self.workspace_id, purpose="Table 1 of the report", by=by).id
        for path, data in files.items():
            self.app.egress.put_file(request, path, [data], by=by)
        said = {p: Declaration(path=p, kind=OutputKind.FREQUENCY_TABLE, title=p, population=686) for p in files}
        self.app.egress.describe(request, declarations=said, by=by)
        return request

    def submitted(self, files: Mapping[str, bytes] | None = None, *, author: str = "researcher") -> RequestId:
        """A request that was submitted and checked."""
        request = self.draft(files or {"table.csv": CLEAN}, author=author)
        self.app.egress.submit(request, by=self.by(author))
        self.settle()
        return request

    def review(self, request: RequestId, name: str, decision: Decision = Decision.APPROVE) -> None:
        """One checker's review of every output, every finding acknowledged."""
        view = self.app.reviews.view(request, by=self.by(name))
        findings = {o.path: frozenset(f.key for f in o.findings) for o in view.report.outputs} if view.report else {}
        judgements = {
            path: Judgement(decision=decision, reason="as agreed", acknowledged=findings.get(path, frozenset()))
            for path in view.request.digests
        }
        self.app.reviews.review(request, judgements, by=self.by(name))

    def released(self) -> RequestId:
        """A request that went all the way."""
        request = self.submitted()
        self.review(request, "checker")
        self.review(request, "checker2")
        self.app.reviews.conclude(request, "approve", by=self.by("checker"))
        self.settle()
        return request


def bare(folder: Path, *, url: str = "") -> Ground:
    """The environment without anybody in it, over a migrated database; without `url` a SQLite file in the folder."""
    if not url:
        url = f"sqlite:///{folder / 'spe.db'}"
        migrations.upgrade(url)
    clock, sandboxes = TurnableClock(), MemorySandboxes()
    cluster, hub, outputs = MemoryCluster(sandboxes=sandboxes), MemoryHub(), MemoryOutputs()
    checker, notifier = MemoryChecker(), MemoryNotifier()
    ports = Ports(
        store=SqlStore(url),
        objects=LocalObjects(folder / "objects"),
        secrets=LocalSecrets(folder / "secrets.sealed", folder / "seal.key", now=clock.now),
        cluster=cluster,
        sandboxes=sandboxes,
        outputs=outputs,
        sources=FolderSources(),
        hub=hub,
        checker=checker,
        notifier=notifier,
        clock=clock,
    )
    policies = [read_policies(policies_folder())]
    house = House(ports=ports, policies=lambda: policies[-1], origin="spe.test/audit")
    app = App.over(house, client=CLIENT, verify=ed25519.verify)
    hub.app = app
    return Ground(
        app=app,
        folder=folder,
        clock=clock,
        cluster=cluster,
        sandboxes=sandboxes,
        hub=hub,
        outputs=outputs,
        checker=checker,
        notifier=notifier,
        policies=policies,
    )


@contextmanager
def world(folder: Path, *, url: str = "") -> Iterator[Ground]:
    """People of every role, a dataset, a secret, an active permit and its ready workspace."""
    ground = bare(folder, url=url)
    for name, role in CAST.items():
        ground.people[name] = ground.app.people.register(
            issuer="https://login.example",
            subject=name,
            name=name.title(),
            organisation="Institute",
            roles=[role],
            by=SETUP,
        )
    ground.dataset = ground.register_dataset()
    ground.app.secrets.put(SECRET, "value-of-the-registry-key", by=ground.by("operator"))
    ground.permit_id = ground.grant(ground.terms("researcher", "colleague"))
    ground.settle()
    ground.workspace_id = ground.workspace_of(ground.permit_id)
    try:
        yield ground
    finally:
        store = ground.app.house.ports.store
        assert isinstance(store, SqlStore)
        store.close()
