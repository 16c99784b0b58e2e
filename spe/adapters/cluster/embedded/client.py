"""Asking the supervisor: one short connection per request, with a deadline, from any thread.

Silence becomes `Unavailable`, a failure of the thing asked for `Rejected`; nothing else is raised.
"""

import json
import socket
from pathlib import Path
from typing import Any

from spe.adapters.bubblewrap.sandbox import SandboxSpec, to_json
from spe.adapters.cluster.embedded.control import LONGEST, encode
from spe.domain.errors import Rejected, Unavailable

_MARGIN = 10.0


class SupervisorClient:
    """Speaks to one supervisor's control socket."""

    def __init__(self, path: Path, *, seconds: float = 10.0) -> None:
        self._path = path
        self._seconds = seconds

    def ask(self, verb: str, *, seconds: float | None = None, **fields: Any) -> dict[str, Any]:
        """One request and its answer. Raises `Unavailable` on silence, `Rejected` on a no."""
        answer = self._exchange({"verb": verb, **fields}, seconds or self._seconds)
        if answer.get("ok"):
            return answer
        raise Rejected("supervisor", str(answer.get("message", "it gave no reason")))

    def _exchange(self, request: dict[str, Any], seconds: float) -> dict[str, Any]:
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as end:
                end.settimeout(seconds)
                end.connect(str(self._path))
                end.sendall(encode(request))
                with end.makefile("rb") as stream:
                    line = stream.readline(LONGEST)
            answer = json.loads(line)
        except (OSError, ValueError) as error:
            raise Unavailable("supervisor", "start it with `spe up`") from error
        if not isinstance(answer, dict):
            raise Unavailable("supervisor", "its answer is not readable")
        return answer

    def status(self) -> dict[str, Any]:
        """Services, gates and sandboxes as they are now."""
        return self.ask("status")

    def start_gate(self, workspace: str) -> None:
        """Keep the gate of a workspace and wait until it listens."""
        self.ask("start-gate", workspace=workspace, seconds=40.0)

    def stop_gate(self, workspace: str) -> None:
        """Stop the gate of a workspace; fine when there is none."""
        self.ask("stop-gate", workspace=workspace)

    def start_sandbox(self, spec: SandboxSpec, *, socket_path: Path, seconds: float) -> None:
        """Start a sandbox and wait for its socket; an older one with another specification is replaced."""
        request = {
            "verb": "start-sandbox",
            "spec": to_json(spec),
            "socket": str(socket_path),
            "seconds": seconds,
        }
        answer = self._exchange(request, seconds + _MARGIN)
        if answer.get("code") == "differs":
            self.stop_sandbox(spec.name, reason="It was started again.")
            answer = self._exchange(request, seconds + _MARGIN)
        if not answer.get("ok"):
            raise Rejected("sandbox", str(answer.get("message", "it gave no reason")))

    def run_sandbox(self, spec: SandboxSpec, *, run_seconds: float) -> dict[str, Any]:
        """Run a sandbox to its end: `exit`, `log`, `reason`."""
        request = {"verb": "run-sandbox", "spec": to_json(spec), "seconds": run_seconds}
        answer = self._exchange(request, run_seconds + _MARGIN)
        if answer.get("ok"):
            return answer
        raise Rejected("sandbox", str(answer.get("message", "it gave no reason")))

    def sandbox(self, name: str) -> dict[str, Any]:
        """Whether the sandbox runs, and how it ended last."""
        return self.ask("sandbox", name=name)

    def stop_sandbox(self, name: str, *, reason: str = "") -> None:
        """End a sandbox and wait until it is gone; fine when there is none."""
        self.ask("stop-sandbox", name=name, reason=reason)
