"""The Hub's spawner: a thin client of the portal, in both ways of running.

It knows no sandbox and no pod: it asks the portal to start, tells the Hub where the gate listens, and asks
again whether the session lives. Silence of the portal never ends a running session here; the gate holds the
deadline of the last yes.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

from jupyterhub.spawner import Spawner, SpawnException
from traitlets import Float, Unicode

from spe.domain.ids import is_id
from spe.hub.portal import PortalClient, PortalRefused, PortalSilent, portal_at

_POLL_SECONDS = 3.0
_STOP_CALL_SECONDS = 30.0
_PAUSE_SECONDS = 0.5
# The Hub gives up at its own start time-out with a sentence of its own; ours comes first.
_MARGIN_SECONDS = 2.0
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


class PortalSpawner(Spawner):  # type: ignore[misc]  # the Hub ships no types
    """One session: user name is the person's id, server name the workspace's id."""

    portal_socket = Unicode(config=True, help="Unix socket of the portal's internal application.")
    portal_token_file = Unicode(config=True, help="File, mode 0600, with the token to show the portal.")
    stop_patience = Float(20.0, config=True, help="Seconds to repeat a stop the portal did not answer.")

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.gate_url = ""
        self.refusal = ""
        self._asked = False
        self._starting = False
        self._last: int | None = 0

    # -- what the Hub keeps across its own restarts

    def get_state(self) -> dict[str, Any]:
        """The Hub's own state and the gate's address."""
        state: dict[str, Any] = super().get_state()
        if self.gate_url:
            state["gate_url"] = self.gate_url
        return state

    def load_state(self, state: dict[str, Any]) -> None:
        """Take up a session which a former Hub process started: believed alive until told otherwise."""
        super().load_state(state)
        self.gate_url = str(state.get("gate_url", ""))
        self._asked = bool(self.gate_url)
        self._last = None if self.gate_url else 0

    def clear_state(self) -> None:
        """Forget the session."""
        super().clear_state()
        self.gate_url = ""
        self._asked = False
        self._last = 0

    # -- what the Hub asks

    async def start(self) -> str:
        """Ask the portal to start; returns the gate's URL once the notebook answers on its socket."""
        if not is_id(self.name):
            # The Hub's default server has no name, hence no workspace, hence no permit.
            raise NotStarted(_NO_WORKSPACE, reason="no-workspace", status_code=404)
        self._asked = self._starting = True
        self._last, self.refusal = None, ""
        try:
            answer = await self._portal().post(
                f"{self._path()}:start", self.start_request(), seconds=self.start_timeout - _MARGIN_SECONDS
            )
            self.gate_url = _gate_url(answer)
        except PortalSilent as silence:
            self.log.warning("The portal is silent on the start of %s: %s", self._log_name, silence)
            self.refusal = _SILENT_SENTENCE
            raise NotStarted(self.refusal, reason="portal-silent", status_code=503) from silence
        except PortalRefused as refusal:
            self.refusal = refusal.sentence
            raise NotStarted(self.refusal, reason=refusal.code, status_code=409) from refusal
        finally:
            self._starting = False
        self._route()
        return self.gate_url

    async def opened(self) -> None:
        """Tell the portal that the session's address is open; one that is silent finds out by itself."""
        try:
            await self._portal().post(f"{self._path()}:opened", {}, seconds=_POLL_SECONDS)
        except (PortalSilent, PortalRefused) as error:
            self.log.warning("The portal was not told that %s is open: %s", self._log_name, error)

    async def poll(self) -> int | None:
        """None while the session lives or nobody can say; its exit status when the portal says it ended."""
        if self._starting:
            return None
        if not self._asked:
            return 0
        self._route()
        try:
            answer = await self._portal().get(self._path(), seconds=_POLL_SECONDS)
        except PortalSilent as silence:
            self.log.warning("The portal is silent on %s (%s); its last answer stands.", self._log_name, silence)
        except PortalRefused as refusal:
            if refusal.status in _GONE:
                self._last = 0
            else:
                self.log.warning("The portal refuses to tell about %s: %s", self._log_name, refusal.sentence)
        else:
            self._last = _status(answer, self._last)
        return self._last

    async def stop(self, now: bool = False) -> None:
        """Ask the portal to stop, again while it is silent; what it does not know is already stopped."""
        del now  # the portal decides how fast; a revoked permit ends at once in both cases
        deadline = asyncio.get_running_loop().time() + self.stop_patience
        while True:
            try:
                await self._portal().post(f"{self._path()}:stop", {}, seconds=_STOP_CALL_SECONDS)
            except PortalSilent:
                if asyncio.get_running_loop().time() >= deadline:
                    raise
                await asyncio.sleep(_PAUSE_SECONDS)
                continue
            except PortalRefused as refusal:
                if refusal.status not in _GONE:
                    raise
            self._last = 0
            return

    async def get_url(self) -> str:
        """Where the proxy goes; the Hub asks after its own restart."""
        self._route()
        return str(self.server.url)

    async def progress(self) -> AsyncIterator[dict[str, Any]]:
        """What the portal tells about a start under way (`percent`, `message`), each step once."""
        told: tuple[int, str] | None = None
        yield {"progress": 5, "message": "The start is requested."}
        while not self.gate_url:  # the Hub ends this when the start failed
            step = await self._step()
            if step is not None and step != told:
                told = step
                yield {"progress": step[0], "message": step[1]}
            await asyncio.sleep(_PAUSE_SECONDS)
        yield {"progress": 90, "message": "The notebook is running; its door is being opened."}

    # -- how

    def start_request(self) -> dict[str, Any]:
        """The body of the start: the Hub's variables for the notebook, and the path it serves.

        How a notebook is run, and where it listens, is known to whoever runs it.
        """
        return {"env": dict(self.get_env()), "base_url": str(self.server.base_url)}

    async def _step(self) -> tuple[int, str] | None:
        try:
            answer = await self._portal().get(self._path(), seconds=_POLL_SECONDS)
        except (PortalSilent, PortalRefused):
            return None
        percent, message = answer.get("percent"), answer.get("message")
        if not isinstance(percent, int) or not isinstance(message, str):
            return None
        return max(5, min(percent, 89)), message

    def _route(self) -> None:
        # The Hub rebuilds an address from host and port and would append ":80" to a socket's URL.
        if self.gate_url and self.server is not None:
            self.server.connect_url = self.gate_url + self.server.base_url

    def _path(self) -> str:
        return f"/hub/sessions/{quote(self.name, safe='')}/{quote(self.user.name, safe='')}"

    def _portal(self) -> PortalClient:
        return portal_at(self.portal_socket, self.portal_token_file)


def refusals(user: Any) -> list[tuple[str, str]]:
    """(workspace, sentence) of each start of this person that was refused and not repeated since.

    For the Hub's error page: people may not see the Hub's own page about a failed start.
    """
    spawners = getattr(user, "spawners", None) or {}
    return [(spawner.name, spawner.refusal) for spawner in spawners.values() if spawner.refusal]


def _gate_url(answer: dict[str, Any]) -> str:
    url = answer.get("url")
    if not isinstance(url, str) or not url.startswith(("http+unix://", "http://", "https://")):
        raise PortalSilent("its answer names no address")
    return url.rstrip("/")


def _status(answer: dict[str, Any], last: int | None) -> int | None:
    running = answer.get("running")
    if running is True:
        return None
    if running is not False:
        return last
    code = answer.get("exit")
    return code if isinstance(code, int) else 0
