"""People of a seeded environment at work, each through the door they would use: API, browser, kernel.

A test that ends a permit grants itself one first, by two members of the board, so that the seeded one stays.
"""

import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import pytest

from spe.adapters.cluster.embedded.client import SupervisorClient
from spe.adapters.cluster.embedded.layout import Layout
from spe.adapters.secrets.local import LocalSecrets
from spe.cli.api import ApiRefusal, Desk
from spe.cli.demo.browser import Browser, Notebook
from spe.cli.demo.story import SECRET_NAME
from tests.support.instance import Instance
from tests.support.processes import Process, descendants

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Granted:
    """An active permit with its workspace."""

    permit: str
    workspace: str


class Company:
    """Everybody of the demonstration, in one running environment. `patience` is how long a start may take, seconds."""

    patience = 60.0

    def __init__(self, running: Instance) -> None:
        self.running = running
        self.facts = running.facts
        self.layout = Layout(run=running.run, home=running.home)
        self._people = {p["key"]: p for p in self.facts["people"]}
        self._desks: dict[str, Desk] = {}

    @property
    def seeded(self) -> Granted:
        """The permit and workspace of the demonstration."""
        return Granted(permit=self.facts["permit"], workspace=self.facts["workspace"])

    def id(self, key: str) -> str:
        """A person's id."""
        return str(self._people[key]["id"])

    def token(self, key: str) -> str:
        """A person's API token."""
        return str(self._people[key]["token"])

    def desk(self, key: str) -> Desk:
        """A person at the API."""
        if key not in self._desks:
            self._desks[key] = Desk(self.facts["portal"], self.token(key))
        return self._desks[key]

    def close(self) -> None:
        """Close every connection."""
        for desk in self._desks.values():
            desk.close()

    # time

    def now(self) -> datetime:
        """Now by the environment's clock, which may have been turned."""
        return datetime.now(UTC) + timedelta(seconds=self._turned())

    def turn_clock(self, seconds: float) -> None:
        """Turn the environment's clock forward."""
        (self.running.home / "clock-offset").write_text(str(self._turned() + seconds))

    def _turned(self) -> float:
        file = self.running.home / "clock-offset"
        return float(file.read_text()) if file.exists() else 0.0

    # permits

    def terms(self, *people: str, **changes: Any) -> dict[str, Any]:
        """Terms for a day that name these people and the first dataset."""
        return {
            "title": "A permit of a test",
            "purpose": "What a test looks at",
            "people": [self.id(key) for key in people],
            "datasets": self.facts["datasets"][:1],
            "starts": (self.now() - timedelta(minutes=1)).isoformat(),
            "ends": (self.now() + timedelta(days=1)).isoformat(),
            "secrets": [SECRET_NAME],
        } | changes

    def propose(self, terms: Mapping[str, Any]) -> Any:
        """Propose a permit as one member of the board."""
        return self.desk("board-a").post("/permits", {"issuer": "Board of the tests", "terms": terms})

    def confirm(self, view: Mapping[str, Any]) -> Any:
        """Confirm what waits, as another member of the board."""
        return self.desk("board-b").post(f"/permits/changes/{view['pending'][0]['id']}:confirm")

    def grant(self, *people: str, **changes: Any) -> Granted:
        """A confirmed permit whose workspace is ready."""
        return self.grant_all([self.terms(*people, **changes)])[0]

    def grant_all(self, terms: list[dict[str, Any]]) -> list[Granted]:
        """Several of them at once."""
        made = [self.confirm(self.propose(one))["id"] for one in terms]
        return [Granted(permit=permit, workspace=self.workspace_of(permit)) for permit in made]

    def workspace_of(self, permit: str) -> str:
        """The workspace of a permit, once it is ready."""

        def ready() -> str:
            for space in self.desk("operator").all("/workspaces"):
                if space["permit"] == permit:
                    assert space["state"] != "failed", space["conditions"]
                    return str(space["id"]) if space["state"] == "ready" else ""
            return ""

        return until(f"the workspace of {permit} is ready", ready, seconds=self.patience)

    def state_of(self, workspace: str) -> str:
        """Where a workspace stands."""
        return str(self.desk("operator").get(f"/workspaces/{workspace}")["state"])

    def leases(self, workspace: str) -> list[Any]:
        """The live leases of a workspace, from the sealed store itself."""
        home = self.running.home
        return list(LocalSecrets(home / "secrets.sealed", home / "keys" / "seal.key").leases(workspace))

    def events(self, subject: str, event: str = "") -> list[dict[str, Any]]:
        """What the auditor reads about one object, newest first."""
        return list(self.desk("auditor").get("/audit/entries", subject=subject, event=event, page_size=200)["items"])

    # sessions

    def session(self, workspace: str, key: str) -> Any:
        """A person's own session."""
        return self.desk(key).get(f"/workspaces/{workspace}/session")

    def enter(self, granted: Granted, key: str) -> None:
        """Accept the terms and start a session; returns when it runs."""
        self.desk(key).post(f"/permits/{granted.permit}:accept-terms")
        self.desk(key).post(f"/workspaces/{granted.workspace}/session:start")

        def running() -> bool:
            seen = self.session(granted.workspace, key)
            assert seen["state"] in ("starting", "running"), seen
            return bool(seen["state"] == "running")

        until(f"the session of {key} runs", running, seconds=self.patience)

    def link(self, key: str) -> str:
        """A fresh one-time link."""
        return str(self.desk("operator").post(f"/people/{self.id(key)}/links")["link"])

    @asynccontextmanager
    async def browser(self, key: str) -> AsyncIterator[Browser]:
        """A person signed in at the portal."""
        browser = Browser(portal=self.facts["portal"], hub=self.facts["hub"])
        try:
            await browser.sign_in(self.link(key))
            yield browser
        finally:
            await browser.close()

    @asynccontextmanager
    async def kernel(self, workspace: str, key: str) -> AsyncIterator[Notebook]:
        """A person's notebook, through portal, Hub, proxy and gate, with a kernel that answers."""
        async with self.browser(key) as browser:
            notebook = await browser.open_notebook(workspace, self.id(key))
            await notebook.start_kernel()
            assert (await notebook.run("print(6 * 7)")).text == "42\n"
            yield notebook

    def processes(self, workspace: str) -> dict[Process, str]:
        """Every process of every sandbox of a workspace → command line."""
        found: dict[Process, str] = {}
        for box in SupervisorClient(self.layout.control).status()["sandboxes"]:
            if box["name"].startswith(f"{workspace}/"):
                found |= descendants(box["pid"])
        return found


@contextmanager
def company(running: Instance) -> Iterator[Company]:
    """Everybody at work until the end of the block."""
    with closing(Company(running)) as people:
        yield people


def until(what: str, look: Callable[[], T], *, seconds: float = 60.0, pause: float = 0.05) -> T:
    """Look again and again until there is something to see."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}"
        time.sleep(pause)
    return found


def refusal(act: Callable[[], object]) -> ApiRefusal:
    """The refusal of an act at the API; the test fails when it is not refused."""
    with pytest.raises(ApiRefusal) as caught:
        act()
    return caught.value
