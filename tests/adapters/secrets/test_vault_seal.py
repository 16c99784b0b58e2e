"""A Vault that is sealed, stopped or ends our token in the middle: nothing is granted, revocation completes later.

These tests seal, so they start a Vault of their own (the program `vault`, from PATH) and never touch a shared one.
"""

import threading
from datetime import timedelta

import pytest

from spe.adapters.secrets.vault import AppRoleLogin, TokenLogin
from spe.domain.errors import SpeError, Unavailable
from spe.ports.secrets import KeyName, SecretValue
from tests.support import vault

pytestmark = pytest.mark.servers

HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
def own():
    server = vault.OwnVault()
    try:
        server.start()
        yield server
    finally:
        server.clear()


@pytest.fixture
def home(own, tmp_path):
    environment = vault.Environment(own.place, tmp_path).prepare()
    yield environment
    environment.clear()


@pytest.fixture
def store(home):
    opened = home.store()
    opened.put("token", SecretValue("x"))
    return opened


def a_lease(store):
    return store.lease("ws-1", "pm-1", "token", ttl=HOUR, holder="p-1")


CALLS = {
    "put": lambda s, _: s.put("name", SecretValue("x")),
    "remove": lambda s, _: s.remove("token"),
    "names": lambda s, _: s.names(),
    "lease": lambda s, _: a_lease(s),
    "revoke": lambda s, lease: s.revoke(lease.id),
    "revoke_all": lambda s, _: s.revoke_all("ws-1"),
    "confirm_revoked": lambda s, _: s.confirm_revoked("ws-1"),
    "leases": lambda s, _: s.leases("ws-1"),
    "sign": lambda s, _: s.sign(KeyName.LOG, b""),
    "public_key": lambda s, _: s.public_key(KeyName.RELEASE),
    "mac": lambda s, _: s.mac(KeyName.LINKS, b""),
}


def test_a_sealed_vault_grants_nothing_and_revocation_completes_after_unsealing(own, home, store):
    lease = a_lease(store)
    store.sign(KeyName.LOG, b"")
    fresh = home.store()
    own.seal()
    try:
        for opened in (store, fresh):
            for call in CALLS.values():
                with pytest.raises(Unavailable, match="sealed or in maintenance"):
                    call(opened, lease)
    finally:
        own.unseal()
    assert [facts.id for facts in store.leases("ws-1")] == [lease.id]
    assert store.revoke_all("ws-1") == 1
    assert store.confirm_revoked("ws-1")
    vault.until(lambda: works(lambda: fresh.names() == ("token",)))


@pytest.mark.parametrize("request_number", range(1, 7))
def test_vault_sealed_in_the_middle_of_a_lease_grants_nothing(own, store, request_number):
    count, send = 0, store._link._send

    def sealing(*args, **kwargs):
        nonlocal count
        count += 1
        if count == request_number:
            own.seal()
        return send(*args, **kwargs)

    store._link._send = sealing
    try:
        with pytest.raises(Unavailable, match="sealed"):
            a_lease(store)
    finally:
        own.unseal()
    assert count >= request_number
    store._link._send = send
    store.revoke_all("ws-1")
    assert store.confirm_revoked("ws-1")
    assert a_lease(store).value.reveal() == "x"


@pytest.mark.parametrize("request_number", range(1, 9))
def test_vault_sealed_in_the_middle_of_a_revocation_completes_it_later(own, store, request_number):
    a_lease(store), a_lease(store)
    count, send = 0, store._link._send

    def sealing(*args, **kwargs):
        nonlocal count
        count += 1
        if count == request_number:
            own.seal()
        return send(*args, **kwargs)

    store._link._send = sealing
    try:
        with pytest.raises(Unavailable):
            store.revoke_all("ws-1")
        with pytest.raises(Unavailable):
            store.confirm_revoked("ws-1")
    finally:
        own.unseal()
    store._link._send = send
    store.revoke_all("ws-1")
    assert store.confirm_revoked("ws-1")
    assert store.leases("ws-1") == ()


def works(call):
    try:
        return call() is not False
    except SpeError:
        return False


def test_a_token_that_is_ended_from_outside_is_replaced_from_its_file(home, store):
    assert works(store.names)
    home.admin.auth.token.revoke(home.token_file.read_text())
    with pytest.raises(Unavailable, match="refuses the request"):
        a_lease(store)
    home.token_file.write_text(home.portal_token())
    vault.until(lambda: works(lambda: a_lease(store)))


def test_a_login_is_renewed_before_its_token_ends_and_by_what_the_file_says_then(home):
    admin, mount = home.admin, f"{home.instance}-approle"
    admin.sys.enable_auth_method("approle", path=mount)
    role = f"auth/{mount}/role/portal"
    admin.write_data(
        role,
        data={"token_policies": [home.layout.portal_policy], "token_ttl": "2s", "token_no_default_policy": True},
    )
    role_id = admin.read(f"{role}/role-id")["data"]["role_id"]
    file = home.folder / "secret-id"
    file.write_text(admin.write_data(f"{role}/secret-id", data={})["data"]["secret_id"])
    store = home.store(login=AppRoleLogin(role_id=role_id, secret_file=file, mount=mount))
    store.put("token", SecretValue("x"))
    seen, send = [], store._link._send

    def counting(method, path, *args, **kwargs):
        seen.append(path)
        return send(method, path, *args, **kwargs)

    store._link._send = counting
    lease = a_lease(store)
    vault.until(lambda: store.names() and sum("login" in path for path in seen) >= 2)
    assert [facts.id for facts in store.leases("ws-1")] == [lease.id]  # it does not end with the token that made it
    file.write_text("no-longer-valid")
    vault.until(lambda: not works(store.names))
    with pytest.raises(Unavailable, match=f"does not accept the login at auth/{mount}/login"):
        a_lease(store)
    file.write_text(admin.write_data(f"{role}/secret-id", data={})["data"]["secret_id"])
    vault.until(lambda: works(store.names))
    store.revoke_all("ws-1")
    home.drop_login(mount)


def test_many_threads_that_find_their_login_ended_log_in_once(home):
    store = home.store(login=TokenLogin(token_file=home.token_file))
    seen, log_in = [], store._link._log_in

    def counting(now):
        seen.append(now)
        return log_in(now)

    store._link._log_in = counting
    threads = [threading.Thread(target=store.names) for _ in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 1


def test_a_vault_that_was_stopped_is_no_connection_and_comes_back_empty(tmp_path):
    server = vault.OwnVault()
    try:
        home = vault.Environment(server.start(), tmp_path).prepare()
        store = home.store()
        store.put("token", SecretValue("x"))
        a_lease(store)
        server.stop()
        for call in ("lease", "revoke_all", "confirm_revoked", "mac", "sign"):
            with pytest.raises(Unavailable, match="no connection to Vault"):
                CALLS[call](store, None)
        server.start()  # another one, in memory: our token is not known there
        with pytest.raises(Unavailable, match="refuses the request"):
            store.confirm_revoked("ws-1")
        store.close()
    finally:
        server.clear()


def test_no_value_stands_in_vaults_own_log(own, store):
    store.put("token", SecretValue("pl4nted-Value-7731"))
    a_lease(store)
    assert "pl4nted" not in own.log()
