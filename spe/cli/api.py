"""One person's API calls, as their scripts and these commands make them: a bearer token and JSON.

The commands find both in `SPE_URL` and `SPE_TOKEN`, or in what `spe login` kept.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx2

from spe.domain.errors import Denial, Invalid, NotFound, Refused, SpeError, Stale, Unauthenticated, Unavailable


class ApiRefusal(Exception):
    """A problem document (RFC 9457): status, sentence and codes."""

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        self.status = status
        self.problem = dict(problem)
        super().__init__(f"{status} {problem.get('title', '')}: {problem.get('detail', '')}")

    @property
    def codes(self) -> set[str]:
        """The codes of the denials."""
        return {d.get("code", "") for d in self.problem.get("denials", [])}


class Desk:
    """A person at the API."""

    def __init__(self, portal: str, token: str) -> None:
        self._http = httpx2.Client(
            base_url=f"{portal}/api/v1", headers={"Authorization": f"Bearer {token}"}, timeout=60, trust_env=False
        )

    def get(self, path: str, **query: Any) -> Any:
        """GET, decoded."""
        return self._answer(self._http.get(path, params=query or None))

    def raw(self, path: str) -> bytes:
        """GET, as bytes."""
        answer = self._http.get(path)
        if answer.status_code >= 400:
            self._answer(answer)
        return answer.content

    def post(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """POST a JSON body, decoded. A decision on a review names the version that was read last."""
        return self._answer(self._http.post(path, json=dict(body or {}), headers=self._seen(path)))

    def _seen(self, path: str) -> dict[str, str]:
        thing, _, verb = path.rpartition(":")
        if not verb or not thing.startswith("/reviews/"):
            return {}
        answer = self._http.get(thing)
        self._answer(answer)
        return {"If-Match": answer.headers.get("ETag", "*")}

    def fetch(self, path: str, body: Mapping[str, Any]) -> bytes:
        """POST a JSON body; the answer's bytes."""
        answer = self._http.post(path, json=dict(body))
        if answer.status_code >= 400:
            self._answer(answer)
        return answer.content

    def _answer(self, answer: httpx2.Response) -> Any:
        if answer.status_code >= 400:
            try:
                problem = answer.json()
            except ValueError:
                problem = {"title": answer.text[:200]}
            raise ApiRefusal(answer.status_code, problem)
        return answer.json() if answer.content else None


class Commanded(Desk):
    """The API for a command: a refusal becomes an error of ours, with its sentences and exit status."""

    def _answer(self, answer: httpx2.Response) -> Any:
        try:
            return super()._answer(answer)
        except ApiRefusal as refusal:
            raise error_of(refusal) from refusal


def error_of(refusal: ApiRefusal) -> SpeError:
    """The error that a problem document speaks of."""
    problem = refusal.problem
    detail = str(problem.get("detail") or problem.get("title") or refusal)
    denials = [Denial(code=d["code"], message=d["message"]) for d in problem.get("denials") or []]
    fields = problem.get("fields") or problem.get("errors")
    if refusal.status == 401:
        return Unauthenticated(detail)
    if refusal.status == 404:
        return NotFound(detail)
    if refusal.status in (409, 412):
        return Refused(denials) if denials else Stale(detail)
    if isinstance(fields, dict) and fields:
        return Invalid({str(name): str(text) for name, text in fields.items()})
    if refusal.status >= 500:
        return Unavailable("portal", detail)
    return Refused(denials or [Denial(code="refused", message=detail)])


def kept_file() -> Path:
    """Where `spe login` keeps address and token (mode 0600)."""
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "spe" / "login.json"


def api() -> Desk:
    """The API as this person. Raises `Unauthenticated` when no token is known."""
    kept: dict[str, str] = {}
    if kept_file().is_file():
        kept = json.loads(kept_file().read_text())
    url, token = os.environ.get("SPE_URL", kept.get("url", "")), os.environ.get("SPE_TOKEN", kept.get("token", ""))
    if not url or not token:
        raise Unauthenticated("No address or token is known: set SPE_URL and SPE_TOKEN, or run `spe login URL`.")
    try:
        return Commanded(url.rstrip("/"), token)
    except httpx2.InvalidURL as error:
        raise Invalid({"SPE_URL": f"{url!r} is not an address: {error}"}) from error
