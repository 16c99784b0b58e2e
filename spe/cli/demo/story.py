"""The story, step by step, each through the door that a person would use. A step returns what was seen.

The steps are plain functions over a `Tale`, so that the embedded run, the tests and a cluster play the
same ones.
"""

import asyncio
import contextlib
import hashlib
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from spe.cli.api import ApiRefusal, Desk
from spe.cli.demo import data, notebook
from spe.cli.demo.browser import Browser, Notebook, Refusal
from spe.cli.demo.cast import Player

SECRET_NAME = "registry-password"
SECRET_VALUE = "demonstration-only-value"


class StepFailed(Exception):
    """What was seen is not what must be seen."""


@dataclass(slots=True, kw_only=True)
class Tale:
    """What the story has come to.

    `data`: the folder where the demonstration's data are written; `source` names such a folder to the environment.
    """

    portal: str
    hub: str
    home: Path
    players: dict[str, Player]
    started: float
    data: Path | None = None
    source: Callable[[Path], str] = str
    first_notebook: float = 0.0
    datasets: list[dict[str, Any]] = field(default_factory=list)
    permit: str = ""
    workspace: str = ""
    clean: str = ""
    leaking: str = ""
    second: str = ""
    release: dict[str, Any] = field(default_factory=dict)
    browser: Browser | None = None
    desks: dict[str, Desk] = field(default_factory=dict)
    notebook: Notebook | None = None

    def desk(self, key: str) -> Desk:
        """The API as one of the players; one desk each, until `close`."""
        if key not in self.desks:
            self.desks[key] = Desk(self.portal, self.players[key].token)
        return self.desks[key]

    async def close(self) -> None:
        """Close every connection."""
        for desk in self.desks.values():
            desk.close()
        if self.browser is not None:
            await self.browser.close()


Step = Callable[[Tale], Awaitable[str]]


def demand(holds: bool, sentence: str) -> None:
    """Stop the story when something that must hold does not."""
    if not holds:
        raise StepFailed(sentence)


