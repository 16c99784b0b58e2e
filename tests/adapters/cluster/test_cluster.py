"""The cluster port on one host, with a real supervisor, a real gate and real sandboxes."""

import http.client
import json
import os
import signal
import socket
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from spe.domain.dataset import Guarantee
from spe.domain.errors import Rejected, Unavailable
from spe.domain.ids import PersonId, WorkspaceId, new_person
from spe.domain.permit import Limits
from spe.ports.cluster import SealReport, Step, StepKind
from tests.adapters.cluster.places import Place, exposure, place
from tests.adapters.cluster.support import World, alive, gone, until


@pytest.fixture
def here(world: World, tmp_path: Path) -> Place:
    return place(world, data=(exposure(tmp_path / "dataset"),))


def status_of_gate(here: Place) -> Any:
    """What the gate's control socket says."""
    end = socket.socket(socket.AF_UNIX)
    end.connect(str(here.world.layout.gate(here.workspace) / "control.sock"))
    connection = http.client.HTTPConnection("gate")
    connection.sock = end
    connection.request("GET", "/status")
    with connection.getresponse() as answer:
        found = json.loads(answer.read())
    connection.close()
    return found


def test_nothing_is_there_before_the_first_step(here: Place) -> None:
    assert not here.seen().anything
    assert here.cluster.owned() == ()


def test_a_provisioned_workspace_is_seen_as_it_was_asked_for(here: Place) -> None:
    here.provision()
    seen = here.seen()
    assert (seen.folders, seen.gate) == (True, True)
    assert seen.seal is not None
    assert seen.seal.holds
    assert seen.data == {(here.data[0].key, here.data[0].digest)}
    assert seen.places == {here.person}
    assert seen.limits == Limits()
    assert seen.sessions == frozenset()
    assert here.cluster.owned() == (here.workspace,)


def test_every_step_may_be_repeated(here: Place) -> None:
    here.provision()
    here.start()
    before = here.seen()
    here.provision()
    assert here.seen() == before


def test_the_guarantees_are_those_this_host_gives(here: Place) -> None:
    assert here.cluster.guarantees >= {
        Guarantee.NO_NETWORK, Guarantee.READ_ONLY_DATA, Guarantee.PRIVATE_PROCESSES, Guarantee.USER_NAMESPACE,
    }  # fmt: skip
    limits = here.world.client.status()["resource_limits"]
    assert (Guarantee.RESOURCE_LIMITS in here.cluster.guarantees) is limits
    assert Guarantee.SEPARATE_KERNEL not in here.cluster.guarantees


@pytest.mark.parametrize("token", ["", "x", "t" * 32])
def test_on_one_host_no_account_is_a_gates_and_no_notebook_has_an_address(here: Place, token: str) -> None:
    here.provision()
    with pytest.raises(Rejected):
        here.cluster.recognise(token)
    assert here.cluster.addresses(here.workspace) == {}


def test_the_seal_is_observed_from_inside_and_every_attempt_is_named(here: Place) -> None:
    here.step(StepKind.FOLDERS)
    here.step(StepKind.SEAL)
    seal = here.seen().seal
    assert seal is not None
    for name, met in seal.attempts.items():
        print(f"{name:24} {met}")
    assert seal.holds
    assert seal.attempts["door"] == "answered"
    assert {"tcp-ipv4", "udp-ipv4", "abstract-socket", "vsock", "mount", "ptrace"} <= set(seal.attempts)


def test_the_probe_leaves_nothing_behind(here: Place) -> None:
    here.step(StepKind.FOLDERS)
    here.step(StepKind.SEAL)
    assert not any((here.world.run / "p").iterdir())
    assert here.world.client.status()["sandboxes"] == []


def test_a_report_about_another_machine_or_filter_is_no_seal(here: Place) -> None:
    here.step(StepKind.FOLDERS)
    here.step(StepKind.SEAL)
    record = here.world.layout.record(here.workspace, "seal")
    record.write_text(json.dumps({**json.loads(record.read_text()), "shape": "sha256:other"}))
    assert here.seen().seal is None


def test_a_session_starts_and_sees_its_data_and_its_doors(here: Place) -> None:
    here.provision()
    url = here.start(JUPYTERHUB_API_TOKEN="x", AWS_SECRET="y")
    assert url == here.world.layout.entrance(here.workspace)
    log = here.sandboxes.poll(here.workspace, here.person).log
    shown = json.loads(log.splitlines()[0])
    assert shown["folders"]["/data"] == ["ds-aaaaaaaaaaaaaaaa"]
    assert shown["folders"]["/run/door"] == ["hub.sock", "spe.sock"]
    assert shown["folders"]["/workspace"] == ["outputs", "shared"]
    assert shown["folders"]["/home/researcher"] == ["data", "outputs", "shared"]
    assert "JUPYTERHUB_API_TOKEN" in shown["environment"]
    assert "AWS_SECRET" not in shown["environment"]
    assert here.seen().sessions == {here.person}


