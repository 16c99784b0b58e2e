"""A release that is upgraded, and one that is removed and installed again: sessions run on, and everything is there.

The upgrade starts from an earlier commit, its chart and its images. All the while an intruder tries what the admission
policies refuse, and a visitor asks at the doors.
"""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from spe.bootstrap.admission import Admission, admission
from spe.cli.demo.browser import Cell, Notebook
from spe.cli.demo.play import tell
from spe.cli.demo.story import SEED, Tale, release, review, verify_receipt
from spe.ports.objects import Zone
from spe.settings import Kubernetes, Settings
from tests.charts.release import PARTS
from tests.cluster.house import House
from tests.cluster.people import Town, at_work, beginning
from tests.support import servers
from tests.support.person import Granted, until
from tests.upgrade.beside import Intruder, Visitor, attempts, by_the_hub, facts, silences

pytestmark = [
    pytest.mark.servers,
    pytest.mark.timeout(1800),
    # A connection that goes with the pod at its other end is nobody's to close.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
WHO, OTHER = "researcher-a", "researcher-b"
SILENT_SECONDS = 60.0

# Work that goes on by itself; a clock of its own tells whether it ever stood still.
AT_WORK = """
import threading, time
beats = [time.monotonic()]
def beat():
    while True:
        time.sleep(0.1)
        beats.append(time.monotonic())
threading.Thread(target=beat, daemon=True).start()
kept = 42
"""
STILL_AT_WORK = "print(kept, round(max(b - a for a, b in zip(beats, beats[1:])), 1))"


@dataclass(frozen=True, kw_only=True)
class Record:
    """What must not change by what happens to the release: as the API tells it, as the cluster does."""

    told: dict[str, Any]
    objects: dict[str, str]
    entries: dict[int, Any]


@pytest.fixture(scope="module")
def older(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    made = House(tmp_path_factory.mktemp("older"))
    try:
        made.begin()
        with made.aged(*servers.previous()):
            made.open()
        yield made
    finally:
        made.end()


@pytest.fixture(scope="module")
def tale(older: House) -> Tale:
    return beginning(older)


@pytest.fixture(scope="module")
def town(older: House, tale: Tale) -> Iterator[Town]:
    """The story up to its end: a session, a secret, one request released, one blocked, one that waits."""
    with at_work(older, tale, SEED) as made:
        yield made


@pytest.fixture(scope="module")
def mine(town: Town, tale: Tale) -> Granted:
    return Granted(permit=tale.permit, workspace=tale.workspace)


def record(town: Town, granted: Granted) -> Record:
    """Everything of it, now."""
    operator, author, auditor = (town.desk(key) for key in ("operator", WHO, "auditor"))
    told = {
        "people": sorted(row["id"] for row in operator.all("/people")),
        "permits": sorted((row["id"], row["state"]) for row in operator.all("/permits")),
        "datasets": sorted(row["key"] for row in operator.all("/datasets")),
        "secrets": operator.get("/secrets")["names"],
        "workspaces": sorted((row["id"], row["state"]) for row in operator.all("/workspaces")),
        "session": town.session(granted.workspace, WHO)["state"],
        "requests": sorted((row["id"], row["state"]) for row in author.all("/egress")),
        "releases": sorted(row["id"] for row in author.all("/releases")),
    }
    entries = {row["index"]: row for row in auditor.all("/audit/entries")}
    return Record(told=told, objects=standing(town, granted), entries=entries)


def standing(town: Town, granted: Granted) -> dict[str, str]:
    """What the cluster holds for it, by its uid: notebooks, claims, volumes, the namespace, what the Hub keeps."""
    space = town.namespace(granted.workspace)
    labels = "spe.local/role=notebook,spe.local/part!=probe"
    found = [
        *town.get("pods", space, "-l", labels),
        *town.get("persistentvolumeclaims", space),
        *town.get("persistentvolumes", space, "-l", f"spe.local/workspace={granted.workspace}"),
        *town.get("namespaces", space, "-l", f"spe.local/workspace={granted.workspace}"),
        *(c for c in town.house.get("persistentvolumeclaims") if c["metadata"]["name"] == "hub"),
        *(s for s in town.house.get("secrets") if s["metadata"]["name"] == "tokens"),
    ]
    return {f"{o['kind']} {o['metadata']['name']}": o["metadata"]["uid"] for o in found}


def objects_kept(house: House) -> set[tuple[str, str, str]]:
    """Every version of every object in the buckets that are no views, which come and go: zone, key, version."""
    kept = [zone for zone in Zone if zone is not Zone.VIEWS]
    return {(zone, row["Key"], row["VersionId"]) for zone in kept for row in house.s3.versions(zone)}


def compare(before: Record, after: Record) -> None:
    """Nothing went or became another; the log only grew, and is whole."""
    assert after.told == before.told
    assert after.objects == before.objects
    assert {index: after.entries.get(index) for index in before.entries} == before.entries


def in_sync(town: Town, granted: Granted) -> bool:
    """Whether the reconciler says that all is as it should be; a workspace is called ready also while it is not."""
    space = town.desk("operator").get(f"/workspaces/{granted.workspace}")
    return space["state"] == "ready" and all(fact["holds"] for fact in space["conditions"])


def whole(town: Town) -> None:
    """The auditor recomputes the log."""
    assert town.desk("auditor").post("/audit:verify")["problems"] == []


def policies(house: House) -> Admission:
    """The admission policies as this commit's text says they stand for the release."""
    chosen = Kubernetes(
        **house.values["config"]["kubernetes"],
        instance=house.name,
        release_namespace=house.name,
        notebook_image=servers.image("notebook"),
        gate_image=servers.image("gate"),
        intake_image=servers.image("control"),
        kubeconfig=Path(servers.kubernetes()),
    )
    return admission(Settings(cluster="kubernetes", kubernetes=chosen))


def named_policies(house: House) -> set[str]:
    """The admission policies and bindings of the release that the cluster holds."""
    kinds = "validatingadmissionpolicies,validatingadmissionpolicybindings"
    return {f"{o['kind']} {o['metadata']['name']}" for o in house.get(kinds, "-l", f"spe.local/instance={house.name}")}


async def through(town: Town, granted: Granted, act: Callable[[], None]) -> Cell:
    """What a kernel that was at work before says of itself after an act, asked by the same browser."""
    async with town.kernel(granted.workspace, WHO) as notebook:
        cell = await notebook.run(AT_WORK)
        assert not cell.error, cell.error
        await asyncio.to_thread(act)
        return await again(notebook, STILL_AT_WORK)


async def again(notebook: Notebook, code: str, *, attempts: int = 60) -> Cell:
    """A cell, once the way to the kernel is there again."""
    trouble: Exception | None = None
    for _ in range(attempts):
        try:
            await notebook.connect()
            return await notebook.run(code, seconds=20)
        except (OSError, TimeoutError, aiohttp.ClientError) as error:
            trouble = error
            await asyncio.sleep(1)
    raise AssertionError(f"The kernel is not reached any more: {trouble!r}")


def starts(town: Town, granted: Granted, key: str) -> None:
    """A person starts a session, finds the data, and ends it again."""

    async def story() -> None:
        async with town.kernel(granted.workspace, key) as notebook:
            cell = await notebook.run("import os; print(len(os.listdir('/data')))")
            assert cell.text.strip() == "2", cell

    town.enter(granted, key)
    asyncio.run(story())
    town.desk(key).post(f"/workspaces/{granted.workspace}/session:stop")
    until("the session has ended", lambda: town.session(granted.workspace, key)["state"] == "stopped")


def test_an_upgrade_from_an_earlier_commit_lets_sessions_run_on(older: House, town: Town, mine: Granted) -> None:
    """The parent of this commit, unless another was named, becomes this commit.

    Upgraded are chart, tables, admission policies, and every image by which the commits differ: portal, reconciler,
    Hub, proxy, checker, the gates, and notebooks that start from now on. Not upgraded are notebooks that run, which
    keep their image, and what is no part of the release: cluster, PostgreSQL, Vault, object service. Settings that
    the earlier chart does not know are said to the present one only.
    """
    wanted = policies(older)
    right = facts(town, mine, OTHER, image=servers.image("notebook"), user_namespaces=wanted.places.user_namespaces)
    before = record(town, mine)
    former = {part: _image(d) for part, d in _deployments(older).items()}
    notebook_before = str(town.notebook(mine.workspace, WHO)["spec"]["containers"][0]["image"])

    def upgrade() -> None:
        with Visitor(older, town.token("operator")) as visitor, intruder:
            older.apply("upgrade")
            until("every door answers again", visitor.is_answered, seconds=SILENT_SECONDS, pause=1)
            visits.extend(visitor.visits())
        older.forward()
        until("the gate is the new one", lambda: _gate(town, mine) == servers.image("gate"), seconds=180)

    visits: list[Any] = []
    intruder = Intruder(attempts(right))
    cell = asyncio.run(through(town, mine, upgrade))

    kept, pause = cell.text.split()
    print(f"new images: {sorted(part for part, image in former.items() if image != _now(part))}")
    print(f"the kernel's own clock stood still for at most {pause} s")
    assert kept == "42"

    print(intruder.told())
    assert intruder.let_in == []
    assert intruder.not_by_a_rule() == []

    for door in ("portal", "notebooks"):
        gone = silences(visits, door)
        print(f"{door}: {sum(v.door == door for v in visits)} visits, silent {[(round(s, 1), w) for s, w in gone]}")
        assert all(seconds < SILENT_SECONDS for seconds, _ in gone)

    assert {part: _image(d) for part, d in _deployments(older).items()} == {part: _now(part) for part in PARTS}
    assert [one for one in wanted.observe() if not one.holds] == []
    assert by_the_hub(right).let_in
    if notebook_before != right.image:
        assert by_the_hub(replace(right, image=notebook_before)).rule

    assert "fit to work with" in older.spe("db", "check")
    until("the workspace is in sync", lambda: in_sync(town, mine), seconds=120)
    compare(before, record(town, mine))
    whole(town)
    starts(town, mine, OTHER)
    older.helm("test", "spe")


def test_a_release_that_is_removed_and_installed_again_finds_everything(
    older: House, town: Town, mine: Granted, tale: Tale
) -> None:
    """With the release go its parts, their accounts and rights; people's work, evidence and what guards it stay.

    While nothing of the release is there, the session's pod, claims, volumes and namespace are the very same objects,
    the buckets hold every version they held, and the intruder is refused by the same policies.
    """
    right = facts(
        town, mine, OTHER, image=servers.image("notebook"), user_namespaces=policies(older).places.user_namespaces
    )
    before, policies_before, bytes_before = record(town, mine), named_policies(older), objects_kept(older)
    intruder = Intruder(attempts(right))

    def begin_anew() -> None:
        with intruder:
            older.helm("uninstall", "spe", "--wait")
            assert not older.get("deployments")
            assert named_policies(older) == policies_before
            assert standing(town, mine) == before.objects
            assert bytes_before <= objects_kept(older)
            older.open()

    cell = asyncio.run(through(town, mine, begin_anew))
    assert cell.text.split()[0] == "42"

    print(intruder.told())
    assert intruder.let_in == []
    assert intruder.not_by_a_rule() == []

    until("the workspace is in sync", lambda: in_sync(town, mine), seconds=120)
    compare(before, record(town, mine))
    whole(town)
    assert named_policies(older) == policies_before
    verify_receipt((tale.home / "receipt.json").read_bytes(), town.desk("auditor").raw("/audit/keys"))

    # What waited is reviewed, approved and released, with the bytes that were submitted before.
    later = replace(tale, clean=tale.second, desks={}, browser=None, notebook=None)
    assert asyncio.run(tell(later, (("review", review), ("release", release)))) == 0, older.told()
    starts(town, mine, OTHER)
    town.desk("board-a").post(f"/permits/{mine.permit}:revoke", {"reason": "The end of the test."})
    until("the workspace is closed", lambda: town.state_of(mine.workspace) == "closed", seconds=120)
    whole(town)


def _deployments(house: House) -> dict[str, Any]:
    return {d["metadata"]["name"]: d for d in house.get("deployments")}


def _now(part: str) -> str:
    return servers.image("control" if part in ("portal", "reconciler") else part)


def _image(deployment: dict[str, Any]) -> str:
    return str(deployment["spec"]["template"]["spec"]["containers"][0]["image"])


def _gate(town: Town, granted: Granted) -> str:
    """The image of the workspace's gate, once there is one pod and it is ready."""
    pods = town.get("pods", town.namespace(granted.workspace), "-l", "spe.local/role=gate")
    ready = [p for p in pods if all(c["ready"] for c in p["status"].get("containerStatuses", [{"ready": False}]))]
    return str(ready[0]["spec"]["containers"][0]["image"]) if len(pods) == len(ready) == 1 else ""
