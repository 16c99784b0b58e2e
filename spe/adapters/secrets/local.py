"""Secrets of one host: everything in one sealed file, decrypted in memory, for the embedded environment.

Readers never wait: they look whether the file was replaced and read it afresh. Writers take turns
across threads and processes. The sealing key lies on the same host, so the file protects backups and
copies of the disk, not against an administrator of the running host.
"""

import contextlib
import hashlib
import hmac
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime, timedelta
from pathlib import Path

from spe.adapters.secrets import ed25519
from spe.adapters.secrets.rules import demand_key, demand_secret, demand_terms, no_lease, no_secret
from spe.adapters.secrets.sealed import SealedFile
from spe.domain.canonical import Json, Reader, canonical, moment_text, parse, read64, read_moment, text64
from spe.domain.errors import Corrupt, Invalid
from spe.domain.keys import Sign
from spe.ports.secrets import (
    MAC_KEYS,
    SIGNING_KEYS,
    KeyName,
    Lease,
    LeaseFacts,
    SecretValue,
    Signature,
)

SCHEMA = "spe.secrets/1"
FORGET_AFTER = timedelta(days=7)

_LEASE_KEYS = frozenset({"name", "workspace", "permit", "holder", "expires", "revoked"})


@dataclass(slots=True, kw_only=True)
class _Held:
    """One lease as kept: its facts, and whether it was ended before its time."""

    facts: LeaseFacts
    revoked: bool = False

    def live(self, now: datetime) -> bool:
        return not self.revoked and self.facts.expires > now


