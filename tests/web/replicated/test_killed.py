"""Two portals and two reconcilers, one of them killed again and again under a mixture of requests from several people.

Who gets no answer does as the guide says: looks whether it happened, and repeats it. In the end everything that was
asked for was done, once.
"""

import itertools
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest

from spe.domain.permit import PermitState
from spe.domain.workspace import WorkspaceState
from tests.support import databases
from tests.support.databases import NAMED
from tests.support.ground import CLEAN, Ground, world
from tests.support.hub_stack import free_ports
from tests.support.planes import PORTAL, RECONCILER, Outside, Planes, World
from tests.support.prepared import store_of
from tests.web.front import WEB

PORTALS = (f"{PORTAL}-1", f"{PORTAL}-2")
VICTIMS = (PORTALS[0], f"{RECONCILER}-1", PORTALS[1], f"{RECONCILER}-2")
REQUESTS, KILLS = 200, 8
"""At least so many of each."""
SECONDS = 90.0
_DONE = frozenset({"wrong-state", "already-voted", "settled"})
"""How a repeated decision is refused whose first answer was lost."""
SILENT = 503


class Asker:
    """Several people at two portals in turn; counts what was answered and what was lost."""

    def __init__(self, ports: Iterable[int], tokens: Mapping[str, str]) -> None:
        self._ports = itertools.cycle(ports)
        self._tokens = tokens
        self._lock = threading.Lock()
        self.asked: Counter[str] = Counter()
        self.under_way: Counter[int] = Counter()
        """By port: what was asked to change something and is not answered yet."""
        self.torn = 0
        """Questions that were sent and never answered."""

    @property
    def answered(self) -> int:
        return sum(self.asked.values())

    def once(self, name: str, method: str, path: str, **options: Any) -> httpx2.Response | None:
        """One request to one portal; None when nobody answered, or with a part of the environment away."""
        changes = int(method != "GET")
        with self._lock:
            port = next(self._ports)
            self.under_way[port] += changes
        who = {"Authorization": f"Bearer {self._tokens[name]}", "Host": urlsplit(WEB.portal_url).netloc}
        headers = {**who, **options.pop("headers", {})}
        try:
            address = f"http://127.0.0.1:{port}/api/v1{path}"
            answer = httpx2.request(method, address, headers=headers, timeout=30, trust_env=False, **options)
        except httpx2.TransportError as error:
            with self._lock:
                self.torn += not isinstance(error, httpx2.ConnectError)
            time.sleep(0.02)
            return None
        finally:
            with self._lock:
                self.under_way[port] -= changes
        with self._lock:
            self.asked[method] += 1
        return None if answer.status_code == SILENT else answer

    def get(self, name: str, path: str) -> httpx2.Response:
        """Asked until it is answered."""
        while (answer := self.once(name, "GET", path)) is None:
            pass
        assert answer.status_code < 300, answer.text
        return answer

    def do(self, name: str, method: str, path: str, **options: Any) -> None:
        """Repeated until it is answered, or refused because it was done already."""
        repeated = False
        while (answer := self.once(name, method, path, **options)) is None or _met_another(answer):
            repeated = True
        if answer.status_code >= 300:
            codes = {denial["code"] for denial in answer.json().get("denials", [])}
            assert repeated, answer.text
            assert codes & _DONE, answer.text

    def create(self, name: str, path: str, body: dict[str, Any], mine: Callable[[dict[str, Any]], bool]) -> str:
        """Its id. A key that stays unfinished is given up for a new one only when it is not in the list."""
        key = str(uuid.uuid4())
        while True:
            answer = self.once(name, "POST", path, json=body, headers={"Idempotency-Key": key})
            if answer is not None and answer.status_code == 201:
                return str(answer.json()["id"])
            if answer is not None:
                assert (answer.status_code, answer.json()["code"]) == (409, "key-in-use"), answer.text
                found = [item["id"] for item in self.all(name, path) if mine(item)]
                if found:
                    return str(found[0])
                key = str(uuid.uuid4())

    def all(self, name: str, path: str) -> list[dict[str, Any]]:
        return list(self.get(name, f"{path}?page_size=200").json()["items"])

    def until(self, name: str, path: str, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """What is there, once it is as awaited."""
        deadline = time.monotonic() + SECONDS
        while not holds(found := self.get(name, path).json()):
            assert time.monotonic() < deadline, (path, found)
            time.sleep(0.2)
        return dict(found)


def _met_another(answer: httpx2.Response) -> bool:
    return answer.status_code == 409 and answer.json()["code"] == "stale"


# -- what people do


def release(asker: Asker, ground: Ground, number: int) -> None:
    """From a draft to what its author may download."""
    purpose = f"Study {number}"
    body = {"workspace": ground.workspace_id, "purpose": purpose}
    request = asker.create("researcher", "/egress", body, lambda item: bool(item["purpose"] == purpose))
    place = f"/egress/{request}"
    asker.do("researcher", "PUT", f"{place}/files/table.csv", content=CLEAN)
    said = {"path": "table.csv", "kind": "frequency-table", "title": "Table 1", "population": 686}
    asker.do("researcher", "POST", f"{place}:describe", json={"outputs": [said]})
    asker.do("researcher", "POST", f"{place}:submit")
    asker.until("researcher", place, lambda found: bool(found["state"] == "in-review"))
    for checker in ("checker", "checker2"):
        seen = asker.get(checker, f"/reviews/{request}")
        judged = {
            o["path"]: {"decision": "approve", "acknowledged": [f["key"] for f in o["findings"]]}
            for o in seen.json()["report"]["outputs"]
        }
        headers = {"If-Match": seen.headers["ETag"]}
        asker.do(checker, "POST", f"/reviews/{request}:review", json={"outputs": judged}, headers=headers)
    asker.do("checker", "POST", f"/reviews/{request}:approve", json={})
    asker.until("researcher", place, lambda found: bool(found["state"] == "released"))


def permit(asker: Asker, ground: Ground, number: int) -> None:
    """Granted, suspended, resumed, and every second one revoked."""
    title = f"Permit {number}"
    terms = ground.terms("researcher")
    given = {
        "title": title, "purpose": "Survival", "people": sorted(terms.people), "datasets": sorted(terms.datasets),
        "starts": terms.starts.isoformat(), "ends": terms.ends.isoformat(),
    }  # fmt: skip
    body = {"issuer": "Board", "terms": given}
    made = asker.create("board", "/permits", body, lambda item: bool(item["terms"]["title"] == title))
    place = f"/permits/{made}"
    _confirm(asker, place)
    _space(asker, made, WorkspaceState.READY)
    asker.do("board", "POST", f"{place}:suspend", json={"reason": "A question."})
    asker.do("board", "POST", f"{place}:resume")
    _confirm(asker, place)
    if number % 2:
        asker.do("board", "POST", f"{place}:revoke", json={"reason": "The study was stopped."})
        _space(asker, made, WorkspaceState.CLOSED)


def _confirm(asker: Asker, place: str) -> None:
    (change,) = asker.get("board", place).json()["pending"]
    asker.do("board2", "POST", f"/permits/changes/{change['id']}:confirm")


def _space(asker: Asker, made: str, state: WorkspaceState) -> None:
    def reached(found: dict[str, Any]) -> bool:
        return any(item["permit"] == made and item["state"] == state for item in found["items"])

    asker.until("auditor", "/workspaces?page_size=200", reached)


# -- the processes


@pytest.fixture(params=[NAMED])
def ground(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ground]:
    with world(tmp_path, url=databases.fresh(request.param, tmp_path).url) as made:
        yield made


@pytest.fixture
def planes(ground: Ground) -> Iterator[Planes]:
    Outside(ground.folder).keep(World(cluster=ground.cluster))
    ports = dict(zip(PORTALS, free_ports(len(PORTALS)), strict=True))
    made = Planes(url=store_of(ground).url, folder=ground.folder, ports=ports)
    try:
        for name in VICTIMS:
            made.start(name)
        yield made
    finally:
        made.end()


@contextmanager
def unrest(planes: Planes, asker: Asker, every: int) -> Iterator[list[str]]:
    """After each so many answers the next of the processes is killed, and started again; a portal when it is asked."""
    killed: list[str] = []
    enough = threading.Event()

    def go_on() -> None:
        for number, name in enumerate(itertools.cycle(VICTIMS), 1):
            while asker.answered < number * every:
                if enough.wait(0.005):
                    return
            port = planes.ports.get(name)
            while port is not None and not asker.under_way[port]:
                if enough.wait(0.001):
                    return
            enough.wait(0.01 * (number % 4))
            planes.kill(name)
            killed.append(name)
            planes.start(name)

    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        yield killed
    finally:
        enough.set()
        thread.join()


def test_everything_that_was_asked_for_was_done_once_whoever_was_killed(ground: Ground, planes: Planes) -> None:
    names = ("researcher", "board", "board2", "checker", "checker2", "auditor")
    asker = Asker(planes.ports.values(), {name: ground.token(name) for name in names})
    ground.accept("researcher")
    work = [(story, n) for n in range(12) for story in (release, permit)]
    with unrest(planes, asker, every=REQUESTS // KILLS) as killed, ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda one: one[0](asker, ground, one[1]), work))
    try:
        assert asker.answered >= REQUESTS
        assert len(killed) >= KILLS
        assert set(killed) == set(VICTIMS)
        assert asker.torn > 0
        at_rest(asker, ground)
        once_each(ground, [n for story, n in work if story is permit])
    except AssertionError as error:
        error.add_note(planes.said())
        raise


def at_rest(asker: Asker, ground: Ground) -> None:
    """Until nothing is owed any more but what the minute asks for again."""
    asker.until(
        "auditor",
        "/workspaces?page_size=200",
        lambda found: all(item["state"] in ("ready", "closed") for item in found["items"]),
    )


def once_each(ground: Ground, permits: Sequence[int]) -> None:
    """The record, the world outside and the log say the same: nothing is missing, nothing is there twice."""
    app, auditor = ground.app, ground.by("auditor")
    requests = app.egress.all(by=auditor)
    assert sorted(v.request.purpose for v in requests) == sorted(f"Study {n}" for n in permits)
    assert {v.request.state for v in requests} == {"released"}
    assert sorted(v.request.id for v in app.releases.all(by=auditor)) == sorted(v.request.id for v in requests)
    granted = {v.permit.terms.title: v.permit for v in app.permits.all(by=auditor) if v.permit.id != ground.permit_id}
    assert sorted(granted) == sorted(f"Permit {n}" for n in permits)
    assert len(app.permits.all(by=auditor)) == len(permits) + 1
    ended = {PermitState.REVOKED, PermitState.CLOSED}
    assert all((p.state in ended) == bool(int(title.split()[1]) % 2) for title, p in granted.items())
    spaces = app.workspaces.all(by=auditor)
    assert len(spaces) == len(granted) + 1
    live = {v.workspace.id for v in spaces if v.permit.state is PermitState.ACTIVE}
    with Outside(ground.folder).now() as outside:
        assert set(outside.cluster.there) == live
        assert all(place.places and place.data for place in outside.cluster.there.values())
        told = {message for _, _, message in outside.notifier.told}
    assert told >= {f"Your egress request {v.request.id} is now released." for v in requests}
    happened = Counter((entry.event, entry.object_id) for entry in app.audit.entries(by=auditor, limit=100_000))
    for event, subject in ((e, s) for e, s in happened if e in ONCE):
        assert happened[event, subject] == 1, (event, subject)
    assert app.audit.verify(by=auditor)[1] == ()


ONCE = frozenset({
    "egress.drafted", "egress.submitted", "egress.approved", "egress.released", "permit.proposed", "permit.activated",
    "permit.suspended", "permit.resumed", "permit.revoked", "workspace.requested", "workspace.closed",
})  # fmt: skip
