"""The Vault adapter against real servers: rights, kills, tampering, database accounts, logins, setup."""

import io
import json
import logging
import secrets
import traceback
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import hvac
import psycopg
import pytest

from spe.adapters.secrets import ed25519
from spe.adapters.secrets.vault import TokenLogin
from spe.domain.checkpoint import Checkpoint, open_checkpoint, sign_checkpoint
from spe.domain.errors import Corrupt, Invalid, NotFound, SpeError, Unavailable
from spe.ports.secrets import KeyName, SecretValue
from tests.support import servers, vault

pytestmark = pytest.mark.servers

HOUR = timedelta(hours=1)
PLANTED = "pl4nted-Value-7731"


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    with vault.named(tmp_path_factory.mktemp("vault")) as environment:
        yield environment


@pytest.fixture
def store(home):
    opened = home.store()
    opened.put("token", SecretValue(PLANTED))
    yield opened
    for workspace in ("ws-1", "ws-10", "ws-2"):
        opened.revoke_all(workspace)


def a_lease(store, workspace="ws-1", name="token", ttl=HOUR):
    return store.lease(workspace, "pm-1", name, ttl=ttl, holder="p-1")


def tokens(home, workspace="ws-1"):
    """What an administrator sees of a workspace's tokens."""
    found = home.admin.list(f"sys/leases/lookup/{home.layout.tokens(workspace)}")
    return found["data"]["keys"] if found else []


# What a lease is


def test_a_lease_is_a_token_that_can_do_one_thing_and_says_whose_it_is(home, store):
    lease = a_lease(store)
    accessor = lease.id.split("-")[1]
    token = home.admin.auth.token.lookup_accessor(accessor)["data"]
    assert token["policies"] == [home.layout.lease_policy]
    assert (token["orphan"], token["renewable"], token["type"]) == (True, False, "service")
    assert 3590 <= token["explicit_max_ttl"] <= 3600
    assert {k: token["meta"][k] for k in ("workspace", "permit", "holder", "name")} == {
        "workspace": "ws-1",
        "permit": "pm-1",
        "holder": "p-1",
        "name": "token",
    }


def test_a_lease_token_reads_its_secret_and_no_other_and_nothing_after_revocation(home, store):
    store.put("other", SecretValue("x"))
    made = store._leases.open("ws-1", "pm-1", "token", ttl=HOUR, holder="p-1")
    held = hvac.Client(url=home.place.address, token=made.token.reveal(), verify=str(home.place.ca), cert=())
    path = f"{home.layout.secrets}/data/{home.layout.stem('token')}"
    assert held.read(path)["data"]["data"]["value"] == PLANTED
    for other in (
        path.removesuffix("token") + "other",
        f"{home.layout.secrets}/metadata",
        f"{home.layout.leases}/ws-1",
        "auth/token/lookup-self",
    ):
        with pytest.raises(hvac.exceptions.Forbidden):
            held.read(other)
    store.revoke(made.facts.id)
    with pytest.raises(hvac.exceptions.Forbidden):
        held.read(path)
    held.adapter.close()


def test_a_workspace_whose_name_begins_like_another_keeps_its_leases(home, store):
    one, ten = a_lease(store), a_lease(store, "ws-10")
    assert store.revoke_all("ws-1") == 1
    assert tokens(home) == []
    assert [lease.id for lease in store.leases("ws-10")] == [ten.id]
    assert not store.confirm_revoked("ws-10")
    store.revoke(one.id)


def test_revoking_removes_record_and_role_and_leaves_nothing(home, store):
    for _ in range(3):
        a_lease(store)
    assert store.revoke_all("ws-1") == 3
    assert home.admin.list(f"{home.layout.leases}/ws-1") is None
    assert home.admin.read(f"auth/token/roles/{home.layout.stem('ws-1')}") is None
    assert a_lease(store).value.reveal() == PLANTED


