"""Where automatic checks run: a child without network or credentials, read-only input, limits.

No report, a crash or a time-out is a block; the caller makes it one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckJob:
    """One request's files (path in the request → file on disk), policy, profiles and earlier releases."""

    files: Mapping[str, Path]
    declaration: str
    policy: Mapping[str, Any]
    profiles: tuple[bytes, ...] = ()
    history: tuple[Mapping[str, Path], ...] = ()
    seconds: float = 60.0
    memory_bytes: int = 1024**3


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """The report's JSON and the derived views by name (`0.json`, `0.png`)."""

    report: bytes
    views: Mapping[str, bytes]


class Checker(Protocol):
    """Runs the engine in isolation."""

    def check(self, job: CheckJob) -> CheckResult:
        """Run the checks. Repeatable. Raises `Rejected` with a sentence on a crash, time-out or no report."""
        ...
