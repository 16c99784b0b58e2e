"""What the adapter writes for others to read fits what they read; what it reads back broken is taken for nothing."""

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from spe.adapters.cluster.kubernetes import gatewords, record
from spe.adapters.cluster.kubernetes.discover import endpoints_of, places_of
from spe.adapters.cluster.kubernetes.features import features_of
from spe.adapters.cluster.kubernetes.names import Names, data_claim, owner_of
from spe.adapters.cluster.kubernetes.sealing import failures, judge, last_words
from spe.adapters.cluster.kubernetes.sessions import exit_of, reason_of, words_of
from spe.adapters.cluster.kubernetes.trouble import Absent, Conflict, trouble_of
from spe.adapters.cluster.kubernetes.view import seal_made, seal_shape
from spe.domain.dataset import Guarantee
from spe.domain.errors import Rejected, Unavailable
from spe.domain.ids import WorkspaceId
from spe.domain.permit import Limits
from spe.gate.config import Settled
from spe.gate.configuration import parse_configuration
from spe.ports.cluster import SealReport, SessionPlace
from tests.adapters.cluster.kubernetes.objects import FEATURES, NOW, OWN, PERMIT, PERSON, WORKSPACE, site

# -- the gate


def test_a_gate_understands_what_it_is_told() -> None:
    place = SessionPlace(person=PERSON, name="Ada\x07 Lovelace", expires=NOW)
    document = gatewords.everything(site(), OWN, permit=PERMIT, limits=Limits(daily_bytes=7), places=(place,))
    settled = Settled(workspace=WORKSPACE, token="t" * 40, portal="http://10.0.0.1:9001", state=Path("/var/lib/gate"))
    read = parse_configuration(json.loads(json.dumps(document)), settled)
    assert read.places == [PERSON]
    assert read.gate.permit == PERMIT
    assert read.gate.hub == "http://10.0.0.2:8081"
    assert read.wanted.sessions[PERSON][0].daily_bytes == 7


# -- names


def test_an_instance_or_a_workspace_that_is_none_makes_no_names() -> None:
    for instance, workspace in (("Spe", WORKSPACE), ("spe", "ws-1"), ("", WORKSPACE), ("s/pe", WORKSPACE)):
        with pytest.raises(ValueError, match="neither"):
            Names(instance=instance, workspace=WorkspaceId(workspace))


def test_names_fit_the_cluster_at_their_longest() -> None:
    longest = Names(instance="s" * 40, workspace=WORKSPACE)
    assert len(longest.namespace) <= 63
    assert len(longest.volume("x" * 300)) <= 253
    assert data_claim("ds-a/1") != data_claim("ds-a/2")


def looks(kind: str, name: str, **labels: str) -> dict[str, Any]:
    return {"kind": kind, "metadata": {"name": name, "labels": labels}}


OURS = {"app.kubernetes.io/managed-by": "spe", "spe.local/instance": "spe", "spe.local/workspace": WORKSPACE}


@pytest.mark.parametrize(
    ("document", "owner"),
    [
        (looks("Namespace", f"spe-{WORKSPACE}", **OURS), WORKSPACE),
        (looks("PersistentVolume", f"spe-{WORKSPACE}-ds-0123456789ab", **OURS), WORKSPACE),
        (looks("Namespace", f"spe-{WORKSPACE}"), None),
        (looks("Namespace", "elsewhere", **OURS), None),
        (looks("Namespace", f"spe-{WORKSPACE}", **{**OURS, "app.kubernetes.io/managed-by": "helm"}), None),
        (looks("Namespace", f"spe-{WORKSPACE}", **{**OURS, "spe.local/instance": "other"}), None),
        (looks("Namespace", f"spe-{WORKSPACE}", **{**OURS, "spe.local/workspace": "ws-x"}), None),
        (looks("PersistentVolume", f"spe-{WORKSPACE}", **OURS), None),
    ],
)
def test_a_look_alike_is_not_ours(document: dict[str, Any], owner: str | None) -> None:
    assert owner_of(document, "spe") == owner


# -- notes


def noted(**values: Any) -> dict[str, Any]:
    return {"metadata": {"annotations": {name: json.dumps(value) for name, value in values.items()}}}


SEALED = SealReport(holds=True, attempts={"door": "answered"})


def seal(namespace: dict[str, Any], **changes: Any) -> SealReport:
    return record.seal_of(namespace, **{"shape": "s", "within": timedelta(hours=6), "now": NOW, **changes})


