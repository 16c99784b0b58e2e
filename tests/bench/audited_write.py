"""One accepted decision, durable and in the audit log, against what the disk and the database can do at best.

Ours is a move through `transact.apply`: read, decide, save, append to the Merkle log, owe effects, commit
once. Beside it the audit entry alone. Theirs are an append with fdatasync and a bare insert into SQLite with
the same durability (WAL, `synchronous=FULL`), each of the bytes of one audit entry, on the same filesystem.
"""

import itertools
import os
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from spe.adapters.sql import SqlStore, migrations
from spe.domain.ids import WorkspaceId
from spe.domain.principal import RECONCILER, Permission, Principal
from spe.domain.workspace import WorkspaceContext
from spe.services.journal import record
from spe.services.transact import WORKSPACES, apply
from tests.bench.figures import SHORT, Figure, Goal, in_turn, paired
from tests.bench.syncs import syncs_of
from tests.support.record import an_entry, make_world

NAME = "audited_write"
WRITES, TOY_WRITES = 300, 6
WARM_UP = 6

NOW = datetime(2026, 3, 2, tzinfo=UTC)
WELL = WorkspaceContext(
    now=NOW, permit_in_force=True, permit_ended=False, in_sync=True, anything_left=False, seal_holds=True
)
ROUND = ("confirm", "stop", "start")
"""Moves that lead a workspace round and round; `stop` owes two effects, `start` one, `confirm` none."""
ACTOR = Principal(
    person=RECONCILER.person,
    issuer=RECONCILER.issuer,
    subject=RECONCILER.subject,
    name=RECONCILER.name,
    roles=RECONCILER.roles,
    permissions=frozenset({Permission.WORKSPACE_RECONCILE, Permission.WORKSPACE_OPERATE}),
)


class Moves:
    """A store with one workspace that is moved round and round."""

    def __init__(self, folder: Path) -> None:
        url = f"sqlite:///{folder}/ours.db"
        migrations.upgrade(url)
        self.store = SqlStore(url)
        self.workspace: WorkspaceId = make_world(self.store).workspace.id
        self._verbs = itertools.cycle(ROUND)
        self._move("provision")
        for _ in range(WARM_UP):
            self.move()

    def move(self) -> int:
        """One accepted decision; the number of statements it took."""
        return self._move(next(self._verbs))

    def note(self) -> int:
        """One audit entry by itself; the number of statements it took."""
        with self.store.begin() as uow:
            record(uow, event="bench.noted", kind="workspace", subject=self.workspace, now=NOW, by=ACTOR)
        return uow.statements

    def _move(self, verb: str) -> int:
        with self.store.begin() as uow:
            apply(uow, WORKSPACES, uow.workspaces.get(self.workspace), verb, WELL, now=NOW, by=ACTOR)
        return uow.statements


class Appends:
    """A file that grows by one entry at a time, written through each time."""

    def __init__(self, folder: Path, entry: bytes) -> None:
        self._file = os.open(folder / "theirs.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._entry = entry

    def append(self) -> None:
        os.write(self._file, self._entry)
        os.fdatasync(self._file)


class Inserts:
    """A table without rules, one row in each transaction."""

    def __init__(self, folder: Path, entry: bytes) -> None:
        self._db = sqlite3.connect(folder / "theirs.db", isolation_level=None)
        self._db.execute("pragma journal_mode=wal")
        self._db.execute("pragma synchronous=full")
        self._db.execute("create table entries (idx integer primary key, body blob not null)")
        self._entry = entry

    def insert(self) -> None:
        self._db.execute("begin immediate")
        self._db.execute("insert into entries (body) values (?)", (self._entry,))
        self._db.execute("commit")


def measure(*, pairs: int | None = None, toy: bool = False) -> Iterator[Figure]:
    """Writes per second of each."""
    writes = TOY_WRITES if toy else WRITES
    entry = an_entry().data()
    with tempfile.TemporaryDirectory(prefix="spe-bench-") as name:
        folder = Path(name)
        moves = Moves(folder)
        works = {
            "move": _rate(moves.move, writes),
            "entry": _rate(moves.note, writes),
            "fdatasync": _rate(Appends(folder, entry).append, writes),
            "insert": _rate(Inserts(folder, entry).insert, writes),
        }
        found = in_turn(works, pairs or SHORT)
        facts: dict[str, float | str] = statements(moves)
        moves.store.close()
    with tempfile.TemporaryDirectory(prefix="spe-bench-") as name:
        facts["syncs per move"] = syncs_of(prepared_moves, Path(name)) / len(ROUND)
    goal = Goal(bound=0.9, at_least=True)
    for ours, title in (("move", "audited write"), ("entry", "audit entry alone")):
        for theirs, against in (("fdatasync", "append and fdatasync"), ("insert", "bare SQLite insert")):
            yield Figure(
                bench=NAME,
                name=title,
                against=against,
                unit="writes/s",
                pairs=paired(found[ours], found[theirs]),
                goal=goal if (ours, theirs) == ("move", "fdatasync") else None,
                facts=facts if (ours, theirs) == ("move", "fdatasync") else {},
            )


def statements(moves: Moves) -> dict[str, float | str]:
    """Statements of each move of a round, and of an entry alone."""
    found: dict[str, float | str] = {f"statements to {verb}": moves.move() for verb in ROUND}
    return {**found, "statements of an entry": moves.note()}


def prepared_moves(folder: Path) -> Callable[[], None]:
    """One round of moves, to count what they make the disk do."""
    moves = Moves(folder)

    def work() -> None:
        for _ in ROUND:
            moves.move()

    return work


def _rate(write: Callable[[], object], writes: int) -> Callable[[], float]:
    def work() -> float:
        began = time.perf_counter()
        for _ in range(writes):
            write()
        return writes / (time.perf_counter() - began)

    return work
