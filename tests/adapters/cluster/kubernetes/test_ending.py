"""The end of a workspace: soon, whole, in the safe order, and of nothing else."""

import threading

import pytest

from spe.adapters.cluster.kubernetes.api import Api
from spe.adapters.cluster.kubernetes.connection import connect
from spe.adapters.cluster.kubernetes.kinds import (
    CLAIM,
    POD,
    POLICY,
    ROLE_BINDING,
    SERVICE,
    name_of,
)
from spe.adapters.cluster.kubernetes.names import SHARED
from spe.domain.errors import Unavailable
from spe.domain.ids import new_person
from spe.ports.cluster import StepKind
from tests.adapters.cluster.kubernetes.ground import Ground, exposure
from tests.adapters.cluster.kubernetes.remains import beside, left, state
from tests.support.api_server import EVERYTHING, As
from tests.support.faulty_api import front
from tests.support.hub_stack import wait_for

pytestmark = pytest.mark.servers


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
