"""One person's API calls, as their scripts and these commands make them: a bearer token and JSON.

The commands find both in `SPE_URL` and `SPE_TOKEN`, or in what `spe login` kept. A refusal becomes an error of
ours, whose exit status is that of its kind: 2 wrong input, 3 not signed in, 4 refused, 5 not found, 6 a part of
the environment does not answer, 7 changed meanwhile, 1 anything else.
"""

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpx2

from spe import notebook
from spe.domain.errors import (
    Corrupt,
    Denial,
    Invalid,
    NotFound,
    Refused,
    Rejected,
    SpeError,
    Stale,
    Unauthenticated,
    Unavailable,
)

T = TypeVar("T")
PAGE = 200
_ADDRESS = re.compile(r"/[A-Za-z0-9_.~%:/-]+")
SECONDS = 60


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
    """A person at the API. A decision on a review names what was read last, by its entity tag."""

    def __init__(self, portal: str, token: str) -> None:
        self._http = httpx2.Client(
            base_url=f"{portal}/api/v1", headers={"Authorization": f"Bearer {token}"}, timeout=SECONDS, trust_env=False
        )
        self._tags: dict[str, str] = {}

    def get(self, path: str, **query: Any) -> Any:
        """GET, decoded."""
        answer = self._send("GET", path, params=query or None)
        if tag := answer.headers.get("ETag"):
            self._tags[path] = tag
        return answer.json() if answer.content else None

    def all(self, path: str, **query: Any) -> Iterator[Any]:
        """Every item of a list, page by page."""
        token = ""
        while True:
            page = self.get(path, **query, page_size=PAGE, page_token=token)
            yield from page["items"]
            token = page["next_page_token"]
            if not token:
                return

    def raw(self, path: str) -> bytes:
        """GET, as bytes."""
        return self._send("GET", path).content

    def save(self, path: str, target: Path) -> int:
        """GET into a new file, piece by piece; its size. What is there is never written over, half is never left."""
        with target.open("xb") as file:
            try:
                with self._http.stream("GET", path) as answer:
                    if answer.status_code >= httpx2.codes.BAD_REQUEST:
                        answer.read()
                        self._refuse(answer)
                    return sum(file.write(piece) for piece in answer.iter_bytes())
            except BaseException:
                target.unlink()
                raise

    def post(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """POST a JSON body, decoded."""
        answer = self._send("POST", path, json=dict(body or {}), headers=self._seen(path))
        return answer.json() if answer.content else None

    def fetch(self, path: str, body: Mapping[str, Any]) -> bytes:
        """POST a JSON body; the answer's bytes."""
        return self._send("POST", path, json=dict(body)).content

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def holds(self, path: str, tag: str) -> None:
        """Let the next decision on `path` be about what had this entity tag."""
        self._tags[path] = f'"{tag}"'

    def _seen(self, path: str) -> dict[str, str]:
        thing, _, verb = path.rpartition(":")
        if not verb or not thing.startswith("/reviews/"):
            return {}
        if thing not in self._tags:
            self.get(thing)
        return {"If-Match": self._tags[thing]}

    def _send(self, method: str, path: str, **options: Any) -> httpx2.Response:
        answer = self._http.request(method, path, **options)
        if answer.status_code >= httpx2.codes.BAD_REQUEST:
            self._refuse(answer)
        return answer

    def _refuse(self, answer: httpx2.Response) -> None:
        try:
            problem = answer.json()
        except ValueError:
            problem = {}
        known = problem if isinstance(problem, dict) else {}
        raise ApiRefusal(answer.status_code, known or {"title": answer.text[:200]})


class Commanded(Desk):
    """The API for a command: a refusal becomes an error of ours, with its sentences and exit status."""

    def _send(self, method: str, path: str, **options: Any) -> httpx2.Response:
        with _ours():
            return super()._send(method, _below(path), **options)

    def save(self, path: str, target: Path) -> int:
        """See `Desk.save`."""
        with _ours():
            return super().save(_below(path), target)


def _below(path: str) -> str:
    """The path, when the words typed for ids in it name nothing else than a thing below the API; else `Invalid`."""
    if _ADDRESS.fullmatch(path) is None or any(part in ("", ".", "..") for part in path[1:].split("/")):
        typed = path.rpartition("/")[2].partition(":")[0]
        raise Invalid({"id": f"{typed!r} is not an id; `list` shows the ids of what is there."})
    return path


@contextmanager
def _ours() -> Iterator[None]:
    try:
        yield
    except ApiRefusal as refusal:
        raise error_of(refusal.status, refusal.problem) from refusal
    except httpx2.TransportError as error:
        raise Unavailable("portal", str(error) or type(error).__name__) from error
    except (httpx2.InvalidURL, httpx2.UnsupportedProtocol) as error:
        raise Invalid({"SPE_URL": f"This is not an address of a portal: {error}"}) from error


def inside(act: Callable[[], T]) -> T:
    """Carry out a call through the gate; its refusal becomes an error of ours."""
    try:
        return act()
    except notebook.Refused as refusal:
        if refusal.status:
            raise error_of(refusal.status, refusal.problem or {"detail": str(refusal)}) from refusal
        raise Invalid({"submit": str(refusal)}) from refusal


def error_of(status: int, problem: Mapping[str, Any]) -> SpeError:
    """The error that a problem document, or a refusal of the gate, speaks of."""
    detail = str(problem.get("detail") or problem.get("message") or problem.get("title") or f"status {status}")
    code = str(problem.get("code") or "")
    denials = [Denial(code=str(d["code"]), message=str(d["message"])) for d in problem.get("denials") or []]
    fields = {str(e["field"]): str(e["message"]) for e in problem.get("errors") or []}
    by_code: dict[str, Callable[[], SpeError]] = {
        "unauthenticated": lambda: Unauthenticated(detail),
        "not-found": lambda: NotFound(detail),
        "stale": lambda: Stale(detail),
        "unavailable": lambda: _silent(detail),
        "rejected": lambda: _worded(Rejected("portal", detail), detail),
        "corrupt": lambda: Corrupt(detail),
    }
    if code in by_code:
        return by_code[code]()
    if fields:
        return Invalid(fields)
    if status >= httpx2.codes.INTERNAL_SERVER_ERROR:
        return _silent(detail)
    return Refused(denials or [Denial(code=code or "refused", message=detail)])


def _silent(detail: str) -> SpeError:
    return _worded(Unavailable("portal"), detail)


def _worded(error: SpeError, detail: str) -> SpeError:
    error.args = (detail,)
    return error


def kept_file() -> Path:
    """Where `spe login` keeps address and token (mode 0600)."""
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "spe" / "login.json"


def api() -> Desk:
    """The API as this person. Raises `Unauthenticated` when no token is known."""
    kept = _kept()
    url, token = os.environ.get("SPE_URL", kept.get("url", "")), os.environ.get("SPE_TOKEN", kept.get("token", ""))
    if not url or not token:
        raise Unauthenticated("No address or token is known: set SPE_URL and SPE_TOKEN, or run `spe login URL`.")
    return desk_at(url, token)


def desk_at(url: str, token: str) -> Desk:
    """The API at an address. Raises `Invalid` when it is none."""
    if not url.startswith(("http://", "https://")):
        raise Invalid({"SPE_URL": f"{url!r} is not an address; it begins with http:// or https://."})
    with _ours():
        return Commanded(url.rstrip("/"), token)


def _kept() -> dict[str, str]:
    path = kept_file()
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return {str(name): str(value) for name, value in found.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, AttributeError) as error:
        raise Invalid({str(path): "This file cannot be read; run `spe login URL` again."}) from error
