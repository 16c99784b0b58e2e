"""What the application finds out about its own standing: a role that could change the evidence is named."""

import socket
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from spe.adapters.sql import SqlStore
from spe.adapters.sql.standing import is_local, link_problems
from tests.support import databases
from tests.support.databases import POSTGRES, Database, server_of
from tests.support.record import an_entry


@pytest.fixture(params=POSTGRES)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def made(kind: str, tmp_path: Path) -> Database:
    return databases.fresh(kind, tmp_path)


@pytest.fixture
def administrator(kind: str, made: Database) -> Callable[[str], None]:
    """Runs statements in the test's database as the server's administrator."""
    name = databases.name_of(made)
    return lambda statement: server_of(kind).run(statement.replace("{app}", made.application), name)


def said(url: str) -> str:
    store = SqlStore(url)
    try:
        return "\n".join(store.problems())
    finally:
        store.close()


def test_the_two_roles_as_they_should_be_have_nothing_to_mend(made: Database) -> None:
    assert said(made.url) == ""


def test_the_owner_is_no_role_to_work_with(made: Database) -> None:
    (sentence,) = said(made.owner_url).splitlines()
    assert "owns" in sentence
    assert "spe db roles" in sentence


def test_a_superuser_is_no_role_to_work_with(kind: str, made: Database) -> None:
    url = server_of(kind).url(databases.name_of(made), "postgres")
    assert "superuser" in said(url)


@pytest.mark.parametrize("right", ["UPDATE", "DELETE", "TRUNCATE", "TRIGGER", "UPDATE (at)"])
def test_a_right_to_change_the_log_is_named(right: str, made: Database, administrator: Callable[[str], None]) -> None:
    administrator(f"GRANT {right} ON audit_entries TO {{app}}")
    (sentence,) = said(made.url).splitlines()
    assert right.split(maxsplit=1)[0] in sentence
    assert "audit_entries" in sentence


def test_a_right_of_everybody_counts_as_well(made: Database, administrator: Callable[[str], None]) -> None:
    administrator("GRANT DELETE ON votes TO PUBLIC")
    assert "DELETE on votes" in said(made.url)
    databases.migrated(made)
    assert said(made.url) == "", "an upgrade takes away what is too much"


def test_a_missing_right_is_named(made: Database, administrator: Callable[[str], None]) -> None:
    administrator("REVOKE INSERT ON audit_entries FROM {app}")
    (sentence,) = said(made.url).splitlines()
    assert "may not INSERT on audit_entries" in sentence
    assert "spe db upgrade" in sentence


@pytest.mark.parametrize("granted", ["pg_write_server_files", "pg_execute_server_program", "{owner}"])
def test_a_role_that_could_become_another_one_is_named(
    granted: str, kind: str, made: Database, administrator: Callable[[str], None]
) -> None:
    """Also when it does not inherit: `SET ROLE` is one statement away."""
    role = granted.replace("{owner}", server_of(kind).owner)
    administrator("ALTER ROLE {app} NOINHERIT")
    administrator(f"GRANT {role} TO {{app}}")
    try:
        assert role in said(made.url)
    finally:
        administrator(f"REVOKE {role} FROM {{app}}")
        administrator("ALTER ROLE {app} INHERIT")


@pytest.mark.parametrize("attribute", ["CREATEROLE", "CREATEDB", "BYPASSRLS", "REPLICATION"])
def test_an_attribute_that_no_application_needs_is_named(
    attribute: str, made: Database, administrator: Callable[[str], None]
) -> None:
    administrator(f"ALTER ROLE {{app}} {attribute}")
    try:
        assert attribute in said(made.url)
    finally:
        administrator(f"ALTER ROLE {{app}} NO{attribute}")


def test_the_right_to_switch_triggers_off_is_named(made: Database, administrator: Callable[[str], None]) -> None:
    administrator("GRANT SET ON PARAMETER session_replication_role TO {app}")
    try:
        assert "session_replication_role" in said(made.url)
    finally:
        administrator("REVOKE SET ON PARAMETER session_replication_role FROM {app}")


