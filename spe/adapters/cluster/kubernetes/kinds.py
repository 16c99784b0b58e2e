"""The kinds of objects this adapter knows, and where the API server keeps them.

A table instead of discovery: it saves the requests, and the client's discovery leaves a file with a predictable
name in the machine's folder for temporary files.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

Document = dict[str, Any]
"""An object of the cluster as plain JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind: its API version, its name in addresses, and whether it lives in namespaces."""

    version: str
    name: str
    plural: str
    namespaced: bool = True

    def path(self, name: str = "", namespace: str = "") -> str:
        """The address of one object, or of all of them, in one namespace or in all."""
        parts = ["api" if "/" not in self.version else "apis", *self.version.split("/")]
        if self.namespaced and namespace:
            parts += ["namespaces", namespace]
        parts.append(self.plural)
        if name:
            parts.append(name)
        return "/" + "/".join(quote(part, safe="") for part in parts)


ADMISSION = "admissionregistration.k8s.io/v1"
RBAC = "rbac.authorization.k8s.io/v1"
ADMISSION_BINDING = Kind(
    version=ADMISSION,
    name="ValidatingAdmissionPolicyBinding",
    plural="validatingadmissionpolicybindings",
    namespaced=False,
)
ADMISSION_POLICY = Kind(
    version=ADMISSION, name="ValidatingAdmissionPolicy", plural="validatingadmissionpolicies", namespaced=False
)
CLAIM = Kind(version="v1", name="PersistentVolumeClaim", plural="persistentvolumeclaims")
CLUSTER_ROLE = Kind(version=RBAC, name="ClusterRole", plural="clusterroles", namespaced=False)
CLUSTER_ROLE_BINDING = Kind(version=RBAC, name="ClusterRoleBinding", plural="clusterrolebindings", namespaced=False)
CONFIG_MAP = Kind(version="v1", name="ConfigMap", plural="configmaps")
DEPLOYMENT = Kind(version="apps/v1", name="Deployment", plural="deployments")
ENDPOINTS = Kind(version="discovery.k8s.io/v1", name="EndpointSlice", plural="endpointslices")
EVENT = Kind(version="v1", name="Event", plural="events")
LIMIT_RANGE = Kind(version="v1", name="LimitRange", plural="limitranges")
NAMESPACE = Kind(version="v1", name="Namespace", plural="namespaces", namespaced=False)
NODE = Kind(version="v1", name="Node", plural="nodes", namespaced=False)
POD = Kind(version="v1", name="Pod", plural="pods")
POLICY = Kind(version="networking.k8s.io/v1", name="NetworkPolicy", plural="networkpolicies")
QUOTA = Kind(version="v1", name="ResourceQuota", plural="resourcequotas")
ROLE = Kind(version=RBAC, name="Role", plural="roles")
ROLE_BINDING = Kind(version=RBAC, name="RoleBinding", plural="rolebindings")
RUNTIME_CLASS = Kind(version="node.k8s.io/v1", name="RuntimeClass", plural="runtimeclasses", namespaced=False)
SERVICE = Kind(version="v1", name="Service", plural="services")
SERVICE_ACCOUNT = Kind(version="v1", name="ServiceAccount", plural="serviceaccounts")
VOLUME = Kind(version="v1", name="PersistentVolume", plural="persistentvolumes", namespaced=False)
ACCESS_REVIEW = Kind(
    version="authorization.k8s.io/v1", name="SubjectAccessReview", plural="subjectaccessreviews", namespaced=False
)
TOKEN_REVIEW = Kind(version="authentication.k8s.io/v1", name="TokenReview", plural="tokenreviews", namespaced=False)

_ALL = (
    ADMISSION_BINDING, ADMISSION_POLICY, CLAIM, CLUSTER_ROLE, CLUSTER_ROLE_BINDING, CONFIG_MAP, DEPLOYMENT, ENDPOINTS,
    EVENT, LIMIT_RANGE, NAMESPACE, NODE, POD, POLICY, QUOTA, ROLE, ROLE_BINDING,
    RUNTIME_CLASS, SERVICE, SERVICE_ACCOUNT, VOLUME, ACCESS_REVIEW, TOKEN_REVIEW,
)  # fmt: skip
_BY_NAME = {(kind.version, kind.name): kind for kind in _ALL}


def kind_of(document: Mapping[str, Any]) -> Kind:
    """The kind a document says it is. Raises KeyError for one that this adapter never makes."""
    return _BY_NAME[(document["apiVersion"], document["kind"])]


def name_of(document: Mapping[str, Any]) -> str:
    """An object's name."""
    return str(document["metadata"]["name"])


def labels_of(document: Mapping[str, Any]) -> Mapping[str, str]:
    """An object's labels; empty when it has none."""
    return document["metadata"].get("labels") or {}


def annotations_of(document: Mapping[str, Any]) -> Mapping[str, str]:
    """An object's annotations; empty when it has none."""
    return document["metadata"].get("annotations") or {}


def is_leaving(document: Mapping[str, Any]) -> bool:
    """Whether it was asked to go and is still there."""
    return bool(document["metadata"].get("deletionTimestamp"))
