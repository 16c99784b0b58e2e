"""Telling a running gate: read the sessions again, or cut. HTTP on its control socket, with a deadline."""

import http.client
import json
import socket
from pathlib import Path
from typing import Any

from spe.domain.errors import Rejected, Unavailable

_LONGEST_ANSWER = 1024 * 1024
_LONGEST_REASON = 300


class _OverSocket(http.client.HTTPConnection):
    """An HTTP connection whose other end is a Unix socket."""

    def __init__(self, path: Path, seconds: float) -> None:
        super().__init__("gate", timeout=seconds)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket instead of a host."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


class GateControl:
    """Speaks to the gate whose folder is given."""

    def __init__(self, folder: Path, *, seconds: float = 10.0) -> None:
        self._path = folder / "control.sock"
        self._seconds = seconds

    def reload(self) -> None:
        """The gate reads its sessions and answers when they hold. Raises `Rejected` when it refused one."""
        refused = self._call("POST", "/reload", {}).get("refused") or {}
        if refused:
            said = "; ".join(f"{name}: {' '.join(map(str, why))}" for name, why in dict(refused).items())
            raise Rejected("gate", said)

    def cut(self, person: str | None, reason: str) -> None:
        """Close what is open and refuse what comes, for one person or for all; answers when done."""
        line = "".join(c if c.isprintable() else " " for c in reason)[:_LONGEST_REASON]
        self._call("POST", "/cut", {"person": person, "reason": line})

    def idle_seconds(self) -> dict[str, float]:
        """Seconds since each person's notebook was last in use."""
        found = self._call("GET", "/status", {}).get("sessions")
        rows = found if isinstance(found, list) else []
        return {str(row["person"]): float(row["idle_seconds"]) for row in rows if isinstance(row, dict)}

    def _call(self, method: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
        connection = _OverSocket(self._path, self._seconds)
        try:
            connection.request(method, path, json.dumps(body), {"Content-Type": "application/json"})
            answer = connection.getresponse()
            values = json.loads(answer.read(_LONGEST_ANSWER))
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise Unavailable("gate", "it does not answer on its control socket") from error
        finally:
            connection.close()
        if not isinstance(values, dict):
            raise Unavailable("gate", "its answer is not readable")
        if answer.status != http.client.OK:
            raise Rejected("gate", str(values.get("error", f"status {answer.status}")))
        return values
