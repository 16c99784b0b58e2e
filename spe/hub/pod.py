"""The canonical notebook pod: one pure function from facts and the Hub's variables to the object that is sent.

The facts come from the portal with the answer to a start; the Hub adds its own variables and a name, and
nothing else decides how a notebook runs in a cluster. The admission policies describe this very pod, so what
changes here changes there (`policies/admission/notebook-pods.yaml`); a test holds them together.
"""

import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from types import SimpleNamespace
from typing import Any, Self

from spe.domain.ids import is_id
from spe.domain.notebook import DATA, HOME, OUTPUTS, PLACES, SETTINGS, SHARED, VARIABLES, server_flags

NOTEBOOK_PORT = 8888
DOOR_PORT = 8081
USER = 1000
GRACE_SECONDS = 5
COMPONENT = "singleuser-server"  # KubeSpawner's watch selects by it
SEAL = ("python", "-I", "/opt/spe/seal.py")
SERVER = ("python", "-m", "jupyterhub.singleuser")

# The Hub's variables that a session needs. Addresses are not among them: a pod has its own.
FROM_THE_HUB = frozenset(
    {
        "JPY_API_TOKEN",
        "JUPYTERHUB_API_TOKEN",
        "JUPYTERHUB_BASE_URL",
        "JUPYTERHUB_CLIENT_ID",
        "JUPYTERHUB_COOKIE_HOST_PREFIX_ENABLED",
        "JUPYTERHUB_HOST",
        "JUPYTERHUB_OAUTH_ACCESS_SCOPES",
        "JUPYTERHUB_OAUTH_CALLBACK_URL",
        "JUPYTERHUB_OAUTH_CLIENT_ALLOWED_SCOPES",
        "JUPYTERHUB_OAUTH_SCOPES",
        "JUPYTERHUB_PUBLIC_HUB_URL",
        "JUPYTERHUB_PUBLIC_URL",
        "JUPYTERHUB_SERVER_NAME",
        "JUPYTERHUB_SERVICE_PREFIX",
        "JUPYTERHUB_USER",
    }
)
_RUNTIME_FOLDER = "/run/jupyter"
_RUNTIME_BYTES = 16 * 1024**2
_TEMPORARY = "/tmp"  # noqa: S108 - memory of the pod's own
_RESERVED_SHARE = 4
_LEAST_RESERVED = 50

_INSTANCE = re.compile(r"[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?")
_IMAGE = re.compile(r"[a-z0-9][a-zA-Z0-9._:/-]*@sha256:[0-9a-f]{64}")
_CLAIM = re.compile(r"ds-[0-9a-f]{12}")
_MOUNT = re.compile(rf"{DATA}/[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*")
_FORBIDDEN = re.compile(r"(tcp|udp):[0-9a-f.:\[\]]+:[0-9]{1,5}")
_RUNTIME_CLASS = re.compile(r"([a-z0-9]([-.a-z0-9]*[a-z0-9])?)?")
_GREATEST = 2**62


class BadFacts(ValueError):
    """What the portal told about a pod cannot be used; the message says which part."""


class Pod(dict[str, Any]):
    """A pod as a plain document, with the two things that KubeSpawner asks of its own models.

    No field is lost to an older client's model, and what is logged of a refused pod is its name only.
    """

    @property
    def metadata(self) -> SimpleNamespace:
        """Only the name."""
        return SimpleNamespace(name=self["metadata"]["name"])

    def to_str(self) -> str:
        """The name, never the content: it holds the session's token."""
        return str(self["metadata"]["name"])

    __repr__ = to_str
    __str__ = to_str


@dataclass(frozen=True, slots=True, kw_only=True)
class DataClaim:
    """A dataset version: the claim that holds it and where it appears, `/data/<dataset>/<version>`."""

    claim: str
    mount: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PodFacts:
    """All that a notebook pod depends on, as the portal's cluster adapter wrote it.

    `gate` is the address of the gate's Service; sizes are bytes, processor time thousandths of a core.
    `forbidden` are the places that the seal probe must find closed, `tcp:10.0.0.1:443`.
    """

    instance: str
    workspace: str
    person: str
    permit: str
    namespace: str
    image: str
    gate: str
    memory_bytes: int
    cpu_millis: int
    scratch_bytes: int
    home_claim: str
    shared_claim: str
    data: tuple[DataClaim, ...]
    deadline_seconds: int
    runtime_class: str
    user_namespaces: bool
    apparmor: bool
    forbidden: tuple[str, ...]
    terminals: bool

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> Self:
        """The facts of a JSON object; `BadFacts` for an unknown or missing field, or a value that cannot be meant."""
        known = {entry.name for entry in fields(cls)}
        if document.keys() != known:
            raise BadFacts(f"unknown or missing: {', '.join(sorted(document.keys() ^ known))}")
        for name, fits in _FITS.items():
            if not fits(document[name]):
                raise BadFacts(f"{name} cannot be used")
        data = tuple(_data_claim(entry) for entry in document["data"])
        if len({entry.claim for entry in data}) < len(data) or len({entry.mount for entry in data}) < len(data):
            raise BadFacts("data names something twice")
        facts = cls(**{**document, "data": data, "forbidden": tuple(document["forbidden"])})
        if facts.namespace != f"{facts.instance}-{facts.workspace}":
            raise BadFacts("namespace is not the workspace's")
        if facts.home_claim != f"home-{facts.person}":
            raise BadFacts("home_claim is not the person's")
        return facts


