"""Signing in with the identity provider, and the endings that the provider tells of.

An attempt keeps nothing here: its ticket stays with the browser, and state, nonce and PKCE verifier are made from it
with the environment's key, so that any replica can take the answer and nobody else can make one. The answer is taken
once. Whom the provider vouches for must be registered with exactly that issuer and subject, or come with an
invitation; e-mail addresses and names decide nothing.
"""

import hashlib
import hmac
import json
import logging
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from spe.domain.errors import Denial, NotFound, Refused, Stale
from spe.domain.person import LOCAL_ISSUER, Credential, CredentialKind, Person
from spe.domain.principal import ENTRY
from spe.domain.signin import Requirement, shortcomings
from spe.ports.identity import Attempt, Ended, Identity, IdentityProvider, NotVouched, Why
from spe.ports.secrets import KeyName
from spe.ports.store import UnitOfWork
from spe.services.context import House
from spe.services.journal import record
from spe.services.people import BY_PROVIDER, PeopleService, digest_of

log = logging.getLogger("spe.logins")
ATTEMPT_LIFE = timedelta(minutes=10)
LONGEST_TICKET = 3600
LATEST = 2**33
OFF = Denial(code="switched-off", message="This account was switched off; ask an operator.")
TAKEN = Denial(code="identity-taken", message="You are registered here already; sign in without the invitation.")
OVER = Denial(
    code="invitation-over", message="This invitation was used already, or its time is over; ask for a new one."
)


class Unknown(Refused):
    """The provider vouches for somebody who is not registered here; they are told how they are known there."""

    def __init__(self, issuer: str, subject: str) -> None:
        self.issuer, self.subject = issuer, subject
        super().__init__([Denial(code="not-registered", message="You are not registered here yet.")])


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """An attempt: where the browser goes, and the ticket that it brings back, kept under `name`."""

    address: str
    name: str
    ticket: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entered:
    """A sign-in that succeeded: the session's secret, where the person wanted to go, the hint to sign out with."""

    session: str = field(repr=False)
    next: str
    hint: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ticket:
    """What an attempt was for; the salt makes every one different."""

    begun: int
    salt: str
    next: str
    invitation: str

    def text(self) -> str:
        values = [self.begun, self.salt, self.next, self.invitation]
        return urlsafe_b64encode(json.dumps(values, separators=(",", ":")).encode()).decode().rstrip("=")


