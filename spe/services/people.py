"""Who is who: registering people, one-time links, web sessions, API tokens, accepted terms.

Secrets are shown once and stored as SHA-256. A link opens one session, once; a session idles out.
"""

import hashlib
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from spe.domain import ids
from spe.domain.audit import Actor
from spe.domain.errors import Denial, Invalid, NotFound, Refused, Unauthenticated
from spe.domain.ids import PermitId, PersonId
from spe.domain.permit import PermitState
from spe.domain.person import LOCAL_ISSUER, Acceptance, Credential, CredentialKind, Person
from spe.domain.principal import Permission, Principal, Role
from spe.domain.signin import Shown, shortcomings
from spe.ports.store import UnitOfWork
from spe.services.context import House
from spe.services.journal import record
from spe.services.paging import every
from spe.services.transact import demand

LINK_HOURS = 24
SESSION_IDLE = timedelta(minutes=60)
TOKEN_DAYS = 90
INVITATION_HOURS = 24 * 7
BREAK_GLASS_HOURS = 0.5
BY_PROVIDER, BY_GLASS = "identity-provider", "break-glass"
"""How a session came about, where an identity provider is in use; nothing else opens one there."""

_NO_LINKS = Denial(
    code="no-links", message="People sign in with the identity provider here; invite the person instead."
)
_NO_PROVIDER = Denial(code="no-provider", message="No identity provider is in use here; make a sign-in link instead.")
_HAS_IDENTITY = Denial(code="has-identity", message="This person has an identity already; they sign in with it.")
_NOT_THROUGH_GLASS = Denial(
    code="not-through-glass", message="Such a link is made at the command line of the host, for operators only."
)


def digest_of(secret: str) -> str:
    """How a secret is stored."""
    return hashlib.sha256(secret.encode()).hexdigest()


