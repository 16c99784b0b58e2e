"""What a notebook may ask of the environment, through its gate: submit outputs, borrow a secret, read the permit.

    import spe.notebook
    spe.notebook.submit("outputs/tables", purpose="Baseline characteristics for the report")
    password = spe.notebook.secret("registry-password")

Standard library only, so that it is quick and works in every kernel. The gate knows who asks.
"""

import http.client
import json
import os
import socket
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote, urlsplit

from spe.domain.text import is_plain_path

CHUNK = 256 * 1024
DECLARATION = "egress.yaml"
LARGEST_DECLARATION = 1024**2
LEFT_OUT = ".ipynb_checkpoints"
UNDER_WAY = frozenset({"submitted", "checking"})
DOOR_SECONDS = 300.0
NO_ANSWER = 503
Tell = Callable[[str], None]


class Refused(Exception):
    """A no: `sentences` say why and what to do, `status` is the HTTP status (0: nothing was asked)."""

    def __init__(self, status: int, sentences: Iterable[str], problem: Mapping[str, Any] | None = None) -> None:
        self.status = status
        self.sentences = tuple(sentences)
        self.problem = dict(problem or {})
        super().__init__(" ".join(self.sentences))


@dataclass(frozen=True)
class Found:
    """One file of the folder: its path in the request, and where it lies."""

    name: str
    path: Path
    size: int


