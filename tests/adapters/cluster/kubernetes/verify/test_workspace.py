"""The rows of a workspace: all pass where all is as made, and each change is named by its row."""

import copy
from datetime import timedelta
from typing import Any

import pytest

from spe.adapters.cluster.kubernetes import record, view
from spe.adapters.cluster.kubernetes.kinds import (
    CLAIM,
    DEPLOYMENT,
    LIMIT_RANGE,
    NAMESPACE,
    POD,
    POLICY,
    QUOTA,
    ROLE,
    ROLE_BINDING,
    SERVICE,
    SERVICE_ACCOUNT,
    VOLUME,
    Document,
    Kind,
    name_of,
)
from spe.adapters.cluster.kubernetes.site import Storage
from spe.adapters.cluster.kubernetes.verify.finding import State
from spe.adapters.cluster.kubernetes.verify.workspace import ROWS
from spe.ports.cluster import SealReport
from tests.adapters.cluster.kubernetes.objects import NOW, OWN, exposure, site
from tests.adapters.cluster.kubernetes.verify.scene import Change, Scene


def test_where_everything_is_as_made_every_row_passes() -> None:
    findings = Scene().findings()
    assert {f.row: f.seen for f in findings if f.state is not State.PASS} == {}
    assert len(findings) == len(ROWS) > 40


def test_a_workspace_without_pods_and_data_leaves_those_rows_open_and_fails_none() -> None:
    scene = Scene()
    scene.inside[POD], scene.volumes = [], []
    scene.inside[CLAIM] = [c for c in scene.inside[CLAIM] if not name_of(c).startswith("ds-")]
    assert scene.failed() == {}
    open_rows = {f.row for f in scene.findings() if f.state is State.OUTSIDE}
    assert open_rows >= {"B2.1", "B2.17", "B2", "B7.6", "B7.7", "B7.9"}


def _set(kind: Kind, name: str, *path: str | int, to: Any) -> Change:
    def change(scene: Scene) -> None:
        part: Any = scene.one(kind, name)
        for step in path[:-1]:
            part = part[step]
        part[path[-1]] = to

    return change


def _gone(kind: Kind, name: str) -> Change:
    return lambda scene: scene.inside[kind].remove(scene.one(kind, name))


def _more(kind: Kind, **parts: Any) -> Change:
    def change(scene: Scene) -> None:
        document = {"apiVersion": kind.version, "kind": kind.name, "metadata": {"name": "more", "labels": {}}, **parts}
        scene.inside[kind].append(document)

    return change


def _owned(kind: Kind, name: str, fields: Document) -> Change:
    entries = [
        {"manager": "spe", "fieldsV1": {"f:spec": {"f:a": {}}, "f:roleRef": {}, "f:subjects": {}}},
        {"manager": "kubectl", "fieldsV1": fields},
        {"manager": "kube-controller-manager", "subresource": "status", "fieldsV1": {"f:spec": {"f:z": {}}}},
    ]
    return _set(kind, name, "metadata", "managedFields", to=entries)


_OPEN = {"podSelector": {}, "policyTypes": ["Egress"], "egress": [{}]}
_DS = name_of(Scene().volumes[0]).removeprefix(f"{OWN.namespace}-")
_SECURITY = "pod-security.kubernetes.io"

