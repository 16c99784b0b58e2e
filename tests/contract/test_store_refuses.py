"""Attacks by direct SQL: what the services refuse, the database refuses as well.

Each attack of `tests.support.attacks` is tried through three doors: on SQLite as the owner of the file,
on PostgreSQL as the application's role and as the owner of the tables. All run in a transaction that is
rolled back. What an owner can still do, take a rule away, is found by `SqlStore.problems`.
"""

import atexit
import functools
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from spe.adapters.sql.failures import SENTENCES
from spe.domain.egress import EgressState as E
from spe.domain.errors import Refused
from tests.support.attacks import ATTACKS, Attack, Steps
from tests.support.databases import KINDS, Database, Raw, Refusals, fresh
from tests.support.record import ROAD, World, a_vote, an_entry, make_world

DOORS = ("sqlite", "postgresql, application", "postgresql, owner", "named, application", "named, owner")
DIALECTS = {"named": "postgresql"}


@functools.cache
def attacked(kind: str, at: E) -> tuple[Database, World]:
    """One world for each state, shared: every attack is rolled back."""
    folder = Path(tempfile.mkdtemp(prefix="spe-attack-", dir="/tmp"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    database = fresh(kind, folder)
    store = database.store()
    world = make_world(store, at=at)
    with store.begin() as uow:
        for n in range(3):
            uow.audit.append(an_entry(subject=f"pm-{n}"))
    store.close()
    return database, world


def cases() -> Iterator[object]:
    for attack in ATTACKS:
        for door in DOORS:
            kind = door.split(",", maxsplit=1)[0]
            if DIALECTS.get(kind, kind).startswith(attack.only):
                marks = (pytest.mark.servers,) if kind == "named" else ()
                yield pytest.param(attack, door, id=f"{attack.name}-{door}", marks=marks)


@pytest.fixture(scope="module")
def table(request: pytest.FixtureRequest) -> Iterator[dict[str, dict[str, str]]]:
    """What each attack met behind each door; printed at the end."""
    rows: dict[str, dict[str, str]] = {}
    yield rows
    printer = request.config.pluginmanager.get_plugin("terminalreporter")
    if printer is None or not rows:
        return
    printer.ensure_newline()
    printer.write_line(f"{'attempted by direct SQL':44} " + " ".join(f"{door:26}" for door in DOORS))
    for name, answers in rows.items():
        printer.write_line(f"{name:44} " + " ".join(f"{answers.get(door, '–'):26}" for door in DOORS))


@pytest.mark.parametrize(("attack", "door"), list(cases()))
def test_direct_sql_is_refused_by_the_database(attack: Attack, door: str, table: dict[str, dict[str, str]]) -> None:
    kind = door.split(",", maxsplit=1)[0]
    database, world = attacked(kind, attack.at)
    with database.raw(owner="application" not in door) as raw:
        raw.run("BEGIN")
        try:
            answer = refusal(raw, attack.steps(world))
        finally:
            raw.run("ROLLBACK")
    table.setdefault(attack.name, {})[door] = answer
    assert answer, "the database let it happen"
    if "application" in door and answer == "permission denied":
        return
    assert not attack.code or answer == attack.code


def refusal(raw: Raw, steps: Steps) -> str:
    """How the last step was refused, as a code; empty when it was not. Earlier steps must succeed."""
    *legal, last = steps
    for statement, *values in legal:
        raw.run(str(statement), *values)
    statement, *values = last
    try:
        raw.run(str(statement), *values)
    except Refusals as error:
        found = re.search(r"spe:([a-z-]+)", str(error))
        if found:
            return found[1]
        if "permission denied" in str(error):
            return "permission denied"
        if re.search(r"violates|constraint failed", str(error)):
            return "constraint"
        raise
    return ""


@pytest.mark.parametrize("kind", KINDS)
def test_every_move_that_the_machine_does_not_know_is_refused(kind: str) -> None:
    for state in (E.DRAFT, *ROAD):
        database, world = attacked(kind, state)
        with database.raw() as raw:
            known = {
                t
                for (t,) in raw.run(
                    "SELECT target FROM transitions WHERE machine = 'egress request' AND source = ?", state.value
                )
            }
            for target in set(map(str, E)) - known - {str(state)}:
                with pytest.raises(Refusals, match="spe:no-such-move"):
                    raw.run("UPDATE egress SET state = ? WHERE id = ?", target, world.request.id)


@pytest.mark.parametrize("kind", KINDS)
def test_a_refusal_by_the_database_reads_like_one_of_the_services(kind: str, tmp_path: Path) -> None:
    store = fresh(kind, tmp_path).store()
    world = make_world(store, at=E.IN_REVIEW)
    with pytest.raises(Refused) as caught, store.begin() as uow:
        uow.votes.add(a_vote(world, world.author))
    assert caught.value.codes == ("own-request",)
    assert caught.value.sentences == (SENTENCES["own-request"],)
    store.close()
