"""From pressing start to a session that is ready, beside a bare KubeSpawner's start of the same image.

Ours holds the whole chain: portal and its record, the Hub, the portal again, the person's claims, the gate, the
probe before the notebook, the mounts of home, shared folder and data. Both are told by their progress streams.
"""

import json
import os
import statistics
import time
from collections.abc import Iterator

import httpx2
import pytest

from spe.cli.api import ApiRefusal
from spe.domain.ids import new_person, new_workspace
from tests.bench.bare_hub import BareHub
from tests.bench.figures import LONG, Figure, Goal, in_turn, paired
from tests.cluster.bare import bare_kubespawner
from tests.cluster.people import Town
from tests.support.person import Granted, until

pytestmark = [pytest.mark.servers, pytest.mark.timeout(900)]
WHO = "researcher-b"
PAIRS = int(os.environ.get("SPE_PAIRS", str(LONG)))
PATIENCE = 120.0


class Ours:
    """Starts of one person's session, and when each step of them was told."""

    def __init__(self, people: Town, granted: Granted) -> None:
        self.people, self.granted = people, granted
        self.told: list[list[tuple[float, str]]] = []

    def start(self) -> float:
        desk, began = self.people.desk(WHO), time.perf_counter()
        desk.post(f"/workspaces/{self.granted.workspace}/session:start")
        steps = [(time.perf_counter() - began, message) for message in self._steps()]
        self.told.append(steps)
        self._stop()
        return steps[-1][0]

    def _steps(self) -> Iterator[str]:
        """What the progress stream says, up to the moment when the session is ready."""
        url = f"{self.people.facts['portal']}/api/v1/workspaces/{self.granted.workspace}/session/progress"
        bearer = {"Authorization": f"Bearer {self.people.token(WHO)}"}
        kind = ""
        with httpx2.stream("GET", url, headers=bearer, timeout=PATIENCE, trust_env=False) as events:
            for line in events.iter_lines():
                name, _, value = line.partition(": ")
                if name == "event":
                    kind = value
                elif name == "data":
                    assert kind != "failed", value
                    yield str(json.loads(value).get("message", kind))
                    if kind == "ready":
                        return
        raise AssertionError("the start was not followed to its end")

    def _stop(self) -> None:
        workspace = self.granted.workspace
        self.people.desk(WHO).post(f"/workspaces/{workspace}/session:stop")

        def ended() -> bool:
            try:
                return str(self.people.session(workspace, WHO)["state"]) not in ("starting", "running", "stopping")
            except ApiRefusal:
                return True

        until("the session has ended", ended)


class Theirs:
    """Starts of one server of the bare Hub."""

    def __init__(self, hub: BareHub) -> None:
        self.hub, self.workspace, self.person = hub, new_workspace(), new_person()

    def start(self) -> float:
        began = time.perf_counter()
        self.hub.api.start(self.workspace, self.person)
        *_, last = self.hub.api.progress(self.workspace, self.person)
        seconds = time.perf_counter() - began
        assert last.ready, last
        self.hub.api.stop(self.workspace, self.person)
        return seconds


def test_a_session_starts_whole_beside_a_bare_kubespawner(people: Town) -> None:
    granted = people.grant(WHO, title="Starts")
    people.desk(WHO).post(f"/permits/{granted.permit}:accept-terms")
    ours = Ours(people, granted)
    with bare_kubespawner(people.house) as hub:
        found = in_turn({"ours": ours.start, "theirs": Theirs(hub).start}, PAIRS)
    figure = Figure(
        bench="cluster_start",
        name="start until ready",
        against="bare KubeSpawner",
        unit="s",
        pairs=paired(found["ours"], found["theirs"]),
        goal=Goal(bound=1.15),
    )
    print(
        f"{len(figure.pairs)} pairs: medians {statistics.median(found['ours']):.2f} s and"
        f" {statistics.median(found['theirs']):.2f} s, ratio {figure.ratio:.2f} (goal {figure.goal}),"
        f" {min(figure.ratios):.2f}–{max(figure.ratios):.2f}{', noisy' if figure.is_noisy else ''}"
    )
    for seconds, message in ours.told[-1]:
        print(f"  {seconds:6.2f} s  {message}")
    assert all(steps[0][0] < steps[-1][0] for steps in ours.told), "each start was followed from its first step"