async def wait_for(what: str, look: Callable[[], Any], *, seconds: float = 60.0, pause: float = 0.2) -> Any:
    """Look again and again until there is something to see."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = await asyncio.to_thread(look)
        if found:
            return found
        await asyncio.sleep(pause)
    raise StepFailed(f"{what}: not seen within {seconds:.0f} s")


def refused(act: Callable[[], Any], *codes: str) -> str:
    """Expect a refusal with one of the codes; returns its sentence."""
    try:
        act()
    except ApiRefusal as refusal:
        demand(not codes or bool(refusal.codes & set(codes)), f"refused for another reason: {refusal} {refusal.codes}")
        return str(refusal.problem.get("detail", ""))
    raise StepFailed("this should have been refused, and was not")


async def datasets(tale: Tale) -> str:
    """Two dataset versions are registered, sealed by a manifest and verified."""
    folder = tale.data or tale.home / "demo-data"
    operator = tale.desk("operator")
    known = {d["title"]: d for d in operator.get("/datasets")["items"]}
    for name, title, holder, write, policy in (
        ("cohort", "Breast cancer cohort (GBSG)", "German Breast Cancer Study Group", data.write_cohort, "default"),
        ("genotypes", "Simulated genotypes", "Demonstration biobank", data.write_genotypes, "default"),
    ):
        if title not in known:
            await asyncio.to_thread(write, folder / name)
            known[title] = operator.post(
                "/datasets",
                {
                    "folder": tale.source(folder / name),
                    "title": title,
                    "holder": holder,
                    "number": "1.0",
                    "disclosure_policy": policy,
                    "profile": await asyncio.to_thread(_profile, folder / name),
                },
            )
        known[title] = operator.get(f"/datasets/{known[title]['key']}")
        tale.datasets.append(known[title])
        operator.post(f"/datasets/{known[title]['key']}:verify")
    files = sum(len(d["files"]) for d in tale.datasets)
    return f"{len(tale.datasets)} dataset versions, {files} files, each hashed and verified"


def _profile(folder: Path) -> Any:
    from spe.disclosure.profiling import make_profile

    return json.loads(json.dumps(make_profile(folder)))


async def secret(tale: Tale) -> str:
    """An operator stores a secret that a permit may name."""
    tale.desk("operator").post("/secrets", {"name": SECRET_NAME, "value": SECRET_VALUE})
    return f"“{SECRET_NAME}” is sealed; its value is shown nowhere"


async def permit(tale: Tale) -> str:
    """One board member proposes a permit; it gives nothing until another confirms."""
    now = datetime.now(UTC)
    first, second = tale.desk("board-a"), tale.desk("board-b")
    proposed = first.post(
        "/permits",
        {
            "kind": "data-permit",
            "issuer": "Demonstration data access committee",
            "terms": {
                "title": "Recurrence after breast cancer",
                "purpose": "Median recurrence-free survival by therapy",
                "people": [tale.players["researcher-a"].id, tale.players["researcher-b"].id],
                "datasets": [d["key"] for d in tale.datasets],
                "starts": (now - timedelta(minutes=5)).isoformat(),
                "ends": (now + timedelta(days=180)).isoformat(),
                "secrets": [SECRET_NAME],
                "conditions": "Counts under 10 are not released.",
            },
        },
    )
    tale.permit = proposed["id"]
    change = proposed["pending"][0]["id"]
    why = refused(lambda: first.post(f"/permits/changes/{change}:confirm"), "own-proposal")
    active = second.post(f"/permits/changes/{change}:confirm")
    demand(active["state"] == "active", f"the permit is {active['state']}")
    return f"proposed; own confirmation refused ({why}) confirmed by another member: active"


async def workspace(tale: Tale) -> str:
    """The reconciler makes the workspace: sealed first, data last, each fact observed."""
    operator = tale.desk("operator")

    def ready() -> Any:
        found = [w for w in operator.get("/workspaces")["items"] if w["permit"] == tale.permit]
        live = [w for w in found if w["state"] != "closed"]
        if live and live[0]["state"] == "failed":
            raise StepFailed(f"the workspace failed: {live[0]['conditions']}")
        return live[0] if live and live[0]["state"] == "ready" else None

    found = await wait_for("workspace ready", ready)
    tale.workspace = found["id"]
    facts = ", ".join(c["name"] for c in found["conditions"] if c["holds"])
    demand("network-sealed" in facts, f"the seal was not observed: {facts}")
    return f"{tale.workspace} is ready: {facts}"


async def entry(tale: Tale) -> str:
    """People not on the permit, and people who have not accepted the terms, are refused with the reason."""
    path = f"/workspaces/{tale.workspace}/session:start"
    outside = refused(lambda: tale.desk("outsider").post(path))
    person = tale.desk("researcher-a")
    terms = refused(lambda: person.post(path), "terms-not-accepted")
    person.post(f"/permits/{tale.permit}:accept-terms")
    return f"outsider: “{outside}” before the terms: “{terms}”"


async def session(tale: Tale) -> str:
    """The researcher starts a session in the portal and opens the notebook through Hub, proxy and gate."""
    await open_notebook(tale, "researcher-a")
    tale.first_notebook = time.monotonic() - tale.started
    return f"first open notebook after {tale.first_notebook:.1f} s; kernel {tale.notebook.kernel[:8]} answers"  # type: ignore[union-attr]


async def open_notebook(tale: Tale, key: str) -> None:
    """Start (or find) the player's session, open its notebook, start a kernel."""
    person = tale.desk(key)
    with contextlib.suppress(ApiRefusal):
        person.post(f"/permits/{tale.permit}:accept-terms")
    person.post(f"/workspaces/{tale.workspace}/session:start")
    await wait_for(
        "session running",
        lambda: _running(person.get(f"/workspaces/{tale.workspace}/session")),
    )
    if tale.browser is None:
        tale.browser = Browser(portal=tale.portal, hub=tale.hub)
        await tale.browser.sign_in(tale.players[key].link)
    tale.notebook = await tale.browser.open_notebook(tale.workspace, tale.players[key].id)
    await tale.notebook.start_kernel()
    cell = await tale.notebook.run("print(6 * 7)")
    demand(cell.text.strip() == "42", f"the kernel answered {cell}")


def _running(session: dict[str, Any]) -> bool:
    if session["state"] == "failed":
        raise StepFailed(f"the session failed: {session['message']}")
    return bool(session["state"] == "running")


