"""The admission policies on a real API server: the same attempts, sent as the accounts that might make them."""

import copy
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from spe.adapters.cluster.kubernetes import admission
from spe.adapters.cluster.kubernetes.admission import (
    Places,
    Refusal,
    install,
    refusal_of,
    refused,
    render,
    replace,
    texts,
    wait_in_force,
)
from spe.domain.errors import Rejected
from tests.support import forbidden, servers
from tests.support.admission import POLICIES
from tests.support.api_server import EVERYTHING, As
from tests.support.forbidden import (
    ADMIN,
    CLUSTER_WIDE,
    HUB,
    JOBS,
    MANAGER,
    REPLICA_SETS,
    RESOURCES,
    WORKSPACE_ACCOUNT,
    Attempt,
)  # fmt: skip
from tests.support.hub_stack import wait_for
from tests.support.instance_on_cluster import Instance, instance
from tests.support.podfacts import WORKSPACE
from tests.support.workspace_objects import Workspace

pytestmark = pytest.mark.servers

GATE_IMAGE = f"localhost/spe/gate@sha256:{'2' * 64}"
Document = dict[str, Any]


@dataclass
class World:
    """An instance with its policies in force and one workspace of it."""

    house: Instance
    places: Places
    own: Workspace
    documents: tuple[Document, ...]

    def speaks(self, who: str) -> As:
        """Somebody, with all rights, so that only admission can refuse."""
        users = {
            HUB: self.places.account("hub"),
            MANAGER: self.places.account("reconciler"),
            "portal": self.places.account("portal"),
            WORKSPACE_ACCOUNT: f"system:serviceaccount:{self.own.name}:notebook",
            ADMIN: "ada",
        }
        return As(users.get(who, who), EVERYTHING)

    def path(self, resource: str, target: str = "", sub: str = "") -> str:
        group, version = RESOURCES[resource]
        parts = [f"/apis/{group}/{version}" if group else f"/api/{version}"]
        if resource not in CLUSTER_WIDE:
            parts.append(f"namespaces/{self.own.name}")
        return "/".join([*parts, resource, *([target] if target else []), *([sub] if sub else [])])

    def refusal(self, attempt: Attempt) -> Refusal | None:
        method = _METHODS[attempt.operation]
        path = self.path(attempt.resource, attempt.target, attempt.sub)
        if attempt.operation == "CONNECT":
            return self._connected(path, attempt)
        return refused(self.speaks(attempt.by), method, path, _sendable(attempt.body))

    def _connected(self, path: str, attempt: Attempt) -> Refusal | None:
        # Connections cannot be tried without being made; the notebook never runs, so nothing comes of it.
        try:
            self.speaks(attempt.by).send("POST", path, query={"command": "true", "stdout": "true", "ports": "8888"})
        except Rejected as error:
            return refusal_of(error)
        return None

    def make(self, resource: str, document: Document, by: str = MANAGER) -> Document:
        return self.speaks(by).send("POST", self.path(resource), _sendable(document))


_METHODS = {"CREATE": "POST", "UPDATE": "PATCH", "DELETE": "DELETE", "CONNECT": "POST"}


def _sendable(document: Document | None) -> Document | None:
    return copy.deepcopy(document)


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with instance() as house:
        image = servers.image("notebook")
        places = Places(
            instance=house.name, release_namespace=house.name, notebook_images=(image,), gate_images=(GATE_IMAGE,)
        )
        own = Workspace(places)
        house.make(own.namespace)
        one = World(house=house, places=places, own=own, documents=render(texts(POLICIES), places))
        for resource, document in ((key.partition("/")[0], value) for key, value in own.objects().items()):
            house.make(document, None if resource in CLUSTER_WIDE else own.name)
        house.allow_hub(own.name)
        house.remember(one.documents)
        install(As(), one.documents)
        wait_in_force(As(), one.documents, namespace=own.name)
        one.make("pods", own.notebook, HUB)
        yield one


def _attempts() -> list[Attempt]:
    """By name only: images and instance are known when the world is there."""
    places = Places(
        instance="x", release_namespace="x", notebook_images=(f"n@sha256:{'0' * 64}",), gate_images=(GATE_IMAGE,)
    )
    return list(forbidden.attempts(Workspace(places)))


@pytest.fixture(scope="module")
def attempts(world: World) -> dict[str, Attempt]:
    return {str(attempt): attempt for attempt in forbidden.attempts(world.own)}


