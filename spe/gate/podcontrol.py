"""The control port of a gate in a pod: only who shows this workspace's gate token is heard.

`PUT /configuration` replaces all that the gate is told and answers when it is so, `GET /status` and `POST /cut`
are those of every gate. Anybody else learns no more than that, and what they send is not read.
"""

import hmac
from typing import Any

from aiohttp import web

from spe.gate.configuration import LARGEST_CONFIGURATION, read_configuration
from spe.gate.control import Call, Calls, Control, answer, parse_cut
from spe.gate.journal import Journal
from spe.gate.listening import address_of
from spe.gate.pod import Pod

STATUS, CUT, CONFIGURE = ("GET", "/status"), ("POST", "/cut"), ("PUT", "/configuration")
BEARER = "Bearer "


class PodControl:
    """Handler of the control port."""

    def __init__(self, pod: Pod, journal: Journal) -> None:
        self._pod = pod
        self._journal = journal

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one call."""
        identity = self._pod.identity
        if identity is None:
            return answer({"error": "The portal has not said yet who this gate is."}, status=503, close=True)
        if not shows(request, identity.token):
            address = address_of(request.transport)
            self._journal.write("refused", door="control", address=address, method=request.method, reason="token")
            return answer({"error": "Show this gate's token."}, status=401, close=True)
        return await Control(await self._calls())(request)

    async def _calls(self) -> Calls:
        gate = await self._pod.ready()
        usual = gate.calls if gate is not None else WITHOUT_GATE
        status = usual[STATUS].do

        async def full_status(body: bytes) -> dict[str, Any]:
            return {**await status(body), **self._told()}

        return {
            **usual,
            STATUS: Call(do=full_status),
            CONFIGURE: Call(do=self._configure, largest=LARGEST_CONFIGURATION),
        }

    async def _configure(self, body: bytes) -> dict[str, Any]:
        removed = await self._pod.configure(read_configuration(body, self._pod.settled()))
        return {**self._told(), "removed": removed}

    def _told(self) -> dict[str, Any]:
        """What was told last: whether anything, whose places, and the document's digest."""
        told, identity = self._pod.configuration, self._pod.identity
        return {
            "workspace": identity.workspace if identity else None,
            "configured": self._pod.gate is not None,
            "places": told.places if told else [],
            "digest": told.digest if told else None,
        }


def shows(request: web.BaseRequest, token: str) -> bool:
    """Whether the request carries exactly one `Authorization`, with this token; compared in constant time."""
    given = request.headers.getall("Authorization", [])
    return len(given) == 1 and hmac.compare_digest(given[0].encode(), (BEARER + token).encode())


async def _empty_status(_: bytes) -> dict[str, Any]:
    return {"counts": {}, "sessions": []}


async def _nothing_to_cut(body: bytes) -> dict[str, Any]:
    parse_cut(body)
    return {"websockets_closed": 0, "seconds": 0.0}


WITHOUT_GATE: Calls = {STATUS: Call(do=_empty_status), CUT: Call(do=_nothing_to_cut)}
