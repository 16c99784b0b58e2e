"""`spe db`: two roles on PostgreSQL, one that migrates and one that works; and what `spe serve` makes of it."""

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from click.testing import Result
from typer.testing import CliRunner

from spe.adapters.sql import SqlStore, migrations
from spe.cli.db import app, make_ready
from spe.domain.errors import Invalid, Refused
from spe.settings import Settings
from tests.support.databases import POSTGRES, server_of
from tests.support.postgres import Named, Server, binaries
from tests.support.record import an_entry


@dataclass(frozen=True)
class Site:
    """A server on which nothing is made yet, and the addresses that its operator chose."""

    server: Server
    url: str
    owner_url: str
    admin_url: str
    home: Path

    @property
    def settings(self) -> Settings:
        return Settings(home=self.home, database_url=self.url)

    def spe(self, *words: str, **variables: str) -> Result:
        env = {"SPE_DATABASE_URL": self.url, "SPE_DATABASE_OWNER_URL": self.owner_url, **variables}
        return CliRunner().invoke(app, [*words, "--home", str(self.home)], env=env)

    def ask(self, statement: str) -> list[tuple[object, ...]]:
        with psycopg.connect(self.admin_url, autocommit=True) as connection:
            return connection.execute(statement).fetchall()

    @property
    def role(self) -> str:
        return str(urlsplit(self.url).username)

    @property
    def owner(self) -> str:
        return str(urlsplit(self.owner_url).username)

    @property
    def database(self) -> str:
        return urlsplit(self.url).path.removeprefix("/")


def _address(server: Server, role: str, database: str) -> str:
    """The address of a role that is not there yet, with a password of its own."""
    parts = urlsplit(server.url(database, "postgres"))
    place = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=f"{role}:{secrets.token_hex(8)}@{place}").geturl()