@pytest.mark.parametrize("name", [str(attempt) for attempt in _attempts()])
def test_it_is_refused_by_its_rule(world: World, attempts: dict[str, Attempt], name: str) -> None:
    attempt = attempts[name]
    refusal = world.refusal(attempt)
    assert refusal is not None, f"let in: {name}"
    by = refusal.rule or ("Pod Security" if "violates PodSecurity" in refusal.said else "the API server")
    print(f"{name} → {by}")
    # What the API server itself or Pod Security refuses before our rules are asked is refused all the same.
    assert refusal.rule in attempt.rules | {""}, refusal.said
    if not refusal.rule:
        assert name in FIRST_BY_OTHERS, refusal.said


# Kubernetes refuses these by itself, before or after admission policies are asked.
FIRST_BY_OTHERS = {
    f"a pod with {name} by {HUB}"
    for name in (
        "the node's network",
        "the node's processes",
        "the node's shared memory",
        "a folder of the node",
        "a file server",
        "more rights by a program",
        "all rights",
        "rights kept",
        "a port of the node",
        "root",
        "all calls of the kernel",
        "another user for the container",
    )
}


def test_at_least_sixty_are_refused_by_rules_of_ours(world: World, attempts: dict[str, Attempt]) -> None:
    rules = [refusal.rule for refusal in map(world.refusal, attempts.values()) if refusal is not None]
    assert len([rule for rule in rules if rule]) >= 60


@pytest.mark.parametrize(
    ("by", "made"),
    [(HUB, "notebook"), (REPLICA_SETS, "gate_pod"), (MANAGER, "probe"), (JOBS, "batch")],
)
def test_what_is_made_for_a_workspace_gets_in(world: World, by: str, made: str) -> None:
    pod = getattr(world.own, made)
    pod = copy.deepcopy(pod if isinstance(pod, dict) else pod())
    pod["metadata"]["name"] = f"{pod['metadata']['name'].rpartition('-')[0]}-99"
    assert refused(world.speaks(by), "POST", world.path("pods"), pod) is None


def test_the_hubs_own_token_makes_the_canonical_pod_and_no_other(world: World, tmp_path: Path) -> None:
    hub = As(world.places.account("hub"))
    canonical = {**world.own.notebook, "metadata": {**world.own.notebook["metadata"]}}
    canonical["metadata"]["name"] = canonical["metadata"]["name"].replace("-17", "-18")

    def seen() -> tuple[admission.Observation, ...]:
        return admission.observe_refusals(hub, canonical)

    wait_for(lambda: all(one.holds for one in seen()), "the Hub's binding and all rules are in force", 15)
    assert len(seen()) > 15


def test_a_real_workspace_account_with_its_own_token_gets_nothing_in(world: World) -> None:
    account = As(f"system:serviceaccount:{world.own.name}:notebook")
    assert refused(account, "POST", world.path("pods"), copy.deepcopy(world.own.notebook)) is not None


def test_the_text_has_no_warning_of_the_api_servers_own_reading(world: World) -> None:
    def policies() -> list[Document]:
        label = {"labelSelector": f"spe.local/instance={world.places.instance}"}
        path = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies"
        return As().send("GET", path, query=label)["items"]

    def read() -> bool:
        return all("typeChecking" in policy.get("status", {}) for policy in policies())

    wait_for(read, "the API server has read all of them")
    warnings = [
        (policy["metadata"]["name"], warning["fieldRef"], warning["warning"])
        for policy in policies()
        for warning in policy["status"]["typeChecking"].get("expressionWarnings", [])
    ]
    assert warnings == []


def test_another_list_of_images_is_in_force_when_it_was_seen_to_be(world: World) -> None:
    newer = f"localhost/spe/notebook@sha256:{'3' * 64}"
    pod = json.loads(json.dumps(world.own.notebook).replace(world.places.notebook_images[0], newer))
    pod["metadata"]["name"] = pod["metadata"]["name"].replace("-17", "-19")
    hub, path = world.speaks(HUB), world.path("pods")
    refusal = refused(hub, "POST", path, pod)
    assert refusal is not None
    assert refusal.rule == "P06"
    changed = render(texts(POLICIES), _with_images(world.places, newer))
    try:
        install(As(), changed)
        wait_in_force(As(), changed, namespace=world.own.name)
        assert refused(hub, "POST", path, pod) is None
        older = {
            **world.own.notebook,
            "metadata": {**world.own.notebook["metadata"], "name": "nb-p-bbbbbbbbbbbbbbbb-20"},
        }
        refusal = refused(hub, "POST", path, older)
        assert refusal is not None
        assert refusal.rule == "P06"
    finally:
        install(As(), world.documents)
        wait_in_force(As(), world.documents, namespace=world.own.name)


