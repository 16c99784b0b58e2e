"""One request to the suite's API server, as whoever a test says."""

import json
from typing import Any

from kubernetes import config
from urllib3 import HTTPHeaderDict

from spe.domain.errors import Rejected, Unavailable
from tests.support import servers

Document = dict[str, Any]
EVERYTHING = "system:masters"
"""Impersonated beside an account, so that rights never hide what admission says."""


class As:
    """Speaks as `user`, with the groups named; without a user as the cluster's administrator."""

    def __init__(self, user: str = "", *groups: str) -> None:
        self._client = config.new_client_from_config(servers.kubernetes())
        # The client keeps one value for a name; the API server reads groups from one header each.
        self._headers = [("Impersonate-User", user), *(("Impersonate-Group", g) for g in groups)] if user else []

    def send(
        self,
        method: str,
        path: str,
        body: Document | None = None,
        *,
        query: dict[str, Any] | None = None,
        content: str = "application/json",
    ) -> Document:
        """The answer; `Rejected` with the server's sentence for a refusal, `Unavailable` for anything else."""
        request = self._client.param_serialize(
            method,
            path,
            query_params=list((query or {}).items()),
            header_params={"Accept": "application/json", "Content-Type": content},
            body=body,
            auth_settings=["BearerToken"],
        )
        verb, url, given, payload, *_ = request
        headers = HTTPHeaderDict(given)
        for name, value in self._headers:
            headers.add(name, value)
        answer = self._client.rest_client.request(verb, url, headers=headers, body=payload)
        text = answer.response.read()
        try:
            document: Document = json.loads(text) if text else {}
        except ValueError:
            document = {"message": text.decode(errors="replace")}
        if 200 <= answer.status < 300:
            return document
        if answer.status in {403, 422, 400, 405}:
            raise Rejected("cluster", str(document.get("message", "")))
        raise Unavailable("cluster", f"{answer.status}: {document.get('message', '')}")
