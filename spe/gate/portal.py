"""The gate's own calls to the portal: may this person pass, and what has happened here.

No answer and a wrong answer are told apart from a no: a no ends a session at once, silence ends it when
the last yes is too old. Events wait on disk until the portal has taken them.
"""

import asyncio
import json
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import aiohttp

from spe.domain.errors import Unavailable
from spe.gate.budget import day_of
from spe.gate.fields import moment
from spe.gate.journal import Journal
from spe.gate.ledger import Ledger
from spe.gate.session import Clocks, Confirmation

LARGEST_ANSWER = 64 * 1024
LARGEST_TABLE = 1024 * 1024
EVENTS_AT_ONCE = 50
FIRST_PAUSE = 0.5
LONGEST_PAUSE = 30.0
EVENT_SECONDS = 10.0
LONGEST_REASON = 300
FOREVER = float("inf")


class Word(Enum):
    """The portal's word on one person."""

    YES = "yes"
    NO = "no"
    SILENCE = "silence"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entitlement:
    """The portal's word; `until` is its own end of a yes, seconds since the epoch, `reason` its sentence for a no."""

    word: Word
    until: float = FOREVER
    reason: str = ""


SILENCE = Entitlement(word=Word.SILENCE)
NO = Entitlement(word=Word.NO)


def read_entitlement(status: int, body: bytes) -> Entitlement:
    """What an answer of `/gate/entitled` means. Anything but a well-formed 200 or a 4xx is silence."""
    if 400 <= status < 500:
        return NO
    if status != 200:
        return SILENCE
    try:
        answer = json.loads(body)
        if answer["entitled"] is not True:
            return Entitlement(word=Word.NO, reason=sentence(answer.get("reason")))
        until = answer.get("until")
        return Entitlement(word=Word.YES, until=FOREVER if until is None else moment(until))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return SILENCE


def sentence(said: Any) -> str:
    """One line that people may read, or nothing."""
    return "".join(c if c.isprintable() else " " for c in said)[:LONGEST_REASON] if isinstance(said, str) else ""


def read_person(status: int, body: bytes) -> tuple[Word, str]:
    """What an answer of `/gate/passes` means, as for an entitlement."""
    if 400 <= status < 500:
        return Word.NO, ""
    try:
        person = json.loads(body)["person"] if status == 200 else ""
    except (ValueError, KeyError, TypeError, RecursionError):
        person = ""
    return (Word.YES, person) if isinstance(person, str) and person else (Word.SILENCE, "")


def read_addresses(status: int, body: bytes) -> dict[str, str] | None:
    """What an answer of `/gate/addresses` means; anything but a well-formed 200 is silence."""
    table = decoded(body) if status == 200 else None
    if not isinstance(table, dict) or not all(isinstance(value, str) for value in table.values()):
        return None
    return table


