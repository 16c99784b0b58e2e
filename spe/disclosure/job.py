"""A check as a folder: what it holds, how it is read, how the answer is written.

`job.json` names the parts; without it the folder has the usual layout (`input/`, `policy.json`,
`declaration.yaml`, `profiles/*.json`, `history/*/`). The answer is `out/views/` and then, last and at one
stroke, `out/report.json`; an older report is removed before anything is read.
"""

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from spe.disclosure.profile import Profile
from spe.disclosure.settings import DisclosurePolicy
from spe.domain.errors import Invalid
from spe.domain.verdict import Report

REPORT: Final = "report.json"
VIEWS: Final = "views"
_KEYS: Final = frozenset({"folder", "policy", "declaration", "profiles", "history", "limits"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What the engine may use: bytes, seconds, counts. The outside may be tighter, never wider."""

    memory_bytes: int = 2 * 1024**3
    cpu_seconds: int = 120
    wall_seconds: int = 180
    file_bytes: int = 256 * 1024**2
    open_files: int = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Everything one check needs."""

    folder: Path
    policy: DisclosurePolicy
    declaration: bytes | None = None
    profiles: tuple[Profile, ...] = ()
    history: tuple[Path, ...] = ()
    limits: Limits = field(default_factory=Limits)


def read_limits(root: Path) -> Limits:
    """The limits alone, so that they hold while the rest is read. Raises Invalid."""
    given = _document(root).get("limits", {})
    if not isinstance(given, Mapping) or not all(isinstance(one, int) and one > 0 for one in given.values()):
        raise Invalid({"limits": "Each limit is a whole number above zero."})
    try:
        return Limits(**given)
    except TypeError as error:
        raise Invalid({"limits": "There is an unknown limit."}) from error


def read_job(root: Path, limits: Limits) -> Job:
    """The job in a folder. Raises Invalid."""
    document = _document(root)
    unknown = sorted(set(document) - _KEYS)
    if unknown:
        raise Invalid({"job": f"The key {unknown[0]!r} does not belong in a job."})
    declaration = document.get("declaration")
    return Job(
        folder=root / document["folder"],
        policy=DisclosurePolicy.from_json(document["policy"]),
        declaration=_bytes(root / declaration) if declaration else None,
        profiles=tuple(Profile.from_json(_bytes(root / path)) for path in document.get("profiles", ())),
        history=tuple(root / path for path in document.get("history", ())),
        limits=limits,
    )


def prepare_answer(root: Path) -> Path:
    """The empty place for the answer; what an earlier run left there is gone."""
    out = root / "out"
    out.mkdir(exist_ok=True)
    (out / REPORT).unlink(missing_ok=True)
    shutil.rmtree(out / VIEWS, ignore_errors=True)
    making = out / ".views"
    shutil.rmtree(making, ignore_errors=True)
    making.mkdir()
    return making


def write_view(making: Path, files: Mapping[str, Any]) -> None:
    """Put one output's preview where the answer is made."""
    for name, content in files.items():
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        (making / name).write_bytes(data)


def write_answer(root: Path, making: Path, report: Report) -> None:
    """The views and then the report, each by a rename: half an answer is never seen."""
    out = root / "out"
    os.rename(making, out / VIEWS)
    fresh = out / f".{REPORT}"
    with fresh.open("wb") as file:
        file.write(json.dumps(report.to_json()).encode())
        file.flush()
        os.fsync(file.fileno())
    os.replace(fresh, out / REPORT)


def _document(root: Path) -> Mapping[str, Any]:
    path = root / "job.json"
    if not path.exists():
        return _usual(root)
    document = _json(path)
    if not isinstance(document, Mapping) or not {"folder", "policy"} <= set(document):
        raise Invalid({"job": "A job names a folder and carries its policy."})
    return document


def _usual(root: Path) -> Mapping[str, Any]:
    return {
        "folder": "input",
        "policy": _json(root / "policy.json"),
        "declaration": "declaration.yaml" if (root / "declaration.yaml").exists() else None,
        "profiles": sorted(str(path.relative_to(root)) for path in (root / "profiles").glob("*.json")),
        "history": sorted(str(path.relative_to(root)) for path in (root / "history").glob("*")),
    }


def _json(path: Path) -> Any:
    try:
        return json.loads(_bytes(path))
    except (ValueError, RecursionError) as error:
        raise Invalid({path.name: "This is not JSON."}) from error


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise Invalid({path.name: f"It cannot be read: {error.strerror}."}) from error
