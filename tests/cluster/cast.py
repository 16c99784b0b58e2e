"""Everybody of the story, registered through the doors that an operator has: the command line of the host for the
first one, the portal's API for all others.
"""

from typing import Any

from spe.cli.api import Desk
from spe.cli.demo.browser import CSRF, Browser
from spe.cli.demo.cast import CAST, Player
from spe.domain.ids import PersonId
from tests.cluster.house import House

ISSUER = "local"


async def call_together(house: House) -> dict[str, Player]:
    """Register everybody; links and tokens are the operator's to give."""
    key, name, organisation, roles = CAST[0]
    words = ("--issuer", ISSUER, "--subject", key, "--name", name, "--organisation", organisation)
    first = house.spe("person", "first", *words).strip()
    token = await _token_of(house, first)
    desk = Desk(house.portal, token)
    try:
        operator = Player(key=key, id=PersonId(first), name=name, roles=tuple(roles), link="", token=token)
        return {key: operator, **{player.key: player for player in (_player(desk, row) for row in CAST[1:])}}
    finally:
        desk.close()


async def _token_of(house: House, person: str) -> str:
    """The operator signs in by the link of the host and makes a token in the API."""
    link = house.spe("person", "break-glass", person).strip()
    browser = Browser(portal=house.portal, hub=house.hub)
    try:
        await browser.sign_in(link)
        async with browser.http.get(f"{house.portal}/") as page:
            found = CSRF.search(await page.text())
        assert found is not None
        headers = {"Origin": house.portal, "X-CSRF-Token": found[1]}
        url = f"{house.portal}/api/v1/people/{person}/tokens"
        async with browser.http.post(url, json={}, headers=headers) as answer:
            assert answer.status == 201, await answer.text()
            return str((await answer.json())["token"])
    finally:
        await browser.close()


def _player(desk: Desk, row: tuple[str, str, str, tuple[Any, ...]]) -> Player:
    key, name, organisation, roles = row
    body = {"issuer": ISSUER, "subject": key, "name": name, "organisation": organisation, "roles": [*roles]}
    person = desk.post("/people", body)["id"]
    link = desk.post(f"/people/{person}/links", {})["link"]
    token = desk.post(f"/people/{person}/tokens", {})["token"]
    return Player(key=key, id=PersonId(person), name=name, roles=tuple(roles), link=link, token=token)
