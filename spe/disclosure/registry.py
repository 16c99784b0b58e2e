"""How a check is written and found.

A check is one pure function from a thing (a table, a directory entry, a whole request …) and its parameters
to hits. The decorator turns it into a `Check` that knows its id, what it looks at, its parameters, the
sentence a data access board reads, and what a researcher does about a finding. Nothing is registered as a
side effect: `catalogue` imports the modules of checks and collects what they define.
"""

import importlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Any, TypeVar

from spe.disclosure.content import Hit
from spe.disclosure.parameters import plain_parameters
from spe.domain.verdict import Severity

MODULES = ("package", "types", "hidden", "secrets", "microdata", "frequencies", "genomics", "acro")

_T = TypeVar("_T")
_P = TypeVar("_P")


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One rule. `severity` is the weight it has when a policy does not say otherwise."""

    id: str
    applies_to: type
    parameters: type
    severity: Severity
    sentence: str
    remedy: str
    doc: str
    run: Callable[[Any, Any], Iterable[Hit]]

    def explain(self, parameters: object) -> str:
        """The sentence with the parameters' values in it."""
        return self.sentence.format(**{name: _spoken(value) for name, value in plain_parameters(parameters).items()})


def check(
    name: str,
    *,
    applies_to: type[_T],
    parameters: type[_P],
    sentence: str,
    remedy: str,
    severity: Severity = Severity.BLOCK,
) -> Callable[[Callable[[_T, _P], Iterable[Hit]]], Check]:
    """Make a check of a function. Its docstring says what it looks for and where the rule comes from."""

    def made(function: Callable[[_T, _P], Iterable[Hit]]) -> Check:
        return Check(
            id=name,
            applies_to=applies_to,
            parameters=parameters,
            severity=severity,
            sentence=sentence,
            remedy=remedy,
            doc=(function.__doc__ or "").strip(),
            run=function,
        )

    return made


@cache
def catalogue() -> Mapping[str, Check]:
    """Every check by id, in the order of the modules. Raises RuntimeError when two share an id."""
    found: dict[str, Check] = {}
    for name in MODULES:
        module = importlib.import_module(f"spe.disclosure.checks.{name}")
        for one in vars(module).values():
            if not isinstance(one, Check):
                continue
            if one.id in found:
                raise RuntimeError(f"two checks are called {one.id}")
            found[one.id] = one
    return MappingProxyType(found)


def _spoken(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(str(one) for one in value) or "nothing"
    return str(value)
