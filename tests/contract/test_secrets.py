"""What every secret store promises; the fixture yields each adapter in turn."""

import json
import pickle
import threading
from datetime import UTC, datetime, timedelta

import pytest

from spe.adapters.secrets import ed25519
from spe.adapters.secrets.local import LocalSecrets
from spe.domain.errors import Invalid, NotFound
from spe.ports.secrets import MAC_KEYS, SIGNING_KEYS, KeyName, LeaseFacts, SecretStore, SecretValue
from tests.support import vault

HOUR = timedelta(hours=1)
PLANTED = "pl4nted-Value-ÿ\n7731"


class Clock:
    """A clock one can turn."""

    def __init__(self):
        self.now = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)

    def __call__(self):
        return self.now


class LocalCase:
    """The embedded store, whose clock can be turned."""

    short = HOUR

    def __init__(self, folder):
        self.folder, self.clock = folder, Clock()
        self.store: SecretStore = self.again()

    def again(self):
        """The same store as another process would open it."""
        home, key = self.folder / "home" / "secrets.sealed", self.folder / "key" / "sealing.key"
        return LocalSecrets(home, key, now=self.clock)

    def around(self, ttl):
        """When a lease taken just now ends, earliest and latest."""
        return self.clock.now + ttl, self.clock.now + ttl

    def pass_the_end_of(self, lease):
        """Let time go by until the lease has ended."""
        self.clock.now = lease.expires

    def clear(self):
        """Nothing stays."""


class VaultCase:
    """An environment of its own in Vault, whose clock goes by itself; leases that shall end are short."""

    short = timedelta(seconds=1)

    def __init__(self, folder):
        self._context = vault.named(folder)
        self.environment = self._context.__enter__()
        self.store: SecretStore = self.again()

    def again(self):
        """The same store as another process would open it."""
        return self.environment.store()

    def around(self, ttl):
        """When a lease taken just now ends, earliest and latest."""
        return datetime.now(UTC) + ttl - timedelta(seconds=20), datetime.now(UTC) + ttl

    def pass_the_end_of(self, lease):
        """Let time go by until Vault has ended the lease."""
        vault.until(lambda: self.environment.store().confirm_revoked(lease.workspace))

    def clear(self):
        """Take the environment out of Vault."""
        self._context.__exit__(None, None, None)


@pytest.fixture(
    params=[LocalCase, pytest.param(VaultCase, marks=pytest.mark.servers)],
    ids=["local", "vault"],
)
def case(request, tmp_path):
    made = request.param(tmp_path)
    yield made
    made.clear()


@pytest.fixture
def store(case):
    case.store.put("mirror-token", SecretValue(PLANTED))
    return case.store


def a_lease(store, workspace="ws-1", name="mirror-token", ttl=HOUR, permit="pm-1", holder="p-1"):
    return store.lease(workspace, permit, name, ttl=ttl, holder=holder)


def test_a_stored_secret_is_leased_with_its_value_and_its_end(case, store):
    lease = a_lease(store)
    assert lease.value.reveal() == PLANTED
    assert (lease.name, lease.workspace, lease.permit, lease.holder) == ("mirror-token", "ws-1", "pm-1", "p-1")
    earliest, latest = case.around(HOUR)
    assert earliest <= lease.expires <= latest


def test_every_lease_is_a_new_one(store):
    assert a_lease(store).id != a_lease(store).id
    assert len(store.leases("ws-1")) == 2


def test_another_process_sees_the_same(case, store):
    other = case.again()
    assert other.names() == ("mirror-token",)
    lease = a_lease(other)
    assert [facts.id for facts in store.leases("ws-1")] == [lease.id]
    store.revoke(lease.id)
    assert other.confirm_revoked("ws-1")
    assert other.leases("ws-1") == ()


def test_names_are_listed_without_values(store):
    store.put("a-first", SecretValue("x"))
    assert store.names() == ("a-first", "mirror-token")


def test_putting_again_replaces_the_value(store):
    old = a_lease(store)
    store.put("mirror-token", SecretValue("new"))
    assert a_lease(store).value.reveal() == "new"
    assert old.value.reveal() == PLANTED


def test_a_removed_secret_is_gone_and_its_leases_end(store):
    store.put("other", SecretValue("x"))
    a_lease(store)
    kept = a_lease(store, name="other")
    store.remove("mirror-token")
    assert store.names() == ("other",)
    assert [facts.id for facts in store.leases("ws-1")] == [kept.id]
    with pytest.raises(NotFound):
        a_lease(store)
    with pytest.raises(NotFound):
        store.remove("mirror-token")


def test_an_unknown_secret_is_not_leased(store):
    with pytest.raises(NotFound, match="No secret of that name"):
        a_lease(store, name="nothing")
    assert store.leases("ws-1") == ()


@pytest.mark.parametrize("ttl", [timedelta(0), timedelta(seconds=-1), timedelta(hours=24, seconds=1)])
def test_a_lease_is_short_and_ends_later_than_now(store, ttl):
    with pytest.raises(Invalid):
        a_lease(store, ttl=ttl)


