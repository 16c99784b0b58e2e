"""What a sign-in showed about itself, and whether that is enough for a person's roles (security note T102).

Requirements come from the policies, claims from the identity provider. What was not shown counts as missing, and
so does a role for which the policies ask nothing at all: silence is a refusal.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from spe.domain.errors import Denial
from spe.domain.principal import Role


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirement:
    """What a role asks of a sign-in: one of the factors (`acr` or `amr`), all of the assurance, at most so old.

    Without any `acr` and `amr` every factor is good enough; `hours` 0 sets no age.
    """

    acr: tuple[str, ...] = ()
    amr: tuple[str, ...] = ()
    assurance: tuple[str, ...] = ()
    hours: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """The claims of a sign-in: context class, methods, assurance of the identity, and when it took place."""

    acr: str = ""
    amr: frozenset[str] = frozenset()
    assurance: frozenset[str] = frozenset()
    at: datetime | None = None

    def facts(self) -> dict[str, str]:
        """The same as flat text, to be kept with a session."""
        at = str(int(self.at.timestamp())) if self.at else ""
        return {"acr": self.acr, "amr": _joined(self.amr), "assurance": _joined(self.assurance), "at": at}

    @classmethod
    def of(cls, facts: Mapping[str, str]) -> "Shown":
        """What `facts` wrote down."""
        at = facts.get("at", "")
        return cls(
            acr=facts.get("acr", ""),
            amr=frozenset(facts.get("amr", "").split()),
            assurance=frozenset(facts.get("assurance", "").split()),
            at=datetime.fromtimestamp(int(at), UTC) if at else None,
        )


def shortcomings(
    requirements: Mapping[Role, Requirement], roles: Iterable[Role], shown: Shown, now: datetime
) -> tuple[Denial, ...]:
    """Why this sign-in is not enough for these roles; empty when it is."""
    return tuple(denial for role in sorted(roles) for denial in _of_role(role, requirements.get(role), shown, now))


def _of_role(role: Role, wanted: Requirement | None, shown: Shown, now: datetime) -> Iterable[Denial]:
    if wanted is None:
        yield _denial("not-ruled", f"The policies do not say how the role {role} signs in; the operator adds it.")
        return
    if (wanted.acr or wanted.amr) and shown.acr not in wanted.acr and not shown.amr & set(wanted.amr):
        yield _denial("factor", f"The role {role} asks for a second factor, and this sign-in did not show one.")
    if not set(wanted.assurance) <= shown.assurance:
        yield _denial("assurance", f"The role {role} asks for a better proof of identity than this sign-in showed.")
    if wanted.hours and (shown.at is None or now - shown.at >= timedelta(hours=wanted.hours)):
        yield _denial("age", f"The role {role} asks for a sign-in that is less than {wanted.hours} hours old.")


def _joined(values: Iterable[str]) -> str:
    return " ".join(sorted(values))


def _denial(code: str, message: str) -> Denial:
    return Denial(code=code, message=message)
