"""From pressing start to a notebook that answers, against a bare JupyterHub that starts the same server.

Ours is the whole chain: portal, its record, the Hub, the spawner, the portal again, the supervisor, the
sandbox, the gate with its question who is there. Theirs is a Hub with local processes that waits for the server's
port likewise. Both end when the notebook's own version page has come through the proxy.
"""

import contextlib
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2

from spe.cli.api import ApiRefusal, Desk
from spe.cli.demo.browser import CSRF
from spe.domain.ids import PersonId, WorkspaceId, new_person, new_workspace
from tests.bench.bare_hub import BareHub, bare_hub
from tests.bench.figures import LONG, Figure, Goal, in_turn, paired
from tests.support.hub_stack import wait_for
from tests.support.instance import Instance, instance

NAME = "session_start"
PATIENCE = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ours:
    """A person of the demonstration, who starts a session by the API as the page does."""

    portal: str
    hub: str
    workspace: str
    person: str
    token: str
    desk: Desk
    browser: httpx2.Client

    def sign_in(self, link: str) -> None:
        """Open a one-time link and press its button."""
        found = CSRF.search(self.browser.get(link).text)
        given = {"csrf": found[1] if found else ""}
        self.browser.post(link, data=given, headers={"Origin": self.portal}).raise_for_status()

    def start(self) -> float:
        """Seconds until the notebook answers; it is stopped again afterwards."""
        began = time.perf_counter()
        self.desk.post(f"/workspaces/{self.workspace}/session:start")
        self._follow()
        base = f"{self.hub}/user/{self.person}/{self.workspace}"
        # Each session wants to be shown anew who is at the browser: its page leads to the portal and back.
        self.browser.get(f"{base}/lab").raise_for_status()
        answer(f"{base}/api", self.browser)
        seconds = time.perf_counter() - began
        self.stop()
        return seconds

    def stop(self) -> None:
        """End the session; fine when there is none."""
        with contextlib.suppress(ApiRefusal):
            self.desk.post(f"/workspaces/{self.workspace}/session:stop")

    def _follow(self) -> None:
        url = f"{self.portal}/api/v1/workspaces/{self.workspace}/session/progress"
        bearer = {"Authorization": f"Bearer {self.token}"}
        with httpx2.stream("GET", url, headers=bearer, timeout=PATIENCE, trust_env=False) as events:
            for line in events.iter_lines():
                if line == "event: failed":
                    raise RuntimeError(f"the session did not start: {next(events.iter_lines(), '')}")
                if line == "event: ready":
                    return


@dataclass(frozen=True, slots=True, kw_only=True)
class Theirs:
    """The same at the bare Hub."""

    hub: BareHub
    workspace: WorkspaceId
    person: PersonId

    def start(self) -> float:
        """Seconds until the notebook answers; it is stopped again afterwards."""
        began = time.perf_counter()
        self.hub.api.start(self.workspace, self.person)
        steps = list(self.hub.api.progress(self.workspace, self.person))
        if not steps[-1].ready:
            raise RuntimeError(f"the bare Hub's server did not start: {steps[-1].message}")
        with httpx2.Client(trust_env=False) as browser:
            answer(f"{self.hub.public}/user/{self.person}/{self.workspace}/api", browser)
        seconds = time.perf_counter() - began
        self.hub.api.stop(self.workspace, self.person)
        return seconds


def answer(url: str, browser: httpx2.Client) -> None:
    """Wait until the address answers with 200."""
    wait_for(lambda: browser.get(url).status_code == 200, url)


@contextmanager
def player(running: Instance, key: str) -> Iterator[Ours]:
    """A person of the demonstration, signed in at a browser."""
    facts = running.facts
    people = {person["key"]: person for person in facts["people"]}
    person, token = people[key]["id"], people[key]["token"]
    with (
        closing(Desk(facts["portal"], people["operator"]["token"])) as operator,
        closing(Desk(facts["portal"], token)) as desk,
        httpx2.Client(trust_env=False, follow_redirects=True) as browser,
    ):
        ours = Ours(
            portal=facts["portal"],
            hub=facts["hub"],
            workspace=facts["workspace"],
            person=person,
            token=token,
            desk=desk,
            browser=browser,
        )
        ours.sign_in(operator.post(f"/people/{person}/links", {})["link"])
        desk.post(f"/permits/{facts['permit']}:accept-terms")
        yield ours


def measure(*, pairs: int | None = None, toy: bool = False) -> Iterator[Figure]:
    """Seconds of each start, one after the other on the same machine."""
    with tempfile.TemporaryDirectory(prefix="spe-bench-") as name, instance("--demo") as running:
        running.wait_until_seeded()
        with player(running, "researcher-a") as first:
            first.stop()  # the story's own session would share the cores
        with player(running, "researcher-b") as ours, bare_hub(Path(name)) as hub:
            theirs = Theirs(hub=hub, workspace=new_workspace(), person=new_person())
            hub.api.ensure_person(theirs.person)
            found = in_turn({"ours": ours.start, "theirs": theirs.start}, pairs or (1 if toy else LONG))
    yield Figure(
        bench=NAME,
        name="start until the notebook answers",
        against="bare JupyterHub",
        unit="s",
        pairs=paired(found["ours"], found["theirs"]),
        goal=Goal(bound=1.1),
    )
