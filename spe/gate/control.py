"""What the supervisor and the cluster adapter tell a gate, on a socket only their account can open.

`POST /reload` makes the sessions what the folder says, `POST /cut` closes and refuses, `GET /status` shows
sessions, counters and open websockets. Each answers when it is done.
"""

import json
import time
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from spe.domain.errors import Invalid, SpeError
from spe.gate.config import SLUG
from spe.gate.door import FrontDoor
from spe.gate.roster import Roster
from spe.gate.session import Session

LARGEST_BODY = 64 * 1024
LONGEST_REASON = 300


class Control:
    """Handler of `control.sock`."""

    def __init__(self, workspace: str, roster: Roster, door: FrontDoor) -> None:
        self._workspace = workspace
        self._roster = roster
        self._door = door
        self._calls = {
            ("GET", "/status"): self._status,
            ("POST", "/reload"): self._reload,
            ("POST", "/cut"): self._cut,
        }

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one call in JSON."""
        call = self._calls.get((request.method, request.raw_path))
        if call is None:
            return _json({"error": "The gate knows GET /status, POST /reload and POST /cut."}, status=404)
        try:
            return _json(await call(request))
        except Invalid as error:
            return _json({"error": str(error), "fields": error.fields}, status=422)
        except SpeError as error:
            return _json({"error": str(error)}, status=503)

    async def _reload(self, request: web.BaseRequest) -> dict[str, Any]:  # noqa: ARG002  # one shape for all calls
        applied = await self._roster.reload()
        return {"sessions": applied.sessions, "removed": applied.removed, "refused": applied.refused}

    async def _cut(self, request: web.BaseRequest) -> dict[str, Any]:
        person, reason = parse_cut(await request.content.read(LARGEST_BODY + 1))
        started = time.monotonic()
        closed = await self._roster.cut(person, reason)
        return {"websockets_closed": closed, "seconds": round(time.monotonic() - started, 4)}

    async def _status(self, request: web.BaseRequest) -> dict[str, Any]:  # noqa: ARG002  # one shape for all calls
        return {
            "workspace": self._workspace,
            "counts": dict(self._door.counts),
            "sessions": [describe(session) for session in self._roster.sessions],
        }


def parse_cut(body: bytes) -> tuple[str | None, str]:
    """Person (None: everybody) and reason. Raises Invalid."""
    try:
        raw = json.loads(body) if len(body) <= LARGEST_BODY else None
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


def _json(body: dict[str, Any], status: int = 200) -> web.Response:
    return web.Response(status=status, body=json.dumps(body).encode(), content_type="application/json")