async def run(tale: Tale, code: str) -> str:
    """Run a cell; its printed text. An error in it stops the story."""
    assert tale.notebook is not None
    cell = await tale.notebook.run(code)
    demand(not cell.error, f"the cell failed: {cell.error}")
    return cell.text


async def data_inside(tale: Tale) -> str:
    """Inside, the files hash to the manifests and nothing can be written, renamed or removed."""
    seen = json.loads(await run(tale, notebook.LOOK_AROUND))
    want = {f"{d['key']}/{f['path']}": f["sha256"] for d in tale.datasets for f in d["files"]}
    demand(seen == want, f"the files inside differ: {sorted(set(seen.items()) ^ set(want.items()))[:3]}")
    tried = json.loads(await run(tale, notebook.TRY_TO_WRITE))
    demand("DONE" not in tried.values(), f"something could be written: {tried}")
    return (
        f"{len(seen)} files hash to the manifests; {len(tried)} ways to change them: all “{next(iter(tried.values()))}”"
    )


async def secret_inside(tale: Tale) -> str:
    """The secret that the permit names is leased; another name is refused."""
    got = json.loads(await run(tale, notebook.SECRET.format(name=SECRET_NAME)))
    demand(got["out"] == SECRET_VALUE, f"the lease failed: {got}")
    other = json.loads(await run(tale, notebook.SECRET.format(name="another")))
    demand(other["exit"] != 0, "an unlisted secret was lent")
    return f"leased by name; another name: exit {other['exit']}"


async def analysis(tale: Tale) -> str:
    """A notebook is saved and really executed; it writes one clean and one leaking result."""
    assert tale.notebook is not None
    await tale.notebook.put("analysis.ipynb", notebook.notebook())
    results = []
    for code in notebook.ANALYSIS:
        cell = await tale.notebook.run(code)
        demand(not cell.error, f"the analysis failed: {cell.error}")
        results += cell.results
    return f"{len(notebook.ANALYSIS)} cells ran; the cohort has shape {results[0]}"


async def submit(tale: Tale) -> str:
    """`spe egress submit` inside the notebook: the clean result goes to review, the leaking one is blocked."""
    clean = json.loads(await run(tale, notebook.SUBMIT.format(folder="clean")))
    leaking = json.loads(await run(tale, notebook.SUBMIT.format(folder="leaking")))
    demand(clean["exit"] in (0, 10), f"the clean result did not get through: {clean}")
    demand(leaking["exit"] == 20, f"the leaking result was not blocked: {leaking}")
    tale.clean = json.loads(clean["out"])["id"]
    tale.leaking = json.loads(leaking["out"])["id"]
    report = tale.desk("researcher-a").get(f"/egress/{tale.leaking}")["report"]
    blocking = sorted({f["check"] for o in report["outputs"] for f in o["findings"] if f["severity"] == "block"})
    return f"clean: in review; leaking: blocked by {', '.join(blocking)}"


async def review(tale: Tale) -> str:
    """Two checkers judge, blind to each other; the author cannot; one approval releases nothing."""
    author, first, second = (tale.desk(k) for k in ("researcher-a", "checker-a", "checker-b"))
    own = refused(lambda: author.post(f"/reviews/{tale.clean}:review", _approve(first, tale.clean)))
    first.post(f"/reviews/{tale.clean}:review", _approve(first, tale.clean))
    blind = second.get(f"/reviews/{tale.clean}")
    demand(not blind["votes"], "the second checker sees the first vote")
    twice = refused(lambda: first.post(f"/reviews/{tale.clean}:review", _approve(first, tale.clean)), "already-voted")
    early = refused(lambda: first.post(f"/reviews/{tale.clean}:approve"), "reviews-missing")
    second.post(f"/reviews/{tale.clean}:review", _approve(second, tale.clean))
    second.post(f"/reviews/{tale.clean}:approve")
    return f"author: “{own}” twice: “{twice}” one vote: “{early}” two votes: approved"


def _approve(checker: Desk, request: str) -> dict[str, Any]:
    """The form of a checker who looked at every output and acknowledges every finding."""
    seen = checker.get(f"/reviews/{request}")
    outputs = seen["report"]["outputs"]
    return {
        "outputs": {
            o["path"]: {"decision": "approve", "reason": "", "acknowledged": [f["key"] for f in o["findings"]]}
            for o in outputs
        }
    }