class LoginService:
    """Sign-ins with one identity provider; without one nothing is offered."""

    def __init__(self, house: House, people: PeopleService) -> None:
        self._house = house
        self._people = people

    @property
    def offered(self) -> bool:
        """Whether people sign in with an identity provider here."""
        return self._house.ports.identity is not None

    @property
    def issuer(self) -> str:
        """Who vouches for people here."""
        provider = self._house.ports.identity
        return provider.issuer if provider else LOCAL_ISSUER

    def begin(self, *, next: str, invitation: str = "", fresh: bool = False) -> Begun:  # noqa: A002
        """Begin an attempt. Nothing is stored: whoever only asks leaves nothing behind. Raises `Unavailable`."""
        begun = int(self._now().timestamp())
        ticket = _Ticket(begun=begun, salt=secrets.token_urlsafe(24), next=next, invitation=invitation).text()
        attempt = self._attempt(ticket, begun)
        asked = self._house.policies().sign_in.values()
        address = self._provider().address(attempt, acr=_contexts(asked), hours=_hours(asked), fresh=fresh)
        return Begun(address=address, name=name_of(attempt.state), ticket=ticket)

    def finish(self, ticket: str, answer: Mapping[str, str]) -> Entered:
        """Take the provider's answer to the attempt of this ticket, once.

        Raises `NotVouched` when it proves nothing, `Unknown` when the person is not registered, `Refused` when the
        sign-in is not enough or the account is off, `Unavailable` when the provider is silent.
        """
        provider, now = self._provider(), self._now()
        asked = _read(ticket)
        attempt = self._attempt(ticket, asked.begun)
        if not hmac.compare_digest(attempt.state.encode(), answer.get("state", "").encode()):
            raise NotVouched(Why.NOT_ASKED, "state")
        if not timedelta() <= now - attempt.begun < ATTEMPT_LIFE:
            raise NotVouched(Why.TOO_LATE, "ticket-age")
        self._take_once(f"login:{digest_of(attempt.state)}", now)
        hours = _hours(self._house.policies().sign_in.values())
        identity = provider.identify(answer, attempt, hours=hours, now=now)
        try:
            session = self._enter(identity, asked.invitation, now)
        except Refused as refusal:
            self._note_refusal(identity, refusal, now)
            raise
        return Entered(session=session, next=asked.next, hint=identity.hint)

    def ended(self, token: str) -> int:
        """End the sessions that a back-channel logout token names; how many. Raises `NotVouched`, also when repeated.

        Sessions that the provider ended do not come back: a sign-in under way in one of them is refused.
        """
        now = self._now()
        ended = self._provider().ended(token, now=now)
        self._take_once(f"logout:{_digest(ended.issuer, ended.id)}", now)
        with self._house.ports.store.begin() as uow:
            if ended.sid and uow.answer_of(_ending(ended.issuer, ended.sid)) is None:
                uow.keep_answer(_ending(ended.issuer, ended.sid), "ended", now)
            over = [s for s in uow.live_credentials(CredentialKind.SESSION, now) if _meant(s, ended)]
            for session in over:
                uow.credentials.save(replace(session, used_at=now))
                record(
                    uow, event="person.signed-out", kind="person", subject=session.person, now=now, by=ENTRY,
                    facts={"by": BY_PROVIDER},
                )  # fmt: skip
        return len(over)

    def farewell(self, hint: str) -> str:
        """Where the browser goes to sign out of the provider as well; empty when there is no such place."""
        return self._provider().farewell(hint)

    def _enter(self, identity: Identity, invitation: str, now: datetime) -> str:
        with self._house.ports.store.begin() as uow:
            if identity.sid and uow.answer_of(_ending(identity.issuer, identity.sid)) is not None:
                raise NotVouched(Why.SIGNED_OUT, "sid-ended")
            known = uow.person_of(identity.issuer, identity.subject)
            if invitation:
                if known is not None:
                    raise Refused([TAKEN])
                person = self._take_up(uow, invitation, now)
            elif known is None:
                raise Unknown(identity.issuer, identity.subject)
            else:
                person = known
            self._demand(person, identity, now)
            if invitation:
                person = self._bind(uow, person, identity, now)
            facts = {
                "by": BY_PROVIDER,
                "issuer": identity.issuer,
                "login": identity.login,
                "sid": identity.sid,
                **identity.shown.facts(),
            }
            return self._people.open(uow, person, facts=facts, now=now)

    def _take_up(self, uow: UnitOfWork, invitation: str, now: datetime) -> Person:
        found = uow.credentials.find(digest_of(invitation))
        if found is None or found.kind is not CredentialKind.INVITATION or not found.live(now):
            raise Refused([OVER])
        person = uow.people.get(found.person)
        if person.issuer != LOCAL_ISSUER:
            raise Refused([OVER])
        uow.credentials.save(replace(found, used_at=now))
        return person

    def _bind(self, uow: UnitOfWork, person: Person, identity: Identity, now: datetime) -> Person:
        former = f"sha256:{_digest(person.issuer, person.subject)}"
        bound = uow.people.save(replace(person, issuer=identity.issuer, subject=identity.subject))
        record(
            uow, event="person.identity-bound", kind="person", subject=person.id, now=now,
            by=self._people.principal(bound), facts={"former": former},
        )  # fmt: skip
        return bound

    def _demand(self, person: Person, identity: Identity, now: datetime) -> None:
        lacking = shortcomings(self._house.policies().sign_in, person.roles, identity.shown, now)
        denials = (*(() if person.active else (OFF,)), *lacking)
        if denials:
            raise Refused(denials)

    def _note_refusal(self, identity: Identity, refusal: Refused, now: datetime) -> None:
        """Write down that somebody who is registered was refused; of others the log of the process tells."""
        log.warning("sign-in refused: %s", " ".join(refusal.codes))
        with self._house.ports.store.begin() as uow:
            known = uow.person_of(identity.issuer, identity.subject)
            if known is not None:
                record(
                    uow, event="person.sign-in-refused", kind="person", subject=known.id, now=now, by=ENTRY,
                    facts={"code": refusal.codes[0]},
                )  # fmt: skip

    def _take_once(self, key: str, now: datetime) -> None:
        try:
            with self._house.ports.store.begin() as uow:
                uow.keep_answer(key, "taken", now)
        except Stale as error:
            raise NotVouched(Why.USED, "repeated") from error

    def _attempt(self, ticket: str, begun: int) -> Attempt:
        """State, nonce and verifier of a ticket: three different codes, each 43 characters, made with our key."""

        def made(purpose: str) -> str:
            mac = self._house.ports.secrets.mac(KeyName.LINKS, f"login:{purpose}:{ticket}".encode())
            return urlsafe_b64encode(mac).decode().rstrip("=")

        at = datetime.fromtimestamp(begun, UTC)
        return Attempt(state=made("state"), nonce=made("nonce"), verifier=made("verifier"), begun=at)

    def _provider(self) -> IdentityProvider:
        provider = self._house.ports.identity
        if provider is None:
            raise NotFound("No identity provider is in use here.")
        return provider

    def _now(self) -> datetime:
        return self._house.ports.clock.now()


def name_of(state: str) -> str:
    """Under which name a browser keeps the ticket of this attempt, so that several can be under way."""
    return digest_of(state)[:16]


def _read(ticket: str) -> _Ticket:
    """The ticket, not yet known to be ours: only the state proves that. Raises `NotVouched` when it cannot be one."""
    try:
        found = json.loads(urlsafe_b64decode(ticket[:LONGEST_TICKET] + "=" * (-len(ticket) % 4)))
    except (ValueError, RecursionError) as error:
        raise NotVouched(Why.NOT_ASKED, "ticket") from error
    match found:
        case [int(begun), str(salt), str(next_), str(invitation)] if 0 <= begun < LATEST:
            return _Ticket(begun=begun, salt=salt, next=next_, invitation=invitation)
    raise NotVouched(Why.NOT_ASKED, "ticket")


def _meant(session: Credential, ended: Ended) -> bool:
    """Whether a session is one that has ended: by the name of the session where it is given, else by the person's."""
    name, value = ("sid", ended.sid) if ended.sid else ("login", ended.login)
    return session.facts.get("issuer") == ended.issuer and session.facts.get(name) == value


def _ending(issuer: str, sid: str) -> str:
    return f"ended:{_digest(issuer, sid)}"


def _digest(*parts: str) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _contexts(asked: Iterable[Requirement]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(context for one in asked for context in one.acr))


def _hours(asked: Iterable[Requirement]) -> int:
    """The longest age that any role allows: which roles come is not known yet."""
    return max((one.hours for one in asked), default=0)
