"""Several permits are worked on at once, each by one hand in its order; nothing holds up a revocation."""

import threading
from collections.abc import Callable, Iterator

import pytest

from spe.domain.errors import Unavailable
from spe.reconciler.crew import Crew
from spe.reconciler.outbox import Outbox
from tests.support.ground import Ground

SECONDS = 20


class Bench:
    """Effects of kind `permit:act` that begin, and end when the test lets them."""

    def __init__(self, ground: Ground) -> None:
        self.ground = ground
        self.begun: list[str] = []
        self.ended: list[str] = []
        self.go_on: dict[str, threading.Event] = {}
        self.rung = threading.Event()
        self.changed = threading.Condition()
        self.stop = threading.Event()
        self.crew = Crew("test", 2, stop=self.stop, ring=self.rung.set)

    def act(self, subject: str) -> None:
        with self.changed:
            self.begun.append(subject)
            self.changed.notify_all()
        assert self.go_on.get(subject, _SET).wait(SECONDS)
        with self.changed:
            self.ended.append(subject)
            self.changed.notify_all()

    def owe(self, *subjects: str) -> None:
        with self.ground.app.house.ports.store.begin() as uow:
            for subject in subjects:
                uow.outbox.put("permit:act", subject, self.ground.clock.now())

    def hand_out(self) -> None:
        self.crew.hand_out(Outbox(self.ground.app, {"permit:act": self.act}))

    def until(self, holds: Callable[[], bool]) -> None:
        with self.changed:
            assert self.changed.wait_for(holds, SECONDS), (self.begun, self.ended)


_SET = threading.Event()
_SET.set()


@pytest.fixture
def bench(ground: Ground) -> Iterator[Bench]:
    made = Bench(ground)
    threads = made.crew.start()
    yield made
    made.stop.set()
    for event in made.go_on.values():
        event.set()
    made.crew.dismiss()
    for thread in threads:
        thread.join(SECONDS)
        assert not thread.is_alive()


def test_one_permit_does_not_wait_for_another(bench: Bench) -> None:
    bench.go_on["pm-slow"] = threading.Event()
    bench.owe("pm-slow", "pm-other")
    bench.hand_out()
    bench.until(lambda: bench.ended == ["pm-other"])
    assert "pm-slow" in bench.begun


def test_what_is_owed_again_for_a_permit_in_hand_waits_and_is_then_asked_for(bench: Bench) -> None:
    bench.go_on["pm-one"] = threading.Event()
    bench.owe("pm-one")
    bench.hand_out()
    bench.until(lambda: bench.begun == ["pm-one"])
    bench.owe("pm-one")
    bench.hand_out()
    assert bench.begun == ["pm-one"]
    assert not bench.rung.is_set()
    bench.go_on["pm-one"].set()
    assert bench.rung.wait(SECONDS)
    bench.hand_out()
    bench.until(lambda: bench.ended == ["pm-one", "pm-one"])


def test_what_was_carried_out_is_not_carried_out_again(bench: Bench) -> None:
    for _ in range(20):
        bench.hand_out()
    bench.owe("pm-one")
    for _ in range(20):
        bench.hand_out()
    bench.until(lambda: bench.ended == ["pm-one"])
    bench.hand_out()
    assert bench.begun == ["pm-one"]


def test_a_database_that_falls_silent_under_the_work_ends_no_hand(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def silent(*_: object) -> int:
        bench.rung.set()
        raise Unavailable("database")

    with monkeypatch.context() as patched:
        patched.setattr(Outbox, "carry_out", silent)
        for permit in ("pm-a", "pm-b", "pm-c"):
            bench.owe(permit)
            bench.rung.clear()
            bench.hand_out()
            assert bench.rung.wait(SECONDS)
    while len(bench.ended) < 3:
        bench.hand_out()
        bench.stop.wait(0.05)
    assert sorted(bench.ended) == ["pm-a", "pm-b", "pm-c"]