class _SocketDoor(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("workspace", timeout=DOOR_SECONDS)
        self._path = path

    def connect(self) -> None:
        """Connect to the gate's socket."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def _door(place: str) -> http.client.HTTPConnection:
    """The gate's door: a socket's path on one host, `http://host:port` in a cluster. Raises `Refused`."""
    if not place:
        raise Refused(0, ["This works inside a workspace only; there SPE_DOOR names the gate."])
    if "://" not in place:
        return _SocketDoor(place)
    parts = urlsplit(place)
    with suppress(ValueError):  # a port that is no number
        if parts.scheme == "http" and parts.hostname:
            return http.client.HTTPConnection(parts.hostname, parts.port, timeout=DOOR_SECONDS)
    raise Refused(0, ["SPE_DOOR does not name the gate; stop the session and start it again in the portal."])


def inside() -> bool:
    """Whether this runs inside a workspace."""
    return bool(os.environ.get("SPE_DOOR"))


def call(method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
    """One call of the workspace API. Raises `Refused` with sentences that say what to do."""
    if body is None:
        return _ask(method, path, None, {})
    return _ask(method, path, json.dumps(body).encode(), {"Content-Type": "application/json"})


def permit() -> dict[str, Any]:
    """The permit under which one works."""
    found: dict[str, Any] = call("GET", "/permit")
    return found


def secret(name: str) -> str:
    """Borrow a secret that the permit lists; each use is recorded."""
    return str(call("GET", f"/secrets/{quote(name, safe='')}")["value"])


def requests() -> list[dict[str, Any]]:
    """The egress requests of this workspace."""
    found: list[dict[str, Any]] = call("GET", "/egress")["items"]
    return found


def request(request_id: str) -> dict[str, Any]:
    """One egress request with its report."""
    found: dict[str, Any] = call("GET", f"/egress/{quote(request_id, safe='')}")
    return found


def withdraw(request_id: str) -> dict[str, Any]:
    """Take a request back before it is reviewed."""
    found: dict[str, Any] = call("POST", f"/egress/{quote(request_id, safe='')}:withdraw")
    return found


def submit(
    folder: str | Path,
    *,
    purpose: str = "",
    outputs: Iterable[Mapping[str, Any]] = (),
    wait_seconds: float = 300.0,
    tell: Tell | None = None,
) -> dict[str, Any]:
    """Freeze every file of a folder in a new egress request and hand it to the checks.

    Purpose and outputs come from `egress.yaml` in the folder where they are not given. Returns the
    request; with `wait_seconds` it waits for the checks. Where something is refused on the way the draft
    is withdrawn, so nothing half-made waits. `tell` hears how it goes.
    """
    say = tell or _unheard
    root = folder_of(folder)
    files = files_of(root)
    declared = _declaration(root)
    words = {
        "purpose": purpose or declared.get("purpose") or "",
        "outputs": [dict(o) for o in outputs] or declared.get("outputs") or [],
    }
    _fits(files, words)
    address = f"/egress/{call('POST', '/egress', words)['id']}"
    try:
        for number, file in enumerate(files, 1):
            say(f"{number} of {len(files)}: {file.name} ({file.size} bytes)")
            _upload(f"{address}/files/{quote(file.name)}", file)
        call("POST", f"{address}:describe", words)
        found: dict[str, Any] = call("POST", f"{address}:submit")
    except BaseException:
        with suppress(Refused):
            call("POST", f"{address}:withdraw")
        raise
    say("The files are frozen; the checks run.")
    return follow(found, seconds=wait_seconds)


def _unheard(sentence: str) -> None:
    del sentence


def follow(found: Mapping[str, Any], *, seconds: float) -> dict[str, Any]:
    """The request once the checks are done, or as it stands after so many seconds."""
    deadline = time.monotonic() + seconds
    latest, pause = dict(found), 0.1
    while latest["state"] in UNDER_WAY and time.monotonic() < deadline:
        time.sleep(pause)
        pause = min(1.0, pause * 1.3)
        latest = request(latest["id"])
    return latest


def folder_of(folder: str | Path) -> Path:
    """The folder as named from here, else below the outputs folder of the workspace. Raises `Refused`."""
    named = Path(folder)
    home = Path(os.environ.get("SPE_OUTPUTS_DIR", "/workspace/outputs"))
    for place in (named, home / named, home.parent / named):
        if place.is_dir():
            return place
    raise Refused(0, [f"{folder} is not a folder; name the folder that holds the outputs."])


def files_of(root: Path) -> tuple[Found, ...]:
    """Regular files below the folder, sorted, the declaration left out. Raises `Refused` for anything odd."""
    found = tuple(sorted(_walk(root, ""), key=lambda file: file.name))
    if not found:
        raise Refused(0, [f"{root} holds no files; save the outputs there first."])
    return found


def _walk(folder: Path, prefix: str) -> Iterator[Found]:
    with _readable(prefix or str(folder)):
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    for entry in entries:
        name = prefix + entry.name
        facts = entry.stat(follow_symlinks=False)
        if stat.S_ISDIR(facts.st_mode):
            if entry.name != LEFT_OUT:
                yield from _walk(Path(entry.path), f"{name}/")
        elif not stat.S_ISREG(facts.st_mode):
            raise Refused(0, [f"{_shown(name)} is a link or a special file; copy the file itself into the folder."])
        elif name != DECLARATION:
            yield Found(name, Path(entry.path), facts.st_size)


@contextmanager
def _readable(name: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        sentence = f"{_shown(name)} cannot be read: {error.strerror}. Mend its rights, then submit the folder again."
        raise Refused(0, [sentence]) from error


def _shown(name: str) -> str:
    """A name for people: what is not seen is written out."""
    return name if name.isprintable() else repr(name)


def _fits(files: tuple[Found, ...], words: Mapping[str, Any]) -> None:
    """Say at once what the environment would say after a long upload."""
    purpose = words["purpose"]
    if not isinstance(purpose, str) or not purpose.strip():
        raise Refused(0, [f"Say in one sentence what the outputs are for: purpose=…, or `purpose:` in {DECLARATION}."])
    names = {file.name for file in files}
    for declared in words["outputs"]:
        path = declared.get("path")
        if isinstance(path, str) and path not in names:
            sentence = f"{_shown(path)} is declared, but there is no such file in the folder; correct {DECLARATION}."
            raise Refused(0, [sentence])
    rules = call("GET", "/policy")
    if len(files) > rules["most_files"]:
        raise Refused(0, [f"There are {len(files)} files; one request carries {rules['most_files']}. Split it."])
    for file in files:
        _file_fits(file, rules["largest_file"])


def _file_fits(file: Found, largest: int) -> None:
    if not is_plain_path(file.name):
        why = "is not a plain path: a sign that is not seen, a backslash, or too long or deep"
        raise Refused(0, [f"{_shown(file.name)} {why}; rename the file."])
    if file.size > largest:
        sentence = f"{file.name} is larger than {largest // 1024**2} MiB, the most one file may be. Make it smaller."
        raise Refused(0, [sentence])
    with _readable(file.name):
        os.close(_opened(file))


def _opened(file: Found) -> int:
    return os.open(file.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)


def _upload(path: str, file: Found) -> None:
    with _readable(file.name):
        descriptor = _opened(file)
    with os.fdopen(descriptor, "rb") as opened:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode):
            raise Refused(0, [f"{file.name} is not a regular file any more; submit the folder again."])
        kind = {"Content-Type": "application/octet-stream", "Content-Length": str(facts.st_size)}
        _ask("PUT", path, _pieces(opened, facts.st_size, file.name), kind)


def _pieces(opened: BinaryIO, size: int, name: str) -> Iterator[bytes]:
    left = size
    while left:
        piece = opened.read(min(CHUNK, left))
        if not piece:
            raise Refused(0, [f"{name} became shorter while it was read; submit the folder again."])
        left -= len(piece)
        yield piece


def _ask(method: str, path: str, data: bytes | Iterator[bytes] | None, headers: Mapping[str, str]) -> Any:
    connection = _door(os.environ.get("SPE_DOOR", ""))
    try:
        # A refusal may come before everything was sent; then the answer is there to be read all the same.
        with suppress(BrokenPipeError, ConnectionResetError):
            connection.request(method, f"/workspace{path}", data, {"Accept": "application/json", **headers})
        answer = connection.getresponse()
        text = answer.read()
    except (OSError, http.client.HTTPException) as error:
        sentence = f"The gate does not answer ({error}). Save your work and try again in a moment."
        raise Refused(NO_ANSWER, [sentence], {"code": "unavailable", "detail": sentence}) from error
    finally:
        connection.close()
    document = _decoded(text)
    if answer.status >= http.client.BAD_REQUEST:
        problem = document if isinstance(document, dict) else {}
        raise Refused(answer.status, _sentences(problem, answer.status), problem)
    return document


def _declaration(root: Path) -> dict[str, Any]:
    path = root / DECLARATION
    if not path.is_file():
        return {}
    import yaml

    with _readable(DECLARATION), path.open("rb") as file:
        data = file.read(LARGEST_DECLARATION + 1)
    if len(data) > LARGEST_DECLARATION:
        raise Refused(0, [f"{path} is larger than {LARGEST_DECLARATION // 1024} KiB; it is no declaration."])
    try:
        found = yaml.safe_load(data.decode("utf-8"))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise Refused(0, [f"{path} is not YAML: {error}"]) from error
    if not isinstance(found, dict) or set(found) - {"purpose", "outputs"}:
        raise Refused(0, [f"{path} has two keys, `purpose` and `outputs`; see the guide's page on egress."])
    if not isinstance(found.get("outputs") or [], list) or not all(
        isinstance(o, dict) for o in found.get("outputs") or []
    ):
        raise Refused(0, [f"{path}: `outputs` is a list with `path`, `title`, `kind` … for each file."])
    return found


def _decoded(text: bytes) -> Any:
    try:
        return json.loads(text) if text else None
    except ValueError:
        return None


def _sentences(problem: Mapping[str, Any], status: int) -> list[str]:
    denials = [str(d.get("message", "")) for d in problem.get("denials") or [] if isinstance(d, dict)]
    said = denials or [str(problem.get("detail") or problem.get("message") or problem.get("title") or "")]
    if not any(said):
        return [f"The gate answered {status}."]
    return [*said, *([str(problem["remedy"])] if problem.get("remedy") else [])]
