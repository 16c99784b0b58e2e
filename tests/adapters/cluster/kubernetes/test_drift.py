"""Changes that somebody else makes to live objects: each is noticed, and put right or escalated."""

from collections.abc import Iterator
from typing import Any

import pytest

from spe.adapters.cluster.kubernetes.kinds import (
    DEPLOYMENT,
    NAMESPACE,
    POD,
    POLICY,
    QUOTA,
    ROLE_BINDING,
    SERVICE,
    SERVICE_ACCOUNT,
    Kind,
)  # fmt: skip
from spe.domain.errors import Rejected
from spe.ports.cluster import StepKind
from spe.reconciler.plan import in_sync
from tests.adapters.cluster.kubernetes.ground import Ground, Place
from tests.support.api_server import EVERYTHING, As

pytestmark = pytest.mark.servers

MERGE, STRATEGIC = "application/merge-patch+json", "application/strategic-merge-patch+json"


@pytest.fixture(scope="module")
def place(here: Ground) -> Iterator[Place]:
    """One workspace for all: each test puts it right again."""
    made = here.place()
    made.reconcile(made.want())
    yield made
    made.remove()


def tamper(here: Ground, place: Place, kind: Kind, name: str, patch: Any, content: str = MERGE) -> None:
    """As somebody with the managers' name, who gets past admission, under another field manager."""
    somebody = As(f"system:serviceaccount:{here.house.name}:reconciler", EVERYTHING)
    path = kind.path(name, place.namespace if kind.namespaced else "")
    somebody.send("PATCH", path, patch, query={"fieldManager": "somebody"}, content=content)


ANYBODY = {
    "egress": [{"to": [{"podSelector": {"matchLabels": {"a": "b"}}}], "ports": [{"port": 53, "protocol": "UDP"}]}]
}
LOOSENED: dict[str, tuple[Kind, str, Any]] = {
    "deny-all opened": (POLICY, "deny-all", {"spec": ANYBODY}),
    "deny-all narrowed to some pods": (POLICY, "deny-all", {"spec": {"podSelector": {"matchLabels": {"a": "b"}}}}),
    "deny-all of one direction": (POLICY, "deny-all", {"spec": {"policyTypes": ["Ingress"]}}),
    "notebook reaches more": (POLICY, "notebook", {"spec": ANYBODY}),
    "gate reaches more": (POLICY, "gate", {"spec": ANYBODY}),
    "deny-all may go": (POLICY, "deny-all", {"metadata": {"finalizers": None}}),
    "weaker pod security": (
        NAMESPACE,
        "",
        {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "baseline"}}},
    ),
    "another permit": (NAMESPACE, "", {"metadata": {"labels": {"spe.local/permit": "pm-zzzzzzzzzzzzzzzz"}}}),
}


@pytest.mark.parametrize("name", [n for n in LOOSENED if n != "another permit"])
def test_loosened_isolation_ends_sessions_and_is_put_right_and_seen_from_inside_again(
    here: Ground, place: Place, name: str
) -> None:
    kind, target, patch = LOOSENED[name]
    place.session()
    tamper(here, place, kind, target or place.namespace, patch)
    seen = place.seen()
    assert not seen.folders
    assert seen.seal is not None
    assert not seen.seal.holds
    taken = place.reconcile(place.want())
    assert taken.index(StepKind.FOLDERS) < taken.index(StepKind.SEAL)
    assert place.seen().sessions == frozenset()


