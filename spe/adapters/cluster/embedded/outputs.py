"""A person's outputs folder, listed and read without following anything (security note T32).

Every folder on the way is opened by itself with `O_NOFOLLOW`, files are judged by their descriptor, and
a pipe or device is never opened for reading.
"""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from spe.adapters.cluster.embedded.layout import Layout
from spe.domain.errors import Invalid, Unavailable
from spe.domain.ids import PersonId, WorkspaceId
from spe.ports.outputs import Candidate

MOST = 1000
DEEPEST = 12
CHUNK = 256 * 1024
DECLARATION = "egress.yaml"


class EmbeddedOutputs:
    """Implements `spe.ports.outputs.Outputs` over the workspace's folders."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def candidates(self, workspace: WorkspaceId, person: PersonId) -> tuple[Candidate, ...]:
        """Every entry below the folder, sorted; an empty folder, or none yet, is an empty list."""
        root = self._layout.outputs(workspace, person)
        try:
            top = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise Unavailable("workspace's outputs", error.strerror or "") from error
        try:
            found: list[Candidate] = []
            for candidate in _walk(top, "", 1):
                found.append(candidate)
                if len(found) >= MOST:
                    break
            return tuple(found)
        finally:
            os.close(top)

    def read(self, workspace: WorkspaceId, person: PersonId, path: str) -> Iterator[bytes]:
        """The bytes of one regular file, in chunks."""
        descriptor = _open_below(self._layout.outputs(workspace, person), path)
        return _chunks(descriptor)


def _walk(directory: int, prefix: str, depth: int) -> Iterator[Candidate]:
    for name in sorted(os.listdir(directory)):
        path = prefix + name
        facts = os.lstat(name, dir_fd=directory)
        if stat.S_ISDIR(facts.st_mode):
            if depth >= DEEPEST:
                yield Candidate(path=path, size=0, problem="Folders are nested too deeply.")
                continue
            inner = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=directory)
            try:
                yield from _walk(inner, path + "/", depth + 1)
            finally:
                os.close(inner)
        else:
            yield Candidate(path=path, size=facts.st_size, problem=_problem(facts))


def _problem(facts: os.stat_result) -> str:
    if stat.S_ISLNK(facts.st_mode):
        return "This is a link; copy the file itself."
    if not stat.S_ISREG(facts.st_mode):
        return "This is not a regular file."
    if facts.st_nlink != 1:
        return "This file has a second name (a hard link); copy it."
    return ""


def _open_below(root: Path, path: str) -> int:
    parts = path.split("/")
    if not parts or any(part in ("", ".", "..") for part in parts) or "\0" in path:
        raise Invalid({"path": f"{path[:80]!r} is not a plain relative path."})
    try:
        directory = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            for part in parts[:-1]:
                inner = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=directory)
                os.close(directory)
                directory = inner
            descriptor = os.open(parts[-1], os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=directory)
        finally:
            os.close(directory)
    except OSError as error:
        raise Invalid({"path": f"{path}: it cannot be taken ({error.strerror}); it must be a regular file."}) from error
    problem = _problem(os.fstat(descriptor))
    if problem:
        os.close(descriptor)
        raise Invalid({"path": f"{path}: {problem}"})
    return descriptor


def _chunks(descriptor: int) -> Iterator[bytes]:
    with os.fdopen(descriptor, "rb") as file:
        while chunk := file.read(CHUNK):
            yield chunk
