"""A release: the approved outputs copied by digest, with a receipt and expiring, named links."""

from dataclasses import dataclass
from datetime import datetime

from spe.domain.errors import Denial
from spe.domain.ids import PersonId, ReleaseId, RequestId


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleasedFile:
    """One file as released: path, SHA-256 in hexadecimal, size in bytes."""

    path: str
    sha256: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """What left, when, and the receipt's bytes by digest; `recalled_at` withdraws it."""

    id: ReleaseId
    request: RequestId
    recipient: PersonId
    files: tuple[ReleasedFile, ...]
    receipt: str
    released_at: datetime
    links_until: datetime
    recalled_at: datetime | None = None
    version: int = 0


def denials_to_download(release: Release, *, person: PersonId, now: datetime) -> tuple[Denial, ...]:
    """Why this person may not fetch the files now: named recipient, before the end, not recalled."""
    found = []
    if person != release.recipient:
        found.append(Denial(code="not-recipient", message="This release was made to somebody else."))
    if release.recalled_at is not None:
        found.append(Denial(code="recalled", message="This release was recalled; ask the output checkers why."))
    if now >= release.links_until:
        found.append(
            Denial(
                code="link-expired",
                message=f"The download ended on {release.links_until:%d %B %Y}; ask an output checker for a new term.",
            )
        )
    return tuple(found)
