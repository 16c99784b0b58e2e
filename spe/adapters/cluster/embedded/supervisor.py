"""`spe up`: the ordinary account's process that keeps all others, and dies with none of them left.

Services (portal, Hub, proxy), one gate per workspace and the sandboxes are its children; the portal asks
for gates and sandboxes through the control socket and may itself be killed at any time. Killed itself,
the kernel takes every child with it.
"""

import asyncio
import contextlib
import fcntl
import os
import shutil
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from spe.adapters.bubblewrap import host as hosts
from spe.adapters.bubblewrap.launch import mark_of
from spe.adapters.bubblewrap.sandbox import SandboxSpec, from_json
from spe.adapters.cluster.embedded import process
from spe.adapters.cluster.embedded.cgroup import delegated
from spe.adapters.cluster.embedded.control import ControlServer, Failure
from spe.adapters.cluster.embedded.layout import Layout, make_run, private
from spe.adapters.cluster.embedded.readiness import Listening
from spe.adapters.cluster.embedded.sandboxes import Differs, Sandbox, Sandboxes, StartFailed
from spe.adapters.cluster.embedded.services import Service, ServiceSpec, inherited
from spe.domain.errors import Rejected

_GATE_SECONDS = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SupervisorConfig:
    """What to keep. `gate` is the gate's program; the path of its folder is added as the last argument.

    Services start in order, each when the one before is ready, and stop in the reverse order.
    """

    layout: Layout
    services: tuple[ServiceSpec, ...] = ()
    gate: tuple[str, ...] = ()
    gate_environment: Mapping[str, str] = field(default_factory=inherited)
    host: hosts.Host = field(default_factory=hosts.look)
    watch_seconds: float = 5.0


