"""The sandbox port on one host: a person's notebook, started for the Hub's spawner through the supervisor.

What a session gets is read from the cluster's own records (place, limits, exposed data), never from the
asker: the Hub may only say that it wants one, and hand over its own variables.
"""

from collections.abc import Mapping
from contextlib import suppress

from spe.adapters.bubblewrap.host import Host
from spe.adapters.bubblewrap.sandbox import Bind, SandboxSpec
from spe.adapters.cluster.embedded import folders
from spe.adapters.cluster.embedded.client import SupervisorClient
from spe.adapters.cluster.embedded.gatecontrol import GateControl
from spe.adapters.cluster.embedded.layout import Layout
from spe.adapters.cluster.embedded.notebook import notebook_shape, server_command, server_environment
from spe.adapters.cluster.embedded.records import Records
from spe.domain.errors import Rejected, Unavailable
from spe.domain.ids import PersonId, WorkspaceId
from spe.ports.sandbox import Running, Started

_READY_SECONDS = 60.0


class EmbeddedSandboxes:
    """Notebook sandboxes of this host; implements `spe.ports.sandbox.Sandboxes`."""

    def __init__(
        self,
        *,
        layout: Layout,
        client: SupervisorClient,
        host: Host,
        terminals: bool = False,
        ready_seconds: float = _READY_SECONDS,
        command: tuple[str, ...] = (),
    ) -> None:
        self._layout = layout
        self._client = client
        self._records = Records(layout)
        self._ready_seconds = ready_seconds
        self._terminals = terminals
        self._command = command or server_command(host.python.executable, terminals=terminals)

    def start(
        self, workspace: WorkspaceId, person: PersonId, *, environment: Mapping[str, str], base_url: str
    ) -> Started:
        """Start and wait until the notebook answers; the gate's address.

        The gate is asked to look again first: its last word may be older than what opened the door, and a
        notebook whose first question is refused waits for seconds before the next.
        """
        spec = self.specification(workspace, person, environment=environment, base_url=base_url)
        with suppress(Unavailable, Rejected):  # a gate that is just coming back asks by itself
            GateControl(self._layout.gate(workspace)).reload()
        socket = self._layout.notebook(workspace, person) / "nb.sock"
        self._client.start_sandbox(spec, socket_path=socket, seconds=self._ready_seconds)
        return Started(url=self._layout.entrance(workspace))

    def specification(
        self, workspace: WorkspaceId, person: PersonId, *, environment: Mapping[str, str], base_url: str
    ) -> SandboxSpec:
        """The sandbox this person gets in this workspace. Raises `Rejected` without a place at the gate."""
        limits = self._records.limits(workspace)
        place = self._layout.session(workspace, person)
        if limits is None or not place.is_file():
            raise Rejected("sandbox", "the workspace's gate has no place for this person.")
        try:
            places = folders.make_places(self._layout, workspace, person)
        except OSError as error:
            raise Unavailable("sandbox", f"folders cannot be made: {error.strerror}") from error
        return notebook_shape(
            name=f"{workspace}/{person}",
            command=self._command,
            environment=server_environment(environment, base_url=base_url),
            places=places,
            data=tuple(Bind(source=e.source, target=e.mount) for e in self._records.exposures(workspace)),
            limits=limits,
            workspace=workspace,
            terminals=self._terminals,
        )

    def poll(self, workspace: WorkspaceId, person: PersonId) -> Running:
        """Whether it runs now, and if not, how it ended last."""
        facts = self._client.sandbox(f"{workspace}/{person}")
        running = facts["running"] is True
        return Running(
            running=running,
            url=self._layout.entrance(workspace) if running else "",
            exit=facts.get("exit"),
            log=str(facts.get("log", "")),
            reason=str(facts.get("reason", "")),
        )

    def stop(self, workspace: WorkspaceId, person: PersonId) -> None:
        """End it and wait until it is gone."""
        try:
            self._client.stop_sandbox(f"{workspace}/{person}", reason="The session was stopped.")
        except Rejected as error:
            raise Unavailable("supervisor", error.reason) from error
