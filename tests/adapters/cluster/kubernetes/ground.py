"""A throw-away instance for the adapter: the chart's own rights, a portal's stand-in, the product's images.

The adapter speaks as the reconciler's account with exactly what the chart grants it, and under the admission
policies, so what is tested here is what an operator gets.
"""

import contextlib
import itertools
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from spe.adapters.cluster.kubernetes import admission, discover, features, gatecontrol
from spe.adapters.cluster.kubernetes.api import Api
from spe.adapters.cluster.kubernetes.cluster import KubernetesCluster
from spe.adapters.cluster.kubernetes.connection import connect
from spe.adapters.cluster.kubernetes.hands import Hands
from spe.adapters.cluster.kubernetes.kinds import CLAIM, NAMESPACE, POD, POLICY, VOLUME, Document, Kind, name_of
from spe.adapters.cluster.kubernetes.names import Names, installation
from spe.adapters.cluster.kubernetes.objects import intake
from spe.adapters.cluster.kubernetes.sessions import KubernetesSandboxes
from spe.adapters.cluster.kubernetes.site import GateFacts, Images, Site, Storage
from spe.domain.ids import PermitId, PersonId, WorkspaceId, new_permit, new_person, new_workspace
from spe.domain.permit import Limits
from spe.hub.pod import PodFacts, notebook_pod, pod_name
from spe.ports.cluster import Exposure, Observed, SessionPlace, Step, StepKind
from spe.reconciler.desired import Desired
from spe.reconciler.plan import plan
from tests.support import servers, standin_portal_pod
from tests.support.admission import POLICIES
from tests.support.hub_stack import wait_for
from tests.support.instance_on_cluster import Instance, instance
from tests.support.podfacts import hub_variables

_COUNT = itertools.count(1)
CHART = Path(__file__).parents[4] / "charts" / "spe"
SMALL = Limits(memory_bytes=128 * 1024**2, cpu=0.2, disk_bytes=16 * 1024**2)
BUILDING = (StepKind.FOLDERS, StepKind.GATE, StepKind.SEAL, StepKind.DATA)
REMOVAL = (
    StepKind.CUT,
    StepKind.STOP_SESSIONS,
    StepKind.WITHDRAW_DATA,
    StepKind.REMOVE_GATE,
    StepKind.REMOVE_FOLDERS,
    StepKind.UNSEAL,
)


