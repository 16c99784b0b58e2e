"""The schema's history: repeatable, uninterruptible, and equal to what the tables say."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from spe.adapters.sql import SqlStore, engine, migrations
from spe.adapters.sql.schema import metadata
from spe.adapters.sql.waits import Waits
from spe.domain.egress import EGRESS
from spe.domain.errors import Rejected, Unavailable
from spe.domain.permit import PERMIT
from spe.domain.workspace import WORKSPACE
from tests.support import databases
from tests.support.databases import KINDS, POSTGRES, Database, migrated


@pytest.fixture(params=KINDS)
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Database:
    """A database without tables."""
    return databases.empty(request.param, tmp_path)


def test_an_upgrade_reaches_the_head_and_repeating_it_changes_nothing(empty: Database) -> None:
    assert migrations.upgrade(empty.owner_url) == migrations.head()
    assert migrations.current(empty.owner_url) == migrations.head()
    assert migrations.upgrade(empty.owner_url, application=empty.application) == migrations.head()
    assert empty.store().problems() == ()


def test_the_migrated_schema_is_the_one_that_the_tables_say(database: Database) -> None:
    source = engine.reader(database.owner_url, Waits())
    with source.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
    source.dispose()


def test_the_moves_in_the_database_are_those_of_the_machines(database: Database) -> None:
    wanted = {
        (machine.name, str(source), str(transition.target))
        for machine in (PERMIT, WORKSPACE, EGRESS)
        for transition in machine.transitions
        for source in transition.sources
        if transition.target is not None and transition.target != source
    }
    with database.raw() as raw:
        assert set(raw.run("SELECT machine, source, target FROM transitions")) == wanted


class Cut(Exception):
    """The upgrade was interrupted."""


def _cut_after(count: int) -> Callable[..., None]:
    left = iter(range(count))

    def before(*_: object) -> None:
        if next(left, None) is None:
            raise Cut

    return before


@pytest.fixture
def interrupted(empty: Database) -> Iterator[Callable[[int], bool]]:
    """Runs an upgrade that ends after so many statements; tells whether it was cut."""

    def run(count: int) -> bool:
        before = _cut_after(count)
        sa.event.listen(sa.Engine, "before_cursor_execute", before)
        try:
            migrations.upgrade(empty.owner_url, application=empty.application)
        except Cut:
            return True
        finally:
            sa.event.remove(sa.Engine, "before_cursor_execute", before)
        return False

    return run


def test_an_upgrade_that_is_interrupted_at_any_statement_leaves_nothing_and_can_be_repeated(
    empty: Database, interrupted: Callable[[int], bool]
) -> None:
    count = 1
    while interrupted(count):
        with empty.raw() as raw:
            query = {
                "sqlite": "SELECT count(*) FROM sqlite_master",
                "postgresql": "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace",
            }[empty.kind]
            assert raw.run(query) == [(0,)]
        count += 7
    assert count > 100
    assert empty.store().problems() == ()


def test_two_upgrades_at_once_are_one(empty: Database) -> None:
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda _: migrations.upgrade(empty.owner_url, application=empty.application), range(2)))
    assert found == [migrations.head()] * 2
    assert empty.store().problems() == ()


def test_a_database_without_tables_says_which_command_makes_them(empty: Database) -> None:
    if empty.kind == "sqlite":
        engine.make_file(empty.path)
    (sentence,) = empty.store().problems()
    assert "spe db upgrade" in sentence


def test_a_database_of_a_newer_program_is_left_alone(database: Database) -> None:
    with database.raw() as raw:
        raw.run("UPDATE alembic_version SET version_num = '9999'")
    (sentence,) = database.store().problems()
    assert "newer version" in sentence
    with pytest.raises(Rejected, match="newer version"):
        migrations.upgrade(database.owner_url)


def test_a_rule_that_was_taken_away_is_reported_and_put_back(database: Database) -> None:
    table = " ON votes" if database.kind == "postgresql" else ""
    with database.raw() as raw:
        raw.run(f"DROP TRIGGER spe_votes_insert{table}")
    (sentence,) = database.store().problems()
    assert "spe_votes_insert" in sentence
    migrated(database)
    assert database.store().problems() == ()


def test_a_rule_that_was_weakened_is_reported(database: Database) -> None:
    statements = {
        "sqlite": [
            "DROP TRIGGER spe_votes_insert",
            "CREATE TRIGGER spe_votes_insert BEFORE INSERT ON votes BEGIN SELECT 1; END",
        ],
        "postgresql": [
            "CREATE OR REPLACE FUNCTION spe_votes_insert() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'"
        ],
    }
    with database.raw() as raw:
        for statement in statements[database.kind]:
            raw.run(statement)
    (sentence,) = database.store().problems()
    assert "spe_votes_insert" in sentence


@pytest.mark.parametrize("kind", POSTGRES)
def test_a_rule_that_was_switched_off_is_reported(kind: str, tmp_path: Path) -> None:
    database = databases.fresh(kind, tmp_path)
    with database.raw() as raw:
        raw.run("ALTER TABLE votes DISABLE TRIGGER spe_votes_update")
    (sentence,) = database.store().problems()
    assert "spe_votes_update" in sentence


def test_a_new_database_file_belongs_to_its_owner_alone(tmp_path: Path) -> None:
    migrations.upgrade(f"sqlite:///{tmp_path}/spe.db")
    assert (tmp_path / "spe.db").stat().st_mode & 0o777 == 0o600


def test_an_upgrade_where_nothing_may_be_written_is_unavailable(tmp_path: Path) -> None:
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o500)
    with pytest.raises(Unavailable):
        migrations.upgrade(f"sqlite:///{folder}/spe.db")


def test_a_database_in_memory_is_no_database() -> None:
    with pytest.raises(ValueError, match="file"):
        SqlStore("sqlite://")
