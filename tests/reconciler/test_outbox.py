"""Owed effects: each is tried until it is done, and none holds up another. And what comes once a minute."""

import logging
import threading

import pytest

from spe.domain.egress import EgressState
from spe.reconciler.outbox import Outbox, cuts, spaces
from spe.reconciler.timers import Timers
from tests.support.ground import Ground


def minute(ground: Ground) -> None:
    """What the loops do once a minute, and what they then owe."""
    Timers(ground.app).minute()
    ground.settle()


def suspend(ground: Ground) -> None:
    ground.app.permits.narrow(ground.permit_id, "suspend", reason="a question", by=ground.by("board"))


def owed(ground: Ground) -> dict[str, tuple[int, str]]:
    with ground.app.house.ports.store.read() as uow:
        return {i.kind: (i.attempts, i.last_error) for i in uow.outbox.open()}


def put(ground: Ground, *effects: tuple[str, str]) -> None:
    with ground.app.house.ports.store.begin() as uow:
        for kind, subject in effects:
            uow.outbox.put(kind, subject, ground.clock.now())


def test_an_effect_that_fails_unexpectedly_does_not_hold_up_the_others(
    ground: Ground, caplog: pytest.LogCaptureFixture
) -> None:
    done: list[str] = []

    def act(subject: str) -> None:
        if subject == "bad":
            raise ZeroDivisionError
        done.append(subject)

    put(ground, ("x:act", "bad"), ("x:act", "good"))
    with caplog.at_level(logging.ERROR):
        assert Outbox(ground.app, {"x:act": act}).drain(threading.Event()) == 1
    assert done == ["good"]
    assert owed(ground) == {"x:act": (1, "unexpected: ZeroDivisionError")}


def test_a_long_queue_of_slow_effects_does_not_hide_a_quick_one(ground: Ground) -> None:
    put(ground, *(("egress:check", f"eg-{n}") for n in range(600)))
    ground.clock.turn(seconds=1)
    suspend(ground)
    assert [Outbox(ground.app, lane(ground.app)).drain(threading.Event()) for lane in (cuts, spaces)] == [1, 1]
    assert not ground.cluster.observe(ground.workspace_id).data


def test_an_effect_on_something_that_is_gone_is_dropped(ground: Ground) -> None:
    put(ground, ("workspace:reconcile", "ws-aaaaaaaaaaaaaaaa"), ("egress:check", "eg-aaaaaaaaaaaaaaaa"))
    ground.settle()
    assert owed(ground) == {}


def test_what_is_owed_again_while_it_is_carried_out_is_done_again(ground: Ground) -> None:
    seen: list[str] = []

    def act(subject: str) -> None:
        seen.append(subject)
        if len(seen) == 1:
            put(ground, ("x:act", subject))

    put(ground, ("x:act", "one"))
    lane = Outbox(ground.app, {"x:act": act})
    while lane.drain(threading.Event()) and len(seen) < 5:
        pass
    assert seen == ["one", "one"]


def test_told_to_stop_it_begins_nothing_more(ground: Ground) -> None:
    stop = threading.Event()
    seen: list[str] = []

    def act(subject: str) -> None:
        seen.append(subject)
        stop.set()

    put(ground, ("x:act", "one"), ("x:act", "two"))
    assert Outbox(ground.app, {"x:act": act}).drain(stop) == 1
    assert len(seen) == 1


# --- timers -------------------------------------------------------------------------------------------------


def test_done_effects_go_after_the_days_of_the_rules_and_owed_ones_stay(ground: Ground) -> None:
    put(ground, ("permit:reconcile", ground.permit_id))
    ground.settle()
    put(ground, ("no:such-kind", "x"))
    timers = Timers(ground.app)
    ground.clock.turn(days=ground.app.house.policies().rules.outbox_days, minutes=-1)
    assert timers.drop_done_effects() == 0
    ground.clock.turn(minutes=2)
    assert timers.drop_done_effects() > 0
    assert timers.drop_done_effects() == 0
    assert "no:such-kind" in owed(ground)


def test_a_checkpoint_is_signed_when_the_log_has_grown_and_only_then(ground: Ground) -> None:
    def heads() -> int:
        with ground.app.house.ports.store.read() as uow:
            return len(uow.audit.checkpoints())

    minute(ground)
    before = heads()
    minute(ground)
    assert heads() == before
    ground.app.people.accept_terms(ground.permit_id, by=ground.by("researcher"))
    minute(ground)
    assert heads() == before + 1


def test_a_silent_cluster_does_not_keep_releases_and_checkpoints_waiting(ground: Ground) -> None:
    request = ground.submitted()
    ground.review(request, "checker")
    ground.review(request, "checker2")
    ground.app.reviews.conclude(request, "approve", by=ground.by("checker"))
    with ground.app.house.ports.store.begin() as uow:
        for intent in uow.outbox.open():
            uow.outbox.done(intent, ground.clock.now())
    ground.open_session()
    ground.cluster.silent = True
    minute(ground)
    assert ground.request(request).state is EgressState.RELEASED
