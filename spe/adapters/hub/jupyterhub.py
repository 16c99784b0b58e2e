"""The `Hub` port over JupyterHub's REST API, with a service token of the few scopes in `spe.hub.roles`.

Synchronous, every call bounded, redirects off, the host's proxy variables ignored. The token is shown in one
header and nowhere else.
"""

import json
import time
from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any, NoReturn

import httpx2

from spe.domain.errors import Rejected, Unavailable
from spe.domain.ids import PersonId, WorkspaceId, is_id
from spe.ports.hub import HubSession, Progress

PORT = "Hub"
_PAUSE_SECONDS = 0.1
# The Hub writes an empty line every 8 seconds while a start is under way.
_SILENT_SECONDS = 30.0
_NO_START = Progress(percent=100, message="This session is not starting. Start it in the portal.", failed=True)
_MAY_NOT_ENTER = "This person may not enter now: no active permit names them, or it could not be confirmed in time."


class JupyterHub:
    """The adapter. `hub_url` is `http://127.0.0.1:PORT`; `stop_seconds` is how long a stop is waited for."""

    def __init__(
        self,
        *,
        hub_url: str,
        token: str,
        call_seconds: float = 15.0,
        stop_seconds: float = 30.0,
        page_size: int = 100,
    ) -> None:
        self._stop_seconds = stop_seconds
        self._page_size = page_size
        self._http = httpx2.Client(
            base_url=f"{hub_url}/hub/api",
            headers={"Authorization": f"Bearer {token}", "Accept": "application/json"},
            timeout=httpx2.Timeout(call_seconds, connect=2.0),
            follow_redirects=False,
            trust_env=False,
        )

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def ensure_person(self, person: PersonId) -> None:
        """See `Hub.ensure_person`."""
        self._call("POST", _user(person), fine={201, 409})

    def start(self, workspace: WorkspaceId, person: PersonId) -> None:
        """See `Hub.start`."""
        self.ensure_person(person)
        answer = self._ask_start(workspace, person)
        if answer.status_code == 400 and self._forget_ended(person):
            answer = self._ask_start(workspace, person)
        if answer.status_code == 403 and "auth has expired" in _message(answer):
            raise Rejected(PORT, _MAY_NOT_ENTER)
        if answer.is_success or self._pending(workspace, person) in {"ready", "spawn"}:
            return
        _refuse(answer)

    def _ask_start(self, workspace: WorkspaceId, person: PersonId) -> httpx2.Response:
        return self._call("POST", _server(workspace, person), fine={201, 202, 400, 403})

    def _forget_ended(self, person: PersonId) -> int:
        """Remove the sessions that ended by themselves, since the Hub counts them against its limit; how many."""
        ended = [s for s, live in self._all(person) if not live]
        for session in ended:
            self.stop(session.workspace, person)
        return len(ended)

    def progress(self, workspace: WorkspaceId, person: PersonId) -> Iterator[Progress]:
        """See `Hub.progress`."""
        deadline = time.monotonic() + self._stop_seconds
        while (steps := self._follow(workspace, person)) is None:
            # The Hub ends a failed start by a stop, and knows the reason again when that is over.
            tidied_up = self._pending(workspace, person) != "stop"
            time.sleep(_PAUSE_SECONDS)
            if tidied_up or time.monotonic() >= deadline:
                steps = self._follow(workspace, person) or iter([_NO_START])
                break
        yield from steps

    def _follow(self, workspace: WorkspaceId, person: PersonId) -> Iterator[Progress] | None:
        """The steps of a start; None when the Hub says that nothing is starting."""
        steps = self._steps(workspace, person)
        try:
            first = next(steps)
        except StopIteration:
            return None
        return chain((first,), steps)

    def _steps(self, workspace: WorkspaceId, person: PersonId) -> Iterator[Progress]:
        try:
            with self._http.stream(
                "GET", _server(workspace, person) + "/progress", timeout=httpx2.Timeout(_SILENT_SECONDS, connect=2.0)
            ) as answer:
                if answer.status_code in {400, 404}:
                    return
                if not answer.is_success:
                    answer.read()
                    _refuse(answer)
                for line in answer.iter_lines():
                    step = _step(line)
                    if step is not None:
                        yield step
                        if step.ready or step.failed:
                            return
        except httpx2.HTTPError as error:
            raise _silence(error) from error
        raise Unavailable(PORT, "the start was not followed to its end")

    def stop(self, workspace: WorkspaceId, person: PersonId) -> None:
        """See `Hub.stop`."""
        server = _server(workspace, person)
        answer = self._call("DELETE", server, body={"remove": True}, fine={202, 204, 404, 500})
        if answer.status_code == 500 and self._pending(workspace, person) != "stop":
            # Two stops at the same instant: the Hub fails the second, which then waits for the first.
            _refuse(answer)
        deadline = time.monotonic() + self._stop_seconds
        # Asked once, the Hub removes the session when it has stopped; asked again, it would do so twice.
        while answer.status_code not in {204, 404}:
            if time.monotonic() >= deadline:
                raise Unavailable(PORT, "the session is still stopping")
            time.sleep(_PAUSE_SECONDS)
            answer = self._call("GET", server, fine={200, 404})

    def running(self) -> tuple[HubSession, ...]:
        """See `Hub.running`."""
        found = [
            session
            for user in self._pages("/users", {"state": "active"})
            for session, live in _sessions(user, person=PersonId(str(user.get("name", ""))))
            if live
        ]
        return tuple(sorted(found, key=lambda session: (session.workspace, session.person)))

    def forget(self, person: PersonId) -> None:
        """See `Hub.forget`."""
        for session, _ in self._all(person):
            self.stop(session.workspace, person)
        self._call("DELETE", _user(person), fine={204, 404})

    def _all(self, person: PersonId) -> list[tuple[HubSession, bool]]:
        """Every session of the person, also those that ended, and whether it lives; none for somebody unknown."""
        answer = self._call("GET", _user(person), fine={200, 404}, query={"include_stopped_servers": "1"})
        return [] if answer.status_code == 404 else _sessions(_object(answer), person=person)

    def _pending(self, workspace: WorkspaceId, person: PersonId) -> str | None:
        """What the Hub is doing with a session (`spawn`, `stop`); `ready` when nothing, None when unknown."""
        answer = self._call("GET", _server(workspace, person), fine={200, 404})
        if answer.status_code == 404:
            return None
        server = _object(answer)
        return "ready" if server.get("ready") else str(server.get("pending"))

    def _pages(self, path: str, query: Mapping[str, str]) -> Iterator[dict[str, Any]]:
        offset = 0
        while True:
            page = {"offset": str(offset), "limit": str(self._page_size)}
            items = _decoded(self._call("GET", path, fine={200}, query={**query, **page}))
            if not isinstance(items, list):
                raise Unavailable(PORT, "its answer is not a list")
            yield from (item for item in items if isinstance(item, dict))
            if len(items) < self._page_size:
                return
            offset += len(items)

    def _call(
        self,
        method: str,
        path: str,
        *,
        fine: set[int],
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, str] | None = None,
    ) -> httpx2.Response:
        try:
            answer = self._http.request(method, path, json=body, params=query)
        except httpx2.HTTPError as error:
            raise _silence(error) from error
        if answer.status_code not in fine:
            _refuse(answer)
        return answer