@pytest.mark.parametrize("field", ["workspace", "permit", "holder"])
@pytest.mark.parametrize("text", ["", "a b", "../x", "a\n", "x" * 129])
def test_a_lease_belongs_to_plain_ids(store, field, text):
    with pytest.raises(Invalid):
        a_lease(store, **{field: text})


@pytest.mark.parametrize("name", ["", "A", "a_b", "a--b", "-a", "a-", "a/b", "../a", "a\n", "x" * 64])
def test_names_are_plain(store, name):
    with pytest.raises(Invalid):
        store.put(name, SecretValue("x"))


@pytest.mark.parametrize("value", ["", "x" * 65537, "\ud800"])
def test_values_are_texts_of_bearable_size(store, value):
    with pytest.raises(Invalid):
        store.put("fine", SecretValue(value))
    assert store.names() == ("mirror-token",)


def test_a_revoked_lease_is_gone_and_may_be_revoked_again(store):
    lease, other = a_lease(store), a_lease(store)
    store.revoke(lease.id)
    store.revoke(lease.id)
    assert [facts.id for facts in store.leases("ws-1")] == [other.id]
    assert not store.confirm_revoked("ws-1")


def test_revoking_an_unknown_lease_is_not_found(store):
    with pytest.raises(NotFound):
        store.revoke("ls-unknown")


def test_all_leases_of_a_workspace_and_no_others_are_revoked(store):
    for _ in range(3):
        a_lease(store)
    a_lease(store, workspace="ws-2")
    assert store.revoke_all("ws-1") == 3
    assert store.revoke_all("ws-1") == 0
    assert store.confirm_revoked("ws-1")
    assert store.leases("ws-1") == ()
    assert len(store.leases("ws-2")) == 1


def test_a_workspace_that_never_had_a_lease_has_none_to_revoke(store):
    assert store.revoke_all("ws-9") == 0
    assert store.confirm_revoked("ws-9")


def test_an_expired_lease_is_not_live_and_may_be_revoked(case, store):
    lease = a_lease(store, ttl=case.short)
    case.pass_the_end_of(lease)
    assert store.leases("ws-1") == ()
    assert store.confirm_revoked("ws-1")
    assert store.revoke_all("ws-1") == 0
    store.revoke(lease.id)


def test_leases_are_listed_by_their_end_without_values(case, store):
    late, early = a_lease(store, ttl=2 * HOUR), a_lease(store)
    listed = store.leases("ws-1")
    assert [facts.id for facts in listed] == [early.id, late.id]
    assert {type(facts) for facts in listed} == {LeaseFacts}
    assert not hasattr(listed[0], "value")


def test_writers_in_many_threads_lose_nothing(case, store):
    stores = [store, case.again(), case.again()]

    def write(number):
        a_lease(stores[number % 3], workspace=f"ws-{number % 2}")

    threads = [threading.Thread(target=write, args=(n,)) for n in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {len(each.leases("ws-0")) for each in stores} == {12}
    assert {len(each.leases("ws-1")) for each in stores} == {12}


@pytest.mark.parametrize("key", sorted(SIGNING_KEYS))
def test_signatures_verify_with_the_public_key_and_with_no_other(case, store, key):
    signature = store.sign(key, b"data")
    assert signature.public == store.public_key(key) == case.again().public_key(key)
    assert signature == store.sign(key, b"data")
    assert ed25519.verify(signature.public, b"data", signature.value)
    assert not ed25519.verify(signature.public, b"Data", signature.value)
    (other,) = SIGNING_KEYS - {key}
    assert not ed25519.verify(store.public_key(other), b"data", signature.value)


@pytest.mark.parametrize("key", sorted(MAC_KEYS))
def test_keyed_hashes_are_stable_and_differ_by_key(case, store, key):
    assert store.mac(key, b"data") == case.again().mac(key, b"data")
    assert len(store.mac(key, b"data")) == 32
    assert store.mac(key, b"data") != store.mac(key, b"Data")
    assert len({store.mac(each, b"data") for each in MAC_KEYS}) == len(MAC_KEYS)


def test_each_key_serves_its_own_purpose_only(store):
    for key in MAC_KEYS:
        with pytest.raises(Invalid):
            store.sign(key, b"data")
        with pytest.raises(Invalid):
            store.public_key(key)
    for key in SIGNING_KEYS:
        with pytest.raises(Invalid):
            store.mac(key, b"data")
    assert set(KeyName) == MAC_KEYS | SIGNING_KEYS


def test_a_malformed_signature_or_key_is_only_wrong():
    assert not ed25519.verify(b"", b"data", b"")
    assert not ed25519.verify(bytes(32), b"data", bytes(64))
    assert not ed25519.verify(bytes(31), b"data", bytes(64))


def test_a_value_shows_itself_only_when_asked(store):
    lease = a_lease(store)
    for shown in (repr(lease), str(lease), f"{lease.value}", f"{lease.value!r}", repr([lease.value]), f"{lease!s:>9}"):
        assert "pl4nted" not in shown
    with pytest.raises(TypeError):
        json.dumps(lease.value)
    with pytest.raises(TypeError):
        pickle.dumps(lease)
