"""The canary: a namespace with the labels of a workspace's in which nothing runs and admission policies are tried.

It is no workspace: its name is not one that follows from an id, so nothing looks after it or takes it for a stray.
What is sent there are dry runs. The Hub's one right in it, to make pods, comes to nothing but those: every pod of
its needs a person's claim, and there are none.
"""

import time
from collections.abc import Iterable, Mapping
from typing import Any

from spe.adapters.cluster.kubernetes import compare
from spe.adapters.cluster.kubernetes.admission import Observation, Places, Wire, observe_refusals
from spe.adapters.cluster.kubernetes.api import APPLY, Api
from spe.adapters.cluster.kubernetes.kinds import CLUSTER_ROLE, NAMESPACE, RBAC, Document, kind_of, name_of
from spe.adapters.cluster.kubernetes.names import INSTANCE, MANAGED_BY, MANAGER, NOTEBOOK, PERMIT, WORKSPACE
from spe.adapters.cluster.kubernetes.objects.accounts import HUB
from spe.adapters.cluster.kubernetes.objects.namespace import levels
from spe.domain.errors import Rejected, Unavailable

# Of the form of ids, and none that is ever drawn: their alphabet has no 0.
NOBODY, NO_PERMIT, NO_WORKSPACE = "p-0000000000000000", "pm-0000000000000000", "ws-0000000000000000"
SETTLE_SECONDS = 20.0
_PAUSE = 0.2


def namespace_of(instance: str) -> str:
    """Name of the canary, and of the role that lets the Hub make pods in it."""
    return f"{instance}-canary"


def documents(places: Places, *, version: tuple[int, int]) -> tuple[Document, ...]:
    """Everything of the canary, in the order in which it is made; `version` is the cluster's."""
    space = namespace_of(places.instance)
    labels = {MANAGED_BY: MANAGER, INSTANCE: places.instance, WORKSPACE: NO_WORKSPACE}

    def inside(api_version: str, kind: str, name: str, **parts: Any) -> Document:
        metadata = {"name": name, "namespace": space, "labels": labels}
        return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **parts}

    return (
        _role(places),
        {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": space, "labels": {**labels, PERMIT: NO_PERMIT, **levels(version)}},
        },
        inside(
            "networking.k8s.io/v1",
            "NetworkPolicy",
            "deny-all",
            spec={"podSelector": {}, "policyTypes": ["Ingress", "Egress"]},
        ),
        # One pod, because a dry run is counted against it too.
        inside("v1", "ResourceQuota", "canary", spec={"hard": dict(_BOUNDS)}),
        # A pod whose account is not there is refused before any policy is asked.
        inside("v1", "ServiceAccount", NOTEBOOK, automountServiceAccountToken=False),
        inside(
            RBAC,
            "RoleBinding",
            HUB,
            roleRef={"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": space},
            subjects=[{"kind": "ServiceAccount", "name": HUB, "namespace": places.release_namespace}],
        ),
    )


_BOUNDS: Mapping[str, str] = {
    "pods": "1",
    "services": "0",
    "persistentvolumeclaims": "0",
    "count/secrets": "0",
    "count/deployments.apps": "0",
    "count/jobs.batch": "0",
}


def _role(places: Places) -> Document:
    return {
        "apiVersion": RBAC,
        "kind": "ClusterRole",
        "metadata": {
            "name": namespace_of(places.instance),
            "labels": {MANAGED_BY: MANAGER, INSTANCE: places.instance},
        },
        "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["create"]}],
    }


def make(api: Api, wanted: Iterable[Document]) -> None:
    """Make the canary as it should be; what is right already is not written.

    Each object is named in the request that makes it, so whoever runs this needs the right for these names alone.
    Raises `Rejected` for a namespace or a role of that name that is somebody else's, `Unavailable`.
    """
    for document in wanted:
        kind = kind_of(document)
        live = api.find(kind, name_of(document)) if not kind.namespaced else None
        if kind is CLUSTER_ROLE and live is not None:
            _demand_same_rules(document, live)
        elif kind is NAMESPACE and live is None:
            query = {"fieldManager": MANAGER, "force": "true"}
            api.send("PATCH", kind.path(name_of(document)), compare.shaped(document), query=query, content=APPLY)
        else:
            api.apply(document)


def _demand_same_rules(document: Document, live: Document) -> None:
    """The chart makes the role beforehand, because whoever gives a right away must not need to hold it."""
    if compare.deviations(document, {**live, "metadata": document["metadata"]}):
        raise Rejected("cluster", f"ClusterRole {name_of(document)} gives other rights than to make pods; remove it.")


def observe(hub: Wire, canonical: Mapping[str, Any], *, seconds: float = SETTLE_SECONDS) -> tuple[Observation, ...]:
    """What becomes of the canonical pod and of each wrong one, as dry runs of the Hub.

    Policies, rights and quotas count a moment after they were made, so what does not hold is tried again for
    `seconds` before it is believed. Raises `Unavailable` when nobody decides by then.
    """
    deadline = time.monotonic() + seconds
    while True:
        last = time.monotonic() >= deadline
        try:
            seen = observe_refusals(hub, canonical)
        except Unavailable:
            if last:
                raise
        else:
            if last or all(one.holds for one in seen):
                return seen
        time.sleep(_PAUSE)
