"""What a guard is: the things that may happen to the rows of one table, as data."""

# ruff: noqa: S608  (conditions are put together from constants of this package)

from dataclasses import dataclass

Rule = tuple[str, str]
"""Code and condition: a row for which the condition holds is refused with that code."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """What may happen to the rows of a table. `fixed` None: rows never change; `keeps`: rows never go."""

    table: str
    keys: tuple[tuple[str, ...], ...]
    fixed: tuple[str, ...] | None = None
    keeps: bool = True
    insert: tuple[Rule, ...] = ()
    update: tuple[Rule, ...] = ()
    delete: tuple[Rule, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """A statement that follows a change of a row when `when` holds."""

    name: str
    table: str
    event: str
    statement: str
    when: str = "1 = 1"


def moves(machine: str) -> Rule:
    """A state follows another only as the table of moves says."""
    listed = f"t.machine = '{machine}' AND t.source = OLD.state AND t.target = NEW.state"
    return "no-such-move", f"NEW.state <> OLD.state AND NOT EXISTS (SELECT 1 FROM transitions t WHERE {listed})"


def request_is(condition: str) -> str:
    """The egress request `e` of the new row fulfils the condition."""
    return f"EXISTS (SELECT 1 FROM egress e WHERE e.id = NEW.request AND {condition})"


IN_REVIEW = request_is("e.state = 'in-review' AND e.round = NEW.round")
