"""The end of a workspace: soon, whole, in the safe order, and of nothing else."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from spe.adapters.cluster.kubernetes.api import Api
from spe.adapters.cluster.kubernetes.connection import connect
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
    name_of,
)
from spe.adapters.cluster.kubernetes.names import SHARED
from spe.domain.errors import Unavailable
from spe.domain.ids import new_person
from spe.ports.cluster import StepKind
from tests.adapters.cluster.kubernetes.ground import Ground, Place, exposure
from tests.support.api_server import EVERYTHING, As
from tests.support.faulty_api import front
from tests.support.hub_stack import wait_for

pytestmark = pytest.mark.servers

REPLICAS = Kind(version="apps/v1", name="ReplicaSet", plural="replicasets")
SLICES = Kind(version="discovery.k8s.io/v1", name="EndpointSlice", plural="endpointslices")
EVERY = (
    NAMESPACE, VOLUME, POLICY, QUOTA, LIMIT_RANGE, SERVICE_ACCOUNT, ROLE_BINDING, CLAIM, DEPLOYMENT, REPLICAS, SERVICE,
    SLICES, POD,
)  # fmt: skip


def left(place: Place) -> list[str]:
    """Everything in the whole cluster that carries the workspace's labels or lies in its namespace."""
    labelled = [(kind, item) for kind in EVERY for item in place.admin.all(kind, labels=place.own.labels)]
    inside = [(kind, item) for kind in EVERY if kind.namespaced for item in place.all(kind)]
    return sorted({f"{kind.name} {name_of(item)}" for kind, item in (*labelled, *inside)})


# -- what is beside


def beside(here: Ground, place: Place) -> Iterator[tuple[Kind, str, str]]:
    """Objects of somebody else that look as much like ours as they can; each as kind, namespace, name."""
    name = f"x-{place.namespace}"
    near = {"spe.local/workspace": place.workspace, "app.kubernetes.io/managed-by": "spe"}
    other = {**place.own.labels, "spe.local/instance": f"{here.house.name}x"}
    here.house.make({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": other}})
    yield NAMESPACE, "", name
    pods = {"podSelector": {}, "policyTypes": ["Ingress"]}
    parts: tuple[tuple[Kind, str, Document], ...] = (
        (POLICY, "deny-all", {"spec": pods}),
        (SERVICE_ACCOUNT, "gate", {}),
        (SERVICE, "gate", {"spec": {"selector": {"a": "b"}, "ports": [{"port": 80}]}}),
        (CLAIM, SHARED, {"spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": "none", "resources": {
            "requests": {"storage": "1Mi"}}}}),
    )  # fmt: skip
    for kind, called, rest in parts:
        metadata = {"name": called, "labels": other}
        here.house.make({"apiVersion": kind.version, "kind": kind.name, "metadata": metadata, **rest}, name)
        yield kind, name, called
    for called, labels in ((f"x-{place.own.volume('other')}", near), (f"x-{name}-ds-0", other)):
        spec = {"accessModes": ["ReadOnlyMany"], "capacity": {"storage": "1Mi"}, "hostPath": {"path": "/opt"}}
        volume = {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": called, "labels": labels}}
        here.house.make({**volume, "spec": spec})
        yield VOLUME, "", called


def state(place: Place, things: list[tuple[Kind, str, str]]) -> list[Any]:
    """Which objects they are and what they say; controllers may add a status."""
    found = [place.admin.find(kind, name, namespace) for kind, namespace, name in things]
    return [one and (one["metadata"]["uid"], one["metadata"].get("labels"), one.get("spec")) for one in found]


def test_a_minute_after_its_end_nothing_of_a_workspace_is_left_and_nothing_else_was_touched(here: Ground) -> None:
    place, neighbour = here.place(), here.place()
    guest = new_person()
    data = (exposure("/etc"), exposure("/usr", key="ds-bbbbbbbbbbbbbbbb/2"))
    neighbour.reconcile(neighbour.want(exposure("/etc")))
    place.reconcile(place.want(*data, people=(place.person, guest)))
    place.session()
    place.session(guest)
    things = list(beside(here, place))
    pod = neighbour.session()
    wait_for(lambda: all(state(place, things)), "what is beside stands")
    before, next_door = state(place, things), {name_of(p): p["metadata"]["uid"] for p in neighbour.all(POD)}
    assert len(left(place)) > 15
    failures: list[BaseException] = []

    def end() -> None:
        try:
            place.remove()
        except BaseException as error:
            failures.append(error)

    ending = threading.Thread(target=end)
    ending.start()
    try:
        wait_for(lambda: not left(place), "nothing of it is left", seconds=60)
    finally:
        ending.join(120)
    assert not failures
    assert state(place, things) == before
    assert {name_of(p): p["metadata"]["uid"] for p in neighbour.all(POD)} == next_door
    assert pod in next_door
    assert neighbour.seen().sessions == {neighbour.person}
    neighbour.remove()


# -- what is in the way


def test_what_somebody_holds_back_keeps_the_seal_and_is_named(here: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spe.adapters.cluster.kubernetes.ending.GONE_SECONDS", 2.0)
    place = here.place()
    place.reconcile(place.want())
    somebody = As(f"system:serviceaccount:{here.house.name}:reconciler", EVERYTHING)
    claim = CLAIM.path(SHARED, place.namespace)
    patch = "application/merge-patch+json"
    somebody.send("PATCH", claim, {"metadata": {"finalizers": ["example.org/backup"]}}, content=patch)
    for kind in (StepKind.CUT, StepKind.STOP_SESSIONS, StepKind.WITHDRAW_DATA, StepKind.REMOVE_GATE):
        place.step(kind, reason="The permit ended.")
    with pytest.raises(Unavailable, match="persistentvolumeclaims"):
        place.step(StepKind.REMOVE_FOLDERS)
    assert "deny-all" in {name_of(policy) for policy in place.all(POLICY)}
    assert place.seen().seal is not None
    somebody.send("PATCH", claim, {"metadata": {"finalizers": None}}, content=patch)
    monkeypatch.undo()
    place.remove()
    assert not left(place)


# -- the door


def test_a_door_is_closed_also_while_the_server_takes_no_change(here: Ground) -> None:
    place = here.place()
    place.reconcile(place.want())
    with front(connect(here.kubeconfig("reconciler"))) as between:
        between.faults = lambda method, path: "" if method == "GET" else "busy"
        hindered = place.with_hands(api=Api(between.client(), seconds=5.0))
        with pytest.raises(Unavailable):
            hindered.step(StepKind.CUT, reason="The permit was revoked.")
    gate = place.hands.gate(place.hands.look(place.workspace))
    assert gate is not None
    assert gate.status().places == frozenset()
    place.step(StepKind.CUT, reason="The permit was revoked.")
    assert place.find(ROLE_BINDING, "hub") is None
    place.remove()


def test_a_gate_that_has_no_address_is_ended_by_a_cut(here: Ground) -> None:
    place = here.place()
    place.reconcile(place.want())
    before = {pod["metadata"]["uid"] for pod in place.all(POD)}
    service = place.find(SERVICE, "gate")
    assert service is not None
    place.hands.api.remove(service)
    place.step(StepKind.CUT, reason="The permit was revoked.")
    assert not before & {pod["metadata"]["uid"] for pod in place.all(POD)}
    place.remove()