class Listening(As):
    """Speaks for an administrator and remembers what was asked and how it ended."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[tuple[str, str, str]] = []

    def send(self, method: str, path: str, body: Document | None = None, **options: Any) -> Document:
        try:
            answer = super().send(method, path, body, **options)
        except Rejected as error:
            self.heard.append((method, path, error.reason))
            raise
        self.heard.append((method, path, ""))
        return answer


def test_a_policy_of_an_earlier_version_goes_when_the_new_ones_were_seen_to_refuse(world: World) -> None:
    former = copy.deepcopy(world.documents[0])
    former["metadata"]["name"] = f"{world.places.instance}-former"
    As().send("POST", "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies", former)
    newer = render(texts(POLICIES), _with_images(world.places, f"localhost/spe/notebook@sha256:{'4' * 64}"))
    listening = Listening()
    try:
        replace(listening, newer, namespace=world.own.name)
        digest = next(
            d["spec"]["validations"][0]["message"] for d in newer if d["metadata"]["name"].endswith("-marker")
        )
        seen = next(n for n, (_, path, said) in enumerate(listening.heard) if digest in said and "configmaps" in path)
        gone = [(n, path) for n, (method, path, _) in enumerate(listening.heard) if method == "DELETE"]
        assert [path.rpartition("/")[2] for _, path in gone] == [former["metadata"]["name"]]
        assert seen < gone[0][0]
    finally:
        replace(As(), world.documents, namespace=world.own.name)


def test_namespaces_beside_are_not_touched(world: World) -> None:
    beside = f"{world.places.instance}-beside"
    world.house.make({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": beside}})
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "x"}}
    assert refused(As("ada", EVERYTHING), "POST", f"/api/v1/namespaces/{beside}/secrets", secret) is None


def test_a_workspace_of_the_managers_comes_and_goes(world: World) -> None:
    manager, name = world.speaks(MANAGER), f"{world.places.instance}-ws-zzzzzzzzzzzzzzzz"
    namespace = json.loads(json.dumps(world.own.namespace).replace(WORKSPACE, "ws-zzzzzzzzzzzzzzzz"))
    manager.send("POST", "/api/v1/namespaces", namespace)
    policy = {**world.own.policy("deny-all"), "metadata": {"name": "deny-all"}}
    manager.send("POST", f"/apis/networking.k8s.io/v1/namespaces/{name}/networkpolicies", policy)
    service = {**world.own.service(), "metadata": {"name": "gate"}}
    manager.send("POST", f"/api/v1/namespaces/{name}/services", service)
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "gate"}}
    manager.send("POST", f"/api/v1/namespaces/{name}/serviceaccounts", account)
    claim = {**world.own.claim("shared"), "metadata": {"name": "shared"}}
    manager.send("POST", f"/api/v1/namespaces/{name}/persistentvolumeclaims", claim)
    wait_for(lambda: "default" in _names(name, "serviceaccounts"), "the cluster makes its own account")
    manager.send("DELETE", f"/api/v1/namespaces/{name}")
    wait_for(lambda: name not in _names("", "namespaces"), "the namespace goes with all that is in it")


def test_a_gate_comes_up_through_its_deployment(world: World) -> None:
    scale = {"spec": {"replicas": 1}}
    world.speaks("portal").send(
        "PATCH", world.path("deployments", "gate", "scale"), scale, content="application/merge-patch+json"
    )
    wait_for(lambda: any(name.startswith("gate-") for name in _names(world.own.name, "pods")), "the controller's pod")
    nobody = {"spec": {"replicas": 0}}
    world.speaks(MANAGER).send(
        "PATCH", world.path("deployments", "gate", "scale"), nobody, content="application/merge-patch+json"
    )


def test_the_clusters_own_parts_bind_a_claim(world: World) -> None:
    world.make("persistentvolumeclaims", world.own.claim("home-p-dddddddddddddddd"), "portal")
    claim = world.path("persistentvolumeclaims", "ds-0123456789ab")
    wait_for(lambda: As().send("GET", claim)["status"]["phase"] == "Bound", "the dataset's claim is bound")


def _with_images(places: Places, image: str) -> Places:
    return Places(
        instance=places.instance,
        release_namespace=places.release_namespace,
        notebook_images=(image,),
        gate_images=places.gate_images,
    )


def _names(namespace: str, plural: str) -> set[str]:
    path = f"/api/v1/namespaces/{namespace}/{plural}" if namespace else f"/api/v1/{plural}"
    return {item["metadata"]["name"] for item in As().send("GET", path)["items"]}