class PeopleService:
    """Registers people and tells who acts."""

    def __init__(self, house: House) -> None:
        self._house = house

    def register(
        self, *, issuer: str, subject: str, name: str, organisation: str, roles: Iterable[Role], by: Principal
    ) -> Person:
        """Make somebody known, or return the person who already has this issuer and subject."""
        by = demand(by, Permission.PEOPLE_MANAGE)
        held = frozenset(roles)
        self._check(name, organisation, held)
        for role in held:
            Actor(issuer=issuer, subject=subject, role=role)  # whom the log could not name could do nothing
        now = self._now()
        with self._house.ports.store.begin() as uow:
            known = uow.person_of(issuer, subject)
            if known is not None:
                return known
            person = Person(
                id=ids.new_person(), issuer=issuer, subject=subject, name=name, organisation=organisation, roles=held
            )
            uow.people.add(person)
            record(
                uow,
                event="person.registered",
                kind="person",
                subject=person.id,
                now=now,
                by=by,
                facts={"roles": "+".join(sorted(held))},
            )
            return person

    def _check(self, name: str, organisation: str, roles: frozenset[Role]) -> None:
        problems: dict[str, str] = {}
        if not name.strip() or not name.isprintable():
            problems["name"] = "Give a name of one line without control characters."
        if not organisation.isprintable():
            problems["organisation"] = "Give the organisation in one line without control characters."
        if not roles or Role.SYSTEM in roles:
            problems["roles"] = "Give at least one role of a person."
        for pair in self._house.policies().exclusive:
            if pair <= roles:
                problems["roles"] = f"One person may not be both {' and '.join(sorted(pair))} (policies/roles.yaml)."
        if problems:
            raise Invalid(problems)

    def everyone(self, *, by: Principal) -> tuple[Person, ...]:
        """All people, for those who name them on permits or manage them."""
        demand(by, Permission.PEOPLE_READ)
        with self._house.ports.store.read() as uow:
            return uow.people.select()

    def person(self, person: PersonId) -> Person:
        """One person. Raises `NotFound`."""
        with self._house.ports.store.read() as uow:
            return uow.people.get(person)

    def names(self, people: Iterable[PersonId]) -> dict[PersonId, str]:
        """Display names by id; ids of the environment's own principals are shown as they are."""
        with self._house.ports.store.read() as uow:
            found = {p: uow.people.find(p) for p in set(people)}
        return {key: person.name if person else key for key, person in found.items()}

    def principal(self, person: Person) -> Principal:
        """The person as somebody who acts, with what the policies grant to their roles."""
        if not person.active:
            raise Unauthenticated("This account was switched off; ask an operator.")
        policies = self._house.policies()
        return Principal(
            person=person.id,
            issuer=person.issuer,
            subject=person.subject,
            name=person.name,
            roles=person.roles,
            permissions=policies.grants(person.roles),
            held=policies.held(person.roles),
            policy=policies.digest,
        )

    def link(self, person: PersonId, *, by: Principal, hours: float = LINK_HOURS) -> str:
        """A one-time sign-in secret for the person; whoever redeems it is that person."""
        by = demand(by, Permission.PEOPLE_MANAGE)
        if self._house.ports.identity is not None:
            raise Refused([_NO_LINKS])
        return self._issue(CredentialKind.LINK, person, timedelta(hours=hours), by=by)

    def break_glass(self, person: PersonId, *, by: Principal) -> str:
        """A one-time sign-in secret for an operator while the identity provider is out of order.

        Only the environment's own principal makes one, at the command line of the host.
        """
        by = demand(by, Permission.PEOPLE_MANAGE)
        found = self.person(person)
        if not by.is_system or Role.OPERATOR not in found.roles:
            raise Refused([_NOT_THROUGH_GLASS])
        life = timedelta(hours=BREAK_GLASS_HOURS)
        return self._issue(CredentialKind.LINK, person, life, facts={"by": BY_GLASS}, by=by)

    def invite(self, person: PersonId, *, by: Principal, hours: float = INVITATION_HOURS) -> str:
        """A one-time secret; the first identity that signs in with it is this person's from then on."""
        by = demand(by, Permission.PEOPLE_MANAGE)
        if self._house.ports.identity is None:
            raise Refused([_NO_PROVIDER])
        if self.person(person).issuer != LOCAL_ISSUER:
            raise Refused([_HAS_IDENTITY])
        return self._issue(CredentialKind.INVITATION, person, timedelta(hours=hours), by=by)

    def token(self, person: PersonId, *, days: int = TOKEN_DAYS, by: Principal) -> str:
        """An API token that acts as the person; for oneself, or made by whoever manages people."""
        if by.person != person:
            by = demand(by, Permission.PEOPLE_MANAGE)
        return self._issue(CredentialKind.TOKEN, person, timedelta(days=days), by=by)

    def redeem(self, secret: str) -> str:
        """Exchange a one-time link for a session secret. Raises `Unauthenticated` when used or over."""
        now = self._now()
        with self._house.ports.store.begin() as uow:
            link = self._live(uow, secret, CredentialKind.LINK, now)
            if self._house.ports.identity is not None and link.facts.get("by") != BY_GLASS:
                raise Unauthenticated("One-time links are not in use here; sign in with your identity provider.")
            uow.credentials.save(replace(link, used_at=now))
            return self.open(uow, uow.people.get(link.person), facts=link.facts, now=now)

    def open(self, uow: UnitOfWork, person: Person, *, facts: Mapping[str, str], now: datetime) -> str:
        """A new session of the person, with what is known of how they signed in. Raises `Unauthenticated`."""
        by = self.principal(person)
        return self._store(uow, CredentialKind.SESSION, person.id, SESSION_IDLE, now, facts=facts, by=by)

    def session(self, secret: str) -> Principal:
        """The person behind a web session; using it moves its idle end. Raises `Unauthenticated`."""
        now = self._now()
        with self._house.ports.store.read() as uow:
            session = self._live(uow, secret, CredentialKind.SESSION, now)
            person = uow.people.get(session.person)
        self._still_enough(session, person, now)
        if session.expires - now < SESSION_IDLE - timedelta(minutes=5):
            with self._house.ports.store.begin() as uow:
                fresh = uow.credentials.find(session.digest)
                if fresh is not None and fresh.live(now):
                    uow.credentials.save(replace(fresh, expires=now + SESSION_IDLE))
        return self.principal(person)

    def _still_enough(self, session: Credential, person: Person, now: datetime) -> None:
        """Whether what the sign-in showed is enough under the policies of this moment. Raises `Unauthenticated`."""
        if self._house.ports.identity is None or session.facts.get("by") == BY_GLASS:
            return
        if session.facts.get("by") != BY_PROVIDER:
            raise Unauthenticated("This sign-in was not made with the identity provider; sign in again.")
        lacking = shortcomings(self._house.policies().sign_in, person.roles, Shown.of(session.facts), now)
        if lacking:
            raise Unauthenticated(lacking[0].message)

    def bearer(self, secret: str) -> Principal:
        """The person behind an API token. Raises `Unauthenticated`."""
        with self._house.ports.store.read() as uow:
            token = self._live(uow, secret, CredentialKind.TOKEN, self._now())
            return self.principal(uow.people.get(token.person))

    def sign_out(self, secret: str) -> None:
        """End a web session; fine when it had ended."""
        now = self._now()
        with self._house.ports.store.begin() as uow:
            session = uow.credentials.find(digest_of(secret))
            if session is not None and session.live(now):
                uow.credentials.save(replace(session, used_at=now))
                person = uow.people.get(session.person)
                record(
                    uow, event="person.signed-out", kind="person", subject=person.id, now=now, by=self.principal(person)
                )

    def accept_terms(self, permit: PermitId, *, by: Principal) -> Acceptance:
        """Accept the terms of use of a permit that names this person, in the version in force."""
        now = self._now()
        with self._house.ports.store.begin() as uow:
            found = uow.permits.find(permit)
            if found is None or not found.names(by.person):
                raise NotFound("There is no such permit for you.")
            acceptance = Acceptance(
                person=by.person, permit=permit, terms=self._house.policies().rules.terms_version, at=now
            )
            uow.accept(acceptance)
            record(
                uow,
                event="terms.accepted",
                kind="permit",
                subject=permit,
                now=now,
                by=by,
                facts={"terms": acceptance.terms},
            )
            return acceptance

    def switch(self, person: PersonId, *, active: bool, by: Principal) -> Person:
        """Switch an account off or on; their workspaces follow at once. Nobody switches their own."""
        by = demand(by, Permission.PEOPLE_MANAGE)
        if person == by.person:
            raise Refused([Denial(code="own-account", message="Another operator switches your account.")])
        now = self._now()
        with self._house.ports.store.begin() as uow:
            saved = uow.people.save(replace(uow.people.get(person), active=active))
            record(
                uow, event="person.switched", kind="person", subject=person, now=now, by=by, facts={"active": active}
            )
            for permit in every(uow.permits, state=(PermitState.ACTIVE, PermitState.SUSPENDED)):
                if permit.names(person):
                    uow.outbox.put("permit:reconcile", permit.id, now)
        self._house.ring()
        return saved

    def _issue(
        self,
        kind: CredentialKind,
        person: PersonId,
        life: timedelta,
        *,
        facts: Mapping[str, str] | None = None,
        by: Principal,
    ) -> str:
        now = self._now()
        with self._house.ports.store.begin() as uow:
            uow.people.get(person)
            return self._store(uow, kind, person, life, now, facts=facts, by=by)

    def _store(
        self,
        uow: UnitOfWork,
        kind: CredentialKind,
        person: PersonId,
        life: timedelta,
        now: datetime,
        *,
        facts: Mapping[str, str] | None = None,
        by: Principal,
    ) -> str:
        secret = f"spe_{kind.value}_{secrets.token_urlsafe(32)}"
        known = dict(facts or {})
        uow.credentials.add(
            Credential(
                digest=digest_of(secret), kind=kind, person=person, created_at=now, expires=now + life, facts=known
            )
        )
        told = {"by": known["by"]} if "by" in known else {}
        record(uow, event=f"credential.{kind.value}-issued", kind="person", subject=person, now=now, facts=told, by=by)
        return secret

    def _live(self, uow: UnitOfWork, secret: str, kind: CredentialKind, now: datetime) -> Credential:
        found = uow.credentials.find(digest_of(secret))
        if found is None or found.kind is not kind or not found.live(now):
            raise Unauthenticated("This sign-in is not valid any more; ask for a new link.")
        return found

    def _now(self) -> datetime:
        return self._house.ports.clock.now()
