"""Secrets for notebooks: stored by operators, named in a permit, leased for minutes, every read audited.

Values pass through and are never kept, shown or logged here.
"""

from collections.abc import Collection
from datetime import datetime, timedelta

from spe.domain.errors import Denial, NotFound, Refused, SpeError, Unavailable
from spe.domain.ids import PersonId, WorkspaceId
from spe.domain.permit import Permit
from spe.domain.principal import RECONCILER, Permission, Principal
from spe.ports.secrets import Lease, SecretValue
from spe.ports.store import UnitOfWork
from spe.services.context import House
from spe.services.journal import record
from spe.services.paging import every
from spe.services.permits import WIDE_ROLES
from spe.services.transact import demand


class SecretService:
    """Stores, leases and revokes."""

    def __init__(self, house: House) -> None:
        self._house = house

    def put(self, name: str, value: str, *, by: Principal) -> None:
        """Store a secret under a name that permits can list. Overwrites; the act is audited, the value never."""
        by = demand(by, Permission.SECRET_STORE)
        with self._house.ports.store.begin() as uow:
            record(uow, event="secret.stored", kind="secret", subject=name, now=self._house.ports.clock.now(), by=by)
            self._house.ports.secrets.put(name, SecretValue(value))

    def names(self, *, by: Principal) -> tuple[str, ...]:
        """The names that permits may list, for those who see all permits; for others those on their own permits."""
        demand(by, Permission.PERMIT_READ)
        names = tuple(self._house.ports.secrets.names())
        if by.roles & WIDE_ROLES:
            return names
        with self._house.ports.store.read() as uow:
            listed = {name for p in every(uow.permits) if p.names(by.person) for name in p.terms.secrets}
        return tuple(name for name in names if name in listed)

    def lease(self, workspace: WorkspaceId, name: str, *, person: Principal) -> Lease:
        """A short lease for somebody inside the workspace; only names the permit lists.

        Raises `Unavailable` when the store is silent or sealed; that somebody asked is written down as well.
        """
        person = demand(person, Permission.SECRET_LEASE)
        now = self._house.ports.clock.now()
        lease: Lease | None = None
        silent = Unavailable("secret store")
        try:
            with self._house.ports.store.begin() as uow:
                permit = self._lending(uow, workspace, name, now, person)
                try:
                    lease = self._lend(permit, workspace, name, now, person)
                except Unavailable as error:
                    silent = error
                record(
                    uow,
                    event="secret.leased" if lease else "secret.unavailable",
                    kind="workspace",
                    subject=workspace,
                    now=now,
                    by=person,
                    facts={"secret": name, **({"lease": lease.id} if lease else {})},
                )
        except SpeError:
            if lease is not None:
                self._house.ports.secrets.revoke(lease.id)  # nobody gets what is not written down
            raise
        if lease is None:
            raise silent
        return lease

    def _lending(self, uow: UnitOfWork, workspace: WorkspaceId, name: str, now: datetime, person: Principal) -> Permit:
        """The permit under which this is lent. Raises `NotFound` or `Refused`."""
        space = uow.workspaces.find(workspace)
        permit = uow.permits.find(space.permit) if space else None
        if permit is None or not permit.names(person.person):
            raise NotFound("There is no such workspace for you.")
        if not permit.in_force(now):
            raise Refused([Denial(code="permit-not-active", message="The permit is not active; no secret is lent.")])
        if name not in permit.terms.secrets:
            listed = ", ".join(sorted(permit.terms.secrets)) or "none"
            raise Refused(
                [Denial(code="not-listed", message=f"The permit does not list this secret (it lists: {listed}).")]
            )
        return permit

    def _lend(self, permit: Permit, workspace: WorkspaceId, name: str, now: datetime, person: Principal) -> Lease:
        life = timedelta(minutes=self._house.policies().rules.secret_minutes)
        return self._house.ports.secrets.lease(
            workspace, permit.id, name, ttl=min(life, permit.terms.ends - now), holder=person.person
        )

    def revoke_all(self, workspace: WorkspaceId, *, by: Principal = RECONCILER) -> bool:
        """End every lease of the workspace and confirm it. True when nothing is left."""
        ended = self._house.ports.secrets.revoke_all(workspace)
        confirmed = self._house.ports.secrets.confirm_revoked(workspace)
        if ended:
            with self._house.ports.store.begin() as uow:
                record(
                    uow,
                    event="secret.revoked",
                    kind="workspace",
                    subject=workspace,
                    now=self._house.ports.clock.now(),
                    by=by,
                    facts={"leases": ended, "confirmed": confirmed},
                )
        return confirmed

    def revoke_unlisted(
        self, workspace: WorkspaceId, *, people: Collection[str], names: Collection[str], by: Principal = RECONCILER
    ) -> None:
        """End the leases of people and of names that the permit does not list (any more)."""
        secrets = self._house.ports.secrets
        over = [x for x in secrets.leases(workspace) if x.holder not in people or x.name not in names]
        for lease in over:
            secrets.revoke(lease.id)
        if over:
            with self._house.ports.store.begin() as uow:
                record(
                    uow,
                    event="secret.revoked",
                    kind="workspace",
                    subject=workspace,
                    now=self._house.ports.clock.now(),
                    by=by,
                    facts={"leases": len(over)},
                )

    def held(self, workspace: WorkspaceId, *, by: Principal) -> tuple[tuple[str, PersonId, str], ...]:
        """(name, holder, end) of live leases, for pages; no values."""
        demand(by, Permission.WORKSPACE_READ)
        return tuple(
            (lease.name, PersonId(lease.holder), lease.expires.isoformat())
            for lease in self._house.ports.secrets.leases(workspace)
        )
