"""Every page that links reach from one page: reading only, bounded, a few of each kind."""

import re
from collections.abc import Iterator
from urllib.parse import parse_qsl, urlsplit

from tests.browser.visitor import Visitor

MOST = 80
OF_A_KIND = 2
NOT_PAGES = re.compile(r"/audit/keys|/releases/[^/]+/(?:receipt|files/.*)|/static/.*")
AN_ID = re.compile(r"(?:[a-z]{1,3}-[0-9a-z]{16}|\d+(?:\.\d+)*)(?=/|$)")
LINKS = "links => links.map(link => link.href)"


def walk(visitor: Visitor, first: str, room: re.Pattern[str]) -> Iterator[str]:
    """Open one page of the room after the other; each address when it is open. What differs by an id is one kind."""
    waiting, known, kinds = [first], {first}, dict[str, int]()
    while waiting:
        address = waiting.pop(0)
        answer = visitor.page.goto(visitor.portal + address)
        assert answer is not None
        assert answer.status == 200, f"{visitor.key} follows a link to {address} and gets {answer.status}"
        yield address
        for link in visitor.page.locator("a[href]").evaluate_all(LINKS):
            found = address_of(link, visitor.portal)
            kind = kind_of(found)
            if not room.fullmatch(found) or found in known or kinds.get(kind, 0) >= OF_A_KIND:
                continue
            known.add(found)
            kinds[kind] = kinds.get(kind, 0) + 1
            waiting.append(found)
        assert len(known) <= MOST, f"more than {MOST} pages: {sorted(kinds)}"


def address_of(link: str, portal: str) -> str:
    """The address of a page of the portal, without its fragment; empty when the link leads to something else."""
    parts = urlsplit(link)
    if f"{parts.scheme}://{parts.netloc}" != portal or NOT_PAGES.fullmatch(parts.path):
        return ""
    return parts.path + (f"?{parts.query}" if parts.query else "")


def kind_of(address: str) -> str:
    """The address with its ids and values left out."""
    parts = urlsplit(address)
    return AN_ID.sub("*", parts.path) + "?" + "&".join(sorted(name for name, _ in parse_qsl(parts.query)))
