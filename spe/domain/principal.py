"""Who acts: persons with roles, and the system's own principals with short lists of permissions.

A person is issuer + subject, never an e-mail address (security note T100). Which role holds which
permission is a document (`policies/roles.yaml`), read by `spe.policy`; here stand only the words.
"""

from dataclasses import dataclass, field, replace
from enum import StrEnum

from spe.domain.ids import PersonId


class Role(StrEnum):
    """What a person may be in the environment; several roles may meet in one person, never on one permit."""

    AUTHORISED_USER = "authorised-user"
    BOARD = "board"
    CHECKER = "checker"
    OPERATOR = "operator"
    AUDITOR = "auditor"
    SYSTEM = "system"


class Permission(StrEnum):
    """One act that a role may hold; routes and transitions refer to members, so an unknown one fails at import."""

    PERMIT_READ = "permit:read"
    PERMIT_PROPOSE = "permit:propose"
    PERMIT_CONFIRM = "permit:confirm"
    PERMIT_NARROW = "permit:narrow"
    PERMIT_END = "permit:end"
    DATASET_READ = "dataset:read"
    DATASET_REGISTER = "dataset:register"
    WORKSPACE_READ = "workspace:read"
    WORKSPACE_RUN = "workspace:run"
    WORKSPACE_OPERATE = "workspace:operate"
    WORKSPACE_RECONCILE = "workspace:reconcile"
    SESSION_START = "session:start"
    SECRET_LEASE = "secret:lease"
    SECRET_STORE = "secret:store"
    EGRESS_AUTHOR = "egress:author"
    EGRESS_CHECK = "egress:check"
    EGRESS_REVIEW = "egress:review"
    EGRESS_RELEASE = "egress:release"
    EGRESS_RECALL = "egress:recall"
    AUDIT_READ = "audit:read"
    PEOPLE_READ = "people:read"
    PEOPLE_MANAGE = "people:manage"


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Somebody who acts, as the identity provider vouched for, with the permissions of their roles.

    `held` says which role holds what under the policies of the digest `policy`; `acting` is the role used
    for the act at hand, which is what the audit log keeps (empty: not told apart, all roles).
    """

    person: PersonId
    issuer: str
    subject: str
    name: str
    roles: frozenset[Role]
    permissions: frozenset[Permission] = field(default=frozenset())
    held: tuple[tuple[Role, frozenset[Permission]], ...] = ()
    acting: frozenset[Role] = field(default=frozenset())
    policy: str = ""

    def may(self, permission: Permission) -> bool:
        """Whether one of the roles holds the permission; ties to a permit are asked elsewhere."""
        return permission in self.permissions

    def using(self, permission: Permission) -> "Principal":
        """The same person in the roles that hold the permission."""
        return replace(self, acting=frozenset(role for role, held in self.held if permission in held))

    @property
    def is_system(self) -> bool:
        """Whether this is one of the environment's own principals."""
        return Role.SYSTEM in self.roles


def _system(name: str, *permissions: Permission) -> Principal:
    return Principal(
        person=PersonId(f"system:{name}"),
        issuer="spe",
        subject=name,
        name=f"spe {name}",
        roles=frozenset({Role.SYSTEM}),
        permissions=frozenset(permissions),
    )


RECONCILER = _system("reconciler", Permission.WORKSPACE_RECONCILE, Permission.SECRET_LEASE, Permission.DATASET_READ)
TIMERS = _system("timers", Permission.PERMIT_END, Permission.WORKSPACE_RECONCILE)
CHECKS = _system("checks", Permission.EGRESS_CHECK)
RELEASER = _system("releaser", Permission.EGRESS_RELEASE)
GATE = _system("gate", Permission.WORKSPACE_READ)
ENTRY = _system("entry")
SYSTEM_PRINCIPALS = (RECONCILER, TIMERS, CHECKS, RELEASER, GATE, ENTRY)


def founder() -> Principal:
    """The environment itself while it is set up: it registers the first operator and nothing else."""
    return _system("founder", Permission.PEOPLE_MANAGE, Permission.PEOPLE_READ)
