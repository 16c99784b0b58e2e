"""The permit form: terms as fields in the units people use, and fields as terms.

A field that was not touched gives back the exact old value, so that opening a form and sending it changes
nothing even where the form shows less than is stored (seconds, single bytes).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, TypeVar

from spe.domain.dataset import AccessMode
from spe.domain.errors import Invalid
from spe.domain.ids import PersonId
from spe.domain.permit import Limits, Terms, problems_of
from spe.web.ui.form import Sent
from spe.web.ui.show import plain

T = TypeVar("T")
GIB: Final = 1024**3
MIB: Final = 1024**2
MOMENT: Final = "%Y-%m-%dT%H:%M"
TEXTS: Final = (
    *("title", "purpose", "conditions", "starts", "ends", "access_mode"),
    *("memory", "cpu", "disk", "daily", "idle"),
)
MANY: Final = ("people", "datasets", "secrets")
NEVER: Final = datetime(1970, 1, 1, tzinfo=UTC)
LARGEST: Final = 1_000_000.0
ORDER: Final = (
    *("kind", "issuer", "title", "purpose", "people", "datasets", "starts", "ends", "access_mode", "limits"),
    *("memory", "cpu", "disk", "daily", "idle", "secrets", "conditions"),
)
"""The fields from top to bottom."""

Fields = Mapping[str, str | tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Unit:
    """A limit as a field: how many of the stored unit make one of the shown."""

    name: str
    field: str
    factor: int


LIMITS: Final = (
    Unit("memory", "memory_bytes", GIB),
    Unit("disk", "disk_bytes", GIB),
    Unit("daily", "daily_bytes", MIB),
)


def fields_of(terms: Terms) -> dict[str, str | tuple[str, ...]]:
    """The form's fields for terms."""
    return {
        "title": terms.title,
        "purpose": terms.purpose,
        "conditions": terms.conditions,
        "people": tuple(sorted(terms.people)),
        "datasets": tuple(sorted(terms.datasets)),
        "secrets": tuple(sorted(terms.secrets)),
        "starts": moment_field(terms.starts),
        "ends": moment_field(terms.ends),
        "access_mode": str(terms.access_mode),
        **{u.name: plain(getattr(terms.limits, u.field) / u.factor) for u in LIMITS},
        "cpu": plain(terms.limits.cpu),
        "idle": str(terms.limits.idle_minutes),
    }


def fresh_fields(now: datetime) -> dict[str, str | tuple[str, ...]]:
    """The fields of an empty form: limits and mode as usual, starting now, no end."""
    usual = Limits()
    return {
        **dict.fromkeys(TEXTS, ""),
        **dict.fromkeys(MANY, ()),
        **{u.name: plain(getattr(usual, u.field) / u.factor) for u in LIMITS},
        "cpu": plain(usual.cpu),
        "idle": str(usual.idle_minutes),
        "access_mode": str(AccessMode.DIRECT),
        "starts": moment_field(now),
    }


def fields_sent(form: Sent) -> dict[str, str | tuple[str, ...]]:
    """The form's fields as they were sent."""
    return {**{name: form.text(name) for name in TEXTS}, **{name: form.chosen(name) for name in MANY}}


def terms_from(given: Fields, *, old: Terms | None = None) -> Terms:
    """Terms from fields. Raises `Invalid` when a field cannot be read, with a sentence for each that is wrong."""
    before = fields_of(old) if old else {}
    problems: dict[str, str] = {}

    def read(name: str, kept: T | None, parse: Callable[[str], T], sentence: str, otherwise: T) -> T:
        text = str(given[name])
        if kept is not None and before.get(name) == text:
            return kept
        try:
            return parse(text)
        except ValueError:
            problems[name] = sentence
            return otherwise

    moment = "Give date and time in UTC, such as 2027-01-31T00:00."
    starts = read("starts", old.starts if old else None, read_moment, moment, NEVER)
    ends = read("ends", old.ends if old else None, read_moment, moment, NEVER)
    amounts = {
        u.field: read(
            u.name,
            getattr(old.limits, u.field) if old else None,
            lambda text, factor=u.factor: round(read_amount(text) * factor),  # type: ignore[misc]
            "Give a number above 0, such as 2 or 0.5.",
            1,
        )
        for u in LIMITS
    }
    cpu = read("cpu", old.limits.cpu if old else None, read_amount, "Give a number of cores above 0.", 1.0)
    idle = read("idle", old.limits.idle_minutes if old else None, read_minutes, "Give whole minutes above 0.", 1)
    mode = read("access_mode", None, AccessMode, "Choose an access mode.", AccessMode.DIRECT)
    terms = Terms(
        title=str(given["title"]),
        purpose=str(given["purpose"]),
        conditions=str(given["conditions"]),
        people=frozenset(PersonId(p) for p in given["people"]),
        datasets=frozenset(given["datasets"]),
        secrets=frozenset(given["secrets"]),
        starts=starts,
        ends=ends,
        access_mode=mode,
        limits=Limits(cpu=cpu, idle_minutes=idle, **amounts),
    )
    if problems:
        raise Invalid({**problems_of(terms, now=NEVER), **problems})
    return terms


def moment_field(value: datetime) -> str:
    """A moment as a `datetime-local` field shows it, in UTC, to the minute."""
    return value.astimezone(UTC).strftime(MOMENT)


def read_moment(text: str) -> datetime:
    """A moment in UTC from the field. Raises ValueError."""
    return datetime.strptime(text[:16], MOMENT).replace(tzinfo=UTC)


def read_amount(text: str) -> float:
    """A number above 0. Raises ValueError."""
    number = float(text.replace(",", "."))
    if not 0 < number <= LARGEST:
        raise ValueError(text)
    return number


def read_minutes(text: str) -> int:
    """Whole minutes above 0. Raises ValueError."""
    if not text.isdecimal() or not 0 < int(text[:9]) <= LARGEST:
        raise ValueError(text)
    return int(text)


def in_order(errors: Mapping[str, str]) -> dict[str, str]:
    """Errors from the top of the form to its bottom, then those of no field."""
    known = {name: errors[name] for name in ORDER if name in errors}
    return {**known, **errors}
