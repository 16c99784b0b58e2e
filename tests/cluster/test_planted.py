"""No value of a secret lies anywhere in a cluster but where it must: planted, worked with, then looked for everywhere.

Looked at are all objects of the API server, all logs, arguments and environment of every process, every file that a
pod wrote to a disk, every row of the database and every object in the buckets, while a session runs and after its
permit was revoked; and every layer of the images. What has to lie somewhere stands in `EXPECTED`, each with its
reason; what is expected and not found fails too, so that a look that sees nothing does not pass.
"""

import asyncio
import base64
import os
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from spe.adapters.secrets.vault import HeldLogin
from spe.cli.api import ApiRefusal, Desk
from spe.cli.demo.browser import Browser, Refusal
from spe.ports.secrets import SecretValue
from spe.services.context import gate_token
from tests.cluster.looks import SHORTEST, Look, Reader, Values, logs, objects, reader, record, stored
from tests.cluster.people import Town
from tests.support import servers
from tests.support.person import Granted, until

pytestmark = [pytest.mark.servers, pytest.mark.timeout(1500)]
WHO = "researcher-a"
NAME = "planted-secret"
TOKENS = ("hub", "portal", "proxy", "oauth", "crypt", "checker")
DATABASE = {"database password app", "database password owner"}
OF_THE_CHART = {f"token {name}" for name in TOKENS}
SESSION = {"session's Hub token"}
BROWSER = {"cookie jupyterhub-session-id of /"}
AT_WORK = """
import subprocess
print(subprocess.run(['spe', 'secret', 'get', {name!r}], capture_output=True, text=True).stdout.strip())
print(subprocess.run(['spe', 'secret', 'get', 'another'], capture_output=True, text=True).returncode)
"""


@dataclass(frozen=True)
class Place:
    """Where values have to lie, and why."""

    where: str
    values: set[str]
    why: str


EXPECTED = (
    Place(r"Secret/database", DATABASE, "the operator's: the two accounts, given to the chart by the Secret's name"),
    Place(r"Secret/objects", {"S3 secret key"}, "the operator's: `credentials` names it"),
    Place(r"Secret/tokens", OF_THE_CHART, "made by the chart: what its parts show each other; mounted as files"),
    Place(
        r"Secret/sh\.helm\.release\.v1\.spe\.v\d+",
        OF_THE_CHART,
        "Helm keeps what it rendered; nothing where `tokens.existingSecret` names a Secret of the operator's",
    ),
    Place(r"Pod/nb-.*", SESSION, "the session's own token, in the session's own environment"),
    Place(
        r"hub-.*: /var/lib/spe/hub/hub\.sqlite",
        BROWSER,
        "the Hub notes which of its sign-ins belong to one browser; shown alone it opens nothing",
    ),
    Place(
        r"log of nb-.*/notebook", BROWSER, "JupyterHub's own server tells whom it let in, and the name of the sign-in"
    ),
    Place(r"nb-.*: environ of process", SESSION, "the same, in the processes of the session"),
)


@dataclass
class Planted:
    """The environment with a session at work in which every value was used."""

    people: Town
    granted: Granted
    values: dict[str, str] = field(default_factory=dict)

    @property
    def known(self) -> Values:
        return Values(self.values)


async def at_work(people: Town, granted: Granted, values: dict[str, str]) -> None:
    """Signed in by link, in the notebook, with the secret leased; and what is refused on the way."""
    browser = Browser(portal=people.house.portal, hub=people.house.hub)
    try:
        await browser.sign_in(values["link that was used"])
        with pytest.raises(Refusal):
            await browser.sign_in(values["link that was used"])
        notebook = await browser.open_notebook(granted.workspace, people.id(WHO))
        await notebook.start_kernel()
        cell = await notebook.run(AT_WORK.format(name=NAME))
        leased, other = cell.text.split()
        assert leased == values["secret of a permit"], cell
        assert other != "0"
        for cookie in browser.http.cookie_jar:
            if len(cookie.value) >= SHORTEST:
                values[f"cookie {cookie.key} of {cookie['path']}"] = cookie.value
    finally:
        await browser.close()


def used(people: Town, values: dict[str, str]) -> None:
    """Tokens in use, well and badly."""
    desk = Desk(people.house.portal, values["person's API token"])
    wrong = Desk(people.house.portal, values["person's API token"] + "x")
    try:
        assert desk.get("/people/me")["person"] == people.id(WHO)
        for act in (
            lambda: wrong.get("/people/me"),
            lambda: desk.post("/secrets", {"name": NAME, "value": values["not his"]}),
        ):
            with pytest.raises(ApiRefusal):
                act()
    finally:
        desk.close()
        wrong.close()