def test_the_right_to_make_objects_is_named(made: Database, administrator: Callable[[str], None]) -> None:
    administrator("GRANT CREATE ON SCHEMA public TO {app}")
    assert "may create objects in the schema public" in said(made.url)


def test_a_view_that_a_rule_reads_and_somebody_changed_is_named(made: Database) -> None:
    with made.raw() as raw:
        raw.run("CREATE OR REPLACE VIEW permit_people AS SELECT ''::text AS permit, ''::text AS person")
    assert "permit_people" in said(made.url)
    databases.migrated(made)
    assert said(made.url) == ""


@pytest.mark.parametrize("setting", ["default_transaction_isolation TO 'repeatable read'", "synchronous_commit TO off"])
def test_what_the_role_is_set_to_does_not_count(
    setting: str, made: Database, administrator: Callable[[str], None]
) -> None:
    """The connection says itself what it needs."""
    administrator(f"ALTER ROLE {{app}} SET {setting}")
    try:
        assert said(made.url) == ""
        store = made.store()
        with store.begin() as uow:
            uow.audit.append(an_entry())
    finally:
        administrator("ALTER ROLE {app} RESET ALL")


def test_rules_that_the_role_is_set_to_pass_by_are_named(made: Database, administrator: Callable[[str], None]) -> None:
    administrator("ALTER ROLE {app} SET session_replication_role TO replica")
    try:
        assert "Rules are switched off" in said(made.url)
    finally:
        administrator("ALTER ROLE {app} RESET ALL")


def test_nobody_else_may_connect(kind: str, made: Database, administrator: Callable[[str], None]) -> None:
    """Whoever may connect may hold the writers' lock for ever."""
    administrator(f"GRANT CONNECT ON DATABASE {databases.name_of(made)} TO PUBLIC")
    assert "connect" in said(made.url)
    databases.migrated(made)
    assert said(made.url) == ""


@pytest.mark.parametrize(
    ("host", "local"),
    [
        *((host, True) for host in ("", "/run/postgresql", "localhost", "127.0.0.1", "::1")),
        *((host, False) for host in ("db.example", "10.0.0.7", "localhost.example", "127.0.0.1.example")),
    ],
)
def test_only_this_machine_needs_no_encryption(host: str, local: bool) -> None:
    assert is_local(host) is local


@pytest.mark.parametrize(
    ("given", "encrypted", "said_of_it"),
    [
        ({"host": "/run/postgresql"}, False, ""),
        ({"host": "127.0.0.1"}, False, ""),
        ({"host": "db.example"}, False, "not encrypted"),
        ({"host": "127.0.0.1,db.example"}, False, "not encrypted"),
        ({"host": "db.example", "hostaddr": "127.0.0.1"}, False, "not encrypted"),
        ({"hostaddr": "10.0.0.7"}, False, "not encrypted"),
        ({"host": "db.example", "sslmode": "prefer"}, True, "make sure"),
        ({"host": "db.example", "sslmode": "require"}, True, "make sure"),
        ({"host": "db.example", "sslmode": "verify-ca"}, True, "make sure"),
        ({"host": "db.example", "sslmode": "verify-full"}, True, ""),
    ],
)
def test_a_link_over_the_network_is_encrypted_and_knows_who_answers(
    given: dict[str, str], encrypted: bool, said_of_it: str
) -> None:
    found = "".join(link_problems(given, encrypted=encrypted))
    assert said_of_it in found
    assert bool(found) is bool(said_of_it)
    assert not said_of_it or "sslmode=verify-full" in found


@pytest.mark.servers
def test_a_real_link_that_trusts_whoever_answers_is_named(tmp_path: Path) -> None:
    made = urlsplit(databases.fresh("named", tmp_path).url)
    address = socket.gethostbyname(str(made.hostname))
    url = made._replace(
        netloc=f"{made.username}:{made.password}@db.example:{made.port}", query=f"hostaddr={address}&sslmode=require"
    )
    (sentence,) = said(url.geturl()).splitlines()
    assert "make sure that it is db.example" in sentence
    (sentence,) = said(url.geturl().replace("sslmode=require", "sslmode=verify-full&sslrootcert=none.pem")).splitlines()
    assert "does not answer" in sentence
