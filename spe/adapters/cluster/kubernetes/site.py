"""What is the same for every workspace of an installation: images, services, what nodes can do, what gates are told."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from spe.adapters.cluster.kubernetes.features import Features


@dataclass(frozen=True, slots=True, kw_only=True)
class Images:
    """Images by digest, `name@sha256:…`; the seal probe is in the notebook's.

    `intake` reads datasets when they are registered, the control plane's own has what that takes; empty: nobody can.
    """

    notebook: str
    gate: str
    intake: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """Addresses of the release namespace's Services: what a gate speaks to. No name needs to be looked up."""

    portal_internal: str
    hub: str
    mirror: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Storage:
    """Where homes and shared folders lie. `class_name` None: the cluster's default class.

    `shared_access` is `ReadWriteMany` where sessions of a workspace may run on several nodes. `host_folders` allows
    datasets at `hostPath:`, which only a test cluster should.
    """

    class_name: str | None = None
    shared_access: str = "ReadWriteMany"
    host_folders: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class GateFacts:
    """What every gate is told. `lab`, `server`, `extensions` are folders of its image; times in seconds."""

    public_origins: tuple[str, ...]
    portal_url: str
    lab: str = "/opt/jupyter/lab"
    server: str = "/opt/jupyter/server"
    extensions: str = "/opt/jupyter/labextensions"
    mirror_names: tuple[str, ...] = ()
    deadline_seconds: float = 30.0
    message_bytes: int = 10 * 1024**2
    terminals: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """An installation. `forbidden` are places that no notebook may reach, `tcp:10.0.0.1:443`.

    `linger_seconds` is longer than any pod of ours may take to end: one that was deleted without grace is not listed
    any more and may still run.
    """

    instance: str
    release_namespace: str
    images: Images
    services: Services
    gate: GateFacts
    features: Features
    forbidden: tuple[str, ...]
    storage: Storage = field(default_factory=Storage)
    session_seconds: int = 12 * 3600
    seal_seconds: int = 6 * 3600
    probe_seconds: int = 20
    intake_seconds: int = 3600
    linger_seconds: float = 6.0
    runtime_class: str = ""
    pull_policy: str = "IfNotPresent"
    node_selector: Mapping[str, str] = field(default_factory=dict)