def _user(person: PersonId) -> str:
    return f"/users/{_checked(person)}"


def _server(workspace: WorkspaceId, person: PersonId) -> str:
    return f"{_user(person)}/servers/{_checked(workspace)}"


def _checked(identifier: str) -> str:
    # An empty name would mean the Hub's default server, a slash another path.
    if not is_id(identifier):
        raise Rejected(PORT, f"{identifier!r} is not an id")
    return identifier


def _sessions(user: Mapping[str, Any], *, person: PersonId) -> list[tuple[HubSession, bool]]:
    """The named sessions of a user model, each with whether it lives."""
    servers = user.get("servers")
    if not isinstance(servers, dict):
        raise Unavailable(PORT, "it does not tell which sessions there are")
    return [
        (
            HubSession(workspace=WorkspaceId(name), person=person, ready=bool(server.get("ready"))),
            bool(server.get("ready") or server.get("pending")),
        )
        for name, server in servers.items()
        if name
    ]


def _step(line: str) -> Progress | None:
    if not line.startswith("data:"):
        return None
    try:
        event = json.loads(line.removeprefix("data:"))
    except ValueError as error:
        raise Unavailable(PORT, "its progress cannot be read") from error
    failed = bool(event.get("failed"))
    message = str(event.get("message", ""))
    percent = event.get("progress")
    return Progress(
        percent=max(0, min(int(percent), 100)) if isinstance(percent, int | float) else 0,
        message=message.removeprefix("Spawn failed: ") if failed else message,
        ready=bool(event.get("ready")),
        failed=failed,
    )


def _decoded(answer: httpx2.Response) -> object:
    try:
        document: object = answer.json()
    except ValueError as error:
        raise Unavailable(PORT, "its answer is not JSON") from error
    return document


def _object(answer: httpx2.Response) -> dict[str, Any]:
    document = _decoded(answer)
    if not isinstance(document, dict):
        raise Unavailable(PORT, "its answer is not an object")
    return document


def _message(answer: httpx2.Response) -> str:
    try:
        document = answer.json()
    except ValueError:
        return ""
    return str(document.get("message", "")) if isinstance(document, dict) else ""


def _refuse(answer: httpx2.Response) -> NoReturn:
    if answer.is_client_error:
        raise Rejected(PORT, _message(answer) or f"status {answer.status_code}")
    raise Unavailable(PORT, f"status {answer.status_code}")


def _silence(error: httpx2.HTTPError) -> Unavailable:
    # The class of the error, not its text: a text may hold the request.
    return Unavailable(PORT, type(error).__name__)
