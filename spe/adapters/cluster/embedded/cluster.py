"""The cluster port on one host: folders, a gate, and sandboxes that the supervisor keeps.

It translates steps into files and requests to the supervisor and the gate, looks afresh each time, and
decides nothing. Order inside a step is safety: a record shrinks before sessions end, a file of the gate
goes before the gate is told, so that being killed in between never opens anything.
"""

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spe.adapters.bubblewrap import seccomp
from spe.adapters.bubblewrap.host import Host
from spe.adapters.bubblewrap.sandbox import options
from spe.adapters.cluster.embedded import folders
from spe.adapters.cluster.embedded.client import SupervisorClient
from spe.adapters.cluster.embedded.gatecontrol import GateControl
from spe.adapters.cluster.embedded.layout import Layout, private
from spe.adapters.cluster.embedded.notebook import Places, notebook_shape
from spe.adapters.cluster.embedded.probe import SealProbe
from spe.adapters.cluster.embedded.records import Records, write_json
from spe.domain.dataset import Guarantee
from spe.domain.errors import Rejected, Unavailable
from spe.domain.ids import PersonId, WorkspaceId, is_id
from spe.domain.permit import Limits
from spe.ports.cluster import Observed, SealReport, SessionPlace, Step, StepKind

_ALWAYS = frozenset(
    {Guarantee.NO_NETWORK, Guarantee.READ_ONLY_DATA, Guarantee.USER_NAMESPACE, Guarantee.PRIVATE_PROCESSES}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class GateFacts:
    """What every gate of this environment is told besides its workspace.

    `hub` is the base address of the Hub's internal API, `portal_url` where browsers find the portal, `lab` and
    `server` are the folders of JupyterLab's and the notebook server's static files.
    """

    hub: str
    lab: Path
    server: Path
    public_origins: tuple[str, ...]
    portal_url: str
    mirror: str | None = None
    mirror_names: tuple[str, ...] = ()
    deadline_seconds: float = 30.0
    message_bytes: int = 10 * 1024 * 1024
    terminals: bool = False


class EmbeddedCluster:
    """Workspaces on this host; implements `spe.ports.cluster.Cluster`."""

    def __init__(
        self, *, layout: Layout, client: SupervisorClient, host: Host, gate: GateFacts, absent: tuple[str, ...] = ()
    ) -> None:
        self._layout = layout
        self._client = client
        self._gate = gate
        self._records = Records(layout)
        self._probe = SealProbe(
            client=client,
            host=host,
            scratch=layout.run / "p",
            absent=(str(layout.home), str(layout.run), *absent),
        )
        self._shape = shape_digest(host)
        self._guarantees: frozenset[Guarantee] | None = None

    @property
    def guarantees(self) -> frozenset[Guarantee]:
        """What this host gives; limits only where control groups are delegated. Raises `Unavailable`."""
        if self._guarantees is None:
            limits = self._client.status().get("resource_limits") is True
            self._guarantees = _ALWAYS | ({Guarantee.RESOURCE_LIMITS} if limits else frozenset())
        return self._guarantees

    def owned(self) -> tuple[WorkspaceId, ...]:
        """Every workspace with a folder, a gate or a sandbox."""
        roots = (self._layout.workspaces, *(self._layout.run / name for name in ("g", "d", "n")))
        found = {name for root in roots for name in _names(root)}
        status = self._client.status()
        found |= {gate["workspace"] for gate in status["gates"]}
        found |= {box["name"].partition("/")[0] for box in status["sandboxes"]}
        return tuple(WorkspaceId(name) for name in sorted(found) if is_id(name))

    def observe(self, workspace: WorkspaceId) -> Observed:
        """What is there now. Raises `Unavailable` when the supervisor is silent: nothing is guessed."""
        status = self._client.status()
        boxes = _boxes_of(status, workspace)
        gate = any(g["workspace"] == workspace and g["ready"] for g in status["gates"])
        return Observed(
            workspace=workspace,
            folders=self._layout.files(workspace).is_dir(),
            gate=gate and (self._layout.gate(workspace) / "gate.json").is_file(),
            seal=self._records.seal(workspace, shape=self._shape),
            data=self._exposed(workspace, boxes),
            places=frozenset(PersonId(p.stem) for p in self._session_files(workspace)),
            limits=self._records.limits(workspace),
            sessions=frozenset(PersonId(p) for p in (box["name"].partition("/")[2] for box in boxes) if is_id(p)),
        )

    def idle(self, workspace: WorkspaceId) -> Mapping[PersonId, float]:
        """Seconds since each session was last in use, as the gate saw it. Raises `Unavailable`."""
        running = self.observe(workspace).sessions
        if not running:
            return {}
        found = GateControl(self._layout.gate(workspace)).idle_seconds()
        return {PersonId(person): seconds for person, seconds in found.items() if person in running}

    def recognise(self, token: str) -> WorkspaceId:
        """Gates on one host are given their token in a file. Raises `Rejected`, always."""
        del token
        raise Rejected("cluster", "On one host a gate does not have to say who it is.")

    def addresses(self, workspace: WorkspaceId) -> Mapping[PersonId, str]:
        """None: notebooks on one host have sockets."""
        del workspace
        return {}

    def _exposed(self, workspace: str, boxes: list[dict[str, Any]]) -> frozenset[tuple[str, str]]:
        """What the record exposes, and what a running sandbox still shows against the record."""
        data = self._records.exposures(workspace)
        recorded = {(e.source, e.mount) for e in data}
        shown = {(source, target) for box in boxes for source, target in box["read_only"]}
        strays = {(target.removeprefix("/data/"), "") for s, target in shown - recorded if target.startswith("/data/")}
        return frozenset({(e.key, e.digest) for e in data} | {stray for stray in strays if stray[0] != "probe/1"})

    def apply(self, step: Step) -> None:
        """Make one step true. Raises `Unavailable` or `Rejected`."""
        try:
            self._steps[step.kind](self, step)
        except OSError as error:
            raise Unavailable("cluster", f"{step.kind}: {error.strerror or error}") from error

    def _make_folders(self, step: Step) -> None:
        folders.make_shared(self._layout, step.workspace)

    def _make_gate(self, step: Step) -> None:
        """The gate's files, its process, its sessions: exactly the places of the step.

        Sandboxes of people who are not among them end; an empty list only closes the door, because it
        also stands for "not yet".
        """
        folder = self._layout.gate(step.workspace)
        private(folder / "sessions")
        if write_json(folder / "gate.json", self._gate_json(step)):
            self._client.stop_gate(step.workspace)
        private(self._layout.workspace(step.workspace))
        self._records.limit(step.workspace, step.limits)
        wanted = {place.person for place in step.places}
        for path in self._session_files(step.workspace):
            if path.stem not in wanted:
                path.unlink()
        for place in step.places:
            folders.make_places(self._layout, step.workspace, place.person)
            write_json(self._layout.session(step.workspace, place.person), self._session_json(step, place))
        self._client.start_gate(step.workspace)
        GateControl(folder).reload()
        if wanted:
            self._end(step.workspace, "You are no longer named in the permit.", lambda person, _: person not in wanted)

    def _gate_json(self, step: Step) -> dict[str, Any]:
        gate = self._gate
        return {
            "workspace": step.workspace,
            "permit": step.permit,
            "token": step.token,
            "portal": str(self._layout.internal),
            "hub": gate.hub,
            "mirror": gate.mirror,
            "mirror_names": list(gate.mirror_names),
            "assets": {"lab": str(gate.lab), "server": str(gate.server)},
            "state": str(self._layout.counters(step.workspace)),
            "deadline_seconds": gate.deadline_seconds,
            "public_origins": list(gate.public_origins),
            "portal_url": gate.portal_url,
        }

    def _session_json(self, step: Step, place: SessionPlace) -> dict[str, Any]:
        return {
            "person": place.person,
            "name": "".join(c if c.isprintable() else " " for c in place.name)[:200],
            "base_url": f"/user/{place.person}/{step.workspace}/",
            "notebook": str(self._layout.notebook(step.workspace, place.person) / "nb.sock"),
            "door": str(self._layout.door(step.workspace, place.person)),
            "daily_bytes": step.limits.daily_bytes,
            "message_bytes": self._gate.message_bytes,
            "terminals": self._gate.terminals,
            "expires": place.expires.isoformat(),
        }

    def _probe_seal(self, step: Step) -> None:
        """Look from inside, before any data; keep the report. Raises `Rejected` when the seal does not hold."""
        report = self._probe.look(step.workspace, limits=step.limits)
        self._records.sealed(step.workspace, report, shape=self._shape)
        if not report.holds:
            raise Rejected("cluster", "The network seal does not hold: " + _failures(report))

    def _expose(self, step: Step) -> None:
        """Sessions show exactly these versions; those that show another one end."""
        for exposure in step.data:
            if not Path(exposure.source).is_dir():
                raise Rejected("cluster", f"The files of {exposure.key} are not at their place.")
        self._records.expose(step.workspace, step.data)
        kept = {(e.source, e.mount) for e in step.data}
        self._end(
            step.workspace,
            "A dataset was withdrawn; start again to go on without it.",
            lambda _, data: bool(data - kept),
        )

    def _withdraw(self, step: Step) -> None:
        self._records.expose(step.workspace, ())
        self._end(step.workspace, step.reason or "The data was withdrawn.", lambda _, data: bool(data))

    def _cut(self, step: Step) -> None:
        """The gate's files go first, so that a gate which restarts in between lets nobody in either."""
        for path in self._session_files(step.workspace):
            if step.person is None or path.stem == step.person:
                path.unlink(missing_ok=True)
        if any(g["workspace"] == step.workspace for g in self._client.status()["gates"]):
            GateControl(self._layout.gate(step.workspace)).cut(step.person, step.reason)

    def _stop_sessions(self, step: Step) -> None:
        self._end(step.workspace, step.reason, lambda person, _: step.person is None or person == step.person)

    def _remove_gate(self, step: Step) -> None:
        self._client.stop_gate(step.workspace)
        for folder in (
            self._layout.gate(step.workspace),
            self._layout.doors(step.workspace),
            self._layout.notebooks(step.workspace),
        ):
            folders.remove(folder)

    def _remove_folders(self, step: Step) -> None:
        self._refuse_while_running(step.workspace)
        folders.remove(self._layout.files(step.workspace))

    def _unseal(self, step: Step) -> None:
        """Last: the notes and the gate's counters. Refused while anything could still run."""
        self._refuse_while_running(step.workspace)
        if self._records.exposures(step.workspace):
            raise Rejected("cluster", "The data is still exposed; it is withdrawn before the seal goes.")
        self._remove_gate(step)
        folders.remove(self._layout.workspace(step.workspace))

    def _refuse_while_running(self, workspace: str) -> None:
        if _boxes_of(self._client.status(), workspace):
            raise Rejected("cluster", "Sessions still run; they are stopped before anything else is removed.")

    def _end(self, workspace: str, reason: str, which: Callable[[str, frozenset[tuple[str, str]]], bool]) -> None:
        """End the sandboxes for which `which(person, data shown)` says so, and wait until they are gone."""
        for box in _boxes_of(self._client.status(), workspace):
            data = frozenset((s, t) for s, t in box["read_only"] if t.startswith("/data/"))
            if which(box["name"].partition("/")[2], data):
                self._client.stop_sandbox(box["name"], reason=reason)

    def _session_files(self, workspace: str) -> list[Path]:
        return sorted((self._layout.gate(workspace) / "sessions").glob("[a-z]*.json"))

    _steps: Mapping[StepKind, Callable[["EmbeddedCluster", Step], None]] = {
        StepKind.FOLDERS: _make_folders,
        StepKind.GATE: _make_gate,
        StepKind.SEAL: _probe_seal,
        StepKind.DATA: _expose,
        StepKind.CUT: _cut,
        StepKind.STOP_SESSIONS: _stop_sessions,
        StepKind.WITHDRAW_DATA: _withdraw,
        StepKind.REMOVE_GATE: _remove_gate,
        StepKind.REMOVE_FOLDERS: _remove_folders,
        StepKind.UNSEAL: _unseal,
    }


def _names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except FileNotFoundError:
        return []


def _boxes_of(status: Mapping[str, Any], workspace: str) -> list[dict[str, Any]]:
    return [box for box in status["sandboxes"] if box["name"].startswith(f"{workspace}/")]


def _failures(report: SealReport) -> str:
    failed = [f"{name} ({text})" for name, text in report.attempts.items() if not text.startswith("stopped")]
    return ", ".join(text for text in failed if "(answered)" not in text and "not tried:" not in text)[:600]


def shape_digest(host: Host) -> str:
    """What a seal report is about: the sandbox's options, the filter, the kernel and its boot.

    After a restart of the machine, an update or a change of the filter the seal is looked at again.
    """
    root = Path("/")
    places = Places(home=root, outputs=root, shared=root, notebook=root, door=root)
    spec = notebook_shape(
        name="shape", command=(), environment={}, places=places, data=(), limits=Limits(), workspace="shape"
    )
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        boot = ""
    facts = [[repr(option) for option in options(spec, host)], seccomp.digest(), os.uname().release, boot]
    return "sha256:" + hashlib.sha256(json.dumps(facts).encode()).hexdigest()
