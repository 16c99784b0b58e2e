"""`SecretStore` over Vault: stored texts, leases as tokens, accounts of databases, keys that stay there.

A name is either stored text (put by an operator) or, when the settings list it, an account of a database that
Vault makes at each lease and drops at its end; such a lease's value is the JSON text
`{"password": …, "username": …}`. Corrupt and missing answers grant nothing.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import fields
from datetime import UTC, datetime, timedelta

from spe.adapters.secrets.rules import PORT, demand_secret, demand_terms, is_name, no_secret
from spe.adapters.secrets.vault.keys import Keys
from spe.adapters.secrets.vault.layout import Layout
from spe.adapters.secrets.vault.leases import Leases, Token
from spe.adapters.secrets.vault.link import Answer, Link
from spe.adapters.secrets.vault.settings import VaultSettings
from spe.domain.errors import Corrupt, Invalid, SpeError, Unavailable
from spe.ports.secrets import KeyName, Lease, LeaseFacts, SecretValue, Signature


class VaultSecrets:
    """A `SecretStore` in the Vault that `settings` name; `now` is the clock, in UTC. Logs in at the first call."""

    def __init__(self, settings: VaultSettings, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._link = Link(settings)
        self._layout = Layout(instance=settings.instance)
        self._databases = settings.databases
        self._leases = Leases(self._link, self._layout, now)
        self._keys = Keys(self._link, self._layout)

    def close(self) -> None:
        """Let the connections to Vault go."""
        self._link.close()

    def put(self, name: str, value: SecretValue) -> None:
        """See `SecretStore.put`; `Invalid` also for the name of a database account."""
        demand_secret(name, value)
        self._demand_stored_kind(name)
        Link.demand(self._link.write(self._data(name), _wrapped(value)))

    def remove(self, name: str) -> None:
        """See `SecretStore.remove`.

        The value goes first, then the leases, then the name: a removal cut short is completed by the next.
        """
        self._demand_stored_kind(name)
        if self._version(name) is None:
            raise no_secret()
        Link.demand(self._link.delete(self._data(name)))
        self._leases.close_named(name)
        Link.demand(self._link.delete(self._metadata(name)))

    def names(self) -> tuple[str, ...]:
        """See `SecretStore.names`; stored texts and database accounts."""
        stored = (self._layout.name(stem) for stem in self._link.list(f"{self._layout.secrets}/metadata/"))
        return tuple(sorted({name for name in stored if name is not None and is_name(name)} | self._databases))

    def lease(self, workspace: str, permit: str, name: str, *, ttl: timedelta, holder: str) -> Lease:
        """See `SecretStore.lease`. A workspace's id is formed like a secret's name: it names a role in Vault."""
        demand_terms(ttl, workspace=workspace, permit=permit, holder=holder)
        if not is_name(workspace):
            raise Invalid({"workspace": "Expected an id."})
        if name not in self._databases and not self._readable(name):
            raise no_secret()
        made = self._leases.open(workspace, permit, name, ttl=ttl, holder=holder)
        try:
            made, value = self._account(made) if name in self._databases else (made, self._text(made))
        except SpeError:
            self._leases.discard(made)
            raise
        return Lease(value=value, **{part.name: getattr(made.facts, part.name) for part in fields(LeaseFacts)})

    def revoke(self, lease_id: str) -> None:
        """See `SecretStore.revoke`; returns when Vault says that it knows the lease no more."""
        self._leases.close(lease_id)

    def revoke_all(self, workspace: str) -> int:
        """See `SecretStore.revoke_all`."""
        return self._leases.close_all(workspace)

    def confirm_revoked(self, workspace: str) -> bool:
        """See `SecretStore.confirm_revoked`; asks Vault for what it has, not for what is recorded."""
        return self._leases.none_live(workspace)

    def leases(self, workspace: str) -> tuple[LeaseFacts, ...]:
        """See `SecretStore.leases`."""
        return self._leases.live(workspace)

    def sign(self, key: KeyName, data: bytes) -> Signature:
        """See `SecretStore.sign`."""
        return self._keys.sign(key, data)

    def public_key(self, key: KeyName) -> bytes:
        """See `SecretStore.public_key`."""
        return self._keys.public_key(key)

    def mac(self, key: KeyName, data: bytes) -> bytes:
        """See `SecretStore.mac`."""
        return self._keys.mac(key, data)

    def _text(self, made: Token) -> SecretValue:
        """The stored text, read with the lease's own token."""
        answer = self._link.read_as(made.token, self._data(made.facts.name))
        if answer.status == 404:
            raise no_secret()
        value = _stored(Link.demand(answer))
        if value is None:
            raise Corrupt(f"What Vault keeps as {made.facts.name} was not stored by `spe secret put`.")
        return value

    def _account(self, made: Token) -> tuple[Token, SecretValue]:
        """A fresh account of a database, made with the lease's own token and recorded."""
        path = self._layout.accounts(made.facts.name)
        answer = self._link.read_as(made.token, path)
        if answer.status in (400, 404):
            raise Unavailable(PORT, f"Vault has no role {path}; a database administrator makes it")
        value, account = _login(Link.demand(answer)), answer.lease.removeprefix(f"{path}/")
        if value is None or not account or account == answer.lease:
            raise Corrupt(f"Vault made an account of {made.facts.name} in a form that is not expected.")
        return self._leases.attach(made, account, answer.seconds), value

    def _readable(self, name: str) -> bool:
        version = self._version(name) if is_name(name) else None
        return version is not None and not version.get("deletion_time") and not version.get("destroyed")

    def _version(self, name: str) -> Mapping[str, object] | None:
        """What Vault says about the newest version of a stored text; None when the name is unknown."""
        if not is_name(name):
            return None
        answer = Link.demand(self._link.read(self._metadata(name)), 404)
        if not answer.well:
            return None
        found = answer.data.get("versions", {}).get(str(answer.data.get("current_version")))
        return found if isinstance(found, Mapping) else {"destroyed": True}

    def _demand_stored_kind(self, name: str) -> None:
        if name in self._databases:
            raise Invalid({"name": f"{name} is an account that Vault makes in a database; there is no value to keep."})

    def _data(self, name: str) -> str:
        return f"{self._layout.secrets}/data/{self._layout.stem(name)}"

    def _metadata(self, name: str) -> str:
        return f"{self._layout.secrets}/metadata/{self._layout.stem(name)}"


def _wrapped(value: SecretValue) -> SecretValue:
    return SecretValue(json.dumps({"data": {"value": value.reveal()}}))


def _stored(answer: Answer) -> SecretValue | None:
    kept = answer.data.get("data")
    text = kept.get("value") if isinstance(kept, Mapping) else None
    return SecretValue(text) if isinstance(text, str) and text else None


def _login(answer: Answer) -> SecretValue | None:
    login = {part: answer.data.get(part) for part in ("password", "username")}
    return SecretValue(json.dumps(login)) if all(isinstance(text, str) and text for text in login.values()) else None
