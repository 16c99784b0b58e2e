"""What a person reads when the cluster refuses a pod, and what the log says of it.

The API server's answers are for operators: they name rules, quotas and accounts. The person gets one sentence
with what to do; the operator the server's message, without anything that opens a session.
"""

import json
import re
from dataclasses import dataclass
from typing import Any

from spe.hub.session import NotStarted

_TOLD_AT_MOST = 500
_SECRET = re.compile(r"[0-9a-zA-Z_]{32,}")
_RULE = re.compile(r"\b([A-Z]{1,2}[0-9]{2}): ")

_NOT_YET = (
    "The session was not started because the workspace is not yet open to the Hub. Try again in a moment; "
    "if it stays, tell the operator."
)
_AGAINST_A_RULE = "The session was not started because the cluster refuses its pod ({rule}). Tell the operator."
_QUOTA = (
    "The session was not started because the workspace has no room for another one. "
    "Stop a session that is not needed, or ask the operator for more."
)
_NOT_TAKEN = "The session was not started because the cluster does not take its pod. Tell the operator."
_NO_ANSWER = (
    "The session was not started because the cluster does not answer. Try again in a moment; "
    "if it stays, tell the operator."
)


class PodRefused(NotStarted):
    """A start that the cluster refused; `told` is for the log."""

    def __init__(self, sentence: str, *, told: str, reason: str) -> None:
        super().__init__(sentence, reason=reason, status_code=502)
        self.told = told


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    status: int
    message: str


def not_started(error: Any) -> PodRefused:
    """The refusal of an API server's error (`status`, `reason`, `body`)."""
    answer = _read(error)
    told = f"status {answer.status}: {scrubbed(answer.message)}"
    rule = _RULE.search(answer.message)
    if answer.status == 403 and rule:
        return PodRefused(_AGAINST_A_RULE.format(rule=rule[1]), told=told, reason="pod-refused")
    if answer.status == 403 and "exceeded quota" in answer.message:
        return PodRefused(_QUOTA, told=told, reason="quota")
    if answer.status in {401, 403, 404}:
        return PodRefused(_NOT_YET, told=told, reason="not-yet-open")
    if 400 <= answer.status < 500 and answer.status != 429:
        return PodRefused(_NOT_TAKEN, told=told, reason="pod-refused")
    return PodRefused(_NO_ANSWER, told=told, reason="cluster-silent")


def scrubbed(message: str) -> str:
    """One line, bounded, without anything as long as a token."""
    line = " ".join("".join(ch if ch.isprintable() else " " for ch in message).split())
    return _SECRET.sub("[secret]", line)[:_TOLD_AT_MOST]


def _read(error: Any) -> _Answer:
    status = error.status if isinstance(error.status, int) else 0
    try:
        message = json.loads(error.body or "")["message"]
    except (ValueError, KeyError, TypeError):
        message = str(error.reason or "")
    return _Answer(status=status, message=str(message))
