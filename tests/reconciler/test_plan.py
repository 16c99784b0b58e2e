"""From what is there to what should be: order, safety at every stop, nothing to do twice."""

from dataclasses import replace
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from spe.domain.ids import PersonId, WorkspaceId
from spe.domain.permit import Limits
from spe.ports.cluster import Exposure, Observed, SealReport, SessionPlace, Step, StepKind
from spe.reconciler.desired import Desired
from spe.reconciler.plan import in_sync, plan
from tests.domain.people import NOW

SPACE = WorkspaceId("ws-aaaaaaaaaaaaaaaa")
DATA = Exposure(key="ds/1", source="/somewhere", mount="/data/ds/1", digest="sha256:d")
RITA = SessionPlace(person=PersonId("p-rita"), name="Rita", expires=NOW + timedelta(days=1))
OPEN = Desired(workspace=SPACE, permit="pm", present=True, open=True, data=(DATA,), places=(RITA,))
SHUT = Desired(workspace=SPACE, permit="pm", present=True, open=False)
GONE = Desired(workspace=SPACE, permit="pm", present=False, open=False)
NOTHING = Observed(workspace=SPACE)
SEALED = SealReport(holds=True)


def world(seen: Observed, step: Step) -> Observed:
    """What a faithful cluster shows after a step."""
    made = {
        StepKind.FOLDERS: {"folders": True},
        StepKind.GATE: {"gate": True, "places": frozenset(p.person for p in step.places), "limits": step.limits},
        StepKind.SEAL: {"seal": SEALED},
        StepKind.DATA: {"data": frozenset((e.key, e.digest) for e in step.data)},
        StepKind.CUT: {"places": frozenset()},
        StepKind.STOP_SESSIONS: {"sessions": frozenset()},
        StepKind.WITHDRAW_DATA: {"data": frozenset()},
        StepKind.REMOVE_GATE: {"gate": False, "places": frozenset(), "limits": None},
        StepKind.REMOVE_FOLDERS: {"folders": False},
        StepKind.UNSEAL: {"seal": None},
    }
    return replace(seen, **made[step.kind])


def settle(want: Desired, seen: Observed) -> tuple[Observed, list[StepKind]]:
    taken: list[StepKind] = []
    for _ in range(4):
        steps = plan(want, seen)
        if not steps:
            return seen, taken
        for step in steps:
            seen = world(seen, step)
            taken.append(step.kind)
    raise AssertionError(f"does not settle: {taken}")


observed = st.builds(
    Observed,
    workspace=st.just(SPACE),
    folders=st.booleans(),
    gate=st.booleans(),
    seal=st.sampled_from([None, SEALED, SealReport(holds=False)]),
    data=st.sampled_from([frozenset(), frozenset({("ds/1", "sha256:d")}), frozenset({("ds/9", "sha256:x")})]),
    places=st.sampled_from([frozenset(), frozenset({PersonId("p-rita")}), frozenset({PersonId("p-gone")})]),
    limits=st.sampled_from([None, Limits(), Limits(cpu=9.0)]),
    sessions=st.sampled_from([frozenset(), frozenset({PersonId("p-rita")})]),
)


def test_a_new_workspace_is_sealed_before_data_and_people_come_last() -> None:
    seen, taken = settle(OPEN, NOTHING)
    assert taken.index(StepKind.SEAL) < taken.index(StepKind.DATA)
    assert taken[-1] is StepKind.GATE
    assert seen.places == {RITA.person}


def test_nobody_has_a_place_while_the_seal_is_not_observed() -> None:
    first = plan(OPEN, NOTHING)
    assert all(step.places == () for step in first if step.kind is StepKind.GATE)


def test_at_the_end_sessions_go_first_and_the_seal_goes_last() -> None:
    full, _ = settle(OPEN, NOTHING)
    seen, taken = settle(GONE, replace(full, sessions=frozenset({RITA.person})))
    assert taken[0] is StepKind.CUT
    assert taken.index(StepKind.STOP_SESSIONS) < taken.index(StepKind.WITHDRAW_DATA)
    assert taken[-1] is StepKind.UNSEAL
    assert not seen.anything


def test_a_suspended_workspace_keeps_its_folders_but_neither_data_nor_places() -> None:
    full, _ = settle(OPEN, NOTHING)
    seen, _ = settle(SHUT, replace(full, sessions=frozenset({RITA.person})))
    assert seen.folders
    assert not seen.data
    assert not seen.places
    assert not seen.sessions


@given(seen=observed, want=st.sampled_from([OPEN, SHUT, GONE]))
def test_it_settles_from_anywhere_and_then_rests(seen: Observed, want: Desired) -> None:
    after, _ = settle(want, seen)
    assert in_sync(want, after)


@given(seen=observed, want=st.sampled_from([OPEN, SHUT, GONE]), stop=st.integers(0, 12))
def test_killed_after_any_step_it_ends_the_same(seen: Observed, want: Desired, stop: int) -> None:
    whole, _ = settle(want, seen)
    part = seen
    for step in plan(want, seen)[:stop]:
        part = world(part, step)
    again, _ = settle(want, part)
    assert again == whole


@given(seen=observed, stop=st.integers(0, 12))
def test_data_is_never_there_without_a_seal_that_holds(seen: Observed, stop: int) -> None:
    if seen.data and (seen.seal is None or not seen.seal.holds):
        seen = replace(seen, data=frozenset())
    for step in plan(OPEN, seen)[:stop]:
        seen = world(seen, step)
        assert not seen.data or (seen.seal is not None and seen.seal.holds)