def pod_name(person: str, count: int) -> str:
    """`nb-<person>-<count>`: another name for each start, so that no trace of an older pod is taken for this one's."""
    return f"nb-{person}-{count}"


def gate_url(facts: PodFacts, port: int) -> str:
    """The gate's address at a port, without a trailing slash."""
    host = f"[{facts.gate}]" if ":" in facts.gate else facts.gate
    return f"http://{host}:{port}"


def notebook_pod(facts: PodFacts, env: Mapping[str, str], name: str) -> Pod:
    """The pod of one session. Pure: equal arguments give equal pods."""
    return Pod(
        apiVersion="v1",
        kind="Pod",
        metadata={"name": name, "namespace": facts.namespace, "labels": _labels(facts)},
        spec={
            "activeDeadlineSeconds": facts.deadline_seconds,
            "automountServiceAccountToken": False,
            "dnsConfig": {"nameservers": ["127.0.0.1"]},
            "dnsPolicy": "None",
            "enableServiceLinks": False,
            "restartPolicy": "Never",
            "serviceAccountName": "notebook",
            "terminationGracePeriodSeconds": GRACE_SECONDS,
            "securityContext": _pod_security(facts),
            **({"hostUsers": False} if facts.user_namespaces else {}),
            **({"runtimeClassName": facts.runtime_class} if facts.runtime_class else {}),
            "initContainers": [_seal(facts)],
            "containers": [_notebook(facts, env)],
            "volumes": _volumes(facts),
        },
    )


def _labels(facts: PodFacts) -> dict[str, str]:
    return {
        "app.kubernetes.io/managed-by": "spe",
        "component": COMPONENT,
        "spe.local/instance": facts.instance,
        "spe.local/permit": facts.permit,
        "spe.local/person": facts.person,
        "spe.local/role": "notebook",
        "spe.local/workspace": facts.workspace,
    }


def _pod_security(facts: PodFacts) -> dict[str, Any]:
    return {
        "fsGroup": USER,
        # Without it a start takes longer with every file of the home.
        "fsGroupChangePolicy": "OnRootMismatch",
        "runAsGroup": USER,
        "runAsNonRoot": True,
        "runAsUser": USER,
        "seccompProfile": {"type": "RuntimeDefault"},
        "supplementalGroupsPolicy": "Strict",
        # A node without AppArmor rejects a pod that asks for it.
        **({"appArmorProfile": {"type": "RuntimeDefault"}} if facts.apparmor else {}),
    }


