"""Pods that run, compared with those that are meant: what must not get in is noticed when it got in all the same."""

import copy
from typing import Any

import pytest

from spe.adapters.cluster.kubernetes.kinds import CLAIM, POD, name_of
from spe.adapters.cluster.kubernetes.names import PART, PERMIT
from tests.adapters.cluster.kubernetes.objects import exposure
from tests.adapters.cluster.kubernetes.verify.scene import Scene
from tests.support import forbidden


def _failed(scene: Scene) -> dict[str, str]:
    return {row: seen for row, seen in scene.failed().items() if row.startswith("B2")}


# A network plug-in annotates pods, and every pod that runs has a node: who gave them can be seen no more.
UNSEEN = {"an annotation", "a node of its choice"}


@pytest.mark.parametrize("name", [name for name, _, _ in forbidden.PODS if name not in UNSEEN])
def test_every_pod_that_must_not_get_in_is_noticed_when_it_runs(name: str) -> None:
    scene = Scene()
    next(change for title, change, _ in forbidden.PODS if title == name)(scene.notebook)
    assert _failed(scene), name


ROWS: dict[str, tuple[tuple[str | int, ...], Any]] = {
    "B2.1": (("spec", "runtimeClassName"), "fast"),
    "B2.2": (("spec", "hostUsers"), True),
    "B2.3": (("spec", "hostNetwork"), True),
    "B2.4": (("spec", "automountServiceAccountToken"), True),
    "B2.5": (("spec", "enableServiceLinks"), True),
    "B2.6": (("spec", "dnsPolicy"), "ClusterFirst"),
    "B2.7": (("spec", "securityContext", "runAsUser"), 0),
    "B2.8": (("spec", "containers", 0, "securityContext", "privileged"), True),
    "B2.9": (("spec", "containers", 0, "volumeMounts", 5, "recursiveReadOnly"), "Disabled"),
    "B2.10": (("spec", "volumes", 0, "persistentVolumeClaim", "claimName"), "gate"),
    "B2.11": (("spec", "containers", 0, "image"), "localhost/elsewhere"),
    "B2.12": (("spec", "containers", 0, "resources", "limits", "memory"), "999Gi"),
    "B2.13": (("spec", "tolerations"), [{"operator": "Exists"}]),
    "B2.14": (("spec", "activeDeadlineSeconds"), 100_000),
    "B2.15": (("spec", "restartPolicy"), "Always"),
    "B2.16": (("spec", "terminationGracePeriodSeconds"), 86400),
    "B2.17": (("spec", "containers", 0, "lifecycle"), {"postStart": {"exec": {"command": ["true"]}}}),
    "B2": (("metadata", "labels", "spe.local/person"), "p-zzzzzzzzzzzzzzzz"),
}


@pytest.mark.parametrize("row", ROWS)
def test_a_field_is_named_by_its_row(row: str) -> None:
    path, value = ROWS[row]
    scene = Scene()
    part: Any = scene.notebook
    for step in path[:-1]:
        part = part[step]
    part[path[-1]] = value
    assert row in _failed(scene), _failed(scene)
    assert name_of(scene.notebook) in _failed(scene)[row]


def test_of_two_pods_the_wrong_one_is_named() -> None:
    scene = Scene()
    other = copy.deepcopy(scene.notebook)
    other["metadata"]["name"] = other["metadata"]["name"].replace("-1", "-2")
    other["spec"]["enableServiceLinks"] = True
    scene.inside[POD].append(other)
    assert _failed(scene) == {"B2.5": f"pod {name_of(other)}: differs at spec.enableServiceLinks"}


def _gate(scene: Scene) -> Any:
    return scene.inside[POD][1]


GATES: dict[str, tuple[tuple[str | int, ...], Any, str]] = {
    "another image": (("spec", "containers", 0, "image"), "x", "B2.11"),
    "a command": (("spec", "containers", 0, "command"), ["sh"], "B2"),
    "a variable more": (("spec", "containers", 0, "env"), [{"name": "PYTHONPATH", "value": "/tmp"}], "B2"),
    "a token for the API server": (
        ("spec", "volumes", 0, "projected", "sources", 0, "serviceAccountToken", "audience"), "", "B2.10"),
    "a container beside it": (("spec", "initContainers"), [{"name": "x", "image": "x"}], "B2"),
}  # fmt: skip


@pytest.mark.parametrize("name", GATES)
def test_a_gate_that_is_not_as_made_is_noticed(name: str) -> None:
    path, value, row = GATES[name]
    scene = Scene()
    part = _gate(scene)
    for step in path[:-1]:
        part = part[step]
    part[path[-1]] = value
    assert row in _failed(scene), _failed(scene)


def test_a_probe_with_a_volume_or_under_another_name_is_noticed() -> None:
    scene = Scene()
    scene.inside[POD][2]["spec"]["volumes"] = [{"name": "x", "emptyDir": {}}]
    assert "B2.10" in _failed(scene)
    named = Scene()
    named.inside[POD][2]["metadata"]["name"] = "seal-probe-2"
    assert "neither notebook nor gate nor probe" in _failed(named)["B2"]


def test_a_notebook_that_says_it_is_a_probe_is_noticed() -> None:
    scene = Scene()
    scene.notebook["metadata"]["labels"][PART] = "probe"
    assert "B2" in _failed(scene)


def test_a_session_of_another_permit_is_noticed() -> None:
    scene = Scene()
    scene.notebook["metadata"]["labels"][PERMIT] = "pm-zzzzzzzzzzzzzzzz"
    assert "another permit" in _failed(scene)["B2"]


def test_a_session_that_still_shows_withdrawn_data_is_noticed() -> None:
    scene = Scene()
    scene.inside[CLAIM] = [c for c in scene.inside[CLAIM] if not name_of(c).startswith("ds-")]
    scene.volumes = []
    assert "data that was withdrawn" in _failed(scene)["B2.10"]


def test_a_session_from_before_a_dataset_was_granted_is_no_fault() -> None:
    scene = Scene()
    spec = scene.notebook["spec"]
    spec["volumes"] = [v for v in spec["volumes"] if not v["name"].startswith("ds-")]
    spec["containers"][0]["volumeMounts"] = [
        m for m in spec["containers"][0]["volumeMounts"] if not m["mountPath"].startswith(exposure().mount)
    ]
    assert _failed(scene) == {}


def test_a_probe_that_was_told_to_try_less_is_noticed() -> None:
    scene = Scene()
    command = scene.notebook["spec"]["initContainers"][0]["command"]
    command.remove("tcp:10.0.0.9:443")
    assert "did not try tcp:10.0.0.9:443" in " ".join(_failed(scene).values())


def test_a_pod_that_has_ended_is_not_judged() -> None:
    scene = Scene()
    scene.notebook["spec"]["enableServiceLinks"] = True
    scene.notebook["status"]["phase"] = "Succeeded"
    assert _failed(scene) == {}