@pytest.fixture(scope="module")
def planted(people: Town) -> Planted:
    house, operator = people.house, people.desk("operator")
    values = {
        "secret of a permit": f"planted/{secrets.token_hex(16)}",
        "not his": f"planted/{secrets.token_hex(16)}",
        "S3 secret key": house.s3.settings.secret_key,
        "Vault's root token": house.vault.place.token,
        "token of Vault's reviewer": (house.folder / "reviewer").read_text().strip(),
        "database superuser": str(urlsplit(servers.postgres()).password),
        **{f"database password {part}": str(urlsplit(url).password) for part, url in house.urls.items()},
        "person's API token": operator.post(f"/people/{people.id(WHO)}/tokens", {})["token"],
        "operator's API token": people.token("operator"),
        "link that was used": people.link(WHO),
        "link that waits": people.link(WHO),
    }
    tokens = next(s["data"] for s in house.get("secrets") if s["metadata"]["name"] == "tokens")
    values |= {f"token {name}": base64.b64decode(tokens[name]).decode().strip() for name in TOKENS}
    for part in ("portal", "reconciler"):
        mounted = house.kubectl(
            "-n", house.name, "exec", f"deployment/{part}", "--", "cat", "/var/run/secrets/vault/token"
        )
        values[f"{part}'s token for Vault"] = mounted.strip()
    operator.post("/secrets", {"name": NAME, "value": values["secret of a permit"]})
    granted = people.grant(WHO, secrets=[NAME])
    store = house.vault.store(login=HeldLogin(token=SecretValue(house.vault.place.token)))
    values["gate token"] = gate_token(store, granted.workspace)
    people.enter(granted, WHO)
    used(people, values)
    asyncio.run(at_work(people, granted, values))
    (container,) = people.notebook(granted.workspace, WHO)["spec"]["containers"]
    environment = {entry["name"]: entry.get("value", "") for entry in container["env"]}
    values["session's Hub token"] = environment["JUPYTERHUB_API_TOKEN"]
    for name in ("link that was used", "link that waits"):
        values[name] = values[name].rpartition("/")[2]
    return Planted(people, granted, values)


@pytest.fixture(scope="module")
def on_the_node(people: Town) -> Iterator[Reader]:
    with reader(people.house) as made:
        yield made


def judged(looks: dict[str, Look], expected: tuple[Place, ...]) -> None:
    """Nothing but what is expected was found, and all of it."""
    found = {one for look in looks.values() for one in look.found}
    for what, look in looks.items():
        print(f"{what:10} {look.count:7} read, {len(look.found)} found")
    for place in expected:
        held = {name for where, name in found if re.fullmatch(place.where, where)}
        print(f"  {place.where:38} {len(held)} values: {place.why}")
    wrong = {
        (where, name)
        for where, name in found
        if not any(re.fullmatch(place.where, where) and name in place.values for place in expected)
    }
    assert sorted(wrong) == []
    for place in expected:
        assert {name for where, name in found if re.fullmatch(place.where, where)} == place.values, place


def every_look(planted: Planted, node: Reader) -> dict[str, Look]:
    house, known = planted.people.house, planted.known
    return {
        "objects": known.look(objects(house)),
        "logs": known.look(logs(house)),
        "processes": node.processes(known),
        "files": node.files(known),
        "record": known.look(record(house)),
        "buckets": known.look(stored(house)),
    }


def test_no_value_lies_about_while_people_work(planted: Planted, on_the_node: Reader) -> None:
    print(f"{len(planted.values)} values: {', '.join(sorted(planted.values))}")
    looks = every_look(planted, on_the_node)
    assert all(look.count for look in looks.values()), looks
    judged(looks, EXPECTED)


def test_nor_after_the_end(planted: Planted, on_the_node: Reader) -> None:
    people, granted = planted.people, planted.granted
    people.desk("board-a").post(f"/permits/{granted.permit}:revoke", {"reason": "The end of a test."})
    until("the workspace is closed", lambda: people.state_of(granted.workspace) == "closed", seconds=120)
    judged(every_look(planted, on_the_node), tuple(p for p in EXPECTED if p.values not in (SESSION, BROWSER)))


def test_no_layer_of_an_image_holds_one(planted: Planted, on_the_node: Reader) -> None:
    """Nor what whoever built them held."""
    values = {**planted.values, **held_by_whoever_builds()}
    look = on_the_node.images(Values(values))
    print(f"{look.count} layers and configurations, {len(values)} values")
    assert look.count > 6
    assert look.found == frozenset()


def held_by_whoever_builds() -> dict[str, Any]:
    """Keys of the cluster's administrator, and whatever a variable of the suite says is a secret."""
    packed = re.findall(r"client-key-data: (\S{24,})", Path(servers.kubernetes()).read_text())
    keys = [base64.b64decode(key).decode().splitlines()[1] for key in packed]
    named = {name: value for name, value in os.environ.items() if re.search(r"TOKEN|SECRET|PASSWORD", name)}
    return {f"kubeconfig {n}": key for n, key in enumerate(keys)} | {
        f"variable {name}": value for name, value in named.items() if len(value) >= SHORTEST
    }