def test_records_of_leases_that_ended_by_themselves_are_removed_when_listed(home, store):
    a_lease(store, ttl=timedelta(seconds=1))
    vault.until(lambda: store.confirm_revoked("ws-1"))
    assert home.admin.list(f"{home.layout.leases}/ws-1") is not None
    assert store.leases("ws-1") == ()
    assert home.admin.list(f"{home.layout.leases}/ws-1") is None


def test_a_lease_of_another_environment_is_unknown(home, store, tmp_path):
    with vault.named(tmp_path) as other:
        theirs = other.store()
        theirs.put("token", SecretValue("x"))
        lease = a_lease(theirs)
        with pytest.raises(NotFound):
            store.revoke(lease.id)
        assert len(theirs.leases("ws-1")) == 1
        assert store.leases("ws-1") == ()


def test_a_replaced_value_is_kept_in_no_earlier_version(home, store):
    store.put("token", SecretValue("second"))
    path = f"/v1/{home.layout.secrets}/data/{home.layout.stem('token')}"
    newest = home.admin.adapter.get(path)["data"]["metadata"]["version"]
    with pytest.raises(hvac.exceptions.InvalidPath):
        home.admin.adapter.get(path, params={"version": newest - 1})


def test_a_removal_cut_short_is_completed_by_the_next(home, store):
    a_lease(store)
    home.admin.delete(f"{home.layout.secrets}/data/{home.layout.stem('token')}")  # the first of its three steps
    with pytest.raises(NotFound):
        a_lease(store)
    store.remove("token")
    assert "token" not in store.names()
    assert store.confirm_revoked("ws-1")


# Killed at any instruction


class Killed(BaseException):
    """The process ends here: nothing of ours runs any more."""


def killed_at(home, request, *, answered):
    """A process that dies at its n-th request to Vault, before it is sent or after it was answered."""
    store = home.store()
    store.names()
    home.admin.delete(f"auth/token/roles/{home.layout.stem('ws-1')}")  # so that all requests are needed
    count, send = 0, store._link._send

    def counting(*args, **kwargs):
        nonlocal count
        count += 1
        if count == request and not answered:
            raise Killed
        outcome = send(*args, **kwargs)
        if count == request:
            raise Killed
        return outcome

    store._link._send = counting
    return store


@pytest.mark.parametrize("answered", [False, True], ids=["before", "after"])
def test_a_lease_killed_at_any_request_is_found_and_ended(home, store, answered):
    for request in range(1, 20):
        doomed = killed_at(home, request, answered=answered)
        try:
            lease = a_lease(doomed)
        except Killed:
            live = len(tokens(home))
            assert store.confirm_revoked("ws-1") is (live == 0)
            assert store.revoke_all("ws-1") == live
            assert tokens(home) == []
            assert store.confirm_revoked("ws-1")
            assert store.leases("ws-1") == ()
        else:
            assert lease.value.reveal() == PLANTED
            break
    assert request == 7  # six: what is stored, token, role, token again, record, value


@pytest.mark.parametrize("answered", [False, True], ids=["before", "after"])
def test_a_revocation_killed_at_any_request_is_completed_by_the_next(home, store, answered):
    for request in range(1, 40):
        for _ in range(2):
            a_lease(store)
        doomed = killed_at(home, request, answered=answered)
        try:
            assert doomed.revoke_all("ws-1") == 2
        except Killed:
            store.revoke_all("ws-1")
            assert tokens(home) == []
            assert store.confirm_revoked("ws-1")
            assert home.admin.list(f"{home.layout.leases}/ws-1") is None
        else:
            break
    assert request > 8


# Rights


