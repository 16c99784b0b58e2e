"""What an engine left in its folder, read as if somebody else had written it: no link followed, nothing too large."""

import contextlib
import json
import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from spe.domain.errors import Rejected
from spe.ports.checker import CheckResult

REPORT = "report.json"
VIEWS = "views"
_MiB = 1024 * 1024
_VIEW_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,100}")


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerLimits:
    """How much of an answer is taken: bytes of the report, of all views, of everything on disk; views."""

    report: int = 64 * _MiB
    views: int = 256 * _MiB
    folder: int = 512 * _MiB
    view_count: int = 5000


def read_answer(out: Path, limits: AnswerLimits) -> CheckResult:
    """Report and views below `out`. Raises `Rejected` with a sentence for anything that is not an answer."""
    return CheckResult(report=_report(out, limits), views=_views(out / VIEWS, limits))


def is_view_name(name: str) -> bool:
    """Whether a view may be called so."""
    return _VIEW_NAME.fullmatch(name) is not None


def checked_report(data: bytes) -> bytes:
    """The report's bytes. Raises `Rejected` unless they are a JSON object."""
    try:
        report = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise Rejected("checker", "The report is not JSON.") from error
    if not isinstance(report, dict):
        raise Rejected("checker", "The report is not an object.")
    return data


def bytes_below(folder: Path) -> int:
    """Bytes below the folder, as far as they can be seen; a tree of the engine's own making is flat."""
    total = 0
    for place, _, files in os.walk(folder):
        for name in files:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(place, name)).st_blocks * 512
    return total


def _report(out: Path, limits: AnswerLimits) -> bytes:
    return checked_report(_read(out / REPORT, limits.report))


def _views(folder: Path, limits: AnswerLimits) -> Mapping[str, bytes]:
    try:
        facts = os.lstat(folder)
        names = sorted(os.listdir(folder)) if stat.S_ISDIR(facts.st_mode) else []
    except FileNotFoundError:
        return {}
    if len(names) > limits.view_count:
        raise Rejected("checker", "The checks made too many views.")
    found: dict[str, bytes] = {}
    left = limits.views
    for name in names:
        if not is_view_name(name):
            raise Rejected("checker", "The checks made a view with a name that is not one.")
        found[name] = _read(folder / name, left)
        left -= len(found[name])
    return found


def _read(path: Path, most: int) -> bytes:
    """A regular file's bytes, no link followed. Raises `Rejected`."""
    try:
        number = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise Rejected("checker", f"The checks left no {path.name}.") from error
    except OSError as error:
        raise Rejected("checker", f"{path.name} of the checks cannot be read.") from error
    if not stat.S_ISREG(os.fstat(number).st_mode):
        os.close(number)
        raise Rejected("checker", f"{path.name} of the checks is not a regular file.")
    with open(number, "rb") as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise Rejected("checker", f"{path.name} of the checks is too large.")
    return data
