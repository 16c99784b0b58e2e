"""Lists in pages: `page_size`, an opaque `page_token`, and `next_page_token` until the end."""

import re
from base64 import b64decode, urlsafe_b64encode
from binascii import Error
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Generic, TypeVar

from fastapi import Depends, Query

from spe.domain.errors import Invalid
from spe.web.api.bodies import Out

T = TypeVar("T")
MOST = 200
_AFTER = re.compile(r"[A-Za-z0-9][A-Za-z0-9./-]{0,99}")


class PageOut(Out, Generic[T]):
    """One page."""

    items: list[T]
    next_page_token: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which page: how many, and after which key."""

    size: int
    after: str


def wanted(
    page_size: Annotated[int, Query(ge=1, le=MOST)] = 50,
    page_token: Annotated[str, Query(max_length=200)] = "",
) -> Wanted:
    """The page that a request asks for. Raises `Invalid` for a token that was not given out here."""
    try:
        after = b64decode(page_token.encode(), altchars=b"-_", validate=True).decode() if page_token else ""
    except (Error, UnicodeDecodeError, ValueError):
        after = "?"
    if after and not _AFTER.fullmatch(after):
        raise Invalid({"page_token": "Use the token of the page before, or leave it out for the first page."})
    return Wanted(size=page_size, after=after)


Page = Annotated[Wanted, Depends(wanted)]


def token_of(key: str) -> str:
    """The token of the page that begins after `key`."""
    return urlsafe_b64encode(key.encode()).decode()


def cut(entries: Sequence[T], page: Wanted, key: Callable[[T], str]) -> tuple[Sequence[T], str]:
    """The page of `entries`, and the token of the next; a key that went away meanwhile begins anew."""
    keys = [key(entry) for entry in entries]
    start = keys.index(page.after) + 1 if page.after in keys else 0
    part = entries[start : start + page.size]
    more = start + page.size < len(entries)
    return part, token_of(key(part[-1])) if more else ""