@dataclass
class Place:
    """One workspace of the instance, and the adapter that acts on it."""

    cluster: KubernetesCluster
    hands: Hands
    admin: Api
    workspace: WorkspaceId = field(default_factory=new_workspace)
    permit: PermitId = field(default_factory=new_permit)
    person: PersonId = field(default_factory=new_person)
    ground: "Ground | None" = None

    @property
    def own(self) -> Names:
        return self.hands.own(self.workspace)

    @property
    def namespace(self) -> str:
        return self.own.namespace

    def step(self, kind: StepKind, **fields: Any) -> None:
        values = {"permit": self.permit, "limits": SMALL, **fields}
        self.cluster.apply(Step(kind=kind, workspace=self.workspace, **values))

    def seat(self, *people: PersonId) -> tuple[SessionPlace, ...]:
        expires = datetime(2100, 1, 1, tzinfo=UTC)
        return tuple(SessionPlace(person=p, name="Ada", expires=expires) for p in people or (self.person,))

    def seal(self) -> None:
        self.step(StepKind.FOLDERS)
        self.step(StepKind.GATE)
        self.step(StepKind.SEAL)

    def provision(self, *data: Exposure) -> None:
        """As the reconciler does it: foundations, gate, seal, data, people."""
        self.seal()
        self.step(StepKind.DATA, data=data)
        self.step(StepKind.GATE, data=data, places=self.seat())

    def remove(self) -> None:
        for kind in REMOVAL:
            self.step(kind, reason="The permit ended.")

    def want(self, *data: Exposure, people: tuple[PersonId, ...] = (), is_open: bool = True) -> Desired:
        """What the record would want: open, with the person in it, or closed but kept."""
        return Desired(
            workspace=self.workspace,
            permit=self.permit,
            present=True,
            open=is_open,
            data=data if is_open else (),
            places=self.seat(*people) if is_open else (),
            limits=SMALL,
            reason="" if is_open else "The workspace is stopped.",
        )

    def reconcile(self, want: Desired, rounds: int = 6) -> list[StepKind]:
        """What the reconciler does with one workspace, until nothing is left to do; the steps taken."""
        taken = []
        for _ in range(rounds):
            steps = plan(want, self.seen())
            if not steps:
                return taken
            for step in steps:
                self.cluster.apply(step)
                taken.append(step.kind)
        raise AssertionError(f"still not as wanted after {taken}: {self.seen()}")

    def session(self, person: PersonId | None = None, *, waits: bool = True) -> str:
        """A session as portal and Hub start it; its pod's name. One that `waits` stays in its probe for a minute."""
        assert self.ground is not None
        who = person or self.person
        started = KubernetesSandboxes(self.ground.hands("portal")).start(
            self.workspace, who, environment={}, base_url=f"/user/{who}/{self.workspace}/"
        )
        assert started.pod is not None
        facts = dict(started.pod)
        if waits:
            facts["forbidden"] = [*facts["forbidden"], f"tcp:{facts['gate']}:8081"]
        pod = notebook_pod(PodFacts.read(facts), hub_variables(self.workspace, who), pod_name(who, next(_COUNT)))
        made = Api(connect(self.ground.kubeconfig("hub"))).create(dict(pod))
        return name_of(made)

    def seen(self) -> Observed:
        return self.cluster.observe(self.workspace)

    def all(self, kind: Kind) -> list[Document]:
        return self.admin.all(kind, self.namespace)

    def find(self, kind: Kind, name: str) -> Document | None:
        return self.admin.find(kind, name, self.namespace if kind.namespaced else "")

    def with_site(self, **changes: Any) -> "Place":
        """The same workspace under an adapter with other settings."""
        other = replace(self.hands.site, **changes)
        return self.with_hands(where=lambda: other)

    def with_hands(self, **changes: Any) -> "Place":
        hands = replace(self.hands, **changes)
        return replace(self, hands=hands, cluster=KubernetesCluster(hands))


@dataclass
class Ground:
    """The instance."""

    house: Instance
    site: Site
    admin: Api
    kubeconfig: Callable[[str], Path]

    def hands(self, account: str = "reconciler") -> Hands:
        return Hands(
            api=Api(connect(self.kubeconfig(account))),
            where=lambda: self.site,
            tokens=standin_portal_pod.gate_token,
            reach=gatecontrol.over_http(),
        )

    def place(self, account: str = "reconciler") -> Place:
        hands = self.hands(account)
        return Place(cluster=KubernetesCluster(hands), hands=hands, admin=self.admin, ground=self)