CHANGES: dict[str, tuple[Change, str]] = {
    "weaker Pod Security": (_set(NAMESPACE, "", "metadata", "labels", f"{_SECURITY}/enforce", to="baseline"), "B1.2"),
    "Pod Security of any version": (
        _set(NAMESPACE, "", "metadata", "labels", f"{_SECURITY}/enforce-version", to="latest"), "B1.2"),
    "another instance": (_set(NAMESPACE, "", "metadata", "labels", "spe.local/instance", to="x"), "B1.4"),
    "another permit": (_set(NAMESPACE, "", "metadata", "labels", "spe.local/permit", to="pm-zzzzzzzzzzzzzzzz"), "B1.5"),
    "a namespace on its way out": (
        _set(NAMESPACE, "", "metadata", "deletionTimestamp", to="2030-01-01T00:00:00Z"), "B1.5"),
    "another name": (_set(NAMESPACE, "", "metadata", "name", to="spe-ada-lovelace"), "B1.1"),
    "a policy that somebody else wrote into": (_owned(POLICY, "gate", {"f:spec": {"f:egress": {}}}), "B1.6"),
    "more pods": (_set(QUOTA, "workspace", "spec", "hard", "pods", to="99"), "B1.7"),
    "Secrets allowed": (lambda s: s.one(QUOTA)["spec"]["hard"].pop("count/secrets"), "B1.7"),
    "a second quota": (_more(QUOTA, spec={}), "B1.7"),
    "no quota": (_gone(QUOTA, "workspace"), "B1.7"),
    "larger containers": (_set(LIMIT_RANGE, "", "spec", "limits", 0, "max", "memory", to="999Gi"), "B1.8"),
    "no bounds": (_gone(LIMIT_RANGE, "defaults"), "B1.8"),
    "a token for notebooks": (_set(SERVICE_ACCOUNT, "notebook", "automountServiceAccountToken", to=True), "B1.9"),
    "a token for whoever names no account": (
        _set(SERVICE_ACCOUNT, "default", "automountServiceAccountToken", to=True), "B1.9"),
    "a pull secret": (_set(SERVICE_ACCOUNT, "gate", "imagePullSecrets", to=[{"name": "x"}]), "B1.9"),
    "another account": (_more(SERVICE_ACCOUNT), "B1.9"),
    "another right": (_more(ROLE_BINDING, roleRef={"name": "edit"}, subjects=[]), "B1.10"),
    "a role": (_more(ROLE, rules=[]), "B1.10"),
    "the Hub's right for somebody else": (
        _set(ROLE_BINDING, "hub", "subjects", to=[{"kind": "User", "name": "ada"}]), "B1.10"),
    "another role for the Hub": (_set(ROLE_BINDING, "hub", "roleRef", "name", to="cluster-admin"), "B1.10"),
    "traffic for all": (_set(POLICY, "deny-all", "spec", "egress", to=[{}]), "B4.1"),
    "no deny-all": (_gone(POLICY, "deny-all"), "B4.1"),
    "notebooks reach more": (_set(POLICY, "notebook", "spec", "egress", to=[{}]), "B4.2"),
    "the gate reaches more": (_set(POLICY, "gate", "spec", "egress", to=[{}]), "B4.3"),
    "a policy of somebody else": (_more(POLICY, spec=_OPEN), "B4.4"),
    "a deny-all that can go": (_set(POLICY, "deny-all", "metadata", "finalizers", to=[]), "B4.6"),
    "another image for gates": (
        _set(DEPLOYMENT, "gate", "spec", "template", "spec", "containers", 0, "image", to="x"), "gate"),
    "a gate with more environment": (
        _set(DEPLOYMENT, "gate", "spec", "template", "spec", "containers", 0, "env", to=[{"name": "X", "value": "y"}]),
        "gate"),
    "two gates": (_set(DEPLOYMENT, "gate", "spec", "replicas", to=2), "gate"),
    "another Deployment": (_more(DEPLOYMENT, spec={}), "gate"),
    "a Service of others": (_more(SERVICE, spec={}), "gate"),
    "a gate's Service with other pods": (_set(SERVICE, "gate", "spec", "selector", to={"a": "b"}), "gate"),
    "a Service that is open to the world": (_set(SERVICE, "gate", "spec", "type", to="LoadBalancer"), "gate"),
    "a claim of others": (_more(CLAIM, spec={}), "claims"),
    "a claim filled from another": (_set(CLAIM, "shared", "spec", "dataSource", to={"name": "x"}), "claims"),
    "a Secret": (_set(QUOTA, "workspace", "status", "used", "count/secrets", to="1"), "secrets"),
    "a quota that counts no Secrets": (_set(QUOTA, "workspace", "status", to={}), "secrets"),
    "a volume to write": (_set(VOLUME, "", "spec", "accessModes", to=["ReadWriteMany"]), "B7.6"),
    "a driver's volume to write": (_set(VOLUME, "", "spec", "csi", "readOnly", to=False), "B7.6"),
    "a volume that takes its bytes along": (
        _set(VOLUME, "", "spec", "persistentVolumeReclaimPolicy", to="Delete"), "B7.6"),
    "a volume of another claim": (_set(VOLUME, "", "spec", "claimRef", "uid", to="another"), "B7.6"),
    "a volume that is a folder of the node": (_set(VOLUME, "", "spec", "hostPath", to={"path": "/"}), "B7.6"),
    "a volume of a storage class": (_set(VOLUME, "", "spec", "storageClassName", to="fast"), "B7.6"),
    "a dataset's claim to write": (_set(CLAIM, _DS, "spec", "accessModes", to=["ReadWriteOnce"]), "B7.7"),
    "a dataset's claim of another volume": (_set(CLAIM, _DS, "spec", "volumeName", to="x"), "B7.7"),
    "other bytes than the claim says": (
        _set(VOLUME, "", "metadata", "annotations", "spe.local/digest", to="sha256:" + "9" * 64), "B7.9"),
    "another dataset under this claim": (
        _set(CLAIM, _DS, "metadata", "annotations", "spe.local/dataset", to="ds-eeeeeeeeeeeeeeee/1"), "B7.9"),
    "a pod of somebody": (_more(POD, spec={"containers": [{}]}, status={"phase": "Running"}), "B2"),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_each_change_is_named_by_its_row(name: str) -> None:
    change, row = CHANGES[name]
    scene = Scene()
    change(scene)
    assert row in scene.failed(), scene.failed()


def test_a_remedy_stands_beside_every_failure_and_nowhere_else() -> None:
    scene = Scene()
    CHANGES["no deny-all"][0](scene)
    for finding in scene.findings():
        assert bool(finding.remedy) == (finding.state is State.FAIL)


@pytest.mark.parametrize("kind", [POLICY, QUOTA, SERVICE_ACCOUNT, ROLE, CLAIM, POD, VOLUME, DEPLOYMENT, NAMESPACE])
def test_what_cannot_be_read_fails_and_says_so(kind: Kind) -> None:
    scene = Scene()
    scene.troubles[kind] = "The cluster refused: forbidden"
    told = [f for f in scene.findings() if f.state is State.FAIL]
    assert told
    assert all(f.seen == f"could not look: {kind.plural}: The cluster refused: forbidden" for f in told)
    needing = {row.id for row in ROWS if kind in row.needs}
    assert {f.row for f in told} == needing


def test_a_workspace_that_went_away_meanwhile_is_not_called_well() -> None:
    scene = Scene()
    place = scene.place()
    from dataclasses import replace

    from spe.adapters.cluster.kubernetes.verify.examine import of_workspaces

    gone = replace(place, seen=replace(place.seen, namespace=None, inside={}, volumes=()), pods=())
    assert not [f for f in of_workspaces([gone]) if f.state is State.PASS and f.row in {"B1.2", "B1.7", "B4.1", "B4.7"}]


# -- the seal


def _noted(scene: Scene, **changes: Any) -> None:
    noted = dict(record.seal_noted(scene.namespace))
    scene.note(record.SEAL, {**noted, **changes})


def test_a_seal_that_was_looked_at_long_ago_fails_while_the_gate_is_awake() -> None:
    scene = Scene()
    _noted(scene, at=(NOW - timedelta(hours=7)).isoformat())
    assert {"B4.7"} == set(scene.failed())


def test_a_seal_may_be_old_while_the_gate_rests() -> None:
    scene = Scene()
    _noted(scene, at=(NOW - timedelta(hours=700)).isoformat())
    scene.one(DEPLOYMENT, "gate")["spec"]["replicas"] = 0
    scene.one(DEPLOYMENT, "gate")["metadata"]["annotations"] = {}
    assert "B4.7" not in scene.failed()


def test_a_seal_that_is_broken_or_about_something_else_fails() -> None:
    scene = Scene()
    report = SealReport(holds=False, attempts={"door": "answered", "tcp:10.0.0.9:443": "open"})
    shape = view.seal_shape(scene.site, OWN)
    scene.note(record.SEAL, record.seal_note(report, shape=shape, now=NOW))
    assert "tcp:10.0.0.9:443 (open)" in scene.failed()["B4.7"]
    other = Scene()
    _noted(other, shape="sha256:another")
    assert "not looked yet" in other.failed()["B4.7"]


def test_a_place_that_no_probe_tried_is_named() -> None:
    scene = Scene()
    attempts = dict(record.seal_noted(scene.namespace)["attempts"])
    del attempts["tcp:10.0.0.9:443"]
    _noted(scene, attempts=attempts)
    assert scene.failed()["B4.10"] == "tcp:10.0.0.9:443 was not tried"


# -- volumes that only some clusters may have


def test_a_folder_of_the_node_is_a_dataset_only_where_the_settings_allow_it() -> None:
    allowed = Scene(site(storage=Storage(host_folders=True)))
    volume = allowed.volumes[0]
    volume["spec"] = {**volume["spec"], "hostPath": {"path": "/data"}}
    del volume["spec"]["csi"]
    assert "B7.6" not in allowed.failed()
    refused = Scene()
    refused.volumes = [copy.deepcopy(volume)]
    refused.volumes[0]["spec"]["claimRef"]["uid"] = refused.one(CLAIM, _DS)["metadata"]["uid"]
    assert "folder of the node" in refused.failed()["B7.6"]
    assert exposure().key