@pytest.fixture(params=POSTGRES)
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    server = server_of(request.param)
    name = f"spe_s{secrets.token_hex(5)}"
    made = Site(
        server=server,
        url=_address(server, f"{name}_app", name),
        owner_url=_address(server, f"{name}_owner", name),
        admin_url=server.url("postgres", "postgres"),
        home=tmp_path,
    )
    yield made
    server.run(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
    for role in (f"{name}_app", f"{name}_owner", f"{name}_admin"):
        server.run(f"DROP ROLE IF EXISTS {role}")


@pytest.fixture
def prepared(site: Site) -> Site:
    assert site.spe("roles", "--admin-url", site.admin_url).exit_code == 0
    return site


@pytest.fixture
def upgraded(prepared: Site) -> Site:
    assert prepared.spe("upgrade").exit_code == 0
    return prepared


def test_from_an_empty_server_to_one_that_is_fit_takes_two_commands(site: Site) -> None:
    done = site.spe("roles", "--admin-url", site.admin_url)
    assert done.exit_code == 0, done.output
    done = site.spe("upgrade")
    assert (done.exit_code, migrations.head() in done.output) == (0, True), done.output
    done = site.spe("check")
    assert (done.exit_code, "fit" in done.output) == (0, True), done.output
    store = SqlStore(site.url)
    with store.begin() as uow:
        uow.audit.append(an_entry())
    store.close()


def test_both_addresses_may_come_as_mounted_files(prepared: Site, tmp_path: Path) -> None:
    folder = tmp_path / "credentials"
    folder.mkdir()
    (folder / "database_url").write_text(prepared.url)
    (folder / "database_owner_url").write_text(prepared.owner_url + "\n")
    mounted = {"SPE_DATABASE_URL": "", "SPE_DATABASE_OWNER_URL": "", "SPE_CREDENTIALS": str(folder)}
    done = prepared.spe("upgrade", **mounted)
    assert done.exit_code == 0, done.output
    assert prepared.spe("check", **mounted).exit_code == 0


def test_both_commands_may_be_repeated(upgraded: Site) -> None:
    for words in (("roles", "--admin-url", upgraded.admin_url), ("upgrade",), ("check",)):
        done = upgraded.spe(*words)
        assert done.exit_code == 0, done.output


def test_the_tables_belong_to_the_owner_and_the_application_owns_nothing(upgraded: Site) -> None:
    with psycopg.connect(upgraded.url) as connection:
        owners = connection.execute("SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public'").fetchall()
    assert owners == [(upgraded.owner,)]
    with psycopg.connect(upgraded.url) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("UPDATE audit_entries SET event = 'other'")


def test_an_administrator_without_all_powers_is_enough(site: Site) -> None:
    """Whoever rents a server is rarely its superuser."""
    admin = site.owner.replace("_owner", "_admin")
    address = _address(site.server, admin, "postgres")
    password = urlsplit(address).password
    site.server.run(f"CREATE ROLE {admin} LOGIN CREATEDB CREATEROLE PASSWORD '{password}'")
    done = site.spe("roles", "--admin-url", address)
    assert done.exit_code == 0, (done.output, done.exception)
    assert site.spe("upgrade").exit_code == 0
    assert site.spe("check").exit_code == 0, site.spe("check").output


def test_the_printed_script_names_what_is_made_and_holds_no_password(site: Site) -> None:
    said = site.spe("roles").output
    for word in (site.role, site.owner, site.database, "NOSUPERUSER", "\\password", "FROM PUBLIC"):
        assert word in said
    for url in (site.url, site.owner_url):
        assert str(urlsplit(url).password) not in said


def test_the_printed_script_makes_the_same(site: Site) -> None:
    lines = [line for line in site.spe("roles").output.splitlines() if not line.startswith("\\password")]
    passwords = [f"ALTER ROLE {u.username} PASSWORD '{u.password}'" for u in map(urlsplit, (site.url, site.owner_url))]
    for _ in range(2):
        subprocess.run(
            [binaries() / "psql", "-v", "ON_ERROR_STOP=1", site.admin_url],
            input="\n".join(lines),
            text=True,
            check=True,
            timeout=60,
        )
    for statement in passwords:
        site.server.run(statement)
    assert site.spe("upgrade").exit_code == 0
    assert site.spe("check").exit_code == 0


def test_no_password_reaches_the_server_in_the_clear(site: Site) -> None:
    """Statements may be logged there."""
    site.server.run(f"CREATE ROLE {site.role} LOGIN")
    assert site.spe("roles", "--admin-url", site.admin_url).exit_code == 0
    ((kept,),) = site.ask(f"SELECT rolpassword FROM pg_authid WHERE rolname = '{site.role}'")
    assert str(kept).startswith("SCRAM-SHA-256$")
    if isinstance(site.server, Named):
        psycopg.connect(urlsplit(site.url)._replace(path="/postgres").geturl()).close()


def test_an_upgrade_without_the_owner_says_which_address_is_missing(site: Site) -> None:
    done = site.spe("upgrade", SPE_DATABASE_OWNER_URL="")
    assert isinstance(done.exception, Invalid)
    assert "SPE_DATABASE_OWNER_URL" in str(done.exception)


def test_one_role_for_both_is_refused(site: Site) -> None:
    for words in (("upgrade",), ("roles",)):
        done = site.spe(*words, SPE_DATABASE_OWNER_URL=site.url)
        assert isinstance(done.exception, Invalid)
        assert "two roles" in str(done.exception)


def test_two_databases_are_refused(site: Site) -> None:
    done = site.spe("upgrade", SPE_DATABASE_OWNER_URL=site.owner_url.replace(f"/{site.database}", "/other"))
    assert "same database" in str(done.exception)


@pytest.mark.parametrize("name", ["Spe", 'spe"x', "spe;drop", "spe-app"])
def test_a_name_that_would_need_quotes_is_refused(site: Site, name: str) -> None:
    done = site.spe("roles", "--role", name)
    assert isinstance(done.exception, Invalid)


def test_a_role_that_only_borrows_its_rights_is_fine(upgraded: Site) -> None:
    """A secret store makes roles for a day, each a member of the one with the rights."""
    upgraded.server.run(f"CREATE ROLE {upgraded.role}_day LOGIN INHERIT PASSWORD 'day' IN ROLE {upgraded.role}")
    try:
        parts = urlsplit(upgraded.url)
        place = parts.netloc.rpartition("@")[2]
        url = parts._replace(netloc=f"{upgraded.role}_day:day@{place}").geturl()
        done = upgraded.spe("check", SPE_DATABASE_URL=url)
        assert done.exit_code == 0, done.output
        assert upgraded.spe("upgrade", "--role", upgraded.role, SPE_DATABASE_URL=url).exit_code == 0
        assert upgraded.spe("check").exit_code == 0
    finally:
        upgraded.server.run(f"DROP ROLE {upgraded.role}_day")


def test_a_check_says_in_sentences_what_is_wrong(upgraded: Site) -> None:
    with psycopg.connect(upgraded.owner_url, autocommit=True) as owner:
        owner.execute(f"GRANT UPDATE ON audit_entries TO {upgraded.role}")
    done = upgraded.spe("check")
    assert (done.exit_code, "UPDATE on audit_entries" in done.output) == (4, True), done.output
    done = upgraded.spe("check", "--json")
    assert len(json.loads(done.output)["problems"]) == 1


def test_a_check_of_a_server_that_is_not_there_is_a_sentence(site: Site) -> None:
    done = site.spe("check", SPE_DATABASE_URL="postgresql://app@127.0.0.1:1/spe")
    assert (done.exit_code, "does not answer" in done.output) == (4, True), done.output


# --- who may start ------------------------------------------------------------------------------------------


def test_nothing_starts_on_a_database_without_tables_and_none_are_made(prepared: Site) -> None:
    with pytest.raises(Refused, match="spe db upgrade"):
        make_ready(prepared.settings)
    assert migrations.current(prepared.owner_url) is None


@pytest.mark.parametrize(("revision", "said"), [("0000", "newer version"), ("9999", "newer version")])
def test_nothing_starts_on_a_database_of_another_program(upgraded: Site, revision: str, said: str) -> None:
    with psycopg.connect(upgraded.owner_url, autocommit=True) as owner:
        owner.execute("UPDATE alembic_version SET version_num = %s", [revision])
    with pytest.raises(Refused, match=said):
        make_ready(upgraded.settings)
    assert migrations.current(upgraded.owner_url) == revision


def test_nothing_starts_with_the_role_that_could_change_the_log(upgraded: Site) -> None:
    settings = replace(upgraded, url=upgraded.owner_url).settings
    with pytest.raises(Refused, match="owns"):
        make_ready(settings)


@pytest.mark.parametrize("process", ["serve", "reconcile"])
def test_portal_and_reconciler_refuse_to_start_with_the_command_that_helps(prepared: Site, process: str) -> None:
    env = {**os.environ, "SPE_DATABASE_URL": prepared.url, "SPE_HOME": str(prepared.home)}
    done = subprocess.run(
        [sys.executable, "-m", "spe.cli.main", process], env=env, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 4, done.stderr
    assert "spe db upgrade" in done.stderr
    assert "Traceback" not in done.stderr
    assert migrations.current(prepared.owner_url) is None


def test_a_sqlite_file_is_still_made_and_upgraded_by_whoever_starts(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home")
    make_ready(settings)
    assert migrations.current(settings.database) == migrations.head()
    done = CliRunner().invoke(app, ["check", "--home", str(settings.home)], env={"SPE_DATABASE_URL": ""})
    assert (done.exit_code, "fit" in done.output) == (0, True), done.output


def test_roles_are_nothing_that_a_file_has(tmp_path: Path) -> None:
    words = ["roles", "--owner-url", "postgresql://o@/d", "--home", str(tmp_path)]
    done = CliRunner().invoke(app, words, env={"SPE_DATABASE_URL": ""})
    assert isinstance(done.exception, Invalid)
    assert "SQLite" in str(done.exception)