def granted(name: str, *templates: str) -> list[Document]:
    """The rights that the chart gives in a cluster, for an instance of this name; `hooks` gives the set-up's."""
    shown = [
        word for template in templates or ("rbac", "intake") for word in ("--show-only", f"templates/{template}.yaml")
    ]
    rendered = subprocess.run(
        ["helm", "template", "spe", str(CHART), "-n", name, "-f", str(CHART / "ci" / "minimal-values.yaml"), *shown],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    documents = [document for document in yaml.safe_load_all(rendered.stdout) if document]
    rights = {"ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"}
    return [document for document in documents if not templates or document["kind"] in rights]


@contextlib.contextmanager
def ground(folder: Path) -> Iterator[Ground]:
    """An instance that is removed at the end, with every workspace that is left of it."""
    images = Images(notebook=servers.image("notebook"), gate=servers.image("gate"), intake=servers.image("control"))
    with instance() as house:
        admin = Api(connect(Path(servers.kubernetes())))
        for document in granted(house.name):
            house.make(document, document["metadata"].get("namespace"))
        house.make(standin_portal_pod.pod(house.name, images.gate), house.name)
        house.make(standin_portal_pod.service("portal-internal", "portal", standin_portal_pod.PORT), house.name)
        house.make(standin_portal_pod.service("hub", "hub", 8081), house.name)
        places = admission.Places(
            instance=house.name,
            release_namespace=house.name,
            notebook_images=(images.notebook,),
            gate_images=(images.gate,),
            intake_images=(images.intake,),
            host_folders=True,
        )
        policies = admission.render(admission.texts(POLICIES), places)
        admission.install(admin, policies)
        house.remember(policies)
        site = Site(
            instance=house.name,
            release_namespace=house.name,
            images=images,
            services=discover.services(admin, house.name),
            gate=GateFacts(public_origins=("http://localhost:8000",), portal_url="http://127.0.0.1:9000"),
            features=features.look(admin),
            forbidden=discover.forbidden(admin, house.name),
            linger_seconds=0.5,
            storage=Storage(shared_access="ReadWriteOnce", host_folders=True),
        )
        made: dict[str, Path] = {}

        def kubeconfig(account: str) -> Path:
            if account not in made:
                made[account] = house.kubeconfig(account, folder)
            return made[account]

        yield_ground = Ground(house=house, site=site, admin=admin, kubeconfig=kubeconfig)
        wait_for(lambda: _ready(admin, house.name), "the portal's stand-in answers")
        try:
            yield yield_ground
        finally:
            clear(yield_ground)


def _ready(admin: Api, namespace: str) -> bool:
    pod = admin.find(POD, "portal", namespace)
    conditions = ((pod or {}).get("status") or {}).get("conditions") or []
    return any(entry["type"] == "Ready" and entry["status"] == "True" for entry in conditions)


def clear(where: Ground) -> None:
    """Whatever a failed test left: by the managers' account, because nobody else may."""
    api = where.hands().api
    for namespace in api.all(NAMESPACE, labels=installation(where.house.name)):
        for pod in api.all(POD, name_of(namespace)):
            api.remove(pod)
        api.remove(namespace)
        for policy in api.all(POLICY, name_of(namespace)):
            if policy["metadata"].get("finalizers"):
                api.patch(policy, {"metadata": {"finalizers": None}})
    for volume in api.all(VOLUME, labels=installation(where.house.name)):
        api.remove(volume)
    for kind in (POD, CLAIM, VOLUME):
        for document in where.admin.all(kind, labels=intake.everything(where.house.name)):
            where.admin.remove(document)
    for namespace in api.all(NAMESPACE, labels=installation(where.house.name)):
        api.gone(NAMESPACE, "", name_of(namespace), seconds=60)


class Noting(Api):
    """Writes down what it changes, as (method, path)."""

    def __init__(self, client: Any) -> None:
        super().__init__(client)
        self.writes: list[tuple[str, str]] = []

    def send(self, method: str, path: str, body: Document | None = None, **rest: Any) -> Document:
        answer = super().send(method, path, body, **rest)
        if method != "GET" and "review" not in path:
            self.writes.append((method, path))
        return answer


class Killed(BaseException):
    """The process is gone: nothing after this runs."""


class Mortal(Noting):
    """A process that is killed when so many writes are done and the last one's answer has not arrived."""

    def __init__(self, client: Any, lives: int) -> None:
        super().__init__(client)
        self._lives = lives

    def send(self, method: str, path: str, body: Document | None = None, **rest: Any) -> Document:
        if len(self.writes) >= self._lives:
            raise Killed
        answer = super().send(method, path, body, **rest)
        if len(self.writes) >= self._lives:
            raise Killed
        return answer


def exposure(folder: str = "/etc", key: str = "ds-aaaaaaaaaaaaaaaa/1", digest: str = "sha256:" + "0" * 64) -> Exposure:
    """A dataset version that is a folder of the node."""
    return Exposure(key=key, source=f"hostPath:{folder}", mount=f"/data/{key}", digest=digest)


def later(seconds: float) -> Callable[[], datetime]:
    """A clock that is ahead."""
    return lambda: datetime.now(UTC) + timedelta(seconds=seconds)
