"""The installation is looked up when it is needed: a silent cluster keeps nobody from starting, nor for long."""

import threading
from collections.abc import Callable

import pytest

from spe.adapters.cluster.kubernetes.found import PAUSE_SECONDS, Found
from spe.adapters.cluster.kubernetes.site import Site
from spe.domain.errors import Rejected, Unavailable
from tests.adapters.cluster.kubernetes.objects import site


class Cluster:
    """Answers, or fails as it is told; counts how often it was asked."""

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.asked = 0
        self.now = 100.0

    def __call__(self) -> Site:
        self.asked += 1
        if self.failures:
            raise self.failures.pop(0)
        return site()

    def found(self) -> Found:
        return Found(self, clock=lambda: self.now)


def test_nothing_is_asked_before_it_is_needed_and_only_once() -> None:
    cluster = Cluster()
    found = cluster.found()
    assert cluster.asked == 0
    assert found() == site()
    assert found() is found()
    assert cluster.asked == 1


def test_a_silent_cluster_is_unavailable_and_asked_again_after_a_pause() -> None:
    cluster = Cluster(Unavailable("cluster", "no route"))
    found = cluster.found()
    with pytest.raises(Unavailable, match="no route"):
        found()
    with pytest.raises(Unavailable, match="a moment ago"):
        found()
    assert cluster.asked == 1
    cluster.now += PAUSE_SECONDS
    assert found() == site()


def test_an_installation_that_is_not_finished_is_no_refusal_of_a_workspace() -> None:
    cluster = Cluster(Rejected("cluster", "the Service hub has no address"))
    found = cluster.found()
    for _ in range(2):
        with pytest.raises(Unavailable, match="the Service hub has no address"):
            found()
    assert cluster.asked == 1


def test_who_waited_for_a_silent_cluster_does_not_wait_once_more() -> None:
    begun, over = threading.Event(), threading.Event()
    cluster = Cluster()

    def slow() -> Site:
        cluster.asked += 1
        begun.set()
        over.wait(30)
        raise Unavailable("cluster", "timed out")

    found = Found(slow, clock=lambda: cluster.now)
    outcomes: list[str] = []

    def ask() -> None:
        try:
            found()
        except Unavailable as error:
            outcomes.append(str(error))

    threads = [threading.Thread(target=ask) for _ in range(5)]
    for thread in threads:
        thread.start()
    begun.wait(30)
    over.set()
    for thread in threads:
        thread.join(30)
    assert len(outcomes) == 5
    assert cluster.asked == 1


def test_other_errors_are_not_hidden() -> None:
    def broken() -> Site:
        raise KeyError("a mistake of ours")

    look: Callable[[], Site] = broken
    with pytest.raises(KeyError):
        Found(look)()
