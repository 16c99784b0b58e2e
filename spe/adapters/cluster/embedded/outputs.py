"""A person's outputs folder, read from the host while its owner may be changing it.

Every folder on the way is opened by itself without following links, and a file is read only through the
descriptor that was looked at: what is swapped in between is not read (T32).
"""

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import PurePosixPath

from spe.adapters.cluster.embedded.layout import Layout
from spe.domain.errors import Invalid, Unavailable
from spe.domain.ids import PersonId, WorkspaceId
from spe.ports.outputs import Candidate

_MOST = 1000
_DEEPEST = 24
_CHUNK = 1024 * 1024
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC

_KINDS = (
    (stat.S_ISLNK, "It is a link; put a copy of the file in its place."),
    (stat.S_ISFIFO, "It is a pipe, not a file."),
    (stat.S_ISSOCK, "It is a socket, not a file."),
    (stat.S_ISCHR, "It is a device, not a file."),
    (stat.S_ISBLK, "It is a device, not a file."),
)


class EmbeddedOutputs:
    """Reads outputs folders of this host; implements `spe.ports.outputs.Outputs`."""

    note = ""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def candidates(self, workspace: WorkspaceId, person: PersonId) -> tuple[Candidate, ...]:
        """Every entry but folders, sorted by path; none when the folder is not there yet."""
        try:
            root = os.open(self._layout.outputs(workspace, person), _FOLDER)
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise Unavailable("outputs", f"the folder cannot be opened: {error.strerror}") from error
        try:
            found: list[Candidate] = []
            for candidate in _entries(root, PurePosixPath(), 0):
                found.append(candidate)
                if len(found) == _MOST:
                    break
            return tuple(sorted(found, key=lambda candidate: candidate.path))
        finally:
            os.close(root)

    def read(self, workspace: WorkspaceId, person: PersonId, path: str) -> Iterator[bytes]:
        """The bytes of one regular file. Raises `Invalid` when it is not one below the folder."""
        parts = PurePosixPath(path).parts
        if not parts or path.startswith("/") or ".." in parts or "\0" in path:
            raise Invalid({"path": "It is not a path below the outputs folder."})
        try:
            number = self._open(workspace, person, parts)
        except (OSError, UnicodeEncodeError) as error:
            raise Invalid({"path": f"{path[:200]} cannot be read as a regular file."}) from error
        return _chunks(number)

    def _open(self, workspace: str, person: str, parts: tuple[str, ...]) -> int:
        with contextlib.ExitStack() as stack:
            place = os.open(self._layout.outputs(workspace, person), _FOLDER)
            stack.callback(os.close, place)
            for part in parts[:-1]:
                place = os.open(part, _FOLDER, dir_fd=place)
                stack.callback(os.close, place)
            number = os.open(parts[-1], _FILE, dir_fd=place)
        if stat.S_ISREG(os.fstat(number).st_mode):
            return number
        os.close(number)
        raise OSError("not a regular file")


def _chunks(number: int) -> Iterator[bytes]:
    with open(number, "rb", buffering=0) as file:
        while chunk := file.read(_CHUNK):
            yield chunk


def _entries(folder: int, above: PurePosixPath, depth: int) -> Iterator[Candidate]:
    for name in sorted(os.listdir(folder)):
        path = above / name
        try:
            facts = os.stat(name, dir_fd=folder, follow_symlinks=False)
        except OSError:
            continue
        if stat.S_ISDIR(facts.st_mode):
            yield from _below(folder, name, path, depth)
        else:
            yield _candidate(path, facts)


def _below(folder: int, name: str, path: PurePosixPath, depth: int) -> Iterator[Candidate]:
    if depth >= _DEEPEST:
        yield Candidate(path=_shown(path), size=0, problem=f"Folders are nested deeper than {_DEEPEST}.")
        return
    try:
        inner = os.open(name, _FOLDER, dir_fd=folder)
    except OSError as error:
        yield Candidate(path=_shown(path), size=0, problem=f"The folder cannot be opened: {error.strerror}.")
        return
    try:
        yield from _entries(inner, path, depth + 1)
    finally:
        os.close(inner)


def _candidate(path: PurePosixPath, facts: os.stat_result) -> Candidate:
    problem = next((sentence for is_kind, sentence in _KINDS if is_kind(facts.st_mode)), "")
    if not problem and _shown(path) != str(path):
        problem = "Its name is not readable text; rename it."
    return Candidate(path=_shown(path), size=facts.st_size, problem=problem)


def _shown(path: PurePosixPath) -> str:
    """The path as text that can be stored: bytes that are no UTF-8 are replaced."""
    return os.fsencode(path).decode("utf-8", "replace")