def test_a_start_makes_the_gate_look_again_first(here: Place) -> None:
    """Else its last no, from before the terms were accepted, holds up the notebook's first question to the Hub."""

    def looks() -> int:
        return str(here.world.client.ask("tail-log", name=f"gate-{here.workspace}")["log"]).count('"reloaded"')

    here.provision()
    before = looks()
    here.start()
    assert looks() == before + 1


def test_a_start_does_not_wait_for_a_gate_that_is_away(here: Place) -> None:
    here.provision()
    here.world.client.stop_gate(here.workspace)
    here.start()
    assert here.seen().sessions == {here.person}


def test_nobody_without_a_place_at_the_gate_gets_a_sandbox(here: Place) -> None:
    here.provision()
    with pytest.raises(Rejected, match="no place for this person"):
        here.start(new_person())


def test_nobody_gets_a_sandbox_before_the_gate_is_told(here: Place) -> None:
    here.step(StepKind.FOLDERS)
    with pytest.raises(Rejected, match="no place for this person"):
        here.start()


@pytest.mark.parametrize("name", ["../escape", "p-AAAAAAAAAAAAAAAA", "p-1", "", "/etc"])
def test_a_name_that_is_no_id_never_becomes_a_path(here: Place, name: str) -> None:
    with pytest.raises(Rejected, match="not an id"):
        here.start(PersonId(name or " "))
    with pytest.raises(Rejected, match="not an id"):
        here.cluster.apply(Step(kind=StepKind.FOLDERS, workspace=WorkspaceId(name)))


def test_cutting_takes_the_place_away_and_the_gate_knows(here: Place) -> None:
    here.provision()
    here.step(StepKind.CUT, reason="The permit was revoked.\nIt is over.")
    assert here.seen().places == frozenset()
    assert all(not session["may_pass"] for session in status_of_gate(here)["sessions"])
    with pytest.raises(Rejected, match="no place"):
        here.start()


def test_a_cut_holds_when_the_gate_dies_in_between(here: Place) -> None:
    here.provision()
    here.step(StepKind.CUT, reason="It is over.")
    gate = here.world.client.status()["gates"][0]
    os.kill(gate["pid"], signal.SIGKILL)
    until(
        lambda: (g := here.world.client.status()["gates"][0])["ready"] and g["pid"] != gate["pid"], "the gate is back"
    )
    assert status_of_gate(here)["sessions"] == []


def test_a_killed_gate_comes_back_with_its_sessions(here: Place) -> None:
    here.provision()
    here.start()
    gate = here.world.client.status()["gates"][0]
    os.kill(gate["pid"], signal.SIGKILL)
    until(
        lambda: (g := here.world.client.status()["gates"][0])["ready"] and g["pid"] != gate["pid"], "the gate is back"
    )
    assert [s["person"] for s in status_of_gate(here)["sessions"]] == [here.person]
    assert here.seen().sessions == {here.person}


def test_stopped_sessions_are_gone_with_everything_inside(here: Place) -> None:
    here.provision()
    here.start()
    inner = here.world.client.status()["sandboxes"][0]["inner"]
    assert alive(inner)
    here.step(StepKind.STOP_SESSIONS, reason="The permit was revoked.")
    assert gone(inner)
    assert here.seen().sessions == frozenset()
    state = here.sandboxes.poll(here.workspace, here.person)
    assert not state.running
    assert "The permit was revoked." in state.log


def test_one_persons_session_is_stopped_without_the_others(here: Place) -> None:
    other = new_person()
    here.provision()
    here.step(StepKind.GATE, data=here.data, places=here.seat(here.person, other))
    here.start()
    here.start(other)
    here.step(StepKind.STOP_SESSIONS, person=other)
    assert here.seen().sessions == {here.person}


def test_a_person_taken_off_the_permit_loses_the_session(here: Place) -> None:
    other = new_person()
    here.provision()
    here.step(StepKind.GATE, data=here.data, places=here.seat(here.person, other))
    here.start()
    here.start(other)
    here.step(StepKind.GATE, data=here.data, places=here.seat(here.person))
    assert here.seen().sessions == {here.person}
    assert here.seen().places == {here.person}


def test_a_withdrawn_dataset_ends_the_sessions_that_show_it(here: Place, tmp_path: Path) -> None:
    second = exposure(tmp_path / "second", "ds-bbbbbbbbbbbbbbbb/1")
    here.provision()
    here.start()
    here.step(StepKind.DATA, data=(*here.data, second))
    assert here.seen().sessions == {here.person}, "a dataset that is added ends nothing"
    here.step(StepKind.DATA, data=(second,))
    assert here.seen().sessions == frozenset()
    assert here.seen().data == {(second.key, second.digest)}


