"""The Hub's spawner on the portal's host: it knows no sandbox, only where the gate listens.

It asks the portal to start, tells the Hub where the gate listens, and asks again whether the session lives.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from jupyterhub.spawner import Spawner
from traitlets import Float, Unicode

from spe.hub.portal import portal_at
from spe.hub.session import MARGIN_SECONDS, PAUSE_SECONDS, NotStarted, PortalSession, gate_of


class PortalSpawner(Spawner):  # type: ignore[misc]  # the Hub ships no types
    """One session: user name is the person's id, server name the workspace's id."""

    portal_internal = Unicode(config=True, help="The portal's internal application: socket path or http://host:port.")
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
        self._asked = self._starting = True
        self._last, self.refusal = None, ""
        try:
            answer = await self._session().start(self.start_request(), seconds=self.start_timeout - MARGIN_SECONDS)
        except NotStarted as refused:
            self.refusal = refused.sentence
            raise
        finally:
            self._starting = False
        self.gate_url = gate_of(answer)
        self._route()
        return self.gate_url

    async def opened(self) -> None:
        """The Hub's proxy has the session's route."""
        await self._session().opened()

    async def poll(self) -> int | None:
        """None while the session lives or nobody can say; its exit status when the portal says it ended."""
        if self._starting:
            return None
        if not self._asked:
            return 0
        self._route()
        self._last = await self._session().status(self._last)
        return self._last

    async def stop(self, now: bool = False) -> None:
        """Ask the portal to stop; it decides how fast, a revoked permit ends at once in both cases."""
        del now
        await self._session().stop(self.stop_patience)
        self._last = 0

    async def get_url(self) -> str:
        """Where the proxy goes; the Hub asks after its own restart."""
        self._route()
        return str(self.server.url)

    async def progress(self) -> AsyncIterator[dict[str, Any]]:
        """What the portal tells about a start under way (`percent`, `message`), each step once."""
        told: tuple[int, str] | None = None
        yield {"progress": 5, "message": "The start is requested."}
        while not self.gate_url:  # the Hub ends this when the start failed
            step = await self._session().step()
            if step is not None and step != told:
                told = step
                yield {"progress": step[0], "message": step[1]}
            await asyncio.sleep(PAUSE_SECONDS)
        yield {"progress": 90, "message": "The notebook is running; its door is being opened."}

    # -- how

    def start_request(self) -> dict[str, Any]:
        """The body of the start: the Hub's variables for the notebook, and the path it serves.

        How a notebook is run, and where it listens, is known to whoever runs it.
        """
        return {"env": dict(self.get_env()), "base_url": str(self.server.base_url)}

    def _route(self) -> None:
        # The Hub rebuilds an address from host and port and would append ":80" to a socket's URL.
        if self.gate_url and self.server is not None:
            self.server.connect_url = self.gate_url + self.server.base_url

    def _session(self) -> PortalSession:
        portal = portal_at(self.portal_internal, self.portal_token_file)
        return PortalSession(portal, self.name, self.user.name, self.log)
