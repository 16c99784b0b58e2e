"""The identity provider: who vouches for people, how a sign-in begins and ends, and what it showed.

Only what was verified crosses this port. A person is `issuer` and `subject`, never an e-mail address; names are
for display. What a sign-in showed (factors, assurance, time) is judged by the policies, not here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from spe.domain.errors import Unauthenticated
from spe.domain.signin import Shown

PORT = "identity provider"


class Why(StrEnum):
    """Why a sign-in came to nothing, in classes that people can act on."""

    DECLINED = "declined"
    NOT_SIGNED_IN = "not-signed-in"
    BUSY = "busy"
    MISCONFIGURED = "misconfigured"
    NOT_ASKED = "not-asked"
    TOO_LATE = "too-late"
    USED = "used"
    FORGED = "forged"
    SIGNED_OUT = "signed-out"


class NotVouched(Unauthenticated):
    """Nobody is vouched for. `reason` is a short code for the log; it says nothing of what was sent."""

    def __init__(self, why: Why, reason: str) -> None:
        self.why = why
        self.reason = reason
        super().__init__(f"The sign-in was not completed ({reason}).")


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One sign-in under way: what binds the provider's answer to the browser that asked."""

    state: str = field(repr=False)
    nonce: str = field(repr=False)
    verifier: str = field(repr=False)
    begun: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Whom the provider vouched for.

    `subject` identifies the person here; `login` is the provider's own `sub`, by which it ends sessions, and
    `sid` its name for the session (empty without one). `hint` is the ID token, to sign out with.
    """

    issuer: str
    subject: str
    login: str
    sid: str
    shown: Shown
    hint: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """The provider says that a session (`sid`), or every session of a `login`, has ended; `id` is never repeated."""

    issuer: str
    login: str
    sid: str
    id: str


class IdentityProvider(Protocol):
    """An OpenID provider. Every call may raise `Unavailable`, and `NotVouched` for what is not to be believed."""

    @property
    def issuer(self) -> str:
        """The issuer whose people sign in here."""
        ...

    def address(self, attempt: Attempt, *, acr: Sequence[str], hours: int, fresh: bool) -> str:
        """Where the browser goes to sign in.

        `acr` are contexts to ask for, the best first; `hours` how old the sign-in may be (0: any age); `fresh`
        asks for a new sign-in even if the provider knows the browser.
        """
        ...

    def identify(self, answer: Mapping[str, str], attempt: Attempt, *, hours: int, now: datetime) -> Identity:
        """Whom the provider's answer (the query it sent the browser back with) vouches for.

        With `hours` the time of the sign-in must have been told; whether it is recent enough is the caller's question.
        """
        ...

    def ended(self, token: str, *, now: datetime) -> Ended:
        """What a back-channel logout token says, verified; whether it was heard before is the caller's question."""
        ...

    def farewell(self, hint: str) -> str:
        """Where the browser goes to sign out of the provider as well; empty when it offers no such place."""
        ...
