"""What one look at a dataset's source takes: a volume that can only be read, its claim, and a pod that hashes (B7).

All of it is in a namespace of its own, in which no pod has a network. The admission policies know these shapes: an
account that may make them can make nothing else of them.
"""

import secrets
from dataclasses import dataclass, field

from spe.adapters.cluster.intake import PLACE
from spe.adapters.cluster.kubernetes.kinds import Document, labels_of
from spe.adapters.cluster.kubernetes.names import MANAGED_BY, MANAGER
from spe.adapters.cluster.kubernetes.objects.containers import bounded, locked
from spe.adapters.cluster.kubernetes.objects.quota import DATA_BYTES, INTAKE_SHARE
from spe.adapters.cluster.kubernetes.site import Site

INTAKE = "spe.local/intake"
"""Label with the installation's name. Not the one of workspaces: nothing here is part of one."""

RUN = "spe.local/run"
COMMAND = ("python", "-I", "-m", "spe.adapters.cluster.intake")
_READ_ONLY = ["ReadOnlyMany"]
_SOURCE = "source"


def namespace_of(instance: str) -> str:
    """Where sources are read; the chart makes it."""
    return f"{instance}-intake"


def everything(instance: str) -> dict[str, str]:
    """Labels by which everything of every run is found."""
    return {MANAGED_BY: MANAGER, INTAKE: instance}


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """The names of one run; the id is drawn, so that two never meet."""

    instance: str
    id: str = field(default_factory=lambda: secrets.token_hex(6))

    @property
    def namespace(self) -> str:
        """Where claim and pod are."""
        return namespace_of(self.instance)

    @property
    def name(self) -> str:
        """Of claim and pod."""
        return f"run-{self.id}"

    @property
    def volume(self) -> str:
        """Of the volume, which has no namespace."""
        return f"{self.namespace}-{self.name}"

    @property
    def labels(self) -> dict[str, str]:
        """What everything of the run carries."""
        return {**everything(self.instance), RUN: self.id}

    def owns(self, document: Document) -> bool:
        """Whether an object says that it is of this run."""
        found = labels_of(document)
        return all(found.get(name) == value for name, value in self.labels.items())


def volume(run: Run, place: Document) -> Document:
    """The volume; `place` is the part of its `spec` that says where the bytes are."""
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": run.volume, "labels": run.labels},
        "spec": {
            "accessModes": _READ_ONLY,
            "capacity": {"storage": str(DATA_BYTES)},
            "claimRef": {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "name": run.name,
                "namespace": run.namespace,
            },
            "persistentVolumeReclaimPolicy": "Retain",
            "volumeMode": "Filesystem",
            **place,
        },
    }


def claim(run: Run) -> Document:
    """The claim that holds the volume."""
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": run.name, "namespace": run.namespace, "labels": run.labels},
        "spec": {
            "accessModes": _READ_ONLY,
            "resources": {"requests": {"storage": str(DATA_BYTES)}},
            "storageClassName": "",
            "volumeMode": "Filesystem",
            "volumeName": run.volume,
        },
    }


def pod(site: Site, run: Run) -> Document:
    """The pod that hashes: a notebook's user, so that it reads what a session could read."""
    mount = {"name": _SOURCE, "mountPath": PLACE, "readOnly": True, "recursiveReadOnly": "Enabled"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": run.name, "namespace": run.namespace, "labels": run.labels},
        "spec": {
            **bounded(site),
            "activeDeadlineSeconds": site.intake_seconds,
            "restartPolicy": "Never",
            "serviceAccountName": "default",
            "terminationGracePeriodSeconds": 1,
            **({"runtimeClassName": site.runtime_class} if site.runtime_class else {}),
            "containers": [
                {
                    "name": "intake",
                    "image": site.images.intake,
                    "imagePullPolicy": site.pull_policy,
                    "command": list(COMMAND),
                    "resources": {"limits": INTAKE_SHARE.limits, "requests": {**INTAKE_SHARE.limits, "cpu": "100m"}},
                    "securityContext": locked(),
                    "volumeMounts": [mount],
                }
            ],
            "volumes": [{"name": _SOURCE, "persistentVolumeClaim": {"claimName": run.name, "readOnly": True}}],
        },
    }
