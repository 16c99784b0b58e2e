"""People and moments that the tests of the machines speak of."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import spe
from spe.domain.ids import PersonId
from spe.domain.principal import CHECKS, GATE, RECONCILER, RELEASER, TIMERS, Principal, Role
from spe.policy.house import read_roles

POLICIES = Path(spe.__file__).parent.parent / "policies"
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
ROLES = read_roles(POLICIES / "roles.yaml")
GRANTS, EXCLUSIVE = ROLES.permissions, ROLES.exclusive


@dataclass(frozen=True)
class Somebody:
    """A role in a relation to the permit and the request: what the table tests walk through."""

    key: str
    principal: Principal


def person(key: str, *roles: Role) -> Principal:
    """Somebody with the permissions that the shipped policy grants to the roles."""
    granted = frozenset().union(*(GRANTS[role] for role in roles))
    return Principal(
        person=PersonId(f"p-{key}"),
        issuer="tests",
        subject=key,
        name=key.title(),
        roles=frozenset(roles),
        permissions=granted,
    )


AUTHOR = person("author", Role.AUTHORISED_USER)
COWORKER = person("coworker", Role.AUTHORISED_USER)
STRANGER = person("stranger", Role.AUTHORISED_USER)
CHECKER = person("checker", Role.CHECKER)
SECOND_CHECKER = person("second-checker", Role.CHECKER)
CHECKER_ON_PERMIT = person("checker-on-permit", Role.CHECKER, Role.AUTHORISED_USER)
CHECKER_AUTHOR = person("checker-author", Role.CHECKER, Role.AUTHORISED_USER)
PROPOSER = person("proposer", Role.BOARD)
CONFIRMER = person("confirmer", Role.BOARD)
OPERATOR = person("operator", Role.OPERATOR)
AUDITOR = person("auditor", Role.AUDITOR)
SYSTEMS = (RECONCILER, TIMERS, CHECKS, RELEASER, GATE)
EVERYBODY = (
    AUTHOR,
    COWORKER,
    STRANGER,
    CHECKER,
    SECOND_CHECKER,
    CHECKER_ON_PERMIT,
    PROPOSER,
    CONFIRMER,
    OPERATOR,
    AUDITOR,
    *SYSTEMS,
)
ON_PERMIT = frozenset({AUTHOR.person, COWORKER.person, CHECKER_ON_PERMIT.person})
LATER = NOW + timedelta(days=30)
