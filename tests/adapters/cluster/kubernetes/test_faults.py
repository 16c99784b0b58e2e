"""An API server that refuses, breaks off or is silent: nothing is guessed, and the next round succeeds."""

from collections.abc import Callable, Iterator

import pytest

from spe.adapters.cluster.kubernetes.api import Api
from spe.adapters.cluster.kubernetes.connection import connect
from spe.adapters.cluster.kubernetes.kinds import NAMESPACE
from spe.domain.errors import Unavailable
from spe.ports.cluster import StepKind
from spe.reconciler.plan import in_sync
from tests.adapters.cluster.kubernetes.ground import Ground, Place, exposure
from tests.support.faulty_api import Front, front

pytestmark = pytest.mark.servers

FAULTS = ("busy", "broken", "away", "silent", "cut", "lost", "page")
WRONG = tuple(fault for fault in FAULTS if fault != "silent")


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


class Unreliable:
    """Answers every fifth request wrongly, and one in three hundred not at all."""

    def __init__(self) -> None:
        self._met = 0

    def __call__(self, method: str, path: str) -> str:
        if "watch" in path:
            return ""
        self._met += 1
        if self._met % 301 == 0:
            return "silent"
        return WRONG[self._met // 5 % len(WRONG)] if self._met % 5 == 0 else ""


def insist(do: Callable[[], object]) -> None:
    """Repeat it as the loops do, until it comes to its end."""
    met = []
    for _ in range(40):
        try:
            do()
        except Unavailable as error:
            met.append(str(error))
        else:
            return
    pytest.fail("it never came to an end:\n" + "\n".join(met))


def test_a_server_that_fails_every_fifth_request_only_delays(between: Front, place: Place) -> None:
    data = exposure()
    place = place.with_hands(api=Api(between.client(), seconds=5.0))
    between.faults, between.met = Unreliable(), 0
    insist(lambda: place.reconcile(place.want(data)))
    assert between.met > 5
    between.faults = lambda method, path: ""
    assert in_sync(place.want(data), place.seen())
    place.session()
    between.faults, between.met = Unreliable(), 0
    insist(place.remove)
    assert between.met > 5
    between.faults = lambda method, path: ""
    assert not place.seen().anything
    assert place.find(NAMESPACE, place.namespace) is None


def test_a_watch_that_breaks_off_is_taken_up_by_a_list(between: Front, place: Place) -> None:
    between.faults = lambda method, path: "cut" if "watch=true" in path else ""
    place.step(StepKind.FOLDERS)
    place.step(StepKind.GATE)
    assert place.seen().gate
    between.faults = lambda method, path: ""
    place.remove()