@dataclass(slots=True, kw_only=True)
class _State:
    """The contents of the sealed file; values and keys are hidden from `repr`."""

    secrets: dict[str, SecretValue]
    leases: dict[str, _Held]
    keys: dict[KeyName, SecretValue]
    signers: dict[KeyName, Sign] = field(default_factory=dict, repr=False)
    publics: dict[KeyName, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for key in SIGNING_KEYS:
            private = read64(self.keys[key].reveal(), 32)
            self.signers[key] = ed25519.signer(private)
            self.publics[key] = ed25519.public_of(private)

    def find(self, lease_id: str) -> _Held:
        held = self.leases.get(lease_id)
        if held is None:
            raise no_lease()
        return held

    def of(self, workspace: str, now: datetime) -> list[_Held]:
        return [held for held in self.leases.values() if held.facts.workspace == workspace and held.live(now)]


class LocalSecrets:
    """A `SecretStore` in the sealed file `path` with its key in `key_path`; `now` is the clock, in UTC."""

    def __init__(self, path: Path, key_path: Path, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._now = now
        self._file = SealedFile(path, key_path, fresh=lambda: _written(_fresh()))
        self._guard = threading.Lock()
        self._known = _read(self._file.read())

    def put(self, name: str, value: SecretValue) -> None:
        """See `SecretStore.put`."""
        demand_secret(name, value)
        with self._changing() as state:
            state.secrets[name] = value

    def remove(self, name: str) -> None:
        """See `SecretStore.remove`."""
        with self._changing() as state:
            if name not in state.secrets:
                raise no_secret()
            del state.secrets[name]
            for held in state.leases.values():
                held.revoked = held.revoked or held.facts.name == name

    def names(self) -> tuple[str, ...]:
        """See `SecretStore.names`."""
        return tuple(sorted(self._state().secrets))

    def lease(self, workspace: str, permit: str, name: str, *, ttl: timedelta, holder: str) -> Lease:
        """See `SecretStore.lease`."""
        demand_terms(ttl, workspace=workspace, permit=permit, holder=holder)
        with self._changing() as state:
            value = state.secrets.get(name)
            if value is None:
                raise no_secret()
            facts = LeaseFacts(
                id="ls-" + secrets.token_hex(16),
                name=name,
                workspace=workspace,
                permit=permit,
                holder=holder,
                expires=self._now() + ttl,
            )
            state.leases[facts.id] = _Held(facts=facts)
        return Lease(value=value, **{part.name: getattr(facts, part.name) for part in fields(facts)})

    def revoke(self, lease_id: str) -> None:
        """See `SecretStore.revoke`."""
        if not self._state().find(lease_id).revoked:
            with self._changing() as state:
                state.find(lease_id).revoked = True

    def revoke_all(self, workspace: str) -> int:
        """See `SecretStore.revoke_all`."""
        with self._changing() as state:
            live = state.of(workspace, self._now())
            for held in live:
                held.revoked = True
        return len(live)

    def confirm_revoked(self, workspace: str) -> bool:
        """See `SecretStore.confirm_revoked`; reads the file itself, not what this process remembers."""
        return not _read(self._file.read()).of(workspace, self._now())

    def leases(self, workspace: str) -> tuple[LeaseFacts, ...]:
        """See `SecretStore.leases`."""
        live = self._state().of(workspace, self._now())
        return tuple(sorted((held.facts for held in live), key=lambda facts: (facts.expires, facts.id)))

    def sign(self, key: KeyName, data: bytes) -> Signature:
        """See `SecretStore.sign`."""
        demand_key(key, SIGNING_KEYS, "signs")
        state = self._state()
        return Signature(key=key, public=state.publics[key], value=state.signers[key](data))

    def public_key(self, key: KeyName) -> bytes:
        """See `SecretStore.public_key`."""
        demand_key(key, SIGNING_KEYS, "signs")
        return self._state().publics[key]

    def mac(self, key: KeyName, data: bytes) -> bytes:
        """See `SecretStore.mac`."""
        demand_key(key, MAC_KEYS, "makes a keyed hash")
        return hmac.digest(read64(self._state().keys[key].reveal(), 32), data, hashlib.sha256)

    def _state(self) -> _State:
        """What the file says now; read again only when it was replaced. Not to be changed."""
        with self._guard:
            contents = self._file.news()
            if contents is not None:
                self._known = _read(contents)
            return self._known

    @contextlib.contextmanager
    def _changing(self) -> Iterator[_State]:
        """The contents to change, alone; written when the block ends well, forgotten when it does not."""
        with self._file.locked():
            state = _read(self._file.read())
            yield state
            ended = self._now() - FORGET_AFTER
            state.leases = {name: held for name, held in state.leases.items() if held.facts.expires > ended}
            self._file.write(_written(state))


def _fresh() -> _State:
    keys = {key: ed25519.generate() if key in SIGNING_KEYS else secrets.token_bytes(32) for key in KeyName}
    return _State(secrets={}, leases={}, keys={key: SecretValue(text64(raw)) for key, raw in keys.items()})


def _written(state: _State) -> SecretValue:
    data = canonical(
        {
            "schema": SCHEMA,
            "secrets": {name: value.reveal() for name, value in state.secrets.items()},
            "leases": {name: _lease_document(held) for name, held in state.leases.items()},
            "keys": {key.value: value.reveal() for key, value in state.keys.items()},
        }
    )
    return SecretValue(data.decode())


def _read(contents: SecretValue) -> _State:
    """The state in decrypted contents. What fails here was sealed by another version, not by a stranger."""
    try:
        top = Reader(parse(contents.reveal().encode()), "contents", frozenset({"schema", "secrets", "leases", "keys"}))
        if top.text("schema") == SCHEMA:
            leases = _mapping(top.value("leases"))
            return _State(
                secrets={name: SecretValue(str(text)) for name, text in _mapping(top.value("secrets")).items()},
                leases={name: _lease(name, document) for name, document in leases.items()},
                keys={KeyName(name): SecretValue(str(text)) for name, text in _mapping(top.value("keys")).items()},
            )
    except (Invalid, KeyError, ValueError):
        pass  # nothing of the contents may travel with the error
    raise Corrupt(f"The sealed file holds something other than {SCHEMA}; open it with the version that wrote it.")


def _mapping(value: Json) -> Mapping[str, Json]:
    if not isinstance(value, Mapping):
        raise Invalid({"contents": "Expected an object."})
    return value


def _lease_document(held: _Held) -> dict[str, Json]:
    facts = held.facts
    return {
        "name": facts.name,
        "workspace": facts.workspace,
        "permit": facts.permit,
        "holder": facts.holder,
        "expires": moment_text(facts.expires),
        "revoked": held.revoked,
    }


def _lease(lease_id: str, document: Json) -> _Held:
    lease = Reader(document, "lease", _LEASE_KEYS)
    facts = LeaseFacts(
        id=lease_id,
        name=lease.text("name"),
        workspace=lease.text("workspace"),
        permit=lease.text("permit"),
        holder=lease.text("holder"),
        expires=read_moment(lease.text("expires")),
    )
    return _Held(facts=facts, revoked=lease.value("revoked") is not False)
