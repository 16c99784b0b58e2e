"""What every use case works with: the ports, the policies of the moment, and a bell for the loops."""

import hmac
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from spe.domain.errors import Unauthenticated
from spe.domain.ids import WorkspaceId
from spe.policy.policyset import PolicySet
from spe.ports.checker import Checker
from spe.ports.clock import Clock
from spe.ports.cluster import Cluster
from spe.ports.hub import Hub
from spe.ports.identity import IdentityProvider
from spe.ports.notify import Notifier
from spe.ports.objects import ObjectStore
from spe.ports.outputs import Outputs
from spe.ports.sandbox import Sandboxes
from spe.ports.secrets import KeyName, SecretStore
from spe.ports.sources import Sources
from spe.ports.store import Store


def gate_token(secrets: SecretStore, workspace: str) -> str:
    """The bearer token that binds a gate to its workspace; verified by making it again."""
    mac = secrets.mac(KeyName.LINKS, f"gate:{workspace}".encode()).hex()
    return f"{workspace}.{mac}"


def _anybody() -> None:
    """Nobody has to lead: there is one process, or somebody asked for this one thing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """The adapters that `bootstrap` chose; without an identity provider people sign in by one-time links."""

    store: Store
    objects: ObjectStore
    secrets: SecretStore
    cluster: Cluster
    sandboxes: Sandboxes
    outputs: Outputs
    sources: Sources
    hub: Hub
    checker: Checker
    notifier: Notifier
    clock: Clock
    identity: IdentityProvider | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """Ports, policies (read afresh, so that a changed file counts at once) and the bell."""

    ports: Ports
    policies: Callable[[], PolicySet]
    origin: str
    may_act: Callable[[], None] = _anybody
    """Called before each act on the world; raises `Stale` in a process that has lost the lead."""
    bell: threading.Event = field(default_factory=threading.Event)

    def gate_token(self, workspace: str) -> str:
        """The bearer token that binds a gate to its workspace."""
        return gate_token(self.ports.secrets, workspace)

    def workspace_of(self, token: str) -> WorkspaceId:
        """The workspace whose gate this token is. Raises `Unauthenticated`."""
        workspace = WorkspaceId(token.partition(".")[0])
        if not hmac.compare_digest(self.gate_token(workspace).encode(), token.encode()):
            raise Unauthenticated("This gate is not known here.")
        return workspace

    def ring(self) -> None:
        """Wake the loops: something was decided that the world must follow."""
        self.bell.set()
