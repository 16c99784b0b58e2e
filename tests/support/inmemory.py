"""The world outside in memory: cluster, sandboxes, outputs, Hub, checker, messages and a clock that a test turns.

Each keeps the promises of its port, and can be told to be silent or to refuse. The checker runs the real engine,
in this process.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from spe.disclosure.engine import examine
from spe.disclosure.profile import Profile
from spe.disclosure.settings import DisclosurePolicy
from spe.disclosure.views import views_of
from spe.domain.dataset import Guarantee
from spe.domain.errors import Invalid, Rejected, SpeError, Unauthenticated, Unavailable
from spe.domain.ids import PersonId, WorkspaceId
from spe.ports.checker import CheckJob, CheckResult
from spe.ports.cluster import Observed, SealReport, Step, StepKind
from spe.ports.hub import HubSession, Progress
from spe.ports.outputs import Candidate
from spe.ports.sandbox import Running, Started
from spe.services.app import App

Key = tuple[WorkspaceId, PersonId]
GUARANTEES = frozenset(Guarantee) - {Guarantee.SEPARATE_KERNEL, Guarantee.PIXEL_STREAM}
SEEN = SealReport(holds=True, attempts={"ipv4": "refused"})


class TurnableClock:
    """Time that passes only when a test says so, beginning now."""

    def __init__(self) -> None:
        self._now = datetime.now(UTC).replace(microsecond=0)

    def now(self) -> datetime:
        """The present instant."""
        return self._now

    def turn(self, **delta: float) -> None:
        """Let time pass: `turn(hours=2)`."""
        self._now += timedelta(**delta)


@dataclass
class MemorySandboxes:
    """Sandboxes that run until they are stopped or `ended`."""

    running: dict[Key, str] = field(default_factory=dict)
    exits: dict[Key, int] = field(default_factory=dict)
    reasons: dict[Key, str] = field(default_factory=dict)
    refusal: str = ""
    pod: Mapping[str, object] | None = None

    def start(
        self, workspace: WorkspaceId, person: PersonId, *, environment: Mapping[str, str], base_url: str
    ) -> Started:
        if self.refusal:
            raise Rejected("sandbox", self.refusal)
        self.exits.pop((workspace, person), None)
        url = self.running.setdefault((workspace, person), f"http+unix://%2Frun%2F{workspace}%2Fin.sock")
        return Started(url=url, pod=self.pod)

    def poll(self, workspace: WorkspaceId, person: PersonId) -> Running:
        key = (workspace, person)
        url, exit_, reason = self.running.get(key, ""), self.exits.get(key), self.reasons.get(key, "")
        return Running(running=key in self.running, url=url, exit=exit_, reason=reason)

    def stop(self, workspace: WorkspaceId, person: PersonId) -> None:
        if self.running.pop((workspace, person), None):
            self.exits[workspace, person] = 0


@dataclass
class MemoryCluster:
    """Workspaces as facts; `silent` and `refuses` make it fail."""

    sandboxes: MemorySandboxes
    guarantees: frozenset[Guarantee] = GUARANTEES
    there: dict[WorkspaceId, Observed] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)
    silent: bool = False
    idle_seconds: dict[PersonId, float] = field(default_factory=dict)
    refuses: dict[StepKind, str] = field(default_factory=dict)
    accounts: dict[str, WorkspaceId] = field(default_factory=dict)
    pods: dict[WorkspaceId, dict[PersonId, str]] = field(default_factory=dict)

    def recognise(self, token: str) -> WorkspaceId:
        if self.silent:
            raise Unavailable("cluster")
        if token not in self.accounts:
            raise Unauthenticated("The cluster does not know this account.")
        return self.accounts[token]

    def addresses(self, workspace: WorkspaceId) -> Mapping[PersonId, str]:
        if self.silent:
            raise Unavailable("cluster")
        return dict(self.pods.get(workspace, {}))

    def owned(self) -> tuple[WorkspaceId, ...]:
        return tuple(self.there)

    def observe(self, workspace: WorkspaceId) -> Observed:
        if self.silent:
            raise Unavailable("cluster")
        seen = self.there.get(workspace, Observed(workspace=workspace))
        return replace(seen, sessions=frozenset(p for w, p in self.sandboxes.running if w == workspace))

    def idle(self, workspace: WorkspaceId) -> Mapping[PersonId, float]:
        running = self.observe(workspace).sessions
        return {person: self.idle_seconds.get(person, 0.0) for person in running}

    def apply(self, step: Step) -> None:
        seen = self.observe(step.workspace)
        if sentence := self.refuses.get(step.kind):
            raise Rejected("cluster", sentence)
        self.steps.append(step)
        places = frozenset(p.person for p in step.places)
        gate = {"gate": True, "places": places, "limits": step.limits}
        changes: dict[StepKind, dict[str, object]] = {
            StepKind.FOLDERS: {"folders": True},
            StepKind.GATE: gate,
            StepKind.SEAL: {"seal": SEEN},
            StepKind.DATA: {"data": frozenset((e.key, e.digest) for e in step.data)},
            StepKind.CUT: {"places": frozenset()},
            StepKind.WITHDRAW_DATA: {"data": frozenset()},
            StepKind.REMOVE_GATE: {"gate": False, "places": frozenset(), "limits": None},
            StepKind.REMOVE_FOLDERS: {"folders": False},
            StepKind.UNSEAL: {"seal": None},
        }
        if step.kind is StepKind.STOP_SESSIONS:
            for person in seen.sessions:
                self.sandboxes.stop(step.workspace, person)
        if step.kind is StepKind.GATE and places:
            for person in seen.sessions - places:
                self.sandboxes.stop(step.workspace, person)
        after = replace(seen, sessions=frozenset(), **changes.get(step.kind, {}))  # type: ignore[arg-type]
        self.there[step.workspace] = after
        if not after.anything:
            del self.there[step.workspace]


@dataclass
class MemoryOutputs:
    """Outputs folders as dictionaries of bytes."""

    files: dict[Key, dict[str, bytes]] = field(default_factory=dict)
    note: str = ""

    def put(self, workspace: WorkspaceId, person: PersonId, path: str, data: bytes) -> None:
        """What a researcher does in the notebook."""
        self.files.setdefault((workspace, person), {})[path] = data

    def candidates(self, workspace: WorkspaceId, person: PersonId) -> tuple[Candidate, ...]:
        found = self.files.get((workspace, person), {})
        return tuple(Candidate(path=path, size=len(data)) for path, data in sorted(found.items()))

    def read(self, workspace: WorkspaceId, person: PersonId, path: str) -> Iterator[bytes]:
        found = self.files.get((workspace, person), {})
        if path not in found:
            raise Invalid({"path": f"{path} is not a regular file in the outputs folder."})
        yield found[path]


@dataclass
class MemoryHub:
    """A Hub that starts a session when its progress is followed, by asking the portal as the spawner does."""

    app: App | None = None
    asked: set[Key] = field(default_factory=set)
    ready: set[Key] = field(default_factory=set)
    silent: bool = False

    def ensure_person(self, person: PersonId) -> None:
        if self.silent:
            raise Unavailable("Hub")

    def start(self, workspace: WorkspaceId, person: PersonId) -> None:
        self.ensure_person(person)
        self.asked.add((workspace, person))

    def progress(self, workspace: WorkspaceId, person: PersonId) -> Iterator[Progress]:
        key, app = (workspace, person), self.app
        if app is None or key not in self.asked | self.ready:
            yield Progress(percent=100, message="The session is not starting.", failed=True)
            return
        if key in self.asked:
            yield Progress(percent=10, message="The start is requested.")
            try:
                app.sessions.launch(workspace, person, environment={}, base_url=f"/user/{person}/{workspace}/")
            except SpeError as error:
                self.asked.discard(key)
                yield Progress(percent=100, message=str(error), failed=True)
                return
            self.asked.discard(key)
            self.ready.add(key)
        yield Progress(percent=100, message="The notebook runs.", ready=True)

    def stop(self, workspace: WorkspaceId, person: PersonId) -> None:
        self.asked.discard((workspace, person))
        self.ready.discard((workspace, person))

    def running(self) -> tuple[HubSession, ...]:
        if self.silent:
            raise Unavailable("Hub")
        known = sorted(self.asked | self.ready)
        return tuple(HubSession(workspace=w, person=p, ready=(w, p) in self.ready) for w, p in known)

    def forget(self, person: PersonId) -> None:
        for workspace, other in self.asked | self.ready:
            if other == person:
                self.stop(workspace, person)


@dataclass
class MemoryChecker:
    """The real engine, without a sandbox; `fails` makes it crash with that sentence."""

    fails: str = ""

    def check(self, job: CheckJob) -> CheckResult:
        if self.fails:
            raise Rejected("checker", self.fails)
        views: dict[str, bytes] = {}

        def watch(number, opened, data):  # type: ignore[no-untyped-def]
            for name, view in views_of(number, opened, data).items():
                views[name] = view if isinstance(view, bytes) else json.dumps(view).encode()

        report = examine(
            next(file.parents[path.count("/")] for path, file in job.files.items()),
            DisclosurePolicy.from_json(job.policy),
            [Profile.from_json(profile) for profile in job.profiles],
            [next(file.parents[path.count("/")] for path, file in earlier.items()) for earlier in job.history],
            declaration_bytes=job.declaration.encode(),
            watch=watch,
        )
        return CheckResult(report=json.dumps(report.to_json()).encode(), views=views)


@dataclass
class MemoryNotifier:
    """Keeps what was said."""

    told: list[tuple[PersonId, str, str]] = field(default_factory=list)

    def tell(self, person: PersonId, subject: str, message: str) -> None:
        self.told.append((person, subject, message))
