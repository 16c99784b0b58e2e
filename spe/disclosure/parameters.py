"""Parameters of checks: what may be set, within which bounds, and which of two values is the stricter one.

A check's parameters are a frozen dataclass whose fields are made by `parameter`. From the same fields come
reading a policy document, its canonical JSON, and the strictest-wins merge, so that no check can forget one
of them. Values are whole numbers, true or false, sets of words, and severities; shares are whole percents,
because what is hashed holds no fractions.
"""

import difflib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any, Final, TypeAlias, TypeVar

from spe.domain.errors import Invalid
from spe.domain.verdict import Severity

Value: TypeAlias = int | bool | frozenset[str] | Severity


class Stricter(StrEnum):
    """Which of two values of a parameter holds more back."""

    HIGHER = "higher"
    LOWER = "lower"
    MORE = "more entries"
    FEWER = "fewer entries"
    YES = "yes"
    NO = "no"
    WORSE = "the worse severity"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What is known about one parameter beside its default."""

    stricter: Stricter
    says: str
    at_least: int | None = None
    at_most: int | None = None
    words: frozenset[str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Nothing:
    """The parameters of a check that has none."""


_P = TypeVar("_P")


def parameter(
    default: Any,
    *,
    stricter: Stricter,
    says: str,
    at_least: int | None = None,
    at_most: int | None = None,
    words: frozenset[str] | None = None,
) -> Any:
    """One parameter: default, the direction of strictness, a sentence, and its bounds or allowed words."""
    rule = Rule(stricter=stricter, says=says, at_least=at_least, at_most=at_most, words=words)
    return field(default=default, metadata={"rule": rule})


def rules_of(kind: type) -> dict[str, Rule]:
    """The parameters of a check by name."""
    return {one.name: one.metadata["rule"] for one in fields(kind)}


def read_parameters(kind: type[_P], document: Mapping[str, object], base: _P, where: str) -> _P:
    """`base` with the values of `document` put in. Raises Invalid, naming the nearest known key."""
    rules = rules_of(kind)
    values = {name: getattr(base, name) for name in rules}
    for name, value in document.items():
        if name not in rules:
            raise Invalid({f"{where}.{name}": unknown(name, rules, "parameter")})
        values[name] = _read(value, rules[name], f"{where}.{name}")
    return kind(**values)


def plain_parameters(values: object) -> dict[str, Any]:
    """The parameters as JSON values, sets as sorted lists."""
    return {name: _plain(getattr(values, name)) for name in rules_of(type(values))}


def stricter_parameters(left: _P, right: _P) -> _P:
    """For each parameter the stricter of both values."""
    kind = type(left)
    merged = {
        name: stricter_value(rule.stricter, getattr(left, name), getattr(right, name))
        for name, rule in rules_of(kind).items()
    }
    return kind(**merged)


def stricter_value(direction: Stricter, left: Any, right: Any) -> Any:
    """The stricter of two values; sets are united or cut to what both hold."""
    return _CHOICES[direction](left, right)


def unknown(name: str, known: Iterable[str], what: str) -> str:
    """The sentence for an unknown name, with the nearest known one."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(names) or 'none'}."
    return f"This is not a known {what}; {hint}"


def worse(left: Severity, right: Severity) -> Severity:
    """The heavier of two severities."""
    return max(left, right, key=lambda severity: severity.rank)


_CHOICES: Final[dict[Stricter, Callable[[Any, Any], Any]]] = {
    Stricter.HIGHER: max,
    Stricter.LOWER: min,
    Stricter.MORE: frozenset.union,
    Stricter.FEWER: frozenset.intersection,
    Stricter.YES: lambda left, right: left or right,
    Stricter.NO: lambda left, right: left and right,
    Stricter.WORSE: worse,
}


def _plain(value: Value) -> Any:
    if isinstance(value, frozenset):
        return sorted(value)
    return value.value if isinstance(value, Severity) else value


def _read(value: object, rule: Rule, where: str) -> Value:
    if rule.stricter in {Stricter.HIGHER, Stricter.LOWER}:
        return _whole(value, rule, where)
    if rule.stricter in {Stricter.MORE, Stricter.FEWER}:
        return _words(value, rule, where)
    if rule.stricter is Stricter.WORSE:
        return read_severity(value, where)
    if not isinstance(value, bool):
        raise Invalid({where: "This must be true or false."})
    return value


def read_severity(value: object, where: str) -> Severity:
    """A severity from a document. Raises Invalid."""
    if not isinstance(value, str) or value not in tuple(Severity):
        raise Invalid({where: f"This must be one of {', '.join(Severity)}."})
    return Severity(value)


def _whole(value: object, rule: Rule, where: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise Invalid({where: "This must be a whole number."})
    if rule.at_least is not None and value < rule.at_least:
        raise Invalid({where: f"This must be at least {rule.at_least}."})
    if rule.at_most is not None and value > rule.at_most:
        raise Invalid({where: f"This must be at most {rule.at_most}."})
    return value


def _words(value: object, rule: Rule, where: str) -> frozenset[str]:
    if not isinstance(value, list | tuple) or not all(isinstance(word, str) for word in value):
        raise Invalid({where: "This must be a list of words."})
    for word in value:
        if rule.words is not None and word not in rule.words:
            raise Invalid({where: f"{word!r}: {unknown(word, rule.words, 'word here')}"})
    return frozenset(value)
