"""An installation, a workspace and its manifests, for tests that need no cluster."""

import copy
from datetime import UTC, datetime
from typing import Any

from spe.adapters.cluster.kubernetes.features import Features
from spe.adapters.cluster.kubernetes.kinds import Document
from spe.adapters.cluster.kubernetes.names import Names
from spe.adapters.cluster.kubernetes.objects import accounts, claims, data, gate, namespace, policies, probe, quota
from spe.adapters.cluster.kubernetes.site import GateFacts, Images, Services, Site, Storage
from spe.domain.ids import PersonId, WorkspaceId
from spe.domain.permit import Limits
from spe.ports.cluster import Exposure

WORKSPACE = WorkspaceId("ws-aaaaaaaaaaaaaaaa")
PERSON = PersonId("p-bbbbbbbbbbbbbbbb")
PERMIT = "pm-cccccccccccccccc"
NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)
OWN = Names(instance="spe", workspace=WORKSPACE)
IMAGES = Images(
    notebook=f"localhost/n@sha256:{'1' * 64}",
    gate=f"localhost/g@sha256:{'2' * 64}",
    intake=f"localhost/c@sha256:{'3' * 64}",
)
FEATURES = Features(version=(1, 36), recursive_read_only=True, strict_groups=True)


def site(**changes: Any) -> Site:
    values: dict[str, Any] = {
        "instance": "spe",
        "release_namespace": "spe",
        "images": IMAGES,
        "services": Services(portal_internal="10.0.0.1", hub="10.0.0.2"),
        "gate": GateFacts(public_origins=("https://hub.example.org",), portal_url="https://portal.example.org"),
        "features": FEATURES,
        "forbidden": ("tcp:10.0.0.9:443", "udp:10.0.0.10:53"),
        **changes,
    }
    return Site(**values)


def exposure(source: str = "csi:data.example.org/volume-7") -> Exposure:
    key = "ds-dddddddddddddddd/1"
    return Exposure(key=key, source=source, mount=f"/data/{key}", digest="sha256:" + "0" * 64)


def everything(where: Site | None = None) -> list[Document]:
    """Every manifest that the adapter makes."""
    it = where or site(storage=Storage(class_name="fast"))
    limits = Limits()
    return [
        namespace.namespace(it, OWN, permit=PERMIT),
        *policies.policies(it, OWN),
        quota.workspace_quota(OWN, limits=limits, people=3),
        quota.limit_range(OWN, limits=limits),
        *accounts.accounts(OWN),
        accounts.default_account(OWN),
        accounts.hub_binding(it, OWN),
        claims.shared_claim(it, OWN, size=limits.disk_bytes),
        claims.home(it, OWN, PERSON, size=limits.disk_bytes),
        claims.gate_claim(it, OWN),
        data.volume(it, OWN, exposure()),
        data.volume(it, OWN, exposure("nfs://files.example.org/exports/data")),
        data.claim(OWN, exposure()),
        gate.service(OWN),
        gate.deployment(it, OWN, permit=PERMIT, awake=True),
        probe.probe(it, OWN, permit=PERMIT, gate="10.0.0.3"),
    ]


def stored(manifest: Document) -> Document:
    """As the API server would give it back: with its own fields beside ours."""
    live = copy.deepcopy(manifest)
    live["metadata"] |= {"uid": "0-1", "resourceVersion": "7", "creationTimestamp": "2030-01-01T00:00:00Z"}
    live["status"] = {}
    return live
