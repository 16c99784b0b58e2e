"""State machines, said once: a move is one record with its permission, event, guards and effects.

`decide` answers a single move, `offers` lists all of them; pages, API and command line show the
same offers. All guards are asked, so that a person sees every reason at once. Guards are pure and
never look at a clock: time comes in through the context.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

from spe.domain.errors import Denial
from spe.domain.principal import Permission

S = TypeVar("S", bound=StrEnum)
C = TypeVar("C")

Guard = Callable[[C], Denial | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition(Generic[S, C]):
    """One move: from any of `sources` by `verb` to `target` (None: the state stays)."""

    verb: str
    title: str
    sources: frozenset[S]
    target: S | None
    permission: Permission
    event: str
    guards: tuple[Guard[C], ...] = ()
    effects: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowed(Generic[S, C]):
    """The move may happen; `target` is the state that follows."""

    transition: Transition[S, C]
    target: S


@dataclass(frozen=True, slots=True, kw_only=True)
class Denied:
    """The move may not happen, with every reason."""

    denials: tuple[Denial, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A move as shown to a person: open when `denials` is empty, else with the reasons as the hint."""

    verb: str
    title: str
    permission: Permission
    denials: tuple[Denial, ...] = ()

    @property
    def open(self) -> bool:
        """Whether the move would be allowed now."""
        return not self.denials


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine(Generic[S, C]):
    """A table of moves over the states of one subject."""

    name: str
    initial: S
    final: frozenset[S]
    transitions: tuple[Transition[S, C], ...]

    def find(self, state: S, verb: str) -> Transition[S, C] | None:
        """The move named `verb` out of `state`, or None."""
        for transition in self.transitions:
            if transition.verb == verb and state in transition.sources:
                return transition
        return None

    def decide(self, state: S, verb: str, context: C) -> Allowed[S, C] | Denied:
        """Whether `verb` may happen in `state`, with the state that follows or every reason why not."""
        transition = self.find(state, verb)
        if transition is None:
            return Denied(denials=(self._not_from_here(state, verb),))
        denials = tuple(d for guard in transition.guards if (d := guard(context)) is not None)
        if denials:
            return Denied(denials=denials)
        return Allowed(transition=transition, target=state if transition.target is None else transition.target)

    def offers(self, state: S, context: C) -> Iterator[Offer]:
        """Every move out of `state`, open or with the reasons why not now."""
        for transition in self.transitions:
            if state in transition.sources:
                answer = self.decide(state, transition.verb, context)
                denials = answer.denials if isinstance(answer, Denied) else ()
                yield Offer(
                    verb=transition.verb,
                    title=transition.title,
                    permission=transition.permission,
                    denials=denials,
                )

    def _not_from_here(self, state: S, verb: str) -> Denial:
        known = [t for t in self.transitions if t.verb == verb]
        if not known:
            return Denial(code="unknown-verb", message=f"“{verb}” is not something one can do to a {self.name}.")
        places = ", ".join(sorted({str(s) for t in known for s in t.sources}))
        return Denial(
            code="wrong-state",
            message=f"The {self.name} is {state}; “{verb}” is possible only when it is {places}.",
        )
