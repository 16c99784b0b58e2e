"""The environment's own keys, in Vault's transit engine: they sign and hash there and never come out.

Every signature is verified here, with the public key that is handed out beside it, before anybody gets it: a
receipt that does not verify must not exist. Keyed hashes of people stay comparable for the life of the log,
so `pseudonyms` is used in its first version even if somebody rotates it; rotating `links` ends all links.
"""

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Any

from spe.adapters.secrets import ed25519
from spe.adapters.secrets.rules import demand_key
from spe.adapters.secrets.vault.layout import Layout
from spe.adapters.secrets.vault.link import Link
from spe.domain.errors import Corrupt
from spe.ports.secrets import MAC_KEYS, SIGNING_KEYS, KeyName, Signature

_SEALED = re.compile(r"vault:v([1-9][0-9]{0,8}):([A-Za-z0-9+/]+={0,2})")
_PINNED: Mapping[KeyName, int] = {KeyName.PSEUDONYMS: 1}


class Keys:
    """Signs and hashes under the layout's transit mount."""

    def __init__(self, link: Link, layout: Layout) -> None:
        self._link = link
        self._mount = layout.keys
        self._publics: dict[tuple[KeyName, int], bytes] = {}

    def sign(self, key: KeyName, data: bytes) -> Signature:
        """See `SecretStore.sign`. `Corrupt` when Vault's signature does not verify with Vault's public key."""
        demand_key(key, SIGNING_KEYS, "signs")
        answer = Link.demand(self._link.write(f"{self._mount}/sign/{key}", {"input": _text(data)}))
        version, value = _opened(answer.data.get("signature"))
        if (key, version) not in self._publics:
            self._read(key)
        public = self._publics.get((key, version), b"")
        if not ed25519.verify(public, data, value):
            self._publics.clear()
            raise Corrupt(f"Vault's signature with the key {key} does not verify with the public key that Vault shows.")
        return Signature(key=key, public=public, value=value)

    def public_key(self, key: KeyName) -> bytes:
        """See `SecretStore.public_key`; asks Vault each time."""
        demand_key(key, SIGNING_KEYS, "signs")
        return self._publics[key, self._read(key)]

    def mac(self, key: KeyName, data: bytes) -> bytes:
        """See `SecretStore.mac`."""
        demand_key(key, MAC_KEYS, "makes a keyed hash")
        body: dict[str, Any] = {"input": _text(data)}
        if key in _PINNED:
            body["key_version"] = _PINNED[key]
        answer = Link.demand(self._link.write(f"{self._mount}/hmac/{key}/sha2-256", body))
        _, value = _opened(answer.data.get("hmac"))
        if len(value) != 32:
            raise Corrupt(f"Vault's keyed hash with the key {key} has not 32 bytes.")
        return value

    def _read(self, key: KeyName) -> int:
        """Learn the public keys of all versions; returns the newest version."""
        facts = Link.demand(self._link.read(f"{self._mount}/keys/{key}")).data
        newest, versions = facts.get("latest_version"), facts.get("keys")
        if facts.get("type") == "ed25519" and isinstance(newest, int) and isinstance(versions, Mapping):
            found = {(key, int(version)): _raw(shown) for version, shown in versions.items()}
            if len(found.get((key, newest), b"")) == 32:
                self._publics.update(found)
                return newest
        raise Corrupt(f"The key {key} in Vault is not an Ed25519 key; `spe vault check` says what it should be.")


def _opened(text: object) -> tuple[int, bytes]:
    found = _SEALED.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        raise Corrupt("Vault answers with something other than a signature or keyed hash.")
    return int(found[1]), base64.b64decode(found[2])


def _raw(shown: object) -> bytes:
    public = shown.get("public_key") if isinstance(shown, Mapping) else None
    try:
        return base64.b64decode(public, validate=True) if isinstance(public, str) else b""
    except binascii.Error:
        return b""


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
