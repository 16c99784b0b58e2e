"""The one port that notebooks of a workspace reach: who calls is whose address it is, by the portal's word.

Anybody who gets here may ask whether a gate is there, which is how a pod finds out that its network is as it
should be. Everything else is for known notebooks; a stranger is refused and written down.
"""

import json
from collections.abc import Callable

from aiohttp import web

from spe.domain.errors import Denial
from spe.gate.addresses import AddressBook
from spe.gate.headers import NO_STORE, own_headers
from spe.gate.journal import Journal
from spe.gate.listening import address_of
from spe.gate.outbound import Outbound
from spe.gate.pages import refusal
from spe.gate.session import Session

HELLO = ("GET", "/hello")
HUB = "/hub/"
STRANGER = Denial(code="stranger", message="No session of this workspace runs at the address that calls.")


class PodDoor:
    """Handler of the door of one gate. `session_of` finds a person's session."""

    def __init__(
        self, book: AddressBook, session_of: Callable[[str], Session | None], outbound: Outbound, journal: Journal
    ) -> None:
        self._book = book
        self._session_of = session_of
        self._outbound = outbound
        self._journal = journal

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one call."""
        address = address_of(request.transport)
        person = await self._book.recognise(address) if address else None
        session = self._session_of(person) if person is not None else None
        if session is None:
            path = request.raw_path.partition("?")[0]
            self._journal.write(
                "refused", door="door", address=address, method=request.method, path=path, reason=STRANGER.code
            )
            return refusal(STRANGER, close=True)
        if request.raw_path.startswith(HUB):
            return await self._outbound.hub(session, request)
        return await self._outbound.spe(session, request)


def is_hello(request: web.BaseRequest) -> bool:
    """Whether somebody only asks if a gate is here."""
    return (request.method, request.raw_path) == HELLO


def hello(workspace: str) -> web.Response:
    """The answer to that."""
    response = web.Response(body=json.dumps({"gate": workspace}).encode(), content_type="application/json")
    for name, value in [*own_headers(None), NO_STORE]:
        response.headers[name] = value
    return response