def test_a_seal_counts_for_its_shape_and_for_a_time() -> None:
    namespace = noted(**{record.SEAL: record.seal_note(SEALED, shape="s", now=NOW)})
    assert seal(namespace) == SEALED
    assert not seal(namespace, shape="another").holds
    assert not seal(namespace, now=NOW + timedelta(hours=7)).holds
    assert not seal(namespace, now=NOW - timedelta(hours=1)).holds
    assert seal(namespace, now=NOW + timedelta(days=7), within=None).holds


def test_a_seal_counts_for_a_process_that_saw_the_cluster_at_another_time() -> None:
    """Else a node or an address that came between two starts would keep every session from starting."""
    earlier, later = site(), site(forbidden=("tcp:10.0.0.9:443",), features=replace(FEATURES, apparmor=True))
    namespace = noted(**{record.SEAL: record.seal_note(SEALED, shape=seal_shape(later, OWN), now=NOW)})
    assert seal(namespace, shape=seal_made(earlier, OWN)) == SEALED
    assert not seal(namespace, shape=seal_shape(earlier, OWN)).holds
    changed = replace(earlier, runtime_class="runsc")
    assert not seal(namespace, shape=seal_made(changed, OWN)).holds
    assert not seal(namespace, shape="").holds


@pytest.mark.parametrize("at", ["", "soon", "2030-01-01T12:00:00"])
def test_an_end_that_cannot_be_read_is_none(at: str) -> None:
    assert record.expires_of(noted(**{record.EXPIRES: {"at": at}})) is None


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '{"holds": true}', '{"holds": true, "shape": "s", "attempts": {}, "at": "soon"}']
)
def test_a_broken_note_is_no_seal(text: str) -> None:
    assert not seal({"metadata": {"annotations": {record.SEAL: text}}}).holds


def test_limits_and_room_come_back_as_they_were_noted() -> None:
    room = record.Room(limits=Limits(cpu=0.5), people=3)
    namespace = noted(**{record.ROOM: record.room_note(room), record.LIMITS: record.limits_note(Limits(cpu=2))})
    assert record.room_of(namespace) == room
    assert record.limits_of(namespace) == Limits(cpu=2)
    assert record.limits_of(noted(**{record.LIMITS: {"gold": 1}})) is None
    assert record.room_of({"metadata": {}}) is None


# -- the probe's report

FORBIDDEN = ["tcp:10.0.0.3:8083", "tcp:10.0.0.9:443"]
STOPPED = dict.fromkeys(FORBIDDEN, "stopped: timed out")


def test_a_seal_holds_when_the_door_answered_and_everything_was_stopped() -> None:
    report = judge({"sealed": True, "attempts": {"door": "answered", **STOPPED}}, FORBIDDEN)
    assert report.holds


@pytest.mark.parametrize(
    "found",
    [
        {"sealed": False, "attempts": {"door": "answered", **STOPPED}},
        {"sealed": True, "attempts": {"door": "no answer", **STOPPED}},
        {"sealed": True, "attempts": {**STOPPED}},
        {"sealed": True, "attempts": {"door": "answered"}},
        {"sealed": True, "attempts": {"door": "answered", FORBIDDEN[0]: "stopped: x"}},
        {"sealed": True, "attempts": {"door": "answered", **STOPPED, FORBIDDEN[1]: "PASSED: connected"}},
    ],
)
def test_a_report_that_leaves_anything_open_or_out_is_no_seal(found: dict[str, Any]) -> None:
    report = judge(found, FORBIDDEN)
    assert not report.holds
    assert set(report.attempts) == {"door", *FORBIDDEN}


def test_only_what_went_wrong_is_told() -> None:
    report = judge({"sealed": False, "attempts": {"door": "answered", **STOPPED, FORBIDDEN[1]: "PASSED"}}, FORBIDDEN)
    assert failures(report) == "tcp:10.0.0.9:443 (PASSED)"


@pytest.mark.parametrize("message", ["", "killed", "[]", '{"sealed": true}'])
def test_a_probe_without_a_report_says_nothing_about_the_seal(message: str) -> None:
    ended = {"status": {"containerStatuses": [{"state": {"terminated": {"message": message}}}]}}
    with pytest.raises(Unavailable):
        last_words(ended)


# -- answers of the API server


@pytest.mark.parametrize("status", [401, 408, 410, 429, 500, 502, 503, 504])
def test_no_answer_is_unavailable(status: int) -> None:
    error = trouble_of(status, {})
    assert isinstance(error, Unavailable)
    assert not isinstance(error, Absent | Conflict)


