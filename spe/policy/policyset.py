"""What the documents in `policies/` say, as frozen values: the only form that services see."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from spe.disclosure.settings import DisclosurePolicy
from spe.domain.person import TERMS_VERSION
from spe.domain.principal import Permission, Role
from spe.domain.signin import Requirement


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The environment's own rules: numbers of people, terms in days, names of texts."""

    confirmations: int = 1
    reviewers: int = 2
    link_days: int = 14
    terms_version: str = TERMS_VERSION
    training_required: bool = False
    session_hours: int = 12
    secret_minutes: int = 60
    history_releases: int = 20
    outbox_days: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicySet:
    """All policies at one moment."""

    permissions: Mapping[Role, frozenset[Permission]]
    exclusive: tuple[frozenset[Role], ...]
    disclosure: Mapping[str, DisclosurePolicy]
    sign_in: Mapping[Role, Requirement] = field(default_factory=dict)
    rules: Rules = field(default_factory=Rules)
    digest: str = ""

    def held(self, roles: frozenset[Role]) -> tuple[tuple[Role, frozenset[Permission]], ...]:
        """What each of the roles holds."""
        return tuple((role, self.permissions.get(role, frozenset())) for role in sorted(roles))

    def grants(self, roles: frozenset[Role]) -> frozenset[Permission]:
        """Every permission that the roles hold together."""
        return frozenset().union(*(held for _, held in self.held(roles)))
