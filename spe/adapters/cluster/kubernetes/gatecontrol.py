"""Telling a gate in its pod what it is for: HTTP on its control port, with its gate token and a deadline."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import urllib3

from spe.adapters.cluster.kubernetes.names import GATE_CONTROL
from spe.domain.errors import Rejected, Unavailable

_LARGEST_ANSWER = 1024 * 1024
_LONGEST_REASON = 300
CUT_SECONDS = 3.0
_NOT_NOW = frozenset({401, 404, 429})
"""401 and 404 as well: before the portal said who it is, a gate knows neither its token nor anything to tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """What a gate says of itself: whether it was told anything, by which digest, and whose places it keeps."""

    configured: bool
    digest: str
    places: frozenset[str]
    idle: dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class GateControl:
    """Speaks to one gate. Raises `Unavailable` when it does not answer, `Rejected` when it refused."""

    address: str
    token: str = field(repr=False)
    seconds: float = 10.0
    pool: urllib3.PoolManager = field(repr=False)

    def configure(self, document: dict[str, Any]) -> str:
        """Replace all that it was told; answers with the digest when it is so."""
        return str(self._call("PUT", "/configuration", document).get("digest") or "")

    def cut(self, person: str | None, reason: str) -> None:
        """Close what is open and refuse what comes, for one person or for all; answers when done, or soon not at all.

        Whoever cuts has other ways to close a door, and does not wait long before taking them.
        """
        line = "".join(c if c.isprintable() else " " for c in reason)[:_LONGEST_REASON]
        self._call("POST", "/cut", {"person": person, "reason": line}, seconds=min(self.seconds, CUT_SECONDS))

    def status(self) -> Status:
        """As it is now."""
        found = self._call("GET", "/status", None)
        rows = found.get("sessions")
        places = found.get("places")
        return Status(
            configured=found.get("configured") is True,
            digest=str(found.get("digest") or ""),
            places=frozenset(map(str, places if isinstance(places, list) else [])),
            idle={
                str(row["person"]): float(row.get("idle_seconds") or 0.0)
                for row in (rows if isinstance(rows, list) else [])
                if isinstance(row, dict) and "person" in row
            },
        )

    def _call(
        self, method: str, path: str, body: dict[str, Any] | None, *, seconds: float | None = None
    ) -> dict[str, Any]:
        host = f"[{self.address}]" if ":" in self.address else self.address
        try:
            answer = self.pool.request(
                method,
                f"http://{host}:{GATE_CONTROL}{path}",
                body=json.dumps(body).encode() if body is not None else None,
                headers={"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"},
                timeout=urllib3.Timeout(total=seconds or self.seconds),
                retries=False,
                redirect=False,
                preload_content=False,
            )
            try:
                data = answer.read(_LARGEST_ANSWER + 1)
                values = json.loads(data)
            finally:
                answer.close()
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            raise Unavailable("gate", "it does not answer on its control port") from error
        if not isinstance(values, dict):
            raise Unavailable("gate", "its answer is not readable")
        if answer.status != 200:
            said = str(values.get("error") or f"status {answer.status}")[:_LONGEST_REASON]
            if answer.status >= 500 or answer.status in _NOT_NOW:
                raise Unavailable("gate", said)
            raise Rejected("gate", said)
        return values


Reach = Callable[[str, str], GateControl]
"""From a gate's address and token to its control."""


def over_http(seconds: float = 10.0) -> Reach:
    """Gates as they are; one pool of connections for all, none kept open."""
    pool = urllib3.PoolManager(num_pools=4, maxsize=4, retries=False)
    return lambda address, token: GateControl(address=address, token=token, seconds=seconds, pool=pool)
