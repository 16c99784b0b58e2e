"""How the Hub speaks to the portal: JSON to the portal's internal application, on a Unix socket or a port.

Three outcomes and no fourth: an answer, a refusal with its sentence, or silence. An error of the portal
itself, an answer that is not JSON and a redirect count as silence, because nothing was decided.
"""

import json
import socket
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from tornado.httpclient import HTTPClientError, HTTPRequest, HTTPResponse
from tornado.netutil import Resolver
from tornado.simple_httpclient import SimpleAsyncHTTPClient

from spe.hub.settings import is_socket, read_private

_LONGEST_SENTENCE = 1000
_LARGEST_ANSWER = 1 << 20
_CONNECT_SECONDS = 2.0
_ON_A_SOCKET = "http://portal"


class PortalSilent(Exception):
    """The portal did not answer, or not in a way that decides anything."""


class PortalRefused(Exception):
    """The portal decided against the request; `sentence` is for the person, `code` for programs."""

    def __init__(self, status: int, code: str, sentence: str) -> None:
        self.status = status
        self.code = code
        self.sentence = sentence
        super().__init__(sentence)


class _OneSocket(Resolver):
    """Resolves every host name to one Unix socket, so that no request can go anywhere else."""

    def initialize(self, path: str) -> None:
        self.path = path

    async def resolve(
        self, host: str, port: int, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[tuple[int, Any]]:
        """Always the one socket; host, port and family are ignored."""
        del host, port, family
        return [(socket.AF_UNIX, self.path)]


class PortalClient:
    """A client of the portal's `/hub/…` paths. The token is never part of its `repr` or of an error.

    `address` is the path of a Unix socket, or `http://host:port` without a trailing slash.
    """

    def __init__(self, address: str, token: str) -> None:
        self._address = address
        self._token = token
        self._http: SimpleAsyncHTTPClient | None = None

    async def get(self, path: str, *, seconds: float) -> dict[str, Any]:
        """GET `path`; `PortalSilent` after `seconds`."""
        return await self._call("GET", path, None, seconds)

    async def post(self, path: str, body: Mapping[str, Any], *, seconds: float) -> dict[str, Any]:
        """POST `body` as JSON to `path`; `PortalSilent` after `seconds`."""
        return await self._call("POST", path, json.dumps(body), seconds)

    async def _call(self, method: str, path: str, body: str | None, seconds: float) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {self._token}", "Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        request = HTTPRequest(
            f"{_ON_A_SOCKET if is_socket(self._address) else self._address}{path}",
            method=method,
            headers=headers,
            body=body,
            connect_timeout=min(seconds, _CONNECT_SECONDS),
            request_timeout=seconds,
            follow_redirects=False,
            decompress_response=False,
        )
        try:
            response = await self._client().fetch(request, raise_error=False)
        except (OSError, HTTPClientError) as error:
            raise PortalSilent(type(error).__name__) from error
        return _understood(response)

    def _client(self) -> SimpleAsyncHTTPClient:
        # Made at the first call: the configuration file is read before the loop that will use it runs.
        if self._http is None:
            self._http = SimpleAsyncHTTPClient(
                force_instance=True,
                max_clients=256,
                max_body_size=_LARGEST_ANSWER,
                resolver=_OneSocket(self._address) if is_socket(self._address) else None,
            )
        return self._http


@cache
def portal_at(address: str, token_file: str) -> PortalClient:
    """The one client for this address; the token is read from a file only its owner may read."""
    return PortalClient(address, read_private(Path(token_file)).strip())


def _understood(response: HTTPResponse) -> dict[str, Any]:
    try:
        document = json.loads(response.body or b"null")
    except ValueError:
        document = None
    if 200 <= response.code < 300:
        if not isinstance(document, dict):
            raise PortalSilent("its answer is not a JSON object")
        return document
    if 400 <= response.code < 500:
        problem = document if isinstance(document, dict) else {}
        raise PortalRefused(response.code, str(problem.get("code") or "refused"), sentence_of(problem))
    raise PortalSilent(f"status {response.code}")


def sentence_of(problem: Mapping[str, Any]) -> str:
    """What a person reads of an RFC 9457 problem: detail (else title), then remedy; one line, bounded."""
    parts = [problem.get("detail") or problem.get("title"), problem.get("remedy")]
    text = " ".join(part for part in parts if isinstance(part, str) and part)
    line = " ".join("".join(ch if ch.isprintable() else " " for ch in text).split())
    return line[:_LONGEST_SENTENCE] or "The portal refused without giving a reason; ask the operator."
