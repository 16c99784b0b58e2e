"""From submission to a request that checkers can open, against merely hashing and parsing the same bytes.

Ours is the whole way of ten tables: every stored byte read again, the move and its audit entry, the sandbox
started, every check of the default policy with the datasets' profiles, previews, report and the second move.
The floor is SHA-256 and the standard library's CSV reader over the same bytes in this process.
"""

import csv
import hashlib
import io
import random
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from spe import bootstrap
from spe.adapters.sql import migrations
from spe.cli.demo.cast import call_together
from spe.cli.demo.data import write_cohort
from spe.disclosure.profiling import make_profile
from spe.domain.canonical import canonical
from spe.domain.egress import Declaration, EgressRequest, EgressState, OutputKind
from spe.domain.ids import PersonId, WorkspaceId
from spe.domain.permit import Terms
from spe.domain.principal import RECONCILER, Principal
from spe.services.app import App
from spe.settings import Settings
from tests.bench.figures import SHORT, Figure, Goal, in_turn, paired

NAME = "submit"
FILES, FILE_BYTES, TOY_BYTES = 10, 1_000_000, 4_000
REGIONS, BANDS = ("north", "east", "south", "west"), ("18-39", "40-59", "60-79", "80 and over")


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """An environment whose author has a workspace; nothing of it runs but what is called here."""

    app: App
    author: Principal
    workspace: WorkspaceId

    def draft(self) -> EgressRequest:
        """An empty draft."""
        return self.app.egress.create(self.workspace, purpose="Tables for the paper", by=self.author)

    def freeze(self, draft: EgressRequest, files: Mapping[str, bytes]) -> None:
        """Put the files into the airlock and say what they are."""
        for path, data in files.items():
            self.app.egress.put_file(draft.id, path, [data], by=self.author)
        said = {
            path: Declaration(path=path, title="Means", kind=OutputKind.MAGNITUDE_TABLE, population=686)
            for path in files
        }
        self.app.egress.describe(draft.id, declarations=said, by=self.author)

    def submit(self, draft: EgressRequest) -> None:
        """Submit and check. Raises RuntimeError unless checkers can open it now."""
        self.app.egress.submit(draft.id, by=self.author)
        self.app.checks.run(draft.id)
        view = self.app.egress.view(draft.id, by=self.author)
        if view.request.state is not EgressState.IN_REVIEW:
            found = view.report.all_findings if view.report else ()
            raise RuntimeError(f"the request is {view.request.state}: {[f.message for f in found][:3]}")


def desk(folder: Path) -> Desk:
    """An environment in a folder: a dataset, a permit in force, a workspace that is not made anywhere."""
    settings = Settings(home=folder / "home", run=folder / "run")
    settings.home.mkdir(mode=0o700)
    migrations.upgrade(settings.database)
    app = bootstrap.build(settings)
    players = call_together(app, settings.portal_url)

    def acting(key: str) -> Principal:
        return app.people.principal(app.people.person(players[key].id))

    cohort = folder / "cohort"
    write_cohort(cohort)
    dataset = app.datasets.register(
        str(cohort), title="Cohort", holder="Hospital", profile=canonical(make_profile(cohort)), by=acting("operator")
    )
    now = datetime.now(UTC)
    terms = Terms(
        title="Study",
        purpose="Research",
        people=frozenset({PersonId(players["researcher-a"].id)}),
        datasets=frozenset({dataset.key}),
        starts=now - timedelta(days=1),
        ends=now + timedelta(days=1),
    )
    proposed = app.permits.propose(kind="data-permit", issuer="Board", terms=terms, by=acting("board-a"))
    app.permits.confirm(proposed.pending[0].id, by=acting("board-b"))
    workspace = app.workspaces.ensure(proposed.permit.id, by=RECONCILER)
    return Desk(app=app, author=acting("researcher-a"), workspace=workspace.id)


def tables(number: int, size: int) -> dict[str, bytes]:
    """Ten tables of means by group, each of about `size` bytes, others for each number."""
    chance = random.Random(number)
    return {f"means-{n}.csv": _table(chance, size) for n in range(FILES)}


def _table(chance: random.Random, size: int) -> bytes:
    lines, length = ["region,age band,week,n,mean,lower,upper"], 0
    while length < size:
        at = len(lines)
        mean = chance.gauss(50, 10)
        group = f"{REGIONS[at % 4]},{BANDS[at // 4 % 4]},{at // 16}"
        lines.append(f"{group},{chance.randrange(20, 200) * 5},{mean:.3f},{mean - 2:.3f},{mean + 2:.3f}")
        length += len(lines[-1]) + 1
    return ("\n".join(lines) + "\n").encode()


def floor(files: Mapping[str, bytes]) -> int:
    """Hash and parse; the number of rows, so that nothing is left out."""
    rows = 0
    for data in files.values():
        hashlib.sha256(data).digest()
        rows += sum(1 for _ in csv.reader(io.StringIO(data.decode(), newline="")))
    return rows


class Rounds:
    """Fresh bytes for each pair, so that no stored object is found there already."""

    def __init__(self, place: Desk, size: int) -> None:
        self._desk = place
        self._size = size
        self._number = 0
        self.files: dict[str, bytes] = {}
        self.freezing: list[float] = []

    def ours(self) -> float:
        """Seconds from the submission until checkers can open the request."""
        self._number += 1
        self.files = tables(self._number, self._size)
        draft = self._desk.draft()
        began = time.perf_counter()
        self._desk.freeze(draft, self.files)
        frozen = time.perf_counter()
        self._desk.submit(draft)
        self.freezing.append(frozen - began)
        return time.perf_counter() - frozen

    def theirs(self) -> float:
        """Seconds to hash and parse the same bytes."""
        began = time.perf_counter()
        floor(self.files)
        return time.perf_counter() - began


def measure(*, pairs: int | None = None, toy: bool = False) -> Iterator[Figure]:
    """Seconds of each."""
    with tempfile.TemporaryDirectory(prefix="spe-bench-") as name:
        rounds = Rounds(desk(Path(name)), TOY_BYTES if toy else FILE_BYTES)
        found = in_turn({"ours": rounds.ours, "theirs": rounds.theirs}, pairs or SHORT)
    frozen = rounds.freezing[1:]
    size = sum(map(len, rounds.files.values()))
    facts = {
        "files": FILES,
        "megabytes": round(size / 1e6, 2),
        "longest in s": round(max(found["ours"]), 2),
    }
    title, against = "submit to ready for review", "hash and parse"
    yield Figure(
        bench=NAME, name=title, against=against, unit="s",
        pairs=paired(found["ours"], found["theirs"]), goal=Goal(bound=1.5), facts=facts,
    )  # fmt: skip
    whole = [a + b for a, b in zip(frozen, found["ours"], strict=True)]
    yield Figure(
        bench=NAME, name="first byte to ready for review", against=against, unit="s",
        pairs=paired(whole, found["theirs"]),
    )  # fmt: skip