CHANGED: dict[str, tuple[Kind, str, Any, str]] = {
    "larger quota": (QUOTA, "workspace", {"spec": {"hard": {"pods": "99"}}}, MERGE),
    "quota with a scope less": (QUOTA, "workspace", {"spec": {"hard": {"count/secrets": None}}}, MERGE),
    "token for notebooks": (SERVICE_ACCOUNT, "notebook", {"automountServiceAccountToken": True}, MERGE),
    "token for whoever names no account": (
        SERVICE_ACCOUNT, "default", {"automountServiceAccountToken": True}, MERGE),
    "the Hub's right for somebody else": (ROLE_BINDING, "hub", {"subjects": [
        {"kind": "User", "name": "ada", "apiGroup": "rbac.authorization.k8s.io"}]}, MERGE),
    "pull secret": (SERVICE_ACCOUNT, "notebook", {"imagePullSecrets": [{"name": "x"}]}, MERGE),
    "gate of another image": (
        DEPLOYMENT, "gate", {"spec": {"template": {"spec": {"containers": [{"name": "gate", "env": [
            {"name": "SPE_GATE_PORTAL", "value": "http://10.0.0.99:9001"}]}]}}}}, STRATEGIC),
    "gate with more environment": (
        DEPLOYMENT, "gate", {"spec": {"template": {"spec": {"containers": [{"name": "gate", "env": [
            {"name": "PYTHONPATH", "value": "/tmp"}]}]}}}}, STRATEGIC),
    "gate with a longer grace": (
        DEPLOYMENT, "gate", {"spec": {"template": {"spec": {"terminationGracePeriodSeconds": 25}}}}, STRATEGIC),
    "gate at two": (DEPLOYMENT, "gate", {"spec": {"replicas": 2}}, MERGE),
    "gate asleep": (DEPLOYMENT, "gate", {"spec": {"replicas": 0}}, MERGE),
    "service of others": (SERVICE, "gate", {"spec": {"selector": {"a": "b"}}}, MERGE),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGED)
def test_any_other_change_is_noticed_and_put_right(here: Ground, place: Place, name: str) -> None:
    kind, target, patch, content = CHANGED[name]
    tamper(here, place, kind, target, patch, content)
    assert not in_sync(place.want(), place.seen())
    place.reconcile(place.want())


def test_a_right_of_the_hub_that_is_gone_comes_back(place: Place) -> None:
    binding = place.find(ROLE_BINDING, "hub")
    assert binding is not None
    place.hands.api.remove(binding)
    place.reconcile(place.want())
    assert place.find(ROLE_BINDING, "hub") is not None


OTHER = {"kind": "ServiceAccount", "name": "portal"}


@pytest.mark.parametrize("part", ["subjects", "role"])
def test_a_right_of_the_hub_that_was_given_to_others_or_made_larger_is_put_right(
    here: Ground, place: Place, part: str
) -> None:
    binding = place.find(ROLE_BINDING, "hub")
    assert binding is not None
    if part == "subjects":
        more = [*binding["subjects"], {**OTHER, "namespace": here.house.name}]
        tamper(here, place, ROLE_BINDING, "hub", {"subjects": more})
    else:
        somebody = As(f"system:serviceaccount:{here.house.name}:reconciler", EVERYTHING)
        larger = {
            "apiVersion": binding["apiVersion"], "kind": "RoleBinding", "subjects": binding["subjects"],
            "metadata": {"name": "hub", "labels": binding["metadata"]["labels"]},
            "roleRef": {**binding["roleRef"], "name": "admin"},
        }  # fmt: skip
        somebody.send("DELETE", ROLE_BINDING.path("hub", place.namespace))
        somebody.send("POST", ROLE_BINDING.path(namespace=place.namespace), larger)
    assert not in_sync(place.want(), place.seen())
    place.reconcile(place.want())
    right = place.find(ROLE_BINDING, "hub")
    assert right is not None
    assert (right["subjects"], right["roleRef"]) == (binding["subjects"], binding["roleRef"])


def test_a_policy_of_somebody_else_that_opens_the_network_stops_the_workspace_and_is_named(
    here: Ground, place: Place
) -> None:
    somebody = As(f"system:serviceaccount:{here.house.name}:reconciler", EVERYTHING)
    policy = {
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "helpful"},
        "spec": {"podSelector": {}, "policyTypes": ["Egress"], **ANYBODY},
    }  # fmt: skip
    place.session()
    made = somebody.send("POST", POLICY.path(namespace=place.namespace), policy)
    seen = place.seen()
    assert seen.seal is not None
    assert not seen.seal.holds
    with pytest.raises(Rejected, match="helpful is not ours and opens the network"):
        place.reconcile(place.want())
    assert place.seen().sessions == frozenset()
    assert place.find(POLICY, "helpful") is not None
    place.hands.api.remove({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", **made})
    place.reconcile(place.want())


def test_a_gate_that_lost_what_it_was_told_is_told_again(place: Place) -> None:
    for pod in place.all(POD):
        place.hands.api.remove(pod)
    assert not in_sync(place.want(), place.seen())
    place.reconcile(place.want())
    assert place.seen().places == {place.person}
