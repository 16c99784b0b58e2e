"""The gate of a workspace: one pod, its account's token for the portal, its counters, and its Service."""

from spe.adapters.cluster.kubernetes.kinds import Document
from spe.adapters.cluster.kubernetes.names import GATE, GATE_CONTROL, GATE_DOOR, GATE_IN, GATE_SPARE, PERMIT, Names
from spe.adapters.cluster.kubernetes.objects.containers import bounded, locked
from spe.adapters.cluster.kubernetes.objects.policies import PORTAL_PORT
from spe.adapters.cluster.kubernetes.objects.quota import GATE_SHARE
from spe.adapters.cluster.kubernetes.site import Site

AUDIENCE = "spe-portal"
TOKEN_FOLDER = "/var/run/secrets/spe"
STATE_FOLDER = "/var/lib/gate"
RUN_FOLDER = "/run/gate"
TOKEN_SECONDS = 3600
_MEMORY = 8 * 1024**2
_PORTS = (("in", GATE_IN), ("door", GATE_DOOR), ("control", GATE_CONTROL))


def service(own: Names) -> Document:
    """Where the gate is found; the spare port has an address too, so that the probe tries it as it tries the others."""
    ports = [*_PORTS, ("spare", GATE_SPARE)]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": GATE, "namespace": own.namespace, "labels": own.labels},
        "spec": {
            "type": "ClusterIP",
            "selector": own.pods(GATE),
            "ports": [{"name": name, "port": port, "targetPort": port, "protocol": "TCP"} for name, port in ports],
        },
    }


def deployment(site: Site, own: Names, *, permit: str, awake: bool) -> Document:
    """The gate's Deployment: one replica, or none while nobody may enter."""
    pods = own.pods(GATE)
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": GATE, "namespace": own.namespace, "labels": own.labels},
        "spec": {
            "replicas": 1 if awake else 0,
            "revisionHistoryLimit": 0,
            "strategy": {"type": "Recreate"},  # counters have one writer
            "selector": {"matchLabels": pods},
            "template": {"metadata": {"labels": {**pods, PERMIT: permit}}, "spec": _pod(site)},
        },
    }


def _pod(site: Site) -> Document:
    return {
        **bounded(site),
        "serviceAccountName": GATE,
        "terminationGracePeriodSeconds": 5,
        "containers": [_container(site)],
        "volumes": [
            {"name": "account", "projected": {"sources": [{"serviceAccountToken": _token()}]}},
            {"name": "counters", "persistentVolumeClaim": {"claimName": GATE}},
            {"name": "run", "emptyDir": {"medium": "Memory", "sizeLimit": str(_MEMORY)}},
            {"name": "tmp", "emptyDir": {"medium": "Memory", "sizeLimit": str(_MEMORY)}},
        ],
    }


def _token() -> Document:
    return {"audience": AUDIENCE, "expirationSeconds": TOKEN_SECONDS, "path": "token"}


def _container(site: Site) -> Document:
    return {
        "name": GATE,
        "image": site.images.gate,
        "imagePullPolicy": site.pull_policy,
        "command": ["python", "-m", "spe.gate", "--pod"],
        "env": [
            {"name": "SPE_GATE_PORTAL", "value": f"http://{_host(site.services.portal_internal)}:{PORTAL_PORT}"},
            {"name": "SPE_GATE_STATE", "value": STATE_FOLDER},
            {"name": "SPE_GATE_RUN", "value": RUN_FOLDER},
        ],
        "ports": [{"name": name, "containerPort": port, "protocol": "TCP"} for name, port in _PORTS],
        # It answers once the portal said who it is; before that nobody can tell it anything.
        "readinessProbe": {"httpGet": {"path": "/hello", "port": "door"}, "periodSeconds": 1, "timeoutSeconds": 2},
        "resources": {"limits": GATE_SHARE.limits, "requests": {**GATE_SHARE.limits, "cpu": "50m"}},
        "securityContext": locked(),
        "volumeMounts": [
            {"name": "account", "mountPath": TOKEN_FOLDER, "readOnly": True},
            {"name": "counters", "mountPath": STATE_FOLDER},
            {"name": "run", "mountPath": RUN_FOLDER},
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - memory of the pod's own
        ],
    }


def _host(address: str) -> str:
    return f"[{address}]" if ":" in address else address
