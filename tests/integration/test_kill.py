"""Any one process may be killed at any instant: the work completes, nothing is released twice, nothing is left."""

import os
import random
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import httpx2
import pytest

from spe.cli.api import ApiRefusal, Desk
from tests.support.instance import Instance, instance

T = TypeVar("T")
INSTANTS = int(os.environ.get("SPE_KILLS", "30"))
SEED = int(os.environ.get("SPE_KILL_SEED", "20261122"))
# What a process's command line shows → its name.
VICTIMS = {
    "portal with its reconciler": "spe.cli.main\0serve",
    "hub": "jupyterhub\0-f",
    "proxy": "configurable-http-proxy",
    "gate": "spe.gate",
    "checker": "spe.disclosure.runner",
}


def processes(running: Instance, mark: str) -> list[int]:
    """Descendants of this environment's supervisor whose command line shows the mark."""
    parents: dict[int, int] = {}
    lines: dict[int, str] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            lines[int(folder.name)] = (folder / "cmdline").read_bytes().decode(errors="replace")
            parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
    return [pid for pid, line in lines.items() if mark in line and _descends(pid, running.process.pid, parents)]


def _descends(pid: int, ancestor: int, parents: dict[int, int]) -> bool:
    while pid in parents and pid != ancestor:
        pid = parents[pid]
    return pid == ancestor


def persist(what: str, act: Callable[[], T], *, fine: tuple[str, ...] = (), seconds: float = 60) -> T | None:
    """As a patient person: try again while the other side does not answer; some refusals mean it was done."""
    deadline = time.monotonic() + seconds
    last = ""
    while time.monotonic() < deadline:
        try:
            return act()
        except ApiRefusal as refusal:
            if refusal.codes & set(fine):
                return None
            last = str(refusal)
            if refusal.status < 500 and refusal.status != 409:
                raise AssertionError(f"{what}: {refusal} {refusal.codes}") from refusal
        except httpx2.TransportError as error:
            last = repr(error)
        time.sleep(0.1)
    raise AssertionError(f"{what}: not done within {seconds:.0f} s: {last}")


class Round:
    """One egress request from draft to release, driven through the API."""

    def __init__(self, facts: dict[str, Any]) -> None:
        tokens = {p["key"]: p["token"] for p in facts["people"]}
        self.workspace = facts["workspace"]
        self.author, self.first, self.second = (
            Desk(facts["portal"], tokens[k]) for k in ("researcher-a", "checker-a", "checker-b")
        )

    def play(self) -> str:
        """The request's id, once it is released."""
        made = persist("draft", lambda: self.author.post("/egress", {"workspace": self.workspace, "purpose": "kill"}))
        assert made is not None
        request = made["id"]
        persist("take", lambda: self.author.post(f"/egress/{request}:take", {"paths": ["clean/survival_by_arm.csv"]}))
        persist("submit", lambda: self.author.post(f"/egress/{request}:submit"), fine=("wrong-state",))
        self._until("in review", request, "in-review")
        for checker in (self.first, self.second):
            persist("review", lambda c=checker: self._vote(c, request), fine=("already-voted", "wrong-state"))  # type: ignore[misc]
        persist("approve", lambda: self.second.post(f"/reviews/{request}:approve"), fine=("wrong-state",))
        self._until("released", request, "released")
        return str(request)

    def _vote(self, checker: Desk, request: str) -> None:
        outputs = checker.get(f"/reviews/{request}")["report"]["outputs"]
        judged = {
            o["path"]: {"decision": "approve", "acknowledged": [f["key"] for f in o["findings"]]} for o in outputs
        }
        checker.post(f"/reviews/{request}:review", {"outputs": judged})

    def _until(self, what: str, request: str, state: str) -> None:
        deadline = time.monotonic() + 90
        seen = ""
        while time.monotonic() < deadline:
            answer = persist(what, lambda: self.author.get(f"/egress/{request}"))
            seen = answer["state"] if answer else ""
            if seen == state:
                return
            time.sleep(0.1)
        raise AssertionError(f"{request} is {seen}, not {state}")


def kill_one(running: Instance, victim: str, delay: float, killed: list[str]) -> None:
    """Wait, then end one process the hard way; a checker lives briefly, so it is waited for."""
    time.sleep(delay)
    deadline = time.monotonic() + (3.0 if victim == "checker" else 0.5)
    while time.monotonic() < deadline:
        for pid in processes(running, VICTIMS[victim])[:1]:
            try:
                os.kill(pid, signal.SIGKILL)
                killed.append(victim)
            except ProcessLookupError:
                continue
            return
        time.sleep(0.002)


# A connection that breaks while it is used leaves its socket to the collector; breaking them is the point here.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.timeout(900)
def test_work_completes_whatever_is_killed_and_nothing_is_released_twice() -> None:
    dice = random.Random(SEED)
    print(f"seed {SEED}, {INSTANTS} instants")
    with instance("--demo") as running:
        running.wait_until_seeded()
        facts = running.facts
        killed: list[str] = []
        done = [facts["requests"]["released"]]
        for number in range(INSTANTS):
            victim = dice.choice(sorted(VICTIMS))
            delay = dice.uniform(0.0, 2.0)
            killer = threading.Thread(target=kill_one, args=(running, victim, delay, killed))
            killer.start()
            began = time.monotonic()
            try:
                done.append(Round(facts).play())
            except AssertionError as error:
                raise AssertionError(
                    f"instant {number}: {victim} after {delay:.2f} s: {error}\n{running.logs()}"
                ) from error
            killer.join()
            print(f"{number:2} {victim} killed after {delay:.2f} s: released in {time.monotonic() - began:.1f} s")
        print({name: killed.count(name) for name in VICTIMS})
        _nothing_doubled(facts, done)
        _alive_again(running, facts)
        assert running.stop() in (0, 130)
        _nothing_left(running)


def _nothing_doubled(facts: dict[str, Any], done: list[str]) -> None:
    tokens = {p["key"]: p["token"] for p in facts["people"]}
    checker, auditor = Desk(facts["portal"], tokens["checker-c"]), Desk(facts["portal"], tokens["auditor"])
    releases: list[str] = []
    token = ""
    while True:
        page = persist("releases", lambda t=token: checker.get("/releases", **({"page_token": t} if t else {})))  # type: ignore[misc]
        assert page is not None
        releases += [r["request"] for r in page["items"]]
        token = page.get("next_page_token", "")
        if not token:
            break
    assert sorted(releases) == sorted(done)
    told = persist("verify", lambda: auditor.post("/audit:verify"), seconds=120)
    assert told is not None
    assert told["intact"], told


def _alive_again(running: Instance, facts: dict[str, Any]) -> None:
    """The session that was open is still there: one sandbox, one gate."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        counts = {name: len(processes(running, mark)) for name, mark in VICTIMS.items() if name != "checker"}
        if all(counts.values()):
            return
        time.sleep(0.2)
    raise AssertionError(f"not all processes are back: {counts}")


def _nothing_left(running: Instance) -> None:
    left = [pid for mark in VICTIMS.values() for pid in processes(running, mark)]
    assert not left
    mounts = Path("/proc/mounts").read_text()
    assert str(running.home) not in mounts
