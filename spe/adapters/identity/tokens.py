"""Whether a token is the provider's, for us, now, and the answer to our question.

Signatures are joserfc's, claims Authlib's; here stands what is put to them. Algorithms are a fixed list: `none` is
never on it, and a key that verifies signatures is never taken for a shared secret (security note T101).
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import OctKey
from joserfc.jws import extract_compact
from joserfc.jwt import JWTClaimsRegistry, Token

from spe.adapters.identity.provider import Provider
from spe.adapters.identity.settings import OidcSettings
from spe.ports.identity import Attempt, NotVouched, Why

LONGEST = 16 * 1024
ID_TYPES = frozenset({"", "jwt", "application/jwt", "id_token+jwt"})
LOGOUT_TYPES = frozenset({"", "jwt", "logout+jwt", "application/logout+jwt"})
LOGOUT_EVENT = "http://schemas.openid.net/event/backchannel-logout"
TEXTS = ("iss", "sub", "nonce", "azp", "acr", "at_hash", "sid", "jti")


class Tokens:
    """Reads tokens of one provider."""

    def __init__(self, settings: OidcSettings, provider: Provider) -> None:
        self._settings = settings
        self._provider = provider

    def id_token(
        self, text: str, attempt: Attempt, *, access_token: str, hours: int, now: datetime
    ) -> Mapping[str, Any]:
        """The claims of the ID token that answers this attempt. Raises `NotVouched`."""
        token = self._verified(text, ID_TYPES)
        options = {"iss": {"essential": True, "value": self._settings.issuer}, "aud": self._audience()}
        params = {
            "nonce": attempt.nonce,
            "client_id": self._settings.client_id,
            "access_token": access_token,
            "max_age": hours * 3600,
        }
        claims = CodeIDToken(token.claims, {"alg": _hashed_as(token)}, options, params)
        try:
            claims.validate(now=int(now.timestamp()), leeway=self._settings.skew_seconds)
        except JoseError as error:
            raise _forged(getattr(error, "claim", "") or error.error) from error
        if token.claims["iat"] < attempt.begun.timestamp() - self._settings.skew_seconds:
            raise _forged("iat")
        return token.claims

    def logout_token(self, text: str, *, now: datetime) -> Mapping[str, Any]:
        """The claims of a back-channel logout token (section 2.6 of its specification). Raises `NotVouched`."""
        token = self._verified(text, LOGOUT_TYPES)
        essential = {name: {"essential": True} for name in ("iat", "exp", "jti")}
        registry = JWTClaimsRegistry(
            int(now.timestamp()),
            self._settings.skew_seconds,
            iss={"essential": True, "value": self._settings.issuer},
            aud=self._audience(),  # type: ignore[arg-type]
            **essential,  # type: ignore[arg-type]
        )
        try:
            registry.validate(token.claims)
        except JoseError as error:
            raise _forged(getattr(error, "claim", "") or error.error) from error
        events = token.claims.get("events")
        if not isinstance(events, dict) or not isinstance(events.get(LOGOUT_EVENT), dict):
            raise _forged("events")
        if "nonce" in token.claims or not (token.claims.get("sub") or token.claims.get("sid")):
            raise _forged("logout-claims")
        return token.claims

    def _audience(self) -> dict[str, Any]:
        return {"essential": True, "value": self._settings.client_id}

    def _verified(self, text: str, types: frozenset[str]) -> Token:
        if len(text) > LONGEST or not text.isascii():
            raise _forged("token-size")
        try:
            token = self._decoded(text)
        except (JoseError, ValueError, TypeError, RecursionError) as error:
            raise _forged(getattr(error, "error", "") or "token") from error
        if str(token.header.get("typ", "")).lower() not in types:
            raise _forged("typ")
        if wrong := [name for name in TEXTS if name in token.claims and not _is_text(token.claims[name])]:
            raise _forged(wrong[0])
        return token

    def _decoded(self, text: str) -> Token:
        # The header says whether a key or the secret is asked for; what may be used at all is ours to say.
        symmetric = str(extract_compact(text.encode()).protected.get("alg", "")).startswith("HS")
        allowed = [name for name in self._settings.algorithms if name.startswith("HS") == symmetric]
        if not allowed:
            raise _forged("alg")
        if symmetric:
            return jwt.decode(text, OctKey.import_key(self._settings.secret()), algorithms=allowed)
        try:
            return jwt.decode(text, self._provider.keys(), algorithms=allowed)
        except InvalidKeyIdError:
            newer = self._provider.newer_keys()
            if newer is None:
                raise
            return jwt.decode(text, newer, algorithms=allowed)


def _hashed_as(token: Token) -> str:
    """The algorithm by whose hash `at_hash` is made; Ed25519 hashes as EdDSA always did."""
    algorithm = str(token.header["alg"])
    return "EdDSA" if algorithm == "Ed25519" else algorithm


def _is_text(value: object) -> bool:
    return isinstance(value, str) and len(value) <= 1000 and value.isascii()


def _forged(reason: str) -> NotVouched:
    return NotVouched(Why.FORGED, reason.replace("_", "-"))