def test_the_control_planes_token_can_do_nothing_else(home, store, tmp_path):
    with vault.named(tmp_path) as other:
        theirs = other.store()
        theirs.put("token", SecretValue("x"))
        a_lease(theirs)
        refused = forbidden(home, other)
        held = hvac.Client(
            url=home.place.address, token=home.token_file.read_text(), verify=str(home.place.ca), cert=()
        )
        for method, path, body in refused:
            with pytest.raises(hvac.exceptions.Forbidden):
                held.adapter.request(method, f"/v1/{path}", json=body)
        held.adapter.close()
        assert len(theirs.leases("ws-1")) == 1
    print(f"{len(refused)} calls refused")


def forbidden(home, other):
    """(method, path, body) of what the control plane of `home` must not be able to do."""
    mine, theirs = home.layout, other.layout
    role, shape = f"auth/token/roles/{mine.stem('ws-1')}", mine.token_role()
    changed = [
        {"allowed_policies": "root"},
        {"allowed_policies": mine.portal_policy},
        {"allowed_policies": f"{mine.lease_policy},root"},
        {"allowed_policies_glob": "*"},
        {"allowed_entity_aliases": "*"},
        {"allowed_entity_aliases": theirs.stem("*")},
        {"orphan": False},
        {"renewable": True},
        {"token_type": "batch"},
        {"token_no_default_policy": False},
        {"token_explicit_max_ttl": "9000h"},
        {"token_period": "24h"},
        {"path_suffix": "x"},
    ]
    token = {"entity_alias": mine.stem("x"), "ttl": "1s", "explicit_max_ttl": "1s", "meta": {}}
    asked = [
        {"policies": ["root"]},
        {"policies": [mine.portal_policy]},
        {"type": "batch"},
        {"period": "24h"},
        {"id": "mine"},
        {"no_parent": True},
        {"num_uses": 0},
        {"entity_alias": theirs.stem("x")},
        {"entity_alias": "root"},
    ]
    return [
        *(("post", role, {**shape, **change}) for change in changed),
        *(("post", role, {k: v for k, v in shape.items() if k != name}) for name in shape),
        *(("post", mine.tokens("ws-1"), {**token, **change}) for change in asked),
        *(("post", mine.tokens("ws-1"), {k: v for k, v in token.items() if k != name}) for name in token),
        ("get", role, None),
        ("list", "auth/token/roles", None),
        ("list", "auth/token/accessors", None),
        ("post", "auth/token/create", {}),
        ("post", "auth/token/create-orphan", {}),
        ("post", "auth/token/revoke", {"token": "x"}),
        ("post", "auth/token/revoke-orphan", {"token": "x"}),
        ("post", "auth/token/lookup", {"token": "x"}),
        ("post", "auth/token/renew-self", {}),
        # values: not even its own, except through a lease
        ("get", f"{mine.secrets}/data/{mine.stem('token')}", None),
        ("get", f"{mine.secrets}/config", None),
        ("post", f"{mine.secrets}/config", {"max_versions": 10}),
        ("post", f"{mine.secrets}/undelete/{mine.stem('token')}", {"versions": [1]}),
        ("get", f"{mine.database}/creds/{mine.stem('registry')}", None),
        ("post", f"{mine.database}/roles/{mine.stem('registry')}", {}),
        ("post", f"{mine.database}/config/x", {}),
        # keys: use, never take or change
        ("get", f"{mine.keys}/export/signing-key/release", None),
        ("get", f"{mine.keys}/backup/release", None),
        ("post", f"{mine.keys}/keys/release/rotate", {}),
        ("post", f"{mine.keys}/keys/release/config", {"deletion_allowed": True}),
        ("delete", f"{mine.keys}/keys/release", None),
        ("post", f"{mine.keys}/keys/another", {}),
        ("get", f"{mine.keys}/keys/links", None),
        ("post", f"{mine.keys}/hmac/release", {"input": ""}),
        ("post", f"{mine.keys}/sign/links", {"input": ""}),
        ("list", f"{mine.keys}/keys", None),
        # another environment
        ("get", f"{theirs.secrets}/data/{theirs.stem('token')}", None),
        ("get", f"{theirs.secrets}/metadata/{theirs.stem('token')}", None),
        ("list", f"{theirs.secrets}/metadata", None),
        ("post", f"{theirs.secrets}/data/{theirs.stem('token')}", {"data": {"value": "x"}}),
        ("delete", f"{theirs.secrets}/data/{theirs.stem('token')}", None),
        ("list", f"{theirs.leases}/ws-1", None),
        ("post", theirs.tokens("ws-1"), {**token, "entity_alias": theirs.stem("token")}),
        ("post", f"auth/token/roles/{theirs.stem('ws-1')}", theirs.token_role()),
        ("delete", f"auth/token/roles/{theirs.stem('ws-1')}", None),
        ("post", f"{theirs.keys}/sign/release", {"input": ""}),
        ("post", f"{theirs.keys}/hmac/links/sha2-256", {"input": ""}),
        ("list", f"sys/leases/lookup/{theirs.tokens('ws-1')}", None),
        ("post", f"sys/leases/revoke-prefix/{theirs.tokens('ws-1')}", {"sync": True}),
        # Vault itself
        ("post", "sys/leases/revoke-prefix/auth/token/create", {"sync": True}),
        ("post", "sys/leases/revoke-prefix/auth", {"sync": True}),
        ("post", "sys/leases/revoke", {"lease_id": "x"}),
        ("list", "sys/leases/lookup/auth/token/create", None),
        ("list", "sys/policies/acl", None),
        ("get", f"sys/policies/acl/{mine.portal_policy}", None),
        ("post", f"sys/policies/acl/{mine.portal_policy}", {"policy": ""}),
        ("post", f"sys/policies/acl/{mine.lease_policy}", {"policy": ""}),
        ("get", "sys/mounts", None),
        ("post", f"sys/mounts/{mine.instance}/more", {"type": "kv"}),
        ("delete", f"sys/mounts/{mine.secrets}", None),
        ("get", "sys/auth", None),
        ("post", "sys/seal", {}),
        ("get", "sys/audit", None),
        ("list", "identity/entity/id", None),
        ("post", "identity/entity", {"name": "x", "policies": ["root"]}),
        ("post", "sys/wrapping/wrap", {"a": "b"}),
        ("get", "cubbyhole/x", None),
    ]


