"""One throw-away instance on the cluster of the suite: a release namespace with accounts, workspace namespaces
with what a notebook needs, and nothing left of it afterwards, also after a failure."""

import base64
import json
import secrets
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kubernetes import client, config
from kubernetes.dynamic import DynamicClient
from kubernetes.dynamic.exceptions import ForbiddenError, NotFoundError

from tests.support import servers
from tests.support.hub_stack import wait_for

ACCOUNTS = ("hub", "portal", "reconciler", "setup")
HUB_RULES = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["create", "get", "list", "watch", "delete"]}]
Document = Mapping[str, Any]
_TURN = {"ValidatingAdmissionPolicyBinding": 0, "ValidatingAdmissionPolicy": 1, "Namespace": 3}


class Instance:
    """`name` is the instance's and its release namespace's; `do` is the cluster's administrator."""

    def __init__(self) -> None:
        self.name = f"t{secrets.token_hex(4)}"
        self.api = config.new_client_from_config(servers.kubernetes())
        self.do = DynamicClient(self.api)
        self.core = client.CoreV1Api(self.api)
        self.rbac = client.RbacAuthorizationV1Api(self.api)
        self._made: list[tuple[str, str, str]] = []

    def make(self, document: Document, namespace: str | None = None) -> Any:
        """Create one object; cluster-wide ones are remembered for the end."""
        resource = self.do.resources.get(api_version=document["apiVersion"], kind=document["kind"])
        made = resource.create(body=dict(document), namespace=namespace)
        if not namespace:
            self._made.append((document["apiVersion"], document["kind"], made.metadata.name))
        return made

    def remember(self, documents: Iterable[Document]) -> None:
        """Objects without a namespace that somebody else makes, for the end."""
        self._made += [(d["apiVersion"], d["kind"], d["metadata"]["name"]) for d in documents]

    def remove(self, api_version: str, kind: str, name: str, namespace: str | None = None) -> None:
        """Delete one object; fine when it is gone."""
        wait_for(lambda: self._removed(api_version, kind, name, namespace), f"{kind} {name} may go")

    def _removed(self, api_version: str, kind: str, name: str, namespace: str | None) -> bool:
        # A policy that was taken away refuses for a second more.
        try:
            self.do.resources.get(api_version=api_version, kind=kind).delete(name=name, namespace=namespace)
        except NotFoundError:
            return True
        except ForbiddenError:
            return False
        return True

    def namespace(self, workspace: str, permit: str, **labels: str) -> str:
        """A workspace's namespace with the notebook's account and the shared claim."""
        name = f"{self.name}-{workspace}"
        own = {
            "app.kubernetes.io/managed-by": "spe",
            "spe.local/instance": self.name,
            "spe.local/workspace": workspace,
            "spe.local/permit": permit,
            "pod-security.kubernetes.io/enforce": "restricted",
        }
        self.make({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {**own, **labels}}})
        for account in ("notebook", "gate"):
            self.make({**_named("ServiceAccount", account), "automountServiceAccountToken": False}, name)
        self.make(claim("shared"), name)
        return name

    def allow_hub(self, namespace: str) -> None:
        """What the manager makes for a live workspace: the Hub may make pods there."""
        self.make({**_rbac("Role", "hub"), "rules": HUB_RULES}, namespace)
        self.make(
            {
                **_rbac("RoleBinding", "hub"),
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "hub"},
                "subjects": [{"kind": "ServiceAccount", "name": "hub", "namespace": self.name}],
            },
            namespace,
        )

    def forbid_hub(self, namespace: str) -> None:
        """The end of a workspace begins with this."""
        self.remove("rbac.authorization.k8s.io/v1", "RoleBinding", "hub", namespace)

    def pods(self, namespace: str, selector: str = "component=singleuser-server") -> list[Any]:
        return list(self.core.list_namespaced_pod(namespace, label_selector=selector).items)

    def kubeconfig(self, account: str, folder: Path) -> Path:
        """A file with which a process is that account of the release namespace."""
        token = self.core.create_namespaced_service_account_token(
            account, self.name, {"spec": {"expirationSeconds": 3600}}
        ).status.token
        given = self.api.configuration
        ca = base64.b64encode(Path(given.ssl_ca_cert).read_bytes()).decode()
        file = folder / f"{account}.kubeconfig"
        file.write_text(
            json.dumps(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "current-context": "it",
                    "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
                    "clusters": [{"name": "it", "cluster": {"server": given.host, "certificate-authority-data": ca}}],
                    "users": [{"name": "it", "user": {"token": token}}],
                }
            )
        )
        file.chmod(0o600)
        return file

    def open(self) -> None:
        labels = {"spe.local/test": self.name}
        self.make({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.name, "labels": labels}})
        for account in ACCOUNTS:
            self.make(_named("ServiceAccount", account), self.name)

    def close(self) -> None:
        """Policies first: they would refuse to let go what they guard; namespaces last."""
        for api_version, kind, name in sorted(self._made, key=lambda made: _TURN.get(made[1], _TURN["Namespace"] - 1)):
            self.remove(api_version, kind, name)


@contextmanager
def instance() -> Iterator[Instance]:
    """An instance that is removed at the end."""
    one = Instance()
    try:
        one.open()
        yield one
    finally:
        one.close()


def claim(name: str, size: str = "64Mi") -> dict[str, Any]:
    """A claim of the cluster's default storage."""
    resources = {"requests": {"storage": size}}
    return {
        **_named("PersistentVolumeClaim", name),
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": resources},
    }


def _named(kind: str, name: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name}}


def _rbac(kind: str, name: str) -> dict[str, Any]:
    return {**_named(kind, name), "apiVersion": "rbac.authorization.k8s.io/v1"}
