"""The shapes that the API takes and gives: inputs list their fields and refuse any other (security note T107),
answers are written from frozen values, sets in order, times as RFC 3339 in UTC.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Any

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field

from spe.domain.ids import is_id
from spe.domain.machine import Offer


def _ordered(value: Any) -> Any:
    return sorted(value) if isinstance(value, frozenset | set) else value


def _id(text: str) -> str:
    if not is_id(text):
        raise ValueError("This is not an id, such as p-abcdefghjkmnpqrs.")
    return text


Words = Annotated[list[str], BeforeValidator(_ordered)]
Id = Annotated[str, Field(max_length=40), BeforeValidator(_id)]
Line = Annotated[str, Field(max_length=200)]
Text = Annotated[str, Field(max_length=2000)]
Moment = AwareDatetime


class In(BaseModel):
    """An input: only the fields named."""

    model_config = ConfigDict(extra="forbid", str_max_length=20_000)


class Out(BaseModel):
    """An answer, read from the attributes of a frozen value."""

    model_config = ConfigDict(from_attributes=True)


class DenialOut(Out):
    """One reason why not."""

    code: str
    message: str


class ActionOut(Out):
    """An offer: what may be done now, or why it may not; `href` takes a POST."""

    verb: str
    title: str
    open: bool
    denials: list[DenialOut]
    href: str


class Reason(In):
    """A reason that the people concerned will read."""

    reason: Text = ""


class Done(Out):
    """A step without more to tell."""

    done: bool = True


def actions(offers: Iterable[Offer], base: str) -> list[ActionOut]:
    """Offers as the API shows them."""
    return [
        ActionOut(
            verb=o.verb,
            title=o.title,
            open=o.open,
            denials=[DenialOut(code=d.code, message=d.message) for d in o.denials],
            href=f"/api/v1/{base}:{o.verb}",
        )
        for o in offers
    ]


def latest(*moments: datetime | None) -> datetime | None:
    """The latest of the moments that are set."""
    return max((m for m in moments if m is not None), default=None)