# Kept in Vault, changed from outside


def test_a_record_that_says_something_else_than_its_token_is_corrupt(home, store):
    lease = a_lease(store)
    path = f"{home.layout.leases}/ws-1/{lease.id.split('-')[1]}"
    kept = home.admin.read(path)["data"]
    for change in ({"holder": "p-2"}, {"permit": "pm-2"}, {"name": "other"}, {"expires": "later"}, {"account": "../x"}):
        home.admin.write_data(path, data={**kept, **change})
        with pytest.raises(Corrupt):
            store.leases("ws-1")
    home.admin.write_data(path, data={"holder": "p-1"})
    for call in (store.leases, store.revoke_all):
        with pytest.raises(Corrupt):
            call("ws-1")
    assert tokens(home) == []  # what can be ended is ended
    lease = a_lease(store)
    home.admin.delete(path)
    path = f"{home.layout.leases}/ws-1/{lease.id.split('-')[1]}"
    home.admin.write_data(path, data={"holder": "p-1"})
    with pytest.raises(Corrupt):
        store.revoke(lease.id)
    assert tokens(home) == []
    home.admin.delete(path)
    assert store.confirm_revoked("ws-1")


def test_a_record_removed_from_outside_hides_no_token(home, store):
    lease = a_lease(store)
    home.admin.delete(f"{home.layout.leases}/ws-1/{lease.id.split('-')[1]}")
    assert not store.confirm_revoked("ws-1")
    assert store.revoke_all("ws-1") == 1
    assert store.confirm_revoked("ws-1")


