"""The objects of one workspace in a cluster as the managers and the Hub make them, for suites of what gets in."""

from typing import Any

from spe.adapters.cluster.kubernetes.admission import Places
from spe.hub.pod import PodFacts, notebook_pod, pod_name
from tests.support.podfacts import PERSON, WORKSPACE, facts_document, hub_variables

Document = dict[str, Any]
PERMIT = "pm-cccccccccccccccc"


class Workspace:
    """The canonical objects of one workspace: what the managers and the Hub make."""

    def __init__(self, places: Places) -> None:
        self.places = places
        self.name = f"{places.instance}-{WORKSPACE}"
        self.image, self.gate_image = places.notebook_images[0], places.gate_images[0]
        self.labels = {
            "app.kubernetes.io/managed-by": "spe",
            "spe.local/instance": places.instance,
            "spe.local/workspace": WORKSPACE,
        }
        self.namespace = self._document(
            "v1",
            "Namespace",
            self.name,
            labels={**self.labels, "spe.local/permit": PERMIT, "pod-security.kubernetes.io/enforce": "restricted"},
        )
        facts = facts_document(instance=places.instance, image=self.image, cpu_millis=40)
        # Quantities as the API server writes them, so that what was sent is what is stored.
        self.notebook: Document = dict(notebook_pod(PodFacts.read(facts), hub_variables(), pod_name(PERSON, 17)))

    def objects(self) -> dict[str, Document]:
        """By plural and name: what is there before anybody attempts anything."""
        there = (
            ("networkpolicies", self.policy("deny-all")),
            ("services", self.service()),
            ("deployments", self.deployment()),
            ("persistentvolumeclaims", self.claim("gate")),
            ("resourcequotas", self._document("v1", "ResourceQuota", "workspace", spec={"hard": {"pods": "9"}})),
            ("serviceaccounts", self._account("gate")),
            ("serviceaccounts", self._account("notebook")),
            ("persistentvolumes", self.volume()),
            ("persistentvolumeclaims", self.data_claim()),
        )
        return {f"{plural}/{document['metadata']['name']}": document for plural, document in there}

    def policy(self, name: str, **spec: Any) -> Document:
        everything = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"], **spec}
        return self._document("networking.k8s.io/v1", "NetworkPolicy", name, spec=everything)

    def service(self, **spec: Any) -> Document:
        ports = [{"name": "in", "port": 8888, "targetPort": 8888, "protocol": "TCP"}]
        given = {"type": "ClusterIP", "selector": {**self.labels, "spe.local/role": "gate"}, "ports": ports, **spec}
        return self._document("v1", "Service", "gate", spec={k: v for k, v in given.items() if v is not None})

    def deployment(self, kind: str = "Deployment") -> Document:
        labels = {**self.labels, "spe.local/role": "gate"}
        spec = {
            "replicas": 0,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": self.gate_pod()["spec"]},
        }
        return self._document("apps/v1", kind, "gate", spec=spec)

    def gate_pod(self, **spec: Any) -> Document:
        token = {"audience": "spe-portal", "expirationSeconds": 3600, "path": "token"}
        container = {
            **self._container("gate", self.gate_image),
            "command": ["python", "-m", "spe.gate", "--pod"],
            "env": [
                {"name": "SPE_GATE_PORTAL", "value": "http://10.202.0.9:9001"},
                {"name": "SPE_GATE_STATE", "value": "/var/lib/gate"},
                {"name": "SPE_GATE_RUN", "value": "/run/gate"},
            ],
            "readinessProbe": {"httpGet": {"path": "/hello", "port": 8081}},
            "volumeMounts": [
                {"name": "account", "mountPath": "/var/run/secrets/spe", "readOnly": True},
                {"name": "counters", "mountPath": "/var/lib/gate"},
                {"name": "run", "mountPath": "/run/gate"},
            ],
        }
        return self._pod(
            "gate-0",
            "gate",
            {"spe.local/role": "gate"},
            [container],
            owner="ReplicaSet",
            spec={
                "volumes": [
                    {"name": "account", "projected": {"sources": [{"serviceAccountToken": token}]}},
                    {"name": "counters", "persistentVolumeClaim": {"claimName": "gate"}},
                    {"name": "run", "emptyDir": {"medium": "Memory"}},
                ],
                **spec,
            },
        )

    def probe(self, **spec: Any) -> Document:
        targets = ["tcp:10.203.0.1:6443"]
        command = ["python", "-I", "/opt/spe/seal.py", "http://10.202.0.77:8081/hello", *targets]
        container = {**self._container("seal", self.image), "command": command}
        labels = {"spe.local/role": "notebook", "spe.local/part": "probe", "spe.local/permit": PERMIT}
        return self._pod("seal-probe", "notebook", labels, [container], spec={"activeDeadlineSeconds": 60, **spec})

    def batch(self, **spec: Any) -> Document:
        container = {**self._container("work", self.image), "command": ["sleep", "1"]}
        labels = {"spe.local/role": "batch"}
        return self._pod(
            "batch-0", "notebook", labels, [container], owner="Job", spec={"activeDeadlineSeconds": 60, **spec}
        )

    def claim(self, name: str, **spec: Any) -> Document:
        given = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}, **spec}
        return self._document("v1", "PersistentVolumeClaim", name, spec=given)

    def data_claim(self, **spec: Any) -> Document:
        name = "ds-0123456789ab"
        given = {"accessModes": ["ReadOnlyMany"], "storageClassName": "", "volumeName": f"{self.name}-{name}", **spec}
        return self.claim(name, **given)

    def volume(self, name: str = "", **spec: Any) -> Document:
        given = {
            "accessModes": ["ReadOnlyMany"],
            "capacity": {"storage": "1Mi"},
            "claimRef": {"name": "ds-0123456789ab", "namespace": self.name},
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": "",
            "hostPath": {"path": "/opt", "type": "Directory"},
            **spec,
        }
        full = name or f"{self.name}-ds-0123456789ab"
        return self._document("v1", "PersistentVolume", full, spec=given, namespaced=False)

    # -- parts

    def _account(self, name: str) -> Document:
        return {**self._document("v1", "ServiceAccount", name), "automountServiceAccountToken": False}

    def _document(
        self,
        version: str,
        kind: str,
        name: str,
        *,
        labels: Document | None = None,
        spec: Document | None = None,
        namespaced: bool = True,
    ) -> Document:
        metadata: Document = {"name": name, "labels": self.labels if labels is None else labels}
        if namespaced and kind != "Namespace":
            metadata["namespace"] = self.name
        return {"apiVersion": version, "kind": kind, "metadata": metadata, **({"spec": spec} if spec else {})}

    def _container(self, name: str, image: str) -> Document:
        bounds = {"cpu": "10m", "memory": "64Mi", "ephemeral-storage": "16Mi"}
        return {
            "name": name,
            "image": image,
            "imagePullPolicy": "IfNotPresent",
            "resources": {"limits": bounds, "requests": bounds},
            "securityContext": {
                "allowPrivilegeEscalation": False,
                "capabilities": {"drop": ["ALL"]},
                "readOnlyRootFilesystem": True,
            },
        }

    def _pod(
        self, name: str, account: str, labels: Document, containers: list[Document], *, spec: Document, owner: str = ""
    ) -> Document:
        full = {
            "automountServiceAccountToken": False,
            "containers": containers,
            "dnsConfig": {"nameservers": ["127.0.0.1"]},
            "dnsPolicy": "None",
            "enableServiceLinks": False,
            "restartPolicy": "Always" if owner == "ReplicaSet" else "Never",
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 1000,
                "runAsGroup": 1000,
                "fsGroup": 1000,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "serviceAccountName": account,
            "terminationGracePeriodSeconds": 5,
            **spec,
        }
        document = self._document("v1", "Pod", name, labels={**self.labels, **labels}, spec=full)
        if owner:
            reference = {"apiVersion": "v1", "kind": owner, "name": "it", "uid": "0", "controller": True}
            document["metadata"]["ownerReferences"] = [reference]
        return document
