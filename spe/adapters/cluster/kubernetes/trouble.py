"""What an answer of the API server other than "yes" means: not there, changed meanwhile, no, or not now.

One table, because the difference decides what happens next: what is refused stops a workspace with its reason,
what is not answered is tried again.
"""

from collections.abc import Mapping
from typing import Any

from spe.domain.errors import Rejected, SpeError, Unavailable

_LONGEST = 400


class Absent(Unavailable):
    """The object, or the namespace it should be in, is not there."""


class Conflict(Unavailable):
    """The object changed meanwhile, or another of its name is there; `reason` is the API server's word for it."""

    def __init__(self, reason: str, said: str) -> None:
        self.reason = reason
        super().__init__("cluster", said)


_NOT_NOW = frozenset({401, 408, 410, 425, 429})
"""410: a list that took too long to page through; it is asked for again from its start."""


def trouble_of(status: int, answer: Mapping[str, Any]) -> SpeError:
    """The error for an answer: 404 `Absent`, 409 `Conflict`, other 4xx `Rejected`, the rest `Unavailable`."""
    reason = str(answer.get("reason") or "")
    said = " ".join(str(answer.get("message") or f"status {status}").split())[:_LONGEST]
    if status == 404:
        return Absent("cluster", said)
    if status == 409:
        return Conflict(reason, said)
    if status == 403 and _passing(answer, said):
        return Unavailable("cluster", said)
    if 400 <= status < 500 and status not in _NOT_NOW:
        return Rejected("cluster", said)
    if status == 401:
        return Unavailable("cluster", "it does not accept this process's account (401)")
    return Unavailable("cluster", f"status {status}: {said}")


def _passing(answer: Mapping[str, Any], said: str) -> bool:
    """A refusal that ends by itself: the namespace is going, or somebody who is leaving still takes up room."""
    causes = (answer.get("details") or {}).get("causes") or []
    going = any(cause.get("reason") == "NamespaceTerminating" for cause in causes if isinstance(cause, Mapping))
    return going or "exceeded quota" in said
