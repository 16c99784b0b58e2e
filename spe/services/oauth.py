"""The portal as the Hub's OAuth issuer: code flow with PKCE (RFC 6749, RFC 7636), one confidential client.

A code is issued only to people who may enter a workspace now; it lives a minute and works once.
"""

import hashlib
import hmac
import secrets
from base64 import urlsafe_b64encode
from dataclasses import dataclass, replace
from datetime import timedelta

from spe.domain.errors import Denial, Refused, Unauthenticated
from spe.domain.person import Credential, CredentialKind, Person
from spe.domain.principal import Principal
from spe.services.context import House
from spe.services.people import digest_of
from spe.services.sessions import SessionService

CODE_LIFE = timedelta(seconds=60)
TOKEN_LIFE = timedelta(hours=12)


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """The Hub, as registered."""

    id: str
    secret: str
    redirect: str


class OAuthService:
    """Issues codes and tokens to the Hub."""

    def __init__(self, house: House, sessions: SessionService, client: Client) -> None:
        self._house = house
        self._sessions = sessions
        self._client = client

    def authorize(
        self, *, client: str, redirect: str, challenge: str, method: str, response_type: str, by: Principal
    ) -> str:
        """A one-time code for the signed-in person. Raises `Refused`; the redirect must be the registered one."""
        rows = (
            (client != self._client.id, "client", "This application is not registered here."),
            (redirect != self._client.redirect, "redirect", "The return address is not the registered one."),
            (response_type != "code", "response-type", "Only the code flow is offered."),
            (method != "S256" or not 43 <= len(challenge) <= 128, "pkce", "A PKCE challenge with S256 is required."),
        )
        denials = [Denial(code=code, message=message) for wrong, code, message in rows if wrong]
        if not denials and not self._sessions.entitled_anywhere(by.person):
            denials.append(
                Denial(code="no-entry", message="You may not enter any workspace now; see your workspaces' page.")
            )
        if denials:
            raise Refused(denials)
        now = self._house.ports.clock.now()
        code = secrets.token_urlsafe(32)
        with self._house.ports.store.begin() as uow:
            uow.credentials.add(
                Credential(
                    digest=digest_of(code),
                    kind=CredentialKind.OAUTH_CODE,
                    person=by.person,
                    created_at=now,
                    expires=now + CODE_LIFE,
                    facts={"challenge": challenge, "redirect": redirect},
                )
            )
        return code

    def token(self, *, client: str, secret: str, code: str, redirect: str, verifier: str) -> str:
        """Exchange a code for an access token. Raises `Unauthenticated` for anything that does not fit."""
        if not (_same(client, self._client.id) and _same(secret, self._client.secret)):
            raise Unauthenticated("The client is not the registered one.")
        now = self._house.ports.clock.now()
        with self._house.ports.store.begin() as uow:
            found = uow.credentials.find(digest_of(code))
            if found is None or found.kind is not CredentialKind.OAUTH_CODE or not found.live(now):
                raise Unauthenticated("The code is not valid any more.")
            uow.credentials.save(replace(found, used_at=now))
            if found.facts.get("redirect") == redirect and challenge_of(verifier) == found.facts.get("challenge"):
                token = secrets.token_urlsafe(32)
                uow.credentials.add(
                    Credential(
                        digest=digest_of(token),
                        kind=CredentialKind.OAUTH_TOKEN,
                        person=found.person,
                        created_at=now,
                        expires=now + TOKEN_LIFE,
                    )
                )
                return token
        raise Unauthenticated("The code was issued to somebody else.")

    def userinfo(self, token: str) -> Person:
        """Who the token speaks for; only while that person may enter somewhere."""
        now = self._house.ports.clock.now()
        with self._house.ports.store.read() as uow:
            found = uow.credentials.find(digest_of(token))
            if found is None or found.kind is not CredentialKind.OAUTH_TOKEN or not found.live(now):
                raise Unauthenticated("The token is not valid any more.")
            person = uow.people.get(found.person)
        if not self._sessions.entitled_anywhere(person.id):
            raise Unauthenticated("This person may not enter any workspace now.")
        return person


def _same(given: str, known: str) -> bool:
    return hmac.compare_digest(given.encode(), known.encode())


def challenge_of(verifier: str) -> str:
    """The S256 challenge of a PKCE verifier (RFC 7636 section 4.2)."""
    return urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
