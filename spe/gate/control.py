"""What whoever runs the environment tells a gate: one call, one answer in JSON, given when it is done.

`POST /cut` closes and refuses, `GET /status` shows sessions, counters and open websockets; a host adds
`POST /reload`, which makes the sessions what the folder says. Who may call is settled before: by a socket
that only one account can open, or by a token.
"""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from spe.domain.errors import Invalid, SpeError, Unavailable
from spe.gate.config import SLUG
from spe.gate.door import FrontDoor
from spe.gate.roster import Roster
from spe.gate.session import Session

LARGEST_BODY = 64 * 1024
BODY_SECONDS = 10.0
LONGEST_REASON = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One thing that can be asked: takes the body, gives the answer. `largest` is what the body may have, in bytes."""

    do: Callable[[bytes], Awaitable[dict[str, Any]]]
    largest: int = LARGEST_BODY


Calls = Mapping[tuple[str, str], Call]


def usual_calls(workspace: str, roster: Roster, front: FrontDoor) -> dict[tuple[str, str], Call]:
    """What every gate can be asked."""

    async def status(_: bytes) -> dict[str, Any]:
        sessions = [describe(session) for session in roster.sessions]
        return {"workspace": workspace, "counts": dict(front.counts), "sessions": sessions}

    async def cut(body: bytes) -> dict[str, Any]:
        person, reason = parse_cut(body)
        started = time.monotonic()
        closed = await roster.cut(person, reason)
        return {"websockets_closed": closed, "seconds": round(time.monotonic() - started, 4)}

    return {("GET", "/status"): Call(do=status), ("POST", "/cut"): Call(do=cut)}


def reload_call(roster: Roster) -> dict[tuple[str, str], Call]:
    """What a gate on a host can be asked besides."""

    async def reload(_: bytes) -> dict[str, Any]:
        applied = await roster.reload()
        return {"sessions": applied.sessions, "removed": applied.removed, "refused": applied.refused}

    return {("POST", "/reload"): Call(do=reload)}


class Control:
    """Handler of calls."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one call."""
        call = self._calls.get((request.method, request.raw_path))
        if call is None:
            known = ", ".join(f"{method} {path}" for method, path in self._calls)
            return answer({"error": f"The gate knows {known}."}, status=404, close=request.can_read_body)
        try:
            return answer(await call.do(await _body(request, call.largest)))
        except Invalid as error:
            return answer({"error": str(error), "fields": error.fields}, status=422, close=True)
        except SpeError as error:
            return answer({"error": str(error)}, status=503, close=True)


async def _body(request: web.BaseRequest, largest: int) -> bytes:
    """The whole body. Raises Invalid when it is too long, Unavailable when it does not come."""
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.content.iter_any():
                body += chunk
                if len(body) > largest:
                    raise Invalid({"body": f"is larger than {largest} bytes."})
    except TimeoutError as error:
        raise Unavailable("caller", "the body does not come") from error
    return bytes(body)


def parse_cut(body: bytes) -> tuple[str | None, str]:
    """Person (None: everybody) and reason. Raises Invalid."""
    try:
        raw = json.loads(body)
    except (ValueError, RecursionError):
        raw = None
    if not isinstance(raw, dict) or set(raw) - {"person", "reason"} or "person" not in raw:
        raise Invalid({"body": 'must be {"person": null or a person id, "reason": text}.'})
    person, reason = raw["person"], raw.get("reason", "")
    if person is not None and not (isinstance(person, str) and SLUG.fullmatch(person)):
        raise Invalid({"person": "must be null or a person id."})
    if not isinstance(reason, str) or len(reason) > LONGEST_REASON or not reason.isprintable():
        raise Invalid({"reason": f"must be one line of at most {LONGEST_REASON} characters."})
    return person, reason or "the environment ended it."


def describe(session: Session) -> dict[str, Any]:
    """One session for `/status`: standing, open connections, bytes by channel and message type."""
    denial = session.denial()
    spent = session.budget.spent()
    used = session.budget.used
    return {
        "person": session.spec.person,
        "may_pass": denial is None,
        "denial": denial.code if denial else None,
        "expires": datetime.fromtimestamp(session.spec.expires, UTC).isoformat(),
        "confirmed_for_seconds": round(max(0.0, session.seconds_left()), 1),
        "websockets": len(session.links),
        "idle_seconds": round(session.idle_seconds, 1),
        "daily_bytes": session.spec.daily_bytes,
        "message_bytes": session.spec.message_bytes,
        "used_bytes": used,
        "remaining_bytes": session.budget.remaining,
        "lost_in_crashes": max(0, used - sum(spent.values())),
        "spent": [{"channel": channel, "kind": kind, "bytes": size} for (channel, kind), size in sorted(spent.items())],
    }


def answer(body: dict[str, Any], status: int = 200, *, close: bool = False) -> web.Response:
    """An answer in JSON; with `close` the connection ends behind it."""
    response = web.Response(status=status, body=json.dumps(body).encode(), content_type="application/json")
    if close:
        response.force_close()
    return response
