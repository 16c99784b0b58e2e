"""How much a workspace may take up: its sessions, its gate and a probe, and nothing besides (B1.7, B1.8)."""

from dataclasses import dataclass

from spe.adapters.cluster.kubernetes.kinds import Document
from spe.adapters.cluster.kubernetes.names import Names
from spe.domain.permit import Limits

MOST_DATASETS = 100
"""More dataset versions than any permit names; their claims take up no storage of their own."""

DATA_BYTES = 1024**2
GATE_CLAIM_BYTES = 64 * 1024**2
GREATEST_SCRATCH = 1024**3
_MIB = 1024**2


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """What one container may use: thousandths of a core, bytes of memory, bytes of a node's disk."""

    cpu_millis: int
    memory_bytes: int
    disk_bytes: int

    @property
    def limits(self) -> dict[str, str]:
        """As the API server wants it."""
        return {
            "cpu": f"{self.cpu_millis}m",
            "memory": str(self.memory_bytes),
            "ephemeral-storage": str(self.disk_bytes),
        }


GATE_SHARE = Share(cpu_millis=1000, memory_bytes=256 * _MIB, disk_bytes=64 * _MIB)
PROBE_SHARE = Share(cpu_millis=200, memory_bytes=64 * _MIB, disk_bytes=16 * _MIB)
INTAKE_SHARE = Share(cpu_millis=1000, memory_bytes=512 * _MIB, disk_bytes=64 * _MIB)


def session_share(limits: Limits) -> Share:
    """What a session may use. What it keeps lies in claims; a node's disk only holds what a container writes aside."""
    return Share(
        cpu_millis=max(10, round(limits.cpu * 1000)),
        memory_bytes=limits.memory_bytes,
        disk_bytes=max(_MIB, min(limits.disk_bytes, GREATEST_SCRATCH)),
    )


def workspace_quota(own: Names, *, limits: Limits, people: int) -> Document:
    """Everything the namespace may hold, for so many people."""
    session = session_share(limits)
    shares = [GATE_SHARE, PROBE_SHARE, *([session] * people)]
    cpu = sum(share.cpu_millis for share in shares)
    memory = sum(share.memory_bytes for share in shares)
    disk = sum(share.disk_bytes for share in shares)
    storage = limits.disk_bytes * (people + 1) + GATE_CLAIM_BYTES + MOST_DATASETS * DATA_BYTES
    return {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "workspace", "namespace": own.namespace, "labels": own.labels},
        "spec": {
            "hard": {
                "pods": str(people + 2),
                "requests.cpu": f"{cpu}m",
                "limits.cpu": f"{cpu}m",
                "requests.memory": str(memory),
                "limits.memory": str(memory),
                "requests.ephemeral-storage": str(disk),
                "limits.ephemeral-storage": str(disk),
                "persistentvolumeclaims": str(people + 2 + MOST_DATASETS),
                "requests.storage": str(storage),
                "services": "1",
                "services.loadbalancers": "0",
                "services.nodeports": "0",
                "count/secrets": "0",
                "count/configmaps": "4",
                "count/deployments.apps": "1",
                "count/statefulsets.apps": "0",
                "count/jobs.batch": "0",
                "count/cronjobs.batch": "0",
                "count/ingresses.networking.k8s.io": "0",
            }
        },
    }


def limit_range(own: Names, *, limits: Limits) -> Document:
    """Bounds of one container and one claim; who says nothing gets a probe's share."""
    session = session_share(limits)
    most = {
        "cpu": f"{max(session.cpu_millis, GATE_SHARE.cpu_millis)}m",
        "memory": str(max(session.memory_bytes, GATE_SHARE.memory_bytes)),
        "ephemeral-storage": str(max(session.disk_bytes, GATE_SHARE.disk_bytes)),
    }
    container = {"type": "Container", "default": PROBE_SHARE.limits, "defaultRequest": PROBE_SHARE.limits, "max": most}
    claim = {"type": "PersistentVolumeClaim", "max": {"storage": str(max(limits.disk_bytes, GATE_CLAIM_BYTES))}}
    return {
        "apiVersion": "v1",
        "kind": "LimitRange",
        "metadata": {"name": "defaults", "namespace": own.namespace, "labels": own.labels},
        "spec": {"limits": [container, claim]},
    }
