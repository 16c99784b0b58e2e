"""Natural persons known to the environment: roles, accepted terms, training, and credentials.

A credential (sign-in link, web session, API token, OAuth code) is stored only as the SHA-256 of its
secret, so a copy of the database opens nothing (security note T83).
"""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from spe.domain.ids import PermitId, PersonId
from spe.domain.principal import Role

TERMS_VERSION = "2026-01"
LOCAL_ISSUER = "local"
"""The issuer of people whom no identity provider vouches for (yet): the environment itself registered them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Somebody who may sign in; `issuer` and `subject` together are unique."""

    id: PersonId
    issuer: str
    subject: str
    name: str
    organisation: str
    roles: frozenset[Role]
    active: bool = True
    trained_until: datetime | None = None
    version: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Acceptance:
    """A person accepted the terms of use of a permit, in this version of the text, at this time."""

    person: PersonId
    permit: PermitId
    terms: str
    at: datetime


class CredentialKind(StrEnum):
    """What a credential opens."""

    LINK = "link"
    SESSION = "session"
    TOKEN = "token"
    OAUTH_CODE = "oauth-code"
    OAUTH_TOKEN = "oauth-token"
    PASS_CODE = "pass-code"
    INVITATION = "invitation"


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """A secret by its digest, for one person, until `expires`; `facts` hold what the kind needs."""

    digest: str
    kind: CredentialKind
    person: PersonId
    created_at: datetime
    expires: datetime
    used_at: datetime | None = None
    facts: dict[str, str] = field(default_factory=dict)
    version: int = 0

    def live(self, now: datetime) -> bool:
        """Whether the credential still opens anything."""
        return self.used_at is None and now < self.expires