def _container(facts: PodFacts, name: str, command: list[str]) -> dict[str, Any]:
    # Memory and disk are set aside whole, because they cannot be taken back; an idle notebook needs no core.
    limits = {
        "cpu": f"{facts.cpu_millis}m",
        "ephemeral-storage": str(facts.scratch_bytes),
        "memory": str(facts.memory_bytes),
    }
    reserved = max(min(facts.cpu_millis, _LEAST_RESERVED), facts.cpu_millis // _RESERVED_SHARE)
    return {
        "name": name,
        "image": facts.image,
        "imagePullPolicy": "IfNotPresent",
        "command": command,
        "resources": {"limits": limits, "requests": {**limits, "cpu": f"{reserved}m"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
    }


def _seal(facts: PodFacts) -> dict[str, Any]:
    return _container(facts, "seal", [*SEAL, f"{gate_url(facts, DOOR_PORT)}/hello", *facts.forbidden])


def _notebook(facts: PodFacts, env: Mapping[str, str]) -> dict[str, Any]:
    variables = _environment(facts, env)
    return {
        **_container(facts, "notebook", [*SERVER, *server_flags(terminals=facts.terminals)]),
        "env": [{"name": name, "value": variables[name]} for name in sorted(variables)],
        "ports": [{"containerPort": NOTEBOOK_PORT, "name": "notebook-port", "protocol": "TCP"}],
        "workingDir": HOME,
        "volumeMounts": [
            {"mountPath": HOME, "name": "home", "subPath": "home"},
            {"mountPath": OUTPUTS, "name": "home", "subPath": "outputs"},
            {"mountPath": SHARED, "name": "shared"},
            {"mountPath": _TEMPORARY, "name": "tmp"},
            {"mountPath": _RUNTIME_FOLDER, "name": "jupyter"},
            *(
                {"mountPath": entry.mount, "name": entry.claim, "readOnly": True, "recursiveReadOnly": "Enabled"}
                for entry in facts.data
            ),
        ],
    }


def _volumes(facts: PodFacts) -> list[dict[str, Any]]:
    temporary = min(facts.scratch_bytes, facts.memory_bytes // 2)
    return [
        {"name": "home", "persistentVolumeClaim": {"claimName": facts.home_claim}},
        {"name": "shared", "persistentVolumeClaim": {"claimName": facts.shared_claim}},
        {"name": "tmp", "emptyDir": {"medium": "Memory", "sizeLimit": str(temporary)}},
        {"name": "jupyter", "emptyDir": {"medium": "Memory", "sizeLimit": str(_RUNTIME_BYTES)}},
        *(
            {"name": entry.claim, "persistentVolumeClaim": {"claimName": entry.claim, "readOnly": True}}
            for entry in facts.data
        ),
    ]


def _environment(facts: PodFacts, env: Mapping[str, str]) -> dict[str, str]:
    api = f"{gate_url(facts, DOOR_PORT)}/hub/api"
    prefix = f"/user/{facts.person}/{facts.workspace}/"
    settings = f"{SETTINGS}/terminals:{SETTINGS}" if facts.terminals else SETTINGS
    return {
        **{name: value for name, value in env.items() if name in FROM_THE_HUB},
        **VARIABLES,
        **PLACES,
        "HOME": HOME,
        "JUPYTERHUB_ACTIVITY_URL": f"{api}/users/{facts.person}/activity",
        "JUPYTERHUB_API_URL": api,
        "JUPYTERHUB_SERVER_NAME": facts.workspace,
        "JUPYTERHUB_SERVICE_PREFIX": prefix,
        "JUPYTERHUB_SERVICE_URL": f"http://0.0.0.0:{NOTEBOOK_PORT}{prefix}",
        "JUPYTERHUB_USER": facts.person,
        "JUPYTER_CONFIG_PATH": settings,
        "SPE_DOOR": gate_url(facts, DOOR_PORT),
        "SPE_WORKSPACE": facts.workspace,
    }


def _matches(pattern: re.Pattern[str]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, str) and pattern.fullmatch(value) is not None


def _an_id(prefix: str) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, str) and is_id(value) and value.startswith(f"{prefix}-")


def _between(least: int, most: int = _GREATEST) -> Callable[[Any], bool]:
    return lambda value: type(value) is int and least <= value <= most


def _an_address(value: Any) -> bool:
    try:
        return isinstance(value, str) and str(ipaddress.ip_address(value)) == value
    except ValueError:
        return False


def _closed_places(value: Any) -> bool:
    # A probe that tries nothing would find everything sealed.
    return isinstance(value, list | tuple) and bool(value) and all(_matches(_FORBIDDEN)(entry) for entry in value)


def _data_claim(entry: Any) -> DataClaim:
    if not isinstance(entry, Mapping) or entry.keys() != {"claim", "mount"}:
        raise BadFacts("data cannot be used")
    if not _matches(_CLAIM)(entry["claim"]) or not _matches(_MOUNT)(entry["mount"]):
        raise BadFacts("data names a claim or a place that cannot be a dataset's")
    return DataClaim(claim=entry["claim"], mount=entry["mount"])


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _flag(value: Any) -> bool:
    return type(value) is bool


def _the_shared_claim(value: Any) -> bool:
    return bool(value == "shared")


def _listed(value: Any) -> bool:
    return isinstance(value, list | tuple)


_FITS: dict[str, Callable[[Any], bool]] = {
    "instance": _matches(_INSTANCE),
    "workspace": _an_id("ws"),
    "person": _an_id("p"),
    "permit": _an_id("pm"),
    "namespace": _text,
    "image": _matches(_IMAGE),
    "gate": _an_address,
    "memory_bytes": _between(64 * 1024**2),
    "cpu_millis": _between(10, 1_000_000),
    "scratch_bytes": _between(1024**2),
    "home_claim": _text,
    "shared_claim": _the_shared_claim,
    "data": _listed,
    "deadline_seconds": _between(1, 7 * 24 * 3600),
    "runtime_class": _matches(_RUNTIME_CLASS),
    "user_namespaces": _flag,
    "apparmor": _flag,
    "forbidden": _closed_places,
    "terminals": _flag,
}
