"""The pod that looks at the seal from inside: a notebook's labels and place, no volumes, one report (B4.7)."""

from spe.adapters.cluster.kubernetes.kinds import Document
from spe.adapters.cluster.kubernetes.names import GATE_DOOR, GATE_SPARE, NOTEBOOK, PART, PERMIT, PROBE, Names
from spe.adapters.cluster.kubernetes.objects.containers import bounded, locked
from spe.adapters.cluster.kubernetes.objects.quota import PROBE_SHARE
from spe.adapters.cluster.kubernetes.site import Site

NAME = "seal-probe"
PROGRAM = ("python", "-I", "/opt/spe/seal.py")
_SLACK_SECONDS = 40


def probe(site: Site, own: Names, *, permit: str, gate: str) -> Document:
    """The pod; `gate` is the address of the gate's Service."""
    labels = {**own.pods(NOTEBOOK), PERMIT: permit, PART: PROBE}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": NAME, "namespace": own.namespace, "labels": labels},
        "spec": {
            **bounded(site),
            "activeDeadlineSeconds": site.probe_seconds + _SLACK_SECONDS,
            "restartPolicy": "Never",
            "serviceAccountName": NOTEBOOK,
            "terminationGracePeriodSeconds": 1,
            **({"runtimeClassName": site.runtime_class} if site.runtime_class else {}),
            "containers": [
                {
                    "name": "seal",
                    "image": site.images.notebook,
                    "imagePullPolicy": site.pull_policy,
                    "command": [*PROGRAM, *attempts(site, gate)],
                    "env": [{"name": "SPE_SEAL_SECONDS", "value": str(site.probe_seconds)}],
                    "resources": {"limits": PROBE_SHARE.limits, "requests": PROBE_SHARE.limits},
                    "securityContext": locked(),
                }
            ],
        },
    }


def attempts(site: Site, gate: str) -> list[str]:
    """What must answer, then what must be closed."""
    return [door(gate), *forbidden(site, gate)]


def door(gate: str) -> str:
    """The one address that a notebook may reach."""
    return f"http://{_host(gate)}:{GATE_DOOR}/hello"


def forbidden(site: Site, gate: str) -> list[str]:
    """Every place that must be closed; the gate's spare port is the control: its process runs, no policy opens it."""
    return [f"tcp:{_host(gate)}:{GATE_SPARE}", *site.forbidden]


def _host(address: str) -> str:
    return f"[{address}]" if ":" in address else address
