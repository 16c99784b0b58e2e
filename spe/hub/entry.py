"""Who may enter: the Hub asks the portal again and again, and silence is a no.

The Hub calls this hook on page and token checks once the last yes is older than `auth_refresh_age`, and
before every start. It knows the person, not the workspace: the workspace is decided by the portal's start and
by the gate.
"""

from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import quote

from spe.hub.portal import PortalRefused, PortalSilent, portal_at

ENTITLED_SECONDS = 2.0

RefreshHook = Callable[[Any, Any, Any], Awaitable[bool]]


def still_entitled(portal_internal: str, portal_token_file: str) -> RefreshHook:
    """The `refresh_user_hook`: true only when the portal says `{"entitled": true}` within two seconds."""

    async def ask(authenticator: Any, user: Any, auth_state: Any) -> bool:
        del auth_state
        name = str(user.name)
        try:
            answer = await portal_at(portal_internal, portal_token_file).get(
                f"/hub/entitled?user={quote(name, safe='')}", seconds=ENTITLED_SECONDS
            )
        except PortalSilent as silence:
            authenticator.log.warning("Nobody enters: the portal does not say whether %s may (%s).", name, silence)
            return False
        except PortalRefused as refusal:
            authenticator.log.warning("%s may not enter: %s", name, refusal.sentence)
            return False
        return answer.get("entitled") is True

    return ask
