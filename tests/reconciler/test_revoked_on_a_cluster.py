"""A permit ends while something is broken: the API server, the Hub, the reconciler itself. One end follows.

Real pods on the suite's cluster, leases in its Vault; the reconciler is a process of ours under the chart's account.
"""

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from spe.adapters.cluster.kubernetes.connection import connect
from spe.domain.workspace import WorkspaceState
from spe.ports.cluster import StepKind
from tests.adapters.cluster.kubernetes.ground import BUILDING, REMOVAL, Ground, ground
from tests.adapters.cluster.kubernetes.test_faults import Unreliable
from tests.reconciler.estate import Estate, estate
from tests.support import vault
from tests.support.faulty_api import front
from tests.support.hub_stack import wait_for
from tests.support.outside import AFTER, BEFORE, by_way_of

pytestmark = [pytest.mark.servers, pytest.mark.timeout(900)]

SIDES = (BEFORE, AFTER)
OUTAGE_SECONDS = 6.0


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    with ground(tmp_path_factory.mktemp("accounts")) as made:
        yield made


@pytest.fixture(scope="module")
def whole(here: Ground, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Estate]:
    folder = tmp_path_factory.mktemp("estate")
    with vault.named(folder) as environment, estate(here, environment, folder) as made:
        yield made


@pytest.fixture
def place(whole: Estate) -> Iterator[Estate]:
    try:
        yield whole
    finally:
        whole.processes.end()
        whole.clear()


# -- whole


@pytest.mark.parametrize("how", [Estate.revoke, Estate.expire], ids=["revoked", "expired"])
def test_a_minute_after_its_permit_ended_nothing_of_a_workspace_is_left(
    place: Estate, how: Callable[[Estate], None]
) -> None:
    place.live()
    place.processes.start(place.told)
    how(place)
    place.follow()


# -- killed


def test_killed_on_either_side_of_every_step_of_the_removal_it_ends_the_same(place: Estate) -> None:
    place.live()
    place.revoke()
    for kind in REMOVAL:
        for side in SIDES:
            place.processes.killed(place.told, (kind, 1, side))
    place.processes.start(place.told)
    place.follow()


def test_killed_on_either_side_of_every_step_of_the_making_it_is_ready_all_the_same(place: Estate) -> None:
    place.grant()
    for kind in BUILDING:
        for side in SIDES:
            place.processes.killed(place.told, (kind, 1, side))
    place.processes.start(place.told)
    wait_for(lambda: place.ground.workspace.state is WorkspaceState.READY, "it is ready", seconds=150)
    place.inhabit()
    place.revoke()
    place.follow()


@pytest.mark.parametrize("kind", BUILDING)
def test_revoked_while_it_was_half_made_nothing_is_left(place: Estate, kind: StepKind) -> None:
    place.grant()
    place.things, place.before = [], []
    place.processes.killed(place.told, (kind, 1, AFTER))
    place.revoke()
    place.processes.start(place.told)
    place.follow()


# -- the API server


FAULTS: dict[str, Callable[[], Callable[[str, str], str]]] = {
    "busy": lambda: lambda method, path: "busy",
    "broken": lambda: lambda method, path: "broken",
    "silent": lambda: lambda method, path: "silent",
    "takes no change": lambda: lambda method, path: "" if method == "GET" else "busy",
    "every fifth": Unreliable,
}


@pytest.mark.parametrize("fault", FAULTS)
def test_revoked_while_the_api_server_fails_it_ends_the_same(place: Estate, fault: str) -> None:
    """All of it for some seconds, then every fifth request until the end."""
    place.live()
    with front(connect(place.told.kubeconfig)) as between:
        file = by_way_of(between.url, place.told.folder / f"{fault.replace(' ', '-')}.kubeconfig")
        between.faults = FAULTS[fault]()
        place.processes.start(replace(place.told, kubeconfig=file, seconds=3.0))
        place.revoke()
        wait_for(lambda: between.met > 0, "it was met by a fault")
        threading.Event().wait(OUTAGE_SECONDS)
        assert not place.closed() or fault == "every fifth"
        between.faults = Unreliable()
        place.follow()


# -- the Hub


def test_revoked_while_the_hub_says_nothing_it_ends_the_same(place: Estate) -> None:
    place.spawning.waits = False
    place.live()
    place.hub.silent.set()
    try:
        place.processes.start(place.told)
        place.revoke()
        place.follow()
    finally:
        place.hub.silent.clear()
        place.spawning.waits = True


def test_revoked_while_there_is_no_hub_it_ends_the_same(place: Estate) -> None:
    place.live()
    place.processes.start(replace(place.told, hub="http://127.0.0.1:9"))
    place.revoke()
    place.follow()