async def release(tale: Tale) -> str:
    """The approved bytes are released with a receipt that verifies offline; downloads are for the recipient."""
    author = tale.desk("researcher-a")

    def released() -> Any:
        return next((r for r in author.get("/releases")["items"] if r["request"] == tale.clean), None)

    tale.release = await wait_for("release", released)
    reviewed = {o["path"]: o["sha256"] for o in author.get(f"/egress/{tale.clean}")["outputs"]}
    for file in tale.release["files"]:
        got = author.raw(f"/releases/{tale.release['id']}/files/{file['path']}")
        demand(
            hashlib.sha256(got).hexdigest() == reviewed[file["path"]], "the released bytes are not the reviewed ones"
        )
    other = refused(lambda: tale.desk("researcher-b").raw(f"/releases/{tale.release['id']}/files/{file['path']}"))
    receipt = author.raw(f"/releases/{tale.release['id']}/receipt")
    keys = author.raw("/audit/keys")
    (tale.home / "receipt.json").write_bytes(receipt)
    (tale.home / "spe-keys.json").write_bytes(keys)
    verify_receipt(receipt, keys)
    files = len(tale.release["files"])
    return f"{files} file(s) with the reviewed digests; somebody else: “{other}” receipt verified offline"


def verify_receipt(receipt: bytes, keys: bytes) -> None:
    """As `spe receipt verify` does: no network, no server."""
    from spe.adapters.secrets import ed25519
    from spe.domain.keys import TrustedKeys
    from spe.domain.receipt import verify_receipt as verify

    verify(receipt, TrustedKeys.read(keys), ed25519.verify)


async def waiting(tale: Tale) -> str:
    """A second request is left waiting for the checkers."""
    again = json.loads(await run(tale, notebook.SUBMIT.format(folder="clean")))
    demand(again["exit"] in (0, 10), f"the second request did not get through: {again}")
    tale.second = json.loads(again["out"])["id"]
    return f"{tale.second} waits for review; {tale.leaking} stays blocked"


async def revoke(tale: Tale) -> str:
    """The board revokes: the open kernel connection is cut, the session ends, secrets and data go, evidence stays."""
    assert tale.notebook is not None
    began = time.monotonic()
    board = tale.desk("board-a")
    cut = asyncio.create_task(tale.notebook.closed(seconds=10))
    await asyncio.sleep(0)
    await asyncio.to_thread(board.post, f"/permits/{tale.permit}:revoke", {"reason": "The demonstration ends here."})
    reason = await cut
    seconds = time.monotonic() - began
    operator = tale.desk("operator")
    await wait_for(
        "workspace closed",
        lambda: operator.get(f"/workspaces/{tale.workspace}")["state"] == "closed",
    )
    demand(not (tale.home / "workspaces" / tale.workspace).exists(), "folders of the workspace are left")
    try:
        await tale.notebook.call("GET", "api/kernels")
        raise StepFailed("the notebook still answers")
    except Refusal as refusal:
        status = refusal.status
    evidence = tale.desk("checker-a").get(f"/reviews/{tale.clean}")
    demand(bool(evidence["report"]), "the evidence cannot be read")
    return f"cut after {seconds:.2f} s (“{reason}”), notebook answers {status}, workspace closed, evidence readable"


async def audit(tale: Tale) -> str:
    """The auditor recomputes the whole log."""
    answer = tale.desk("auditor").post("/audit:verify")
    demand(not answer["problems"], f"the log does not verify: {answer['problems']}")
    return f"{answer['entries']} entries recomputed; no problem"


SEED: tuple[tuple[str, Step], ...] = (
    ("datasets", datasets),
    ("secret", secret),
    ("permit", permit),
    ("workspace", workspace),
    ("entry", entry),
    ("session", session),
    ("data inside", data_inside),
    ("secret inside", secret_inside),
    ("analysis", analysis),
    ("submit", submit),
    ("review", review),
    ("release", release),
    ("waiting", waiting),
)
ENDING: tuple[tuple[str, Step], ...] = (
    ("revoke", revoke),
    ("audit", audit),
)