class Supervisor:
    """Keeps the children of one environment until it is told to stop."""

    def __init__(self, config: SupervisorConfig, *, on_ready: Callable[[], None] | None = None) -> None:
        self._config = config
        self._on_ready = on_ready
        self._services: dict[str, Service] = {}
        self._gates: dict[str, Service] = {}
        self._gate_locks: dict[str, asyncio.Lock] = {}
        self._stop: asyncio.Future[int]
        self._loop: asyncio.AbstractEventLoop
        self._sandboxes: Sandboxes

    def run(self, *, uid: int | None = None) -> int:
        """Run until a signal, `request_stop` or a decisive service's end; the exit status.

        Must be called on the main thread, in a process that starts no other children. Raises `Rejected`
        as uid 0 (a sandbox made by root is a way out) or when another supervisor holds the run folder.
        """
        refuse_root(os.geteuid() if uid is None else uid)
        return asyncio.run(self._main())

    def request_stop(self, status: int = 0) -> None:
        """Ask it to stop, from any thread."""
        self._loop.call_soon_threadsafe(self._finish, status)

    def _finish(self, status: int) -> None:
        if not self._stop.done():
            self._stop.set_result(status)

    async def _main(self) -> int:
        layout = self._config.layout
        make_run(layout.run)
        lock = _take_lock(layout.lock)
        self._loop = asyncio.get_running_loop()
        self._stop = self._loop.create_future()
        mark = mark_of(layout.run)
        process.end_marked(mark)
        _clean(layout)
        private(layout.logs)
        process.adopt_orphans()
        groups = delegated()
        self._sandboxes = Sandboxes(
            host=self._config.host,
            logs=layout.logs,
            groups=groups,
            watch_seconds=self._config.watch_seconds,
            mark=mark,
        )
        self._limits_hold = groups is not None
        control = ControlServer(layout.control, self._verbs())
        for number, status in {signal.SIGINT: 130, signal.SIGTERM: 0}.items():
            self._loop.add_signal_handler(number, self._finish, status)
        self._loop.add_signal_handler(signal.SIGCHLD, self._reap)
        try:
            await control.open()
            starting = self._loop.create_task(self._start_services())
            status = await self._stop
            starting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await starting
        finally:
            await control.close()
            await self._stop_everything()
            self._reap()
            shutil.rmtree(layout.run, ignore_errors=True)
            os.close(lock)
        return status

    async def _start_services(self) -> None:
        for spec in self._config.services:
            service = self._keep(spec)
            self._services[spec.name] = service
            await service.wait_ready(seconds=spec.start_seconds)
        if self._on_ready is not None:
            self._on_ready()

    def _keep(self, spec: ServiceSpec) -> Service:
        path = self._config.layout.logs / (spec.name.replace("/", "-") + ".log")
        return Service(spec, log=path, on_decisive_end=self._finish)

    async def _stop_everything(self) -> None:
        """Sandboxes at once, then gates, then services from the last to the first."""
        await self._sandboxes.stop_all()
        await asyncio.gather(*(gate.stop() for gate in self._gates.values()))
        for service in reversed(self._services.values()):
            await service.stop()

    def _reap(self) -> None:
        kept = (*self._services.values(), *self._gates.values())
        known = {service.pid for service in kept if service.pid is not None}
        process.end_strays(frozenset(known) | self._sandboxes.pids())

    def _verbs(self) -> dict[str, Any]:
        return {
            "status": self._status,
            "start-gate": self._start_gate,
            "stop-gate": self._stop_gate,
            "start-sandbox": self._start_sandbox,
            "run-sandbox": self._run_sandbox,
            "stop-sandbox": self._stop_sandbox,
            "sandbox": self._one_sandbox,
            "tail-log": self._tail_log,
        }

    async def _status(self, _request: Mapping[str, Any]) -> dict[str, Any]:
        """Everything that is kept, as it is now."""
        return {
            "pid": os.getpid(),
            "resource_limits": self._limits_hold,
            "services": [_service_facts(service) for service in self._services.values()],
            "gates": [{**_service_facts(gate), "workspace": name} for name, gate in self._gates.items()],
            "sandboxes": [_sandbox_facts(box) for box in self._sandboxes.live.values()],
        }

    async def _start_gate(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Keep the gate of a workspace; its folder must be there. Waits until it listens."""
        workspace = str(request["workspace"])
        folder = self._config.layout.gate(workspace)
        async with self._gate_lock(workspace):
            gate = self._gates.get(workspace)
            if gate is None:
                sockets = (folder / "in.sock", folder / "control.sock")
                gate = self._gates[workspace] = self._keep(
                    ServiceSpec(
                        name=f"gate-{workspace}",
                        arguments=(*self._config.gate, str(folder)),
                        environment=self._config.gate_environment,
                        ready=Listening(socket=folder / "control.sock"),
                        sockets=sockets,
                        start_seconds=_GATE_SECONDS,
                        grace=1.0,
                    )
                )
            if not await gate.wait_ready(seconds=_GATE_SECONDS):
                raise Failure("not-ready", f"The gate does not come up. {gate.tail[-1000:]}".strip())
        return _service_facts(gate)

    async def _stop_gate(self, request: Mapping[str, Any]) -> dict[str, Any]:
        workspace = str(request["workspace"])
        async with self._gate_lock(workspace):
            gate = self._gates.get(workspace)
            if gate is not None:
                await gate.stop()
                self._gates.pop(workspace, None)
        return {"stopped": gate is not None}

    def _gate_lock(self, workspace: str) -> asyncio.Lock:
        return self._gate_locks.setdefault(workspace, asyncio.Lock())

    async def _start_sandbox(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Start a sandbox and wait for its socket. `failed` carries the log's end, `differs` leaves it."""
        spec = self._accepted(from_json(request["spec"]))
        ready = Listening(socket=Path(request["socket"])) if request.get("socket") else None
        try:
            box = await self._sandboxes.start(spec, ready=ready, seconds=float(request.get("seconds", 60)))
        except StartFailed as error:
            raise Failure("failed", str(error)) from error
        except Differs as error:
            raise Failure("differs", "It runs with another specification.") from error
        return _sandbox_facts(box)

    async def _run_sandbox(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Run a sandbox to its end, at most `seconds`; exit status and the log's end."""
        spec = self._accepted(from_json(request["spec"]))
        try:
            ended = await self._sandboxes.run(spec, seconds=float(request.get("seconds", 60)))
        except StartFailed as error:
            raise Failure("failed", str(error)) from error
        return {"exit": ended.exit, "log": ended.log, "reason": ended.reason}

    async def _stop_sandbox(self, request: Mapping[str, Any]) -> dict[str, Any]:
        name, reason = str(request["name"]), str(request.get("reason", ""))
        return {"stopped": await self._sandboxes.stop(name, reason=reason)}

    async def _one_sandbox(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Whether a sandbox runs; if not, how it ended last."""
        name = str(request["name"])
        box = self._sandboxes.live.get(name)
        if box is not None:
            return {"running": True, **_sandbox_facts(box), "log": box.log.tail}
        ended = self._sandboxes.ended(name)
        if ended is None:
            return {"running": False, "exit": None, "log": ""}
        return {"running": False, "exit": ended.exit, "log": ended.log, "reason": ended.reason}

    async def _tail_log(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """The end of what a service, a gate or a sandbox said."""
        name = str(request["name"])
        kept = self._services.get(name) or self._gates.get(name.removeprefix("gate-"))
        if kept is not None:
            return {"log": kept.tail}
        box = self._sandboxes.live.get(name)
        ended = self._sandboxes.ended(name)
        return {"log": box.log.tail if box is not None else ended.log if ended is not None else ""}

    def _accepted(self, spec: SandboxSpec) -> SandboxSpec:
        """Only folders of ours may be written from inside, whoever asks. Raises `Failure`."""
        layout = self._config.layout
        roots = (os.path.realpath(layout.workspaces), os.path.realpath(layout.run))
        for bind in spec.writable:
            place = os.path.realpath(bind.source)
            if not any(place.startswith(root + "/") for root in roots):
                raise Failure("refused", f"{bind.source} is not a folder that a sandbox may write.")
        return spec


def refuse_root(uid: int) -> None:
    """Raise `Rejected` for uid 0: inside a sandbox made by root, "uid 1000" is root outside."""
    if uid == 0:
        raise Rejected(
            "supervisor",
            "It does not run as root, because a sandbox made by root can be left. "
            "Start it as an ordinary account, for instance with `setpriv --reuid=… --regid=… --clear-groups`.",
        )


def _take_lock(path: Path) -> int:
    number = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(number)
        raise Rejected(
            "supervisor", f"Another one runs in {path.parent}; stop it, or give this one another home."
        ) from error
    return number


def _clean(layout: Layout) -> None:
    """Remove what a killed predecessor left in the run folder; the lock stays."""
    for entry in list(os.scandir(layout.run)):
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path, ignore_errors=True)
        elif entry.name != layout.lock.name:
            os.unlink(entry.path)


def _service_facts(service: Service) -> dict[str, Any]:
    return {
        "name": service.spec.name,
        "state": service.state.value,
        "ready": service.ready,
        "pid": service.pid,
        "starts": service.starts,
        "exit": service.last_exit,
    }


def _sandbox_facts(box: Sandbox) -> dict[str, Any]:
    """What may be told about a sandbox: never its environment, which holds a token."""
    return {
        "name": box.spec.name,
        "digest": box.digest,
        "pid": box.child.pid,
        "inner": box.inner,
        "read_only": [[bind.source, bind.target] for bind in box.spec.read_only],
    }
