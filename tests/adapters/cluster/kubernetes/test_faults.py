"""An API server that refuses, breaks off or is silent: nothing is guessed, and the next round succeeds."""

from collections.abc import Iterator

import pytest

from spe.adapters.cluster.kubernetes.api import Api
from spe.adapters.cluster.kubernetes.connection import connect
from spe.domain.errors import Unavailable
from spe.ports.cluster import StepKind
from spe.reconciler.plan import in_sync
from tests.adapters.cluster.kubernetes.ground import Ground, Place, exposure
from tests.support.faulty_api import Front, front

pytestmark = pytest.mark.servers

FAULTS = ("busy", "broken", "away", "silent", "cut", "lost", "page")


@pytest.fixture(scope="module")
def between(here: Ground) -> Iterator[Front]:
    with front(connect(here.kubeconfig("reconciler"))) as made:
        yield made


@pytest.fixture
def place(here: Ground, between: Front) -> Place:
    between.faults = lambda method, path: ""
    return here.place().with_hands(api=Api(between.client(), seconds=1.0))


@pytest.mark.parametrize("fault", FAULTS)
def test_nothing_is_said_about_a_workspace_when_the_server_does_not_answer(
    between: Front, place: Place, fault: str
) -> None:
    between.faults = lambda method, path: fault
    for ask in (place.seen, place.cluster.owned, lambda: place.cluster.addresses(place.workspace)):
        with pytest.raises(Unavailable):
            ask()
    with pytest.raises(Unavailable):
        place.step(StepKind.UNSEAL)


def test_a_server_that_fails_every_third_request_only_delays(between: Front, place: Place) -> None:
    count = 0

    def sometimes(method: str, path: str) -> str:
        nonlocal count
        count += 1
        return FAULTS[count // 3 % len(FAULTS)] if count % 3 == 0 and "watch" not in path else ""

    data = exposure()
    between.faults, between.met = sometimes, 0
    met = []
    for _ in range(60):
        try:
            place.reconcile(place.want(data))
            break
        except Unavailable as error:
            met.append(str(error))
    else:
        pytest.fail("it never came to an end:\n" + "\n".join(met))
    assert between.met > 10
    between.faults = lambda method, path: ""
    assert in_sync(place.want(data), place.seen())
    between.faults = sometimes
    for _ in range(60):
        try:
            place.remove()
            break
        except Unavailable:
            continue
    between.faults = lambda method, path: ""
    assert not place.seen().anything


def test_a_watch_that_breaks_off_is_taken_up_by_a_list(between: Front, place: Place) -> None:
    between.faults = lambda method, path: "cut" if "watch=true" in path else ""
    place.step(StepKind.FOLDERS)
    place.step(StepKind.GATE)
    assert place.seen().gate
    between.faults = lambda method, path: ""
    place.remove()
