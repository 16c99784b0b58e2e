"""One person's API calls, as their scripts make them: a bearer token and JSON."""

from collections.abc import Mapping
from typing import Any

import httpx2


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
        """POST a JSON body, decoded."""
        return self._answer(self._http.post(path, json=dict(body or {})))

    def _answer(self, answer: httpx2.Response) -> Any:
        if answer.status_code >= 400:
            try:
                problem = answer.json()
            except ValueError:
                problem = {"title": answer.text[:200]}
            raise ApiRefusal(answer.status_code, problem)
        return answer.json() if answer.content else None
