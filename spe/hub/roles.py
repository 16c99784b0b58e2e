"""What each kind of token may do at the Hub. People may open their own servers and nothing else: only the
portal starts and stops. `admin:users` is what the Hub asks for to create a person it has never seen; the Hub
counts it as superuser, so the portal's token is kept like one.
"""

from typing import Any

PORTAL_SERVICE = "portal"

USER_SCOPES = ("access:servers!user", "read:users:name!user", "read:users:groups!user", "users:activity!user")
SERVER_SCOPES = ("users:activity!user", "access:servers!server")
PORTAL_SCOPES = (
    "admin:users",
    "list:users",
    "read:users:name",
    "read:servers",
    "start:servers",
    "delete:servers",
)


def roles() -> list[dict[str, Any]]:
    """The value of `JupyterHub.load_roles`."""
    return [
        {"name": "user", "scopes": list(USER_SCOPES)},
        {"name": "server", "scopes": list(SERVER_SCOPES)},
        {"name": PORTAL_SERVICE, "services": [PORTAL_SERVICE], "scopes": list(PORTAL_SCOPES)},
    ]
