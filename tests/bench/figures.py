"""What a benchmark says: pairs of values measured in turn, and the ratio that comes of them.

A figure is the median of the ratios of its pairs, never a time by itself; where the highest ratio is more
than half again the lowest one, the machine was too busy and the figure says so.
"""

import statistics
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

NOISY = 1.5
SHORT, LONG = 7, 3
"""How many pairs are the fewest: of things that take milliseconds, of things that take seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """What a figure is to reach: a bound of the ratio, or with `added` of ours less theirs in its unit."""

    bound: float
    at_least: bool = False
    added: bool = False

    def is_met(self, value: float) -> bool:
        """Whether a value lies on the right side of the bound."""
        return value >= self.bound if self.at_least else value <= self.bound

    def __str__(self) -> str:
        return f"{'+' if self.added else ''}{'≥' if self.at_least else '≤'} {self.bound:g}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One comparison: (ours, theirs) of each pair in `unit`. `facts` are noise-free and need no second run."""

    bench: str
    name: str
    against: str
    unit: str
    pairs: tuple[tuple[float, float], ...]
    goal: Goal | None = None
    facts: Mapping[str, float | str] = field(default_factory=dict)

    @property
    def ratios(self) -> tuple[float, ...]:
        """Ours ÷ theirs of each pair."""
        return tuple(ours / theirs for ours, theirs in self.pairs)

    @property
    def ratio(self) -> float:
        """The median of the ratios."""
        return statistics.median(self.ratios)

    @property
    def added(self) -> float:
        """The median of ours less theirs."""
        return statistics.median(ours - theirs for ours, theirs in self.pairs)

    @property
    def is_noisy(self) -> bool:
        """Whether the ratios differ too much to be trusted."""
        return max(self.ratios) > NOISY * min(self.ratios)

    @property
    def is_met(self) -> bool | None:
        """Whether the goal is reached; None without a goal."""
        if self.goal is None:
            return None
        return self.goal.is_met(self.added if self.goal.added else self.ratio)

    def to_json(self) -> dict[str, object]:
        """Everything, for other programs."""
        return {
            "bench": self.bench,
            "name": self.name,
            "against": self.against,
            "unit": self.unit,
            "ratio": self.ratio,
            "lowest": min(self.ratios),
            "highest": max(self.ratios),
            "added": self.added,
            "noisy": self.is_noisy,
            "goal": str(self.goal) if self.goal else None,
            "met": self.is_met,
            "pairs": [list(pair) for pair in self.pairs],
            "facts": dict(self.facts),
        }


def in_turn(works: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Each work's values in order, measured A B A B; a first round of each warms up and is not kept."""
    found: dict[str, list[float]] = {name: [] for name in works}
    for turn in range(rounds + 1):
        for name, work in works.items():
            value = work()
            if turn:
                found[name].append(value)
    return found


async def in_turn_async(works: Mapping[str, Callable[[], Awaitable[float]]], rounds: int) -> dict[str, list[float]]:
    """`in_turn` for works that are awaited."""
    found: dict[str, list[float]] = {name: [] for name in works}
    for turn in range(rounds + 1):
        for name, work in works.items():
            value = await work()
            if turn:
                found[name].append(value)
    return found


def paired(ours: list[float], theirs: list[float]) -> tuple[tuple[float, float], ...]:
    """The pairs of two lists of values measured in turn."""
    return tuple(zip(ours, theirs, strict=True))
