"""How far a pod is, read from its status: what a waiting person reads, and when waiting is in vain.

Pure, over the API's documents; the pod is the canonical one, whose first container is the seal probe.
"""

from collections.abc import Mapping
from typing import Any

ENDED = frozenset({"Failed", "Succeeded"})
UNKNOWN_EXIT = 1

# Reasons for waiting that do not pass by themselves within a start.
_IN_VAIN = frozenset({"ErrImageNeverPull", "InvalidImageName", "CreateContainerConfigError", "CreateContainerError"})
_UNSEALED = (
    "The session was not started because its network could not be found sealed. Nothing ran in it. Tell the operator."
)
_ENDED = "The session was not started because its notebook ended at once. Try again; if it stays, tell the operator."
_NOT_MADE = "The session was not started because no node can make its container ({reason}). Tell the operator."


def stage_of(pod: Mapping[str, Any] | None) -> tuple[int, str]:
    """Percent below 90, and a sentence."""
    if pod is None:
        return 30, "The notebook's place is being made."
    status = pod["status"]
    if _state(status, "containerStatuses", "notebook", "running") is not None:
        return 80, "The notebook starts."
    seal = _state(status, "initContainerStatuses", "seal", "terminated")
    if seal is not None:
        return (70, "The network is sealed; the notebook is made.") if seal.get("exitCode") == 0 else (60, _UNSEALED)
    if _state(status, "initContainerStatuses", "seal", "running") is not None:
        return 60, "The network's seal is tried from inside."
    if any(c.get("type") == "PodScheduled" and c.get("status") == "True" for c in status.get("conditions") or ()):
        return 50, "Home, shared folder and data are being connected."
    return 40, "The notebook waits for a free node."


def failure_of(pod: Mapping[str, Any] | None) -> str:
    """Why it will never run, as a sentence for the person; empty while it may."""
    if pod is None:
        return ""
    status = pod["status"]
    seal = _state(status, "initContainerStatuses", "seal", "terminated")
    if seal is not None and seal.get("exitCode") != 0:
        return _UNSEALED
    if status.get("phase") in ENDED:
        return _ENDED
    for container in (*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())):
        reason = ((container.get("state") or {}).get("waiting") or {}).get("reason")
        if reason in _IN_VAIN:
            return _NOT_MADE.format(reason=reason)
    return ""


def exit_of(pod: Mapping[str, Any] | None) -> int:
    """The notebook's exit status, 1 when it is not known."""
    ended = _state(pod["status"], "containerStatuses", "notebook", "terminated") if pod else None
    code = (ended or {}).get("exitCode")
    return code if isinstance(code, int) else UNKNOWN_EXIT


def _state(status: Mapping[str, Any], kind: str, name: str, state: str) -> Mapping[str, Any] | None:
    for container in status.get(kind) or ():
        if container.get("name") == name:
            found: Mapping[str, Any] | None = (container.get("state") or {}).get(state)
            return found
    return None
