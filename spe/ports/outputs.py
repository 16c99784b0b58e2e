"""A person's outputs folder in a workspace, as the portal may list and read it for an egress request.

Only regular files are seen; links, devices and special files are reported, never followed (T32).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from spe.domain.ids import PersonId, WorkspaceId


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One entry of the outputs folder; `problem` says why it cannot be taken."""

    path: str
    size: int
    problem: str = ""


class Outputs(Protocol):
    """Reads outputs folders."""

    @property
    def note(self) -> str:
        """Where folders cannot be looked at from outside: what a person does instead, in one sentence; else empty."""
        ...

    def candidates(self, workspace: WorkspaceId, person: PersonId) -> tuple[Candidate, ...]:
        """Every entry, sorted by path; at most 1000. Raises `Unavailable`."""
        ...

    def read(self, workspace: WorkspaceId, person: PersonId, path: str) -> Iterator[bytes]:
        """The bytes of one regular file, in chunks, each folder opened without following links.

        Raises `Invalid` when it is not a regular file below the folder.
        """
        ...