def test_data_whose_files_are_missing_is_not_exposed(here: Place) -> None:
    here.step(StepKind.FOLDERS)
    lost = replace(here.data[0], source=str(here.world.home / "lost"))
    with pytest.raises(Rejected, match="not at their place"):
        here.step(StepKind.DATA, data=(lost,))
    assert here.seen().data == frozenset()


def test_teardown_runs_backwards_and_leaves_nothing(here: Place) -> None:
    here.provision()
    here.start()
    for kind in (
        StepKind.CUT, StepKind.STOP_SESSIONS, StepKind.WITHDRAW_DATA, StepKind.REMOVE_GATE,
        StepKind.REMOVE_FOLDERS, StepKind.UNSEAL,
    ):  # fmt: skip
        here.step(kind, reason="The permit ended.")
        here.step(kind, reason="The permit ended.")
    assert not here.seen().anything
    assert here.cluster.owned() == ()
    assert not here.world.layout.workspace(here.workspace).exists()
    assert Path(here.data[0].source, "table.csv").read_text() == "id,value\n1,2\n"


@pytest.mark.parametrize("kind", [StepKind.REMOVE_FOLDERS, StepKind.UNSEAL])
def test_nothing_is_removed_under_a_running_session(here: Place, kind: StepKind) -> None:
    here.provision()
    here.start()
    with pytest.raises(Rejected, match="Sessions still run"):
        here.step(kind)


def test_the_seal_does_not_go_before_the_data(here: Place) -> None:
    here.provision()
    with pytest.raises(Rejected, match="still exposed"):
        here.step(StepKind.UNSEAL)
    seal = here.seen().seal
    assert seal is not None
    assert seal.holds


def test_a_stray_folder_is_owned_and_can_be_removed(here: Place) -> None:
    (here.world.layout.gates / here.workspace).mkdir(parents=True)
    assert here.cluster.owned() == (here.workspace,)
    here.step(StepKind.REMOVE_GATE)
    assert here.cluster.owned() == ()


def test_a_foreign_folder_is_never_taken_for_a_workspace(here: Place) -> None:
    here.world.layout.workspaces.mkdir()
    (here.world.layout.workspaces / "notes").mkdir()
    assert here.cluster.owned() == ()


def test_after_a_restart_of_everything_the_loop_sees_what_is_missing(here: Place) -> None:
    here.provision()
    here.start()
    here.world.end(signal.SIGKILL)
    here.world.up()
    seen = here.seen()
    assert (seen.folders, seen.gate, seen.places, seen.sessions) == (True, False, frozenset(), frozenset())
    assert seen.data
    assert seen.seal is not None
    here.step(StepKind.GATE, data=here.data, places=here.seat())
    assert here.start()


def test_changed_limits_are_seen_and_hold_for_the_next_session(here: Place) -> None:
    here.provision()
    limits = Limits(memory_bytes=1024**3, daily_bytes=1_000_000)
    here.step(StepKind.GATE, data=here.data, places=here.seat(), limits=limits)
    assert here.seen().limits == limits
    spec = here.sandboxes.specification(here.workspace, here.person, environment={}, base_url="/")
    assert spec.bounds.memory_bytes == 1024**3
    assert status_of_gate(here)["sessions"][0]["daily_bytes"] == 1_000_000


def test_the_gates_files_are_for_this_account_only(here: Place) -> None:
    here.provision()
    folder = here.world.layout.gate(here.workspace)
    assert stat.S_IMODE((folder / "gate.json").stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_silent_supervisor_is_unavailable_and_nothing_is_guessed(here: Place) -> None:
    here.provision()
    here.world.end()
    with pytest.raises(Unavailable):
        here.seen()
    with pytest.raises(Unavailable):
        here.step(StepKind.STOP_SESSIONS)
    with pytest.raises(Unavailable):
        here.sandboxes.poll(here.workspace, here.person)


def test_a_full_disk_is_unavailable_and_leaves_the_record_as_it_was(here: Place) -> None:
    here.provision()
    folder = here.world.layout.workspace(here.workspace)
    folder.chmod(0o500)
    try:
        with pytest.raises(Unavailable):
            here.step(StepKind.DATA, data=())
        assert here.seen().data
    finally:
        folder.chmod(0o700)


def test_a_seal_that_does_not_hold_is_recorded_and_refused(here: Place, tmp_path: Path) -> None:
    """Something is visible that must be absent: the probe looks for it from inside."""
    leaky = place(here.world)
    leaky.cluster._probe = replace(leaky.cluster._probe, absent=("/usr/bin/env",))
    leaky.step(StepKind.FOLDERS)
    with pytest.raises(Rejected, match="foreign-folders"):
        leaky.step(StepKind.SEAL)
    seal = leaky.seen().seal
    assert isinstance(seal, SealReport)
    assert not seal.holds
