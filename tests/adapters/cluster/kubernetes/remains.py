"""What is left of a workspace on a cluster, and what stands beside it that must not be touched."""

from collections.abc import Iterator
from typing import Any

from spe.adapters.cluster.kubernetes.kinds import (
    CLAIM,
    DEPLOYMENT,
    LIMIT_RANGE,
    NAMESPACE,
    POD,
    POLICY,
    QUOTA,
    ROLE_BINDING,
    SERVICE,
    SERVICE_ACCOUNT,
    VOLUME,
    Document,
    Kind,
    name_of,
)
from spe.adapters.cluster.kubernetes.names import SHARED
from tests.adapters.cluster.kubernetes.ground import Ground, Place

REPLICAS = Kind(version="apps/v1", name="ReplicaSet", plural="replicasets")
SLICES = Kind(version="discovery.k8s.io/v1", name="EndpointSlice", plural="endpointslices")
EVERY = (
    NAMESPACE, VOLUME, POLICY, QUOTA, LIMIT_RANGE, SERVICE_ACCOUNT, ROLE_BINDING, CLAIM, DEPLOYMENT, REPLICAS, SERVICE,
    SLICES, POD,
)  # fmt: skip


def left(place: Place) -> list[str]:
    """Everything in the whole cluster that carries the workspace's labels or lies in its namespace."""
    labelled = [(kind, item) for kind in EVERY for item in place.admin.all(kind, labels=place.own.labels)]
    inside = [(kind, item) for kind in EVERY if kind.namespaced for item in place.all(kind)]
    return sorted({f"{kind.name} {name_of(item)}" for kind, item in (*labelled, *inside)})


def beside(here: Ground, place: Place) -> Iterator[tuple[Kind, str, str]]:
    """Objects of somebody else that look as much like ours as they can; each as kind, namespace, name."""
    name = f"x-{place.namespace}"
    near = {"spe.local/workspace": place.workspace, "app.kubernetes.io/managed-by": "spe"}
    other = {**place.own.labels, "spe.local/instance": f"{here.house.name}x"}
    here.house.make({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": other}})
    yield NAMESPACE, "", name
    pods = {"podSelector": {}, "policyTypes": ["Ingress"]}
    parts: tuple[tuple[Kind, str, Document], ...] = (
        (POLICY, "deny-all", {"spec": pods}),
        (SERVICE_ACCOUNT, "gate", {}),
        (SERVICE, "gate", {"spec": {"selector": {"a": "b"}, "ports": [{"port": 80}]}}),
        (CLAIM, SHARED, {"spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": "none", "resources": {
            "requests": {"storage": "1Mi"}}}}),
    )  # fmt: skip
    for kind, called, rest in parts:
        metadata = {"name": called, "labels": other}
        here.house.make({"apiVersion": kind.version, "kind": kind.name, "metadata": metadata, **rest}, name)
        yield kind, name, called
    for called, labels in ((f"x-{place.own.volume('other')}", near), (f"x-{name}-ds-0", other)):
        spec = {"accessModes": ["ReadOnlyMany"], "capacity": {"storage": "1Mi"}, "hostPath": {"path": "/opt"}}
        volume = {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": called, "labels": labels}}
        here.house.make({**volume, "spec": spec})
        yield VOLUME, "", called


def state(place: Place, things: list[tuple[Kind, str, str]]) -> list[Any]:
    """Which objects they are and what they say; controllers may add a status."""
    found = [place.admin.find(kind, name, namespace) for kind, namespace, name in things]
    return [one and (one["metadata"]["uid"], one["metadata"].get("labels"), one.get("spec")) for one in found]
