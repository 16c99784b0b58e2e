"""What a notebook may ask of the environment, through its gate: submit outputs, borrow a secret, read the permit.

    import spe.notebook as spe
    spe.submit("/workspace/outputs/tables", purpose="Baseline characteristics for the report")
    password = spe.secret("registry-password")

Standard library only, so that it is quick and works in every kernel. The gate knows who asks.
"""

import http.client
import json
import os
import socket
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

CHUNK = 256 * 1024
DECLARATION = "egress.yaml"
UNDER_WAY = frozenset({"submitted", "checking"})


class Refused(Exception):
    """The environment said no; `sentences` say why, `status` is the HTTP status (0: no answer)."""

    def __init__(self, status: int, sentences: Iterable[str]) -> None:
        self.status = status
        self.sentences = tuple(sentences)
        super().__init__(" ".join(self.sentences))


class _Door(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("workspace", timeout=120)
        self._path = path

    def connect(self) -> None:
        """Connect to the gate's socket."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def inside() -> bool:
    """Whether this runs inside a workspace."""
    return bool(os.environ.get("SPE_DOOR"))


def call(method: str, path: str, body: Mapping[str, Any] | Iterable[bytes] | None = None) -> Any:
    """One call of the workspace API. Raises `Refused` with sentences that say what to do."""
    door = os.environ.get("SPE_DOOR", "")
    if not door:
        raise Refused(0, ["This works inside a workspace only; there SPE_DOOR names the gate."])
    connection = _Door(door)
    headers = {"Accept": "application/json"}
    data: Any = None
    if isinstance(body, Mapping):
        data, headers["Content-Type"] = json.dumps(body).encode(), "application/json"
    elif body is not None:
        data, headers["Content-Type"] = body, "application/octet-stream"
    try:
        connection.request(
            method, f"/workspace{path}", data, headers, encode_chunked=not isinstance(data, bytes | None)
        )
        answer = connection.getresponse()
        text = answer.read()
    except (OSError, http.client.HTTPException) as error:
        raise Refused(0, [f"The gate does not answer ({error}). Save your work and try again in a moment."]) from error
    finally:
        connection.close()
    document = _decoded(text)
    if answer.status >= http.client.BAD_REQUEST:
        raise Refused(answer.status, _sentences(document, answer.status))
    return document


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


def submit(
    folder: str | Path,
    *,
    purpose: str = "",
    outputs: Iterable[Mapping[str, Any]] = (),
    wait_seconds: float = 120.0,
) -> dict[str, Any]:
    """Freeze every file of a folder in a new egress request and hand it to the checks.

    Purpose and outputs come from `egress.yaml` in the folder where they are not given. Returns the
    request; with `wait_seconds` it waits for the checks. The draft stays when something is refused.
    """
    root = Path(folder)
    files = tuple(files_of(root))
    declared = _declaration(root)
    told = [dict(o) for o in outputs] or declared.get("outputs", [])
    made = call("POST", "/egress", {"purpose": purpose or declared.get("purpose", ""), "outputs": told})
    address = f"/egress/{made['id']}"
    for path in files:
        call("PUT", f"{address}/files/{quote(str(path.relative_to(root)))}", _chunks(path))
    call("POST", f"{address}:describe", {"purpose": purpose or declared.get("purpose", ""), "outputs": told})
    found: dict[str, Any] = call("POST", f"{address}:submit", {})
    deadline = time.monotonic() + wait_seconds
    while found["state"] in UNDER_WAY and time.monotonic() < deadline:
        time.sleep(0.2)
        found = request(made["id"])
    return found


def files_of(root: Path) -> Iterator[Path]:
    """Regular files below the folder, sorted, the declaration left out. Raises `Refused` for anything odd."""
    if not root.is_dir():
        raise Refused(0, [f"{root} is not a folder; name the folder that holds the outputs."])
    found = sorted(root.rglob("*"))
    odd = [p for p in found if p.is_symlink() or not (p.is_file() or p.is_dir())]
    if odd:
        raise Refused(0, [f"{odd[0]} is a link or a special file; copy the file itself into the folder."])
    files = [p for p in found if p.is_file() and p != root / DECLARATION]
    if not files:
        raise Refused(0, [f"{root} holds no files; save the outputs there first."])
    yield from files


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            yield chunk


def _declaration(root: Path) -> dict[str, Any]:
    path = root / DECLARATION
    if not path.is_file():
        return {}
    import yaml

    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise Refused(0, [f"{path} is not YAML: {error}"]) from error
    if not isinstance(found, dict) or set(found) - {"purpose", "outputs"}:
        raise Refused(0, [f"{path} has two keys, `purpose` and `outputs`; see the guide's page on egress."])
    return found


def _decoded(text: bytes) -> Any:
    try:
        return json.loads(text) if text else None
    except ValueError:
        return None


def _sentences(document: Any, status: int) -> list[str]:
    if isinstance(document, dict):
        denials = [str(d.get("message", "")) for d in document.get("denials") or [] if isinstance(d, dict)]
        said = denials or [str(document.get("detail") or document.get("title") or document.get("error") or "")]
        if any(said):
            return [*said, *([str(document["remedy"])] if document.get("remedy") else [])]
    return [f"The gate answered {status}."]