@pytest.mark.parametrize("data", [{"other": "x"}, {"value": 7}, {"value": ""}, {}])
def test_a_value_that_somebody_else_stored_is_not_lent(home, store, data):
    path = f"{home.layout.secrets}/data/{home.layout.stem('foreign')}"
    home.admin.write_data(path, data={"data": data})
    with pytest.raises(Corrupt):
        a_lease(store, name="foreign")
    assert store.confirm_revoked("ws-1")
    home.admin.delete(f"{home.layout.secrets}/metadata/{home.layout.stem('foreign')}")


# Keys


def test_what_vault_signs_is_a_checkpoint_and_stays_one_after_rotation(home, store):
    head = Checkpoint(origin="spe.example/audit", size=3, root=bytes(32))
    first = store.public_key(KeyName.LOG)
    note = sign_checkpoint(head, first, lambda text: store.sign(KeyName.LOG, text).value)
    home.admin.write_data(f"{home.layout.keys}/keys/log/rotate", data={})
    second = store.public_key(KeyName.LOG)
    assert second != first
    assert store.sign(KeyName.LOG, b"x").public == second == home.store().public_key(KeyName.LOG)
    newer = sign_checkpoint(head, second, lambda text: store.sign(KeyName.LOG, text).value)
    for each in (note, newer):
        opened, _ = open_checkpoint(each, origin=head.origin, publics=(first, second), verify=ed25519.verify)
        assert opened == head


def test_pseudonyms_outlive_a_rotation_and_links_do_not(home, store):
    before = {key: store.mac(key, b"p-1") for key in (KeyName.PSEUDONYMS, KeyName.LINKS)}
    for key in before:
        home.admin.write_data(f"{home.layout.keys}/keys/{key}/rotate", data={})
    assert store.mac(KeyName.PSEUDONYMS, b"p-1") == before[KeyName.PSEUDONYMS]
    assert store.mac(KeyName.LINKS, b"p-1") != before[KeyName.LINKS]


def test_keys_do_not_come_out(home):
    for key in ("release", "log", "links", "pseudonyms"):
        for path in (f"export/signing-key/{key}", f"export/hmac-key/{key}", f"backup/{key}"):
            with pytest.raises(hvac.exceptions.VaultError):
                home.admin.adapter.get(f"/v1/{home.layout.keys}/{path}")
        with pytest.raises(hvac.exceptions.InvalidRequest):
            home.admin.adapter.delete(f"/v1/{home.layout.keys}/keys/{key}")


# Accounts of a database


class Database:
    """A database of our own, and an account with which Vault makes others in it."""

    def __init__(self):
        self.super_url = servers.postgres()
        self.name = "t" + secrets.token_hex(6)
        self.maker, self.password = self.name + "_maker", secrets.token_hex(16)
        self.run(f"create database {self.name}")
        self.run(f"create role {self.maker} login createrole password '{self.password}'")

    def run(self, statement):
        with psycopg.connect(self.super_url, autocommit=True) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def configure(self, home, *, password=None):
        """What a database administrator writes into Vault."""
        place, layout = urlsplit(self.super_url), home.layout
        home.admin.write_data(
            f"{layout.database}/config/main",
            data={
                "plugin_name": "postgresql-database-plugin",
                "allowed_roles": layout.stem("registry"),
                "connection_url": "postgresql://{{username}}:{{password}}@"
                f"{place.hostname}:{place.port}/{self.name}?sslmode=disable",
                "username": self.maker,
                "password": password or self.password,
                "verify_connection": password is None,
            },
        )
        home.admin.write_data(
            f"{layout.database}/roles/{layout.stem('registry')}",
            data={
                "db_name": "main",
                "creation_statements": [
                    "create role \"{{name}}\" with login password '{{password}}' valid until '{{expiration}}'"
                ],
                "default_ttl": "2h",
                "max_ttl": "24h",
            },
        )

    def connect(self, value):
        login, place = json.loads(value.reveal()), urlsplit(self.super_url)
        return psycopg.connect(
            host=place.hostname,
            port=place.port,
            dbname=self.name,
            user=login["username"],
            password=login["password"],
            sslmode="disable",
        )

    def clear(self):
        self.run(f"drop database if exists {self.name} with (force)")
        self.run(f"drop role if exists {self.maker}")


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    database = Database()
    try:
        with vault.named(tmp_path_factory.mktemp("registry"), databases=frozenset({"registry"})) as home:
            database.configure(home)
            yield home, database
    finally:
        database.clear()


