"""The Hub's proxy, which tells the portal when a session's address is open.

Before that the Hub sends a browser to its own page about starts, which people may not see; so the portal
calls a session running only from then on.
"""

from typing import Any

from jupyterhub.proxy import ConfigurableHTTPProxy


class TellingProxy(ConfigurableHTTPProxy):  # type: ignore[misc]  # the library has no types
    """configurable-http-proxy; the spawner of each route that was added is told."""

    async def add_user(self, user: Any, server_name: str = "") -> None:
        """Add the route of a session, then tell its spawner."""
        await super().add_user(user, server_name)
        await user.spawners[server_name].opened()
