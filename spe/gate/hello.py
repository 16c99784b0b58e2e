"""A gate in a pod asks the portal who it is: it shows the account token that the cluster gave the pod.

The answer is the workspace and its gate token, with which the gate speaks to the portal and by which it knows
who may tell it what to do. Nothing in the pod says which workspace it is, so nothing there can be wrong about it.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from spe.domain.errors import Invalid, Rejected, SpeError, Unavailable
from spe.gate.config import SLUG, TOKEN
from spe.gate.fields import Fields
from spe.gate.portal import LARGEST_ANSWER, decoded, whole

WITHIN_SECONDS = 5.0
LARGEST_TOKEN = 16 * 1024
FIRST_PAUSE = 0.25
LONGEST_PAUSE = 5.0
AGAIN_SECONDS = 600.0
_ACCOUNT_TOKEN = re.compile(rb"[\x21-\x7e]{1,16384}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Whose gate this is, and the token that says so."""

    workspace: str
    token: str = field(repr=False)

    @classmethod
    def read(cls, raw: Any) -> "Identity":
        """From a decoded answer or a kept document. Raises Invalid."""
        fields = Fields(raw)
        identity = cls(
            workspace=fields.text("workspace", SLUG, "a workspace id"),
            token=fields.text("token", TOKEN, "a token of at least 16 visible characters"),
        )
        fields.finish()
        return identity

    def to_json(self) -> dict[str, str]:
        """As it is kept."""
        return {"workspace": self.workspace, "token": self.token}


Tell = Callable[[Identity], Awaitable[None]]
Complain = Callable[[SpeError], None]


async def ask_who_i_am(portal: str, token_file: Path) -> Identity:
    """Ask once. Raises Unavailable when nobody answers or there is no token yet, Rejected when the portal says no."""
    shown = read_account_token(token_file)
    times = aiohttp.ClientTimeout(total=WITHIN_SECONDS)
    try:
        async with (
            aiohttp.ClientSession(timeout=times, trust_env=False, cookie_jar=aiohttp.DummyCookieJar()) as http,
            http.post(
                f"{portal}/gate/hello", headers={"Authorization": f"Bearer {shown}"}, json={}, allow_redirects=False
            ) as answer,
        ):
            status, body = answer.status, await whole(answer, LARGEST_ANSWER)
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        raise Unavailable("portal", type(error).__name__) from error
    if 400 <= status < 500:
        raise Rejected("portal", f"it does not take this pod for a gate (status {status})")
    try:
        return Identity.read(decoded(body) if status == 200 else None)
    except Invalid as error:
        raise Unavailable("portal", f"its answer cannot be used (status {status})") from error


def read_account_token(path: Path) -> str:
    """The token as it is now; the cluster replaces the file. Raises Unavailable."""
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_TOKEN + 1).strip()
    except OSError as error:
        raise Unavailable("cluster", f"the account's token cannot be read: {error.strerror}") from error
    if not _ACCOUNT_TOKEN.fullmatch(data):
        raise Unavailable("cluster", "the account's token is not one")
    return data.decode()


async def keep_asking(portal: str, token_file: Path, *, tell: Tell, complain: Complain) -> None:
    """Ask until there is an answer, and again every ten minutes, for ever: a token may become another one."""
    pause = FIRST_PAUSE
    while True:
        try:
            identity = await ask_who_i_am(portal, token_file)
        except SpeError as error:
            complain(error)
            await asyncio.sleep(pause)
            pause = min(LONGEST_PAUSE, pause * 2)
        else:
            await tell(identity)
            pause = FIRST_PAUSE
            await asyncio.sleep(AGAIN_SECONDS)
