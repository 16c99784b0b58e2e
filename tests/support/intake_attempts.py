"""What a portal that was taken over might make where datasets are looked at, and the rules against it.

One description serves twice: it is evaluated without an API server, and sent to a real one.
"""

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from spe.adapters.cluster.kubernetes.objects import intake
from spe.adapters.cluster.kubernetes.objects.data import place_of
from spe.adapters.cluster.kubernetes.site import Site
from tests.support.forbidden import Change, _add, _both, _drop, _set

PORTAL, MANAGER, HUB, ADMIN = "portal", "reconciler", "hub", "an administrator"
Document = dict[str, Any]
ID = "0123456789ab"
_C: tuple[str | int, ...] = ("spec", "containers", 0)
_V: tuple[str | int, ...] = ("spec", "volumes", 0)
_M = (*_C, "volumeMounts", 0)
_CLAIM_OF_HOME = {"kind": "PersistentVolumeClaim", "namespace": "spe-ws-aaaaaaaaaaaaaaaa", "name": "home-p-b"}


@dataclass(frozen=True, kw_only=True)
class Look:
    """The three objects of one run as the portal makes them."""

    site: Site
    source: str = "nfs://files.example.org/cohort"

    @property
    def run(self) -> intake.Run:
        return intake.Run(instance=self.site.instance, id=ID)

    def volume(self, source: str = "") -> Document:
        place = place_of(self.site, source or self.source)
        assert place is not None
        return intake.volume(self.run, place)

    def claim(self) -> Document:
        return intake.claim(self.run)

    def pod(self) -> Document:
        return intake.pod(self.site, self.run)

    @property
    def namespace(self) -> Document:
        labels = {"pod-security.kubernetes.io/enforce": "restricted"}
        return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.run.namespace, "labels": labels}}


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One object that must not get in; `plural` says where it is sent."""

    name: str
    by: str
    plural: str
    body: Document
    rules: frozenset[str]

    def __str__(self) -> str:
        return f"{self.name} by {self.by}"


VOLUMES: tuple[tuple[str, Change, str], ...] = (
    ("a volume of another name", _set("metadata", "name", to="spare"), "I02 I03"),
    ("a volume for a home", _set("spec", "claimRef", to=_CLAIM_OF_HOME), "I03"),
    ("a volume for any claim", _drop("spec", "claimRef"), "I03"),
    ("a volume for another run's claim", _set("spec", "claimRef", "name", to="run-ffffffffffff"), "I03"),
    ("a volume without labels", _drop("metadata", "labels"), "I02"),
    ("a volume that says it is of a workspace",
     _set("metadata", "labels", "spe.local/workspace", to="ws-aaaaaaaaaaaaaaaa"), "I02"),
    ("a volume of another instance", _set("metadata", "labels", "spe.local/intake", to="other"), "I02"),
    ("a volume to write", _set("spec", "accessModes", to=["ReadWriteMany"]), "I03"),
    ("a volume to read and write", _add("spec", "accessModes", item="ReadWriteOnce"), "I03"),
    ("a volume that is deleted with its data", _set("spec", "persistentVolumeReclaimPolicy", to="Delete"), "I03"),
    ("a volume of a class", _set("spec", "storageClassName", to="fast"), "I03"),
    ("a block device", _set("spec", "volumeMode", to="Block"), "I03"),
    ("a mount to write", _set("spec", "mountOptions", to=["rw"]), "I03"),
    ("a file server to write", _drop("spec", "nfs", "readOnly"), "I04"),
    ("a volume of a node's own disk",
     _both(_drop("spec", "nfs"), _set("spec", "local", to={"path": "/"}),
           _set("spec", "nodeAffinity", to={"required": {"nodeSelectorTerms": [{"matchExpressions": [
               {"key": "kubernetes.io/hostname", "operator": "Exists"}]}]}})), "I04"),
    ("the top of a node", _both(_drop("spec", "nfs"), _set("spec", "hostPath", to={"path": "/", "type": "Directory"})),
     "I04"),
    ("a folder that is made on a node",
     _both(_drop("spec", "nfs"), _set("spec", "hostPath", to={"path": "/srv/x", "type": "DirectoryOrCreate"})), "I04"),
    ("a driver's volume to write",
     _both(_drop("spec", "nfs"), _set("spec", "csi", to={"driver": "x.example", "volumeHandle": "y"})), "I04"),
    ("a driver's volume with somebody's Secret",
     _both(_drop("spec", "nfs"), _set("spec", "csi", to={"driver": "x.example", "volumeHandle": "y", "readOnly": True,
           "nodePublishSecretRef": {"name": "database", "namespace": "spe"}})), "I04"),
)  # fmt: skip

CLAIMS: tuple[tuple[str, Change, str], ...] = (
    ("a claim to write", _set("spec", "accessModes", to=["ReadWriteMany"]), "I11"),
    ("a claim of another volume", _set("spec", "volumeName", to="somebody-elses"), "I11"),
    ("a claim of any volume", _drop("spec", "volumeName"), "I11"),
    ("a claim of the default class", _drop("spec", "storageClassName"), "I11"),
    ("a claim of another name", _set("metadata", "name", to="more"), "I11"),
    ("a copy of another claim", _set("spec", "dataSource", to={"kind": "PersistentVolumeClaim", "name": "x"}), "I11"),
)

PODS: tuple[tuple[str, Change, str], ...] = (
    ("a pod of another name", _set("metadata", "name", to="more"), "I06"),
    ("a gate", _set("metadata", "labels", "spe.local/role", to="gate"), "I06"),
    ("a pod of the portal", _set("metadata", "labels", "app.kubernetes.io/component", to="portal"), "I06"),
    ("a pod that stays", _set("metadata", "finalizers", to=["x.example/stay"]), "I06"),
    ("two containers", _add("spec", "containers", item={"name": "more", "image": "x"}), "I07 I08 "),
    ("something that runs before", _set("spec", "initContainers", to=[{"name": "more", "image": "x"}]), "I07 "),
    ("the node's network", _set("spec", "hostNetwork", to=True), "I07 "),
    ("the node's processes", _set("spec", "hostPID", to=True), "I07 "),
    ("a chosen node", _set("spec", "nodeName", to="one"), "I07"),
    ("a pod that is made again", _set("spec", "restartPolicy", to="Always"), "I07"),
    ("a pod without an end", _drop("spec", "activeDeadlineSeconds"), "I07"),
    ("an account's token", _set("spec", "automountServiceAccountToken", to=True), "I07 I09"),
    ("another account", _set("spec", "serviceAccountName", to="portal"), "I07 "),
    ("the cluster's names", _both(_set("spec", "dnsPolicy", to="ClusterFirst"), _drop("spec", "dnsConfig")), "I07"),
    ("another user", _set("spec", "securityContext", "runAsUser", to=1001), "I07"),
    ("another image", _set(*_C, "image", to=f"localhost/spe/elsewhere@sha256:{'0' * 64}"), "I08"),
    ("another program", _set(*_C, "command", to=["cat", "/data/persons.csv"]), "I08"),
    ("words for the program", _set(*_C, "args", to=["/"]), "I08"),
    ("the image's own program", _drop(*_C, "command"), "I08"),
    ("a variable", _set(*_C, "env", to=[{"name": "PYTHONSTARTUP", "value": "/data/x.py"}]), "I08"),
    ("a folder to start in", _set(*_C, "workingDir", to="/data"), "I08"),
    ("a program after the start", _set(*_C, "lifecycle", to={"postStart": {"exec": {"command": ["true"]}}}), "I08"),
    ("a writable image", _set(*_C, "securityContext", "readOnlyRootFilesystem", to=False), "I08"),
    ("no bounds", _set(*_C, "resources", to={}), "I08 "),
    ("a claim to write", _drop(*_V, "persistentVolumeClaim", "readOnly"), "I09"),
    ("another run's claim", _set(*_V, "persistentVolumeClaim", "claimName", to="run-ffffffffffff"), "I09"),
    ("one more volume", _add("spec", "volumes", item={"name": "more", "emptyDir": {}}), "I09"),
    ("a Secret", _set(*_V, to={"name": "source", "secret": {"secretName": "x"}}), "I09"),
    ("a folder of the node", _set(*_V, to={"name": "source", "hostPath": {"path": "/"}}), "I09 "),
    ("a mount to write", _both(_drop(*_M, "readOnly"), _drop(*_M, "recursiveReadOnly")), "I09"),
    ("writable mounts below", _drop(*_M, "recursiveReadOnly"), "I09"),
    ("a mount elsewhere", _set(*_M, "mountPath", to="/opt/venv"), "I09"),
    ("a part of the volume", _set(*_M, "subPath", to="x"), "I09"),
)


def attempts(look: Look) -> Iterator[Attempt]:
    """Everything wrong from the portal; everything right from anybody else."""
    for plural, made, changes in (
        ("persistentvolumes", look.volume(), VOLUMES),
        ("persistentvolumeclaims", look.claim(), CLAIMS),
        ("pods", look.pod(), PODS),
    ):
        for name, change, rules in changes:
            body = copy.deepcopy(made)
            change(body)
            # A blank at the end: others may refuse it before our rules are asked.
            known = frozenset(rules.split()) | ({""} if rules.endswith(" ") else frozenset())
            yield Attempt(name=name, by=PORTAL, plural=plural, body=body, rules=known)
    for by in (HUB, ADMIN):
        # The Hub has no right to make most of them in the first place.
        before = {""} if by == HUB else set()
        for name, plural, body, rule in (
            ("a volume", "persistentvolumes", look.volume(), "I01"),
            ("a claim", "persistentvolumeclaims", look.claim(), "I10"),
            ("a pod", "pods", look.pod(), "I05"),
        ):
            yield Attempt(name=name, by=by, plural=plural, body=body, rules=frozenset({rule} | before))
