"""The adapter's own notes about a workspace, kept as annotations of its namespace and gone with it.

What cannot be read counts as not noted: the loop then makes it again.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from spe.adapters.cluster.kubernetes.kinds import Document, annotations_of
from spe.domain.permit import Limits
from spe.ports.cluster import SealReport

SEAL = "spe.local/seal"
LIMITS = "spe.local/limits"
ROOM = "spe.local/room"
EXPIRES = "spe.local/expires"
CONFIGURED = "spe.local/configured"

NOT_LOOKED = SealReport(holds=False, attempts={"probe": "not looked yet"})
_LONGEST_NOTE = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """What the quota was made for: the limits of one session, and how many people."""

    limits: Limits
    people: int


def notes(values: Mapping[str, Any]) -> Document:
    """A patch that writes notes; None takes one away."""
    texts = {name: None if value is None else json.dumps(value, sort_keys=True) for name, value in values.items()}
    return {"metadata": {"annotations": texts}}


def limits_note(limits: Limits) -> dict[str, Any]:
    """Limits as they are noted."""
    return asdict(limits)


def room_note(room: Room) -> dict[str, Any]:
    """Room as it is noted."""
    return {"limits": asdict(room.limits), "people": room.people}


def seal_note(report: SealReport, *, shape: str, now: datetime) -> dict[str, Any]:
    """A report as it is noted, with what it was about and when."""
    return {"holds": report.holds, "attempts": report.attempts, "shape": shape, "at": now.isoformat()}


def limits_of(namespace: Document) -> Limits | None:
    """The limits that sessions start with."""
    return _limits(_read(namespace, LIMITS))


def room_of(namespace: Document) -> Room | None:
    """What the quota was made for."""
    found = _read(namespace, ROOM)
    limits = _limits(found.get("limits"))
    people = found.get("people")
    return Room(limits=limits, people=people) if limits is not None and isinstance(people, int) else None


def expires_of(namespace: Document) -> datetime | None:
    """When the last of the places ends."""
    try:
        found = datetime.fromisoformat(str(_read(namespace, EXPIRES)["at"]))
    except (KeyError, ValueError):
        return None
    return found if found.tzinfo is not None else None


def configured_of(namespace: Document) -> tuple[str, str]:
    """Digests of what the gate was told last: the whole, and the part about itself."""
    found = _read(namespace, CONFIGURED)
    return str(found.get("whole", "")), str(found.get("gate", ""))


def seal_noted(namespace: Document) -> Mapping[str, Any]:
    """The last report as it was noted, whatever it was about: `holds`, `attempts`, `shape`, `at`."""
    return _read(namespace, SEAL)


def seal_of(namespace: Document, *, shape: str, within: timedelta | None, now: datetime) -> SealReport:
    """The last report, if it is about this shape and, where `within` is given, not older than that.

    A shape may be given by its first part alone; the report then counts whatever else it was about.
    """
    found = _read(namespace, SEAL)
    attempts = found.get("attempts")
    noted = str(found.get("shape", ""))
    if shape not in (noted, noted.partition(" ")[0]) or not isinstance(attempts, dict):
        return NOT_LOOKED
    try:
        age = now - datetime.fromisoformat(str(found.get("at"))).astimezone(UTC)
    except ValueError:
        return NOT_LOOKED
    if within is not None and not timedelta(minutes=-5) <= age <= within:
        return SealReport(holds=False, attempts={"probe": "looked too long ago"})
    return SealReport(holds=found.get("holds") is True, attempts=attempts)


def _limits(found: Any) -> Limits | None:
    try:
        return Limits(**found) if found else None
    except TypeError:
        return None


def _read(namespace: Document, name: str) -> dict[str, Any]:
    text = annotations_of(namespace).get(name, "")
    try:
        found = json.loads(text) if len(text) <= _LONGEST_NOTE else None
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