def refused(database, value):
    with pytest.raises(psycopg.OperationalError) as caught:
        database.connect(value).close()
    return "authentication failed" in str(caught.value)


def test_a_database_account_works_until_its_lease_is_revoked(registry):
    home, database = registry
    store = home.store()
    assert store.names() == ("registry",)
    lease, other = a_lease(store, name="registry"), a_lease(store, name="registry")
    assert set(json.loads(lease.value.reveal())) == {"username", "password"}
    for each in (lease, other):
        with database.connect(each.value) as connection:
            assert connection.execute("select 1").fetchone() == (1,)
    store.revoke(lease.id)
    assert refused(database, lease.value)
    database.connect(other.value).close()
    assert not store.confirm_revoked("ws-1")
    assert store.revoke_all("ws-1") == 1
    assert refused(database, other.value)
    assert store.confirm_revoked("ws-1")
    assert home.admin.list(f"{home.layout.leases}/ws-1") is None


def test_a_database_account_ends_with_its_lease_by_itself(registry):
    home, database = registry
    store = home.store()
    lease = a_lease(store, name="registry", ttl=timedelta(seconds=2))
    database.connect(lease.value).close()
    vault.until(lambda: store.confirm_revoked("ws-1"))
    assert refused(database, lease.value)
    assert store.leases("ws-1") == ()


def test_a_lease_ends_no_later_than_its_account(registry):
    home, _ = registry
    store = home.store()
    lease = a_lease(store, name="registry", ttl=timedelta(hours=20))
    assert lease.expires <= datetime.now(UTC) + timedelta(hours=2)
    assert store.leases("ws-1")[0].expires == lease.expires
    store.revoke_all("ws-1")


def test_a_database_that_does_not_answer_ends_the_tokens_and_confirms_nothing(registry):
    home, database = registry
    store = home.store()
    lease = a_lease(store, name="registry")
    database.run(f"alter role {database.maker} nologin")
    database.run(f"select pg_terminate_backend(pid) from pg_stat_activity where usename = '{database.maker}'")
    try:
        for attempt in (lambda: store.revoke_all("ws-1"), lambda: store.revoke(lease.id)):
            with pytest.raises(Unavailable):
                attempt()
        assert tokens(home) == []
        assert not store.confirm_revoked("ws-1")
        assert [facts.id for facts in store.leases("ws-1")] == [lease.id]
        with pytest.raises(SpeError):
            a_lease(store, name="registry")
    finally:
        database.run(f"alter role {database.maker} login")
    vault.until(lambda: succeeds(lambda: store.revoke_all("ws-1")))
    assert store.confirm_revoked("ws-1")
    assert refused(database, lease.value)


def succeeds(attempt):
    try:
        attempt()
    except Unavailable:
        return False
    return True


def test_the_name_of_a_database_account_is_no_place_for_a_text(registry):
    home, _ = registry
    store = home.store()
    with pytest.raises(Invalid, match="account that Vault makes"):
        store.put("registry", SecretValue("x"))
    with pytest.raises(Invalid, match="account that Vault makes"):
        store.remove("registry")


@pytest.mark.parametrize("answered", [False, True], ids=["before", "after"])
def test_a_database_lease_killed_at_any_request_leaves_no_account(registry, answered):
    home, _ = registry
    store, path = home.store(), f"sys/leases/lookup/{home.layout.accounts('registry')}"
    for request in range(1, 20):
        doomed = killed_at(home, request, answered=answered)
        try:
            a_lease(doomed, name="registry")
        except Killed:
            store.revoke_all("ws-1")
            assert store.confirm_revoked("ws-1")
            vault.until(lambda: home.admin.list(path) is None)
        else:
            break
    store.revoke_all("ws-1")
    assert request == 7


