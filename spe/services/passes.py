"""How a browser shows a gate who is using it: a code for one person, one workspace, one browser.

The gate sends a browser here with a challenge (RFC 7636); whoever is signed in and may enter is sent back
with a code that lives a minute and works once, for the gate of that workspace and the browser that asked.
"""

import hmac
import re
import secrets
from dataclasses import replace
from datetime import timedelta

from spe.domain.errors import Denial, Invalid, Refused, Unauthenticated
from spe.domain.ids import PersonId, WorkspaceId
from spe.domain.person import Credential, CredentialKind
from spe.domain.principal import GATE, Principal
from spe.services.context import House
from spe.services.journal import record
from spe.services.oauth import challenge_of
from spe.services.people import digest_of
from spe.services.sessions import SessionService

CODE_LIFE = timedelta(seconds=60)
SOMEBODY_ELSE = Denial(
    code="somebody-else", message="This session belongs to somebody else. Open your own from your workspace's page."
)
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")


class PassService:
    """Issues codes to people who are signed in, and tells gates whom a code stands for."""

    def __init__(self, house: House, sessions: SessionService) -> None:
        self._house = house
        self._sessions = sessions

    def issue(self, workspace: WorkspaceId, person: PersonId, *, challenge: str, by: Principal) -> str:
        """A one-time code for `by`, who must be the person of the session. Raises `Refused` with every reason."""
        if not _CHALLENGE.fullmatch(challenge):
            raise Invalid({"challenge": "Expected the S256 challenge of a gate; open the notebook from the portal."})
        denials = self._sessions.denials(workspace, by.person)
        if not denials and by.person != person:
            denials = (SOMEBODY_ELSE,)
        if denials:
            raise Refused(denials)
        now, code = self._house.ports.clock.now(), secrets.token_urlsafe(32)
        with self._house.ports.store.begin() as uow:
            uow.credentials.add(
                Credential(
                    digest=digest_of(code),
                    kind=CredentialKind.PASS_CODE,
                    person=by.person,
                    created_at=now,
                    expires=now + CODE_LIFE,
                    facts={"workspace": workspace, "challenge": challenge},
                )
            )
        return code

    def redeem(self, workspace: WorkspaceId, *, code: str, verifier: str) -> PersonId:
        """Who stands behind a code, for the gate of this workspace; audited. Raises `Unauthenticated` or `Refused`.

        A code is used up by the first attempt, whatever comes of it.
        """
        now = self._house.ports.clock.now()
        with self._house.ports.store.begin() as uow:
            found = uow.credentials.find(digest_of(code))
            if found is None or found.kind is not CredentialKind.PASS_CODE or not found.live(now):
                raise Unauthenticated("The code is not valid any more.")
            uow.credentials.save(replace(found, used_at=now))
        fits = hmac.compare_digest(challenge_of(verifier), found.facts.get("challenge", ""))
        if not fits or found.facts.get("workspace") != workspace:
            raise Unauthenticated("The code was issued to another browser or for another workspace.")
        if denials := self._sessions.denials(workspace, found.person):
            raise Refused(denials)
        with self._house.ports.store.begin() as uow:
            record(
                uow,
                event="session.entered",
                kind="workspace",
                subject=workspace,
                now=now,
                by=GATE,
                facts={"person": found.person},
            )
        return found.person