@pytest.mark.parametrize("status", [400, 403, 405, 413, 422])
def test_a_no_is_a_no(status: int) -> None:
    assert isinstance(trouble_of(status, {"message": "no"}), Rejected)


def test_what_changed_meanwhile_or_is_going_is_tried_again() -> None:
    assert isinstance(trouble_of(404, {}), Absent)
    assert isinstance(trouble_of(409, {"reason": "Conflict"}), Conflict)
    going = {"details": {"causes": [{"reason": "NamespaceTerminating"}]}}
    assert isinstance(trouble_of(403, going), Unavailable)
    assert isinstance(trouble_of(403, {"message": "exceeded quota: workspace"}), Unavailable)


# -- what the cluster can do


def node(**changes: Any) -> dict[str, Any]:
    features = {"recursiveReadOnlyMounts": True, "userNamespaces": True}
    status = {
        "conditions": [{"type": "Ready", "status": "True", "message": "kubelet is ready. AppArmor enabled"}],
        "features": {"supplementalGroupsPolicy": True},
        "runtimeHandlers": [{"name": "", "features": features}, {"name": "runsc", "features": {}}],
    }
    return {"metadata": {"name": "n"}, "spec": {}, "status": {**status, **changes}}


VERSION = {"major": "1", "minor": "36+"}


def test_a_guarantee_counts_only_when_every_node_gives_it() -> None:
    able = features_of(VERSION, [node(), node()])
    assert able.version == (1, 36)
    assert able.recursive_read_only
    assert able.apparmor
    assert {Guarantee.READ_ONLY_DATA, Guarantee.USER_NAMESPACE, Guarantee.NO_NETWORK} <= able.guarantees
    mixed = features_of(VERSION, [node(), node(runtimeHandlers=[], features=None)])
    assert not mixed.recursive_read_only
    assert not mixed.strict_groups
    assert Guarantee.READ_ONLY_DATA not in mixed.guarantees


def test_a_node_that_takes_no_pods_does_not_count() -> None:
    drained = {**node(runtimeHandlers=[]), "spec": {"unschedulable": True}}
    down = node(runtimeHandlers=[], conditions=[{"type": "Ready", "status": "Unknown"}])
    assert features_of(VERSION, [node(), drained, down]).recursive_read_only
    with pytest.raises(Unavailable):
        features_of(VERSION, [drained, down])


def test_another_runtime_is_another_kernel_and_has_its_own_abilities() -> None:
    found = features_of(VERSION, [node()], handler="runsc")
    assert Guarantee.SEPARATE_KERNEL in found.guarantees
    assert not found.recursive_read_only


def test_a_cluster_that_is_too_old_is_refused() -> None:
    with pytest.raises(Rejected, match="too old"):
        features_of({"major": "1", "minor": "29"}, [node()])
    with pytest.raises(Unavailable):
        features_of({}, [node()])


def test_places_are_written_as_the_probe_reads_them() -> None:
    ports = [{"port": 53, "protocol": "UDP"}, {"port": 443}]
    assert places_of({"spec": {"clusterIP": "10.0.0.1", "ports": ports}}) == ["udp:10.0.0.1:53", "tcp:10.0.0.1:443"]
    assert places_of({"spec": {"clusterIP": "None", "ports": ports}}) == []
    slices = {"addressType": "IPv6", "endpoints": [{"addresses": ["fd00::1"]}], "ports": [{"port": 6443}]}
    assert endpoints_of(slices) == ["tcp:[fd00::1]:6443"]


# -- how a session ended


def ended(reason: str = "", code: int = 1, message: str = "", **status: Any) -> dict[str, Any]:
    state = {"terminated": {"exitCode": code, "reason": reason, "message": message}}
    return {"status": {"containerStatuses": [{"state": state}], **status}}


def test_an_end_is_told_in_a_sentence_where_the_cluster_made_it() -> None:
    assert "more memory" in reason_of(ended("OOMKilled", 137))
    assert "longest time" in reason_of({"status": {"reason": "DeadlineExceeded"}})
    assert reason_of(ended("Error")) == ""
    assert exit_of(ended(code=7)) == 7
    assert words_of(ended(message="last words")) == "last words"
    assert exit_of({"status": {}}) is None


def test_facts_of_a_site_cannot_be_changed_in_place() -> None:
    with pytest.raises(AttributeError):
        site().instance = "other"  # type: ignore[misc]
    assert replace(site(), instance="other").instance == "other"
