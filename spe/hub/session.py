"""What every spawner of ours does the same: ask the portal to start, to stop, how it goes, and tell it.

A spawner has one of these; where the notebook runs is the spawner's own business. Silence of the portal never
ends a running session here; the gate holds the deadline of the last yes.
"""

import asyncio
import logging
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from jupyterhub.spawner import SpawnException

from spe.domain.ids import is_id
from spe.hub.portal import PortalClient, PortalRefused, PortalSilent

_POLL_SECONDS = 3.0
_STOP_CALL_SECONDS = 30.0
PAUSE_SECONDS = 0.5
# The Hub gives up at its own start time-out with a sentence of its own; ours comes first.
MARGIN_SECONDS = 2.0
_GONE = frozenset({404, 410})
_NO_WORKSPACE = "There is no such workspace. Start one of your workspaces in the portal."
_SILENT_SENTENCE = (
    "The session was not started because the portal does not answer. "
    "Try again in a moment; if it stays, tell the operator."
)


class NotStarted(SpawnException):  # type: ignore[misc]  # the Hub ships no types
    """A start that did not happen, with the sentence the person reads in pages, API and progress."""

    def __init__(self, sentence: str, *, reason: str, status_code: int) -> None:
        super().__init__(sentence, reason=reason, status_code=status_code)
        # Progress events and failed-start pages read this attribute instead of the message.
        self.jupyterhub_message = sentence
        self.sentence = sentence


class PortalSession:
    """The portal's side of one session: `workspace` is the Hub's server name, `person` the Hub's user name."""

    def __init__(self, portal: PortalClient, workspace: str, person: str, log: logging.Logger) -> None:
        self._portal = portal
        self._name = f"{person}:{workspace}"
        self._path = f"/hub/sessions/{quote(workspace, safe='')}/{quote(person, safe='')}"
        self._known = is_id(workspace)
        self._log = log

    async def start(self, request: Mapping[str, Any], *, seconds: float) -> dict[str, Any]:
        """Ask for the start; the portal's answer. `NotStarted` with a sentence otherwise."""
        if not self._known:
            # The Hub's default server has no name, hence no workspace, hence no permit.
            raise NotStarted(_NO_WORKSPACE, reason="no-workspace", status_code=404)
        try:
            answer = await self._portal.post(f"{self._path}:start", request, seconds=seconds)
            gate_of(answer)
        except PortalSilent as silence:
            self._log.warning("The portal is silent on the start of %s: %s", self._name, silence)
            raise NotStarted(_SILENT_SENTENCE, reason="portal-silent", status_code=503) from silence
        except PortalRefused as refusal:
            raise NotStarted(refusal.sentence, reason=refusal.code, status_code=409) from refusal
        return answer

    async def opened(self) -> None:
        """Tell the portal that the session's address is open; one that is silent finds out by itself."""
        try:
            await self._portal.post(f"{self._path}:opened", {}, seconds=_POLL_SECONDS)
        except (PortalSilent, PortalRefused) as error:
            self._log.warning("The portal was not told that %s is open: %s", self._name, error)

    async def status(self, last: int | None) -> int | None:
        """None while the session lives, its exit status when the portal says it ended; `last` when nobody can say."""
        if not self._known:
            return 0
        try:
            answer = await self._portal.get(self._path, seconds=_POLL_SECONDS)
        except PortalSilent as silence:
            self._log.warning("The portal is silent on %s (%s); its last answer stands.", self._name, silence)
        except PortalRefused as refusal:
            if refusal.status in _GONE:
                return 0
            self._log.warning("The portal refuses to tell about %s: %s", self._name, refusal.sentence)
        else:
            return _status(answer, last)
        return last

    async def step(self) -> tuple[int, str] | None:
        """What the portal tells about a start under way: percent below 90, and a sentence."""
        try:
            answer = await self._portal.get(self._path, seconds=_POLL_SECONDS)
        except (PortalSilent, PortalRefused):
            return None
        percent, message = answer.get("percent"), answer.get("message")
        if not isinstance(percent, int) or not isinstance(message, str):
            return None
        return max(5, min(percent, 89)), message

    async def stop(self, patience: float) -> None:
        """Ask for the end, again while the portal is silent; what it does not know is already stopped.

        Raises `PortalSilent` after `patience` seconds, `PortalRefused` when it will not.
        """
        deadline = asyncio.get_running_loop().time() + patience
        while self._known:
            try:
                await self._portal.post(f"{self._path}:stop", {}, seconds=_STOP_CALL_SECONDS)
            except PortalSilent:
                if asyncio.get_running_loop().time() >= deadline:
                    raise
                await asyncio.sleep(PAUSE_SECONDS)
                continue
            except PortalRefused as refusal:
                if refusal.status not in _GONE:
                    raise
            return


def gate_of(answer: Mapping[str, Any]) -> str:
    """The address of the gate in the answer to a start; `PortalSilent` when it names none."""
    url = answer.get("url")
    if not isinstance(url, str) or not url.startswith(("http+unix://", "http://", "https://")):
        raise PortalSilent("its answer names no address")
    return url.rstrip("/")


def refusals(user: Any) -> list[tuple[str, str]]:
    """(workspace, sentence) of each start of this person that was refused and not repeated since.

    For the Hub's error page: people may not see the Hub's own page about a failed start.
    """
    spawners = getattr(user, "spawners", None) or {}
    return [(spawner.name, spawner.refusal) for spawner in spawners.values() if spawner.refusal]


def _status(answer: Mapping[str, Any], last: int | None) -> int | None:
    running = answer.get("running")
    if running is True:
        return None
    if running is not False:
        return last
    code = answer.get("exit")
    return code if isinstance(code, int) else 0
