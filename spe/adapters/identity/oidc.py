"""OpenID Connect: the authorization code flow with PKCE (RFC 7636), and both ways of signing out.

One issuer, one return address. The provider's answer counts only if it names that issuer wherever it should
(RFC 9207), and the ID token only as `tokens` says; what is missing there may be asked of the provider's userinfo
address, for the same `sub`. Shaped by what LS Login and Keycloak send: an identifier that is never reassigned, REFEDS
assurance, `acr` and `amr`.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import httpx2
from authlib.integrations.base_client import OAuthError
from authlib.integrations.httpx_client import AsyncOAuth2Client

from spe.adapters.identity.provider import Metadata, Provider
from spe.adapters.identity.settings import OidcSettings
from spe.adapters.identity.tokens import Tokens
from spe.adapters.identity.wire import Wire, read_object
from spe.domain.errors import Unavailable
from spe.domain.signin import Shown
from spe.ports.identity import PORT, Attempt, Ended, Identity, NotVouched, Why

LONGEST = 4096
MOST_VALUES = 100
ONLY_SIGNED = frozenset(
    {"iss", "aud", "azp", "exp", "iat", "nbf", "nonce", "acr", "amr", "auth_time", "sid", "at_hash"}
)
"""Claims that count only from the signed ID token."""
REFUSALS = {
    "access_denied": Why.DECLINED,
    "login_required": Why.NOT_SIGNED_IN,
    "interaction_required": Why.NOT_SIGNED_IN,
    "account_selection_required": Why.NOT_SIGNED_IN,
    "consent_required": Why.NOT_SIGNED_IN,
    "unmet_authentication_requirements": Why.NOT_SIGNED_IN,
    "temporarily_unavailable": Why.BUSY,
    "server_error": Why.BUSY,
}


class OidcProvider:
    """`spe.ports.identity.IdentityProvider` over one OpenID provider. Threads may share it."""

    def __init__(self, settings: OidcSettings) -> None:
        self._settings = settings
        self._wire = Wire(seconds=settings.timeout_seconds, ca_file=settings.ca_file)
        self._provider = Provider(settings, self._wire)
        self._tokens = Tokens(settings, self._provider)

    @property
    def issuer(self) -> str:
        """The issuer whose people sign in here."""
        return self._settings.issuer

    def address(self, attempt: Attempt, *, acr: Sequence[str], hours: int, fresh: bool) -> str:
        """Where the browser goes to sign in."""
        asked = {
            "nonce": attempt.nonce,
            "acr_values": " ".join(acr),
            "max_age": str(hours * 3600) if hours else "",
            "prompt": "login" if fresh else "",
        }
        client = AsyncOAuth2Client(
            client_id=self._settings.client_id,
            scope=" ".join(self._settings.scopes),
            redirect_uri=self._settings.redirect,
            code_challenge_method="S256",
        )
        address, _ = client.create_authorization_url(
            self._provider.metadata().authorization,
            state=attempt.state,
            code_verifier=attempt.verifier,
            **{name: value for name, value in asked.items() if value},
        )
        return str(address)

    def identify(self, answer: Mapping[str, str], attempt: Attempt, *, hours: int, now: datetime) -> Identity:
        """Whom the provider's answer vouches for."""
        metadata = self._provider.metadata()
        code = self._code(answer, metadata)
        issued = self._wire.exchange(lambda: self._redeem(metadata.token, code, attempt.verifier))
        id_token, access_token = issued.get("id_token"), issued.get("access_token")
        if not isinstance(id_token, str) or not isinstance(access_token, str) or not access_token.isascii():
            raise NotVouched(Why.FORGED, "no-token")
        claims = self._tokens.id_token(id_token, attempt, access_token=access_token, hours=hours, now=now)
        claims = self._completed(claims, metadata, access_token)
        self._demand(claims)
        return Identity(
            issuer=self._settings.issuer,
            subject=self._subject(claims),
            login=str(claims["sub"]),
            sid=str(claims.get("sid", "")),
            shown=Shown(
                acr=str(claims.get("acr", "")),
                amr=_values(claims.get("amr")),
                assurance=_values(claims.get(self._settings.assurance_claim)),
                at=self._authenticated(claims.get("auth_time"), now),
            ),
            hint=id_token,
        )

    def ended(self, token: str, *, now: datetime) -> Ended:
        """What a back-channel logout token says."""
        claims = self._tokens.logout_token(token, now=now)
        login, sid = str(claims.get("sub", "")), str(claims.get("sid", ""))
        return Ended(issuer=self._settings.issuer, login=login, sid=sid, id=str(claims["jti"]))

    def farewell(self, hint: str) -> str:
        """Where the browser goes to sign out of the provider as well."""
        place = self._provider.metadata().end_session
        if not place:
            return ""
        query = {"client_id": self._settings.client_id, "post_logout_redirect_uri": self._settings.signed_out}
        query |= {"id_token_hint": hint} if hint else {}
        return f"{place}{'&' if '?' in place else '?'}{urlencode(query)}"

    def _code(self, answer: Mapping[str, str], metadata: Metadata) -> str:
        named = answer.get("iss", "")
        if (named or metadata.names_itself) and named != self._settings.issuer:
            raise NotVouched(Why.FORGED, "answer-iss")
        if error := answer.get("error"):
            raise NotVouched(REFUSALS.get(error, Why.MISCONFIGURED), error if error in REFUSALS else "provider-error")
        code = answer.get("code", "")
        if not code or len(code) > LONGEST or not code.isascii() or not code.isprintable():
            raise NotVouched(Why.FORGED, "no-code")
        return code

    async def _redeem(self, address: str, code: str, verifier: str) -> Mapping[str, Any]:
        secret = self._settings.secret()
        client = AsyncOAuth2Client(
            client_id=self._settings.client_id,
            client_secret=secret or None,
            token_endpoint_auth_method=self._settings.client_auth if secret else "none",
            redirect_uri=self._settings.redirect,
            **self._wire.options(),
        )
        client.register_compliance_hook("access_token_response", _meant)
        async with client:
            try:
                issued = await client.fetch_token(
                    address,
                    grant_type="authorization_code",
                    code=code,
                    code_verifier=verifier,
                    redirect_uri=self._settings.redirect,
                )
            except OAuthError as error:
                refused = error.error == "invalid_grant"
                raise NotVouched(Why.USED if refused else Why.MISCONFIGURED, "code-refused") from error
            except (ValueError, TypeError, RecursionError) as error:
                raise Unavailable(PORT, "its answer is not a token") from error
        return dict(issued)

    def _completed(self, claims: Mapping[str, Any], metadata: Metadata, access_token: str) -> Mapping[str, Any]:
        """The claims, with what only the userinfo address tells about the same `sub`."""
        wanted = {self._settings.subject_claim, self._settings.assurance_claim, *self._settings.required_claims}
        if not metadata.userinfo or wanted <= claims.keys():
            return claims
        more = self._wire.document(metadata.userinfo, bearer=access_token)
        if more.get("sub") != claims["sub"]:
            raise NotVouched(Why.FORGED, "userinfo-sub")
        return {**{k: v for k, v in more.items() if k not in ONLY_SIGNED}, **claims}

    def _demand(self, claims: Mapping[str, Any]) -> None:
        for name, wanted in self._settings.required_claims.items():
            if wanted not in _values(claims.get(name)):
                raise NotVouched(Why.DECLINED, "required-claim")

    def _subject(self, claims: Mapping[str, Any]) -> str:
        subject = claims.get(self._settings.subject_claim)
        if not isinstance(subject, str) or not 0 < len(subject) <= 255 or not subject.isascii():
            raise NotVouched(Why.MISCONFIGURED, "subject")
        if not subject.isprintable() or " " in subject:
            raise NotVouched(Why.MISCONFIGURED, "subject")
        return subject

    def _authenticated(self, value: object, now: datetime) -> datetime | None:
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise NotVouched(Why.FORGED, "auth-time")
        if not 0 <= value <= now.timestamp() + self._settings.skew_seconds:
            raise NotVouched(Why.FORGED, "auth-time")
        return datetime.fromtimestamp(value, UTC)


def _meant(response: httpx2.Response) -> httpx2.Response:
    """An answer that says yes or no; a provider that is busy, moved or broken says neither."""
    if response.status_code not in (200, 400, 401):
        raise Unavailable(PORT, f"it answered with status {response.status_code}")
    if response.status_code == 200:
        read_object(response)
    return response


def _values(claim: object) -> frozenset[str]:
    """The values of a claim that is a list or one text with spaces; anything else has none."""
    given = claim.split() if isinstance(claim, str) else claim
    if not isinstance(given, list):
        return frozenset()
    texts = (v for v in given[:MOST_VALUES] if isinstance(v, str) and v.isascii() and v.isprintable())
    return frozenset(text for text in texts if text and " " not in text)