# Values that must not be seen


def test_a_planted_value_is_in_no_log_no_error_and_no_traceback_with_locals(home, store):
    shown = io.StringIO()
    handler = logging.StreamHandler(shown)
    logger = logging.getLogger()
    logger.addHandler(handler)
    before, value = logger.level, SecretValue(PLANTED)
    logger.setLevel(logging.DEBUG)
    token = SecretValue(home.token_file.read_text())
    (home.folder / "wrong").write_text("hvs.pl4nted-Value-7731")
    wrong = home.store(login=TokenLogin(token_file=home.folder / "wrong"))
    silent = home.store(answer_seconds=0.000001)
    elsewhere = home.store(address="https://127.0.0.1:1")
    role = f"auth/token/roles/{home.layout.stem('ws-2')}"
    attempts = {
        "refused": lambda: wrong.put("token", value),
        "silent": lambda: silent.put("token", value),
        "elsewhere": lambda: elsewhere.put("token", value),
        "bad name": lambda: store.put("BAD", value),
        "corrupt": lambda: a_lease(store, name="foreign"),
        "no value": lambda: a_lease(cut_off(home, "/data/"), "ws-2"),
        "no record": lambda: a_lease(cut_off(home, "leases/"), "ws-2"),
    }
    home.admin.write_data(
        f"{home.layout.secrets}/data/{home.layout.stem('foreign')}", data={"data": {"other": PLANTED}}
    )
    try:
        lease = a_lease(store)
        logging.getLogger("spe").info("leased %s %r from %r", lease, lease, [vars(store), vars(store._link)])
        for name, attempt in attempts.items():
            with pytest.raises(SpeError) as caught:
                attempt()
            story = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
            text = "".join(story.format()) + repr(caught.value) + str(caught.value)
            assert hides(text, token), name
            assert caught.value.__context__ is None, name
            logging.getLogger("spe").exception("failed", exc_info=caught.value)
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)
    assert "leased" in shown.getvalue()
    assert "urllib3" not in shown.getvalue() or "/v1/" in shown.getvalue()
    assert hides(shown.getvalue(), token)
    home.admin.delete(role)


def hides(text, token):
    """Whether neither the planted value nor any token of Vault stands in the text."""
    return not any(word in text for word in (PLANTED, token.reveal(), "hvs."))


def cut_off(home, part):
    """A store whose requests below a path get no answer."""
    store = home.store()
    send = store._link._send

    def cutting(method, path, *args, **kwargs):
        return "cut off" if part in path else send(method, path, *args, **kwargs)

    store._link._send = cutting
    return store


def test_a_lease_that_could_not_be_recorded_or_read_is_ended_at_once(home, store):
    for part in (f"{home.layout.leases}/", f"{home.layout.secrets}/data/"):
        with pytest.raises(Unavailable):
            a_lease(cut_off(home, part))
        assert tokens(home) == []


def test_a_lease_taken_while_all_are_revoked_is_ended_or_listed(home, store):
    for request in range(1, 30):
        a_lease(store)
        late, count, send = home.store(), 0, store._link._send

        def leasing(*args, at=request, send=send, late=late, **kwargs):
            nonlocal count
            count += 1
            if count == at:
                a_lease(late)
            return send(*args, **kwargs)

        store._link._send = leasing
        try:
            store.revoke_all("ws-1")
        except Unavailable:
            assert tokens(home)  # it came between the end of all and the look whether all had ended
        store._link._send = send
        assert len(store.leases("ws-1")) == len(tokens(home))
        assert store.confirm_revoked("ws-1") is (not tokens(home))
        store.revoke_all("ws-1")
        if count < request:
            break
    assert request > 7