def decoded(body: bytes) -> Any:
    """What the JSON says, None when it is none."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


async def whole(answer: aiohttp.ClientResponse, most: int) -> bytes:
    """The body of an answer. Raises OSError when it is longer than it may be."""
    body = bytearray()
    async for chunk in answer.content.iter_any():
        body += chunk
        if len(body) > most:
            raise OSError("the answer is longer than it may be")
    return bytes(body)


def confirm(entitlement: Entitlement, *, asked_at: float, deadline: float) -> Confirmation:
    """How long a yes holds: `deadline` seconds from the moment the question was asked, its own end at most."""
    return Confirmation(steady_until=asked_at + deadline, wall_until=entitlement.until)


class Portal:
    """Client of the portal's internal application with the workspace-bound token.

    `place` is a socket, or an http address without a path.
    """

    def __init__(self, place: Path | str, token: str) -> None:
        at_socket = isinstance(place, Path)
        self.base = "http://portal" if at_socket else str(place)
        self.client = aiohttp.ClientSession(
            connector=aiohttp.UnixConnector(str(place), limit=64) if at_socket else aiohttp.TCPConnector(limit=64),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=300),
            auto_decompress=False,
            trust_env=False,
        )
        self.authorization = f"Bearer {token}"

    async def ask(self, person: str, *, within: float) -> Entitlement:
        """Whether `person` may pass now; silence when there is no answer `within` seconds."""
        address = f"{self.base}/gate/entitled?{urlencode({'person': person})}"
        try:
            async with asyncio.timeout(within):
                async with self.client.get(address, headers=self._headers(), allow_redirects=False) as answer:
                    return read_entitlement(answer.status, await whole(answer, LARGEST_ANSWER))
        except (aiohttp.ClientError, OSError, TimeoutError):
            return SILENCE

    async def redeem(self, code: str, verifier: str, *, within: float) -> tuple[Word, str]:
        """Whom the portal sent back with this code; the person is empty unless the word is a yes."""
        body = {"code": code, "verifier": verifier}
        try:
            async with asyncio.timeout(within):
                async with self.client.post(
                    f"{self.base}/gate/passes", json=body, headers=self._headers(), allow_redirects=False
                ) as answer:
                    return read_person(answer.status, await whole(answer, LARGEST_ANSWER))
        except (aiohttp.ClientError, OSError, TimeoutError):
            return Word.SILENCE, ""

    async def addresses(self, *, within: float) -> dict[str, str] | None:
        """At which address each person's notebook is, by the cluster's own word; None when it is not said in time."""
        try:
            async with asyncio.timeout(within):
                async with self.client.get(
                    f"{self.base}/gate/addresses", headers=self._headers(), allow_redirects=False
                ) as answer:
                    return read_addresses(answer.status, await whole(answer, LARGEST_TABLE))
        except (aiohttp.ClientError, OSError, TimeoutError):
            return None

    async def tell(self, body: dict[str, object]) -> bool:
        """Hand over one event; True when the portal took it or will never take it (4xx other than 401, 403, 429)."""
        try:
            async with asyncio.timeout(EVENT_SECONDS):
                async with self.client.post(
                    f"{self.base}/gate/events", json=body, headers=self._headers(), allow_redirects=False
                ) as answer:
                    return answer.status < 300 or (
                        400 <= answer.status < 500 and answer.status not in {401, 403, 404, 429}
                    )
        except (aiohttp.ClientError, OSError, TimeoutError):
            return False

    def _headers(self) -> dict[str, str]:
        return {"Authorization": self.authorization}

    async def close(self) -> None:
        """Close the connections."""
        await self.client.close()


class Reporter:
    """Keeps events on disk and hands them over, oldest first, again and again until they are taken."""

    def __init__(self, ledger: Ledger, portal: Portal, journal: Journal, clocks: Clocks, permit: str) -> None:
        self._ledger = ledger
        self._portal = portal
        self._journal = journal
        self._clocks = clocks
        self._permit = permit
        self._wake = asyncio.Event()

    def report(self, event: str, person: str, *, once: str | None = None, **detail: object) -> None:
        """Keep an event; with `once` only the first of that key is kept for this person and day."""
        now = self._clocks.wall()
        identity = str(uuid.uuid4()) if once is None else f"{day_of(now)}/{person}/{event}/{once}"
        at = datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds")
        body = {
            "id": identity,
            "event": event,
            "person": person,
            "permit": self._permit,
            "at": at,
            "detail": detail,
        }
        try:
            kept = self._ledger.queue(identity, body)
        except Unavailable as error:
            self._journal.write("event-lost", name=event, person=person, reason=str(error))
            return
        if kept:
            self._journal.write(event, person=person, **detail)
            self._wake.set()

    async def run(self) -> None:
        """Deliver for ever."""
        pause = FIRST_PAUSE
        while True:
            if await self._deliver():
                pause = FIRST_PAUSE
                await self._wake.wait()
                self._wake.clear()
            else:
                await asyncio.sleep(pause)
                pause = min(LONGEST_PAUSE, pause * 2)

    async def _deliver(self) -> bool:
        """Hand over what waits. False when the portal does not take it now."""
        while True:
            waiting = self._ledger.waiting(EVENTS_AT_ONCE)
            if not waiting:
                return True
            for number, body in waiting:
                if not await self._portal.tell(body):
                    return False
                self._ledger.delivered(number)
