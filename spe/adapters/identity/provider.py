"""What the provider says about itself: its metadata and its signing keys, fetched when needed and kept for a while.

The metadata counts only when it names exactly the issuer that was asked (OpenID Connect Discovery 4.3). Keys come
from its `jwks_uri` alone, never from a token. A key nobody knows is looked for once more, but not more often than
every few seconds, whoever sends tokens.
"""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from joserfc.errors import JoseError
from joserfc.jwk import JWKRegistry, Key, KeySet

from spe.adapters.identity.settings import OidcSettings, is_endpoint
from spe.adapters.identity.wire import Wire
from spe.domain.errors import Unavailable
from spe.ports.identity import PORT

METADATA_SECONDS = 3600.0
MOST_KEYS = 50
SHORTEST_RSA = 342
"""Characters of the modulus of an RSA key of 2048 bits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata:
    """What is used of the provider's metadata; an optional endpoint that it lacks is empty."""

    authorization: str
    token: str
    keys: str
    userinfo: str
    end_session: str
    names_itself: bool
    """Whether its answers carry `iss` (RFC 9207)."""


class Provider:
    """Metadata and keys of one issuer. Threads may share it; nothing is fetched before it is needed."""

    def __init__(self, settings: OidcSettings, wire: Wire, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._wire = wire
        self._clock = clock
        self._guard = threading.Lock()
        self._metadata: tuple[float, Metadata] | None = None
        self._keys: tuple[float, KeySet] | None = None
        self._looked_again = float("-inf")

    def metadata(self) -> Metadata:
        """The metadata. Raises `Unavailable`."""
        with self._guard:
            return self._current()

    def keys(self) -> KeySet:
        """The signing keys. Raises `Unavailable`."""
        with self._guard:
            if self._keys is None or self._clock() - self._keys[0] >= self._settings.keys_seconds:
                self._fetch()
            assert self._keys is not None
            return self._keys[1]

    def newer_keys(self) -> KeySet | None:
        """The keys, fetched anew because one was not among them; None when that was done a moment ago."""
        with self._guard:
            if self._clock() - self._looked_again < self._settings.refetch_seconds:
                return None
            self._looked_again = self._clock()
            self._fetch()
            assert self._keys is not None
            return self._keys[1]

    def _current(self) -> Metadata:
        now = self._clock()
        if self._metadata is None or now - self._metadata[0] >= METADATA_SECONDS:
            address = f"{self._settings.issuer.rstrip('/')}/.well-known/openid-configuration"
            self._metadata = (now, read_metadata(self._wire.document(address), self._settings))
        return self._metadata[1]

    def _fetch(self) -> None:
        found = self._wire.document(self._current().keys)
        self._keys = (self._clock(), read_keys(found))


def read_metadata(found: Mapping[str, Any], settings: OidcSettings) -> Metadata:
    """The metadata of the issuer asked for. Raises `Unavailable` when it is another's or cannot be used."""
    if found.get("issuer") != settings.issuer:
        raise Unavailable(PORT, "its metadata names another issuer than the one that is set")

    def endpoint(name: str, *, needed: bool) -> str:
        address = found.get(name)
        if address is None and not needed:
            return ""
        if not is_endpoint(address, local=settings.is_local):
            raise Unavailable(PORT, f"its metadata gives no usable {name}")
        return str(address)

    offered = {
        "response_types_supported": {"code"},
        "id_token_signing_alg_values_supported": set(settings.algorithms),
        "code_challenge_methods_supported": {"S256"},
    }
    for name, wanted in offered.items():
        values = found.get(name, [*wanted])
        if not isinstance(values, list) or not wanted & {v for v in values if isinstance(v, str)}:
            raise Unavailable(PORT, f"its metadata lists nothing under {name} that is accepted here")
    return Metadata(
        authorization=endpoint("authorization_endpoint", needed=True),
        token=endpoint("token_endpoint", needed=True),
        keys=endpoint("jwks_uri", needed=True),
        userinfo=endpoint("userinfo_endpoint", needed=False),
        end_session=endpoint("end_session_endpoint", needed=False),
        names_itself=found.get("authorization_response_iss_parameter_supported") is True,
    )


def read_keys(found: Mapping[str, Any]) -> KeySet:
    """The public keys that may verify signatures; others are passed over. Raises `Unavailable` without any."""
    listed = found.get("keys")
    keys = [key for data in listed[:MOST_KEYS] if (key := _key(data))] if isinstance(listed, list) else []
    if not keys:
        raise Unavailable(PORT, "it publishes no key that can verify anything")
    return KeySet(keys)


def _key(data: Any) -> Key | None:
    if not isinstance(data, dict) or data.get("kty") not in ("RSA", "EC", "OKP") or data.get("use", "sig") != "sig":
        return None
    if data["kty"] == "RSA" and len(str(data.get("n", ""))) < SHORTEST_RSA:
        return None
    try:
        return JWKRegistry.import_key({k: v for k, v in data.items() if k not in _PRIVATE})
    except (JoseError, ValueError, TypeError, KeyError):
        return None


_PRIVATE = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
