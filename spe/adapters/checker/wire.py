"""A job and its answer between portal and checker: plain tar streams of small, known names.

Both ends treat what comes as hostile: only regular files, only the names of the table, no name twice, bounded
in number and bytes. Python's own extraction is not used.
"""

import io
import json
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import IO, Any

from spe.adapters.checker.answer import REPORT, VIEWS, AnswerLimits, checked_report, is_view_name
from spe.domain.errors import Rejected
from spe.ports.checker import CheckJob, CheckResult

MOST_FILES = 5000
MOST_BYTES = 8 * 1024**3
"""Bytes of one job, earlier releases included."""

FOLDERS = frozenset({"input", "history", "profiles"})
FILES = frozenset({"job.json", "declaration.yaml"})


def pack_job(job: CheckJob, target: IO[bytes]) -> None:
    """Write a job as a tar stream. Raises `Rejected` for a path that is none, `OSError` for a file that is gone."""
    profiles = {f"profiles/{n}.json": data for n, data in enumerate(job.profiles)}
    history = {f"history/{n:04}": release for n, release in enumerate(job.history)}
    document = {
        "folder": "input",
        "policy": job.policy,
        "declaration": "declaration.yaml",
        "profiles": list(profiles),
        "history": list(history),
        "limits": {
            "memory_bytes": job.memory_bytes,
            "wall_seconds": max(1, int(job.seconds)),
            "cpu_seconds": int(job.seconds) + 5,
        },
    }
    with tarfile.open(fileobj=target, mode="w", format=tarfile.PAX_FORMAT) as tar:
        _add(tar, "job.json", json.dumps(document).encode())
        _add(tar, "declaration.yaml", job.declaration.encode())
        for name, data in profiles.items():
            _add(tar, name, data)
        for root, files in {"input": job.files, **history}.items():
            for name, place in sorted(files.items()):
                _add_file(tar, f"{root}/{inside(name)}", place)


def unpack_job(source: IO[bytes], folder: Path) -> Mapping[str, Any]:
    """Lay a job out below `folder`; its `job.json`. Raises `Rejected` for anything that is not one."""
    for name, size, file in _members(source, most_files=MOST_FILES, most_bytes=MOST_BYTES):
        parts = PurePosixPath(inside(name)).parts
        if name not in FILES and (parts[0] not in FOLDERS or len(parts) < 2):
            raise Rejected("checker", f"{name[:100]!r} does not belong in a job.")
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        with place.open("xb") as target:
            _copy(file, target, size)
    for missing in sorted(name for name in FILES if not (folder / name).is_file()):
        raise Rejected("checker", f"The job lacks {missing}.")
    for name in ("input", "history", "profiles"):
        (folder / name).mkdir(exist_ok=True)
    try:
        document = json.loads((folder / "job.json").read_bytes())
    except (ValueError, RecursionError) as error:
        raise Rejected("checker", "The job is not JSON.") from error
    if not isinstance(document, dict):
        raise Rejected("checker", "The job is not an object.")
    return document


def pack_answer(answer: CheckResult, target: IO[bytes]) -> None:
    """Write an answer as a tar stream: the report, then the views."""
    with tarfile.open(fileobj=target, mode="w", format=tarfile.PAX_FORMAT) as tar:
        _add(tar, REPORT, answer.report)
        for name, data in sorted(answer.views.items()):
            _add(tar, f"{VIEWS}/{name}", data)


def unpack_answer(source: IO[bytes], limits: AnswerLimits) -> CheckResult:
    """Read an answer. Raises `Rejected` for anything that is not one."""
    report: bytes | None = None
    views: dict[str, bytes] = {}
    most = limits.report + limits.views
    for name, size, file in _members(source, most_files=limits.view_count + 1, most_bytes=most):
        if name == REPORT and size <= limits.report:
            report = checked_report(file.read())
        elif name.startswith(f"{VIEWS}/") and is_view_name(name.removeprefix(f"{VIEWS}/")):
            views[name.removeprefix(f"{VIEWS}/")] = file.read()
        else:
            raise Rejected("checker", "The checker's answer holds something that does not belong there.")
    if report is None:
        raise Rejected("checker", f"The checks left no {REPORT}.")
    return CheckResult(report=report, views=views)


def inside(name: str) -> str:
    """The name itself when it is a plain relative path. Raises `Rejected`."""
    parts = PurePosixPath(name).parts
    if not parts or name.startswith("/") or ".." in parts or "\0" in name or str(PurePosixPath(name)) != name:
        raise Rejected("checker", f"{name[:100]!r} is not a path inside a request.")
    return name


def _members(source: IO[bytes], *, most_files: int, most_bytes: int) -> Iterator[tuple[str, int, IO[bytes]]]:
    seen: set[str] = set()
    total = 0
    try:
        with tarfile.open(fileobj=source, mode="r|") as tar:
            for member in tar:
                total += member.size
                file = tar.extractfile(member) if member.isreg() else None
                if file is None or member.name in seen:
                    raise Rejected("checker", f"{member.name[:100]!r} is not a regular file, or is there twice.")
                seen.add(member.name)
                if len(seen) > most_files or total > most_bytes:
                    raise Rejected("checker", f"It is more than {most_files} files or {most_bytes} bytes.")
                yield member.name, member.size, file
    except (tarfile.TarError, EOFError, ValueError, RecursionError) as error:
        raise Rejected("checker", "It was cut off, or is not what was expected.") from error


def _copy(source: IO[bytes], target: IO[bytes], size: int) -> None:
    left = size
    while left:
        piece = source.read(min(left, 1024 * 1024))
        if not piece:
            raise Rejected("checker", "It was cut off.")
        target.write(piece)
        left -= len(piece)


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    facts = tarfile.TarInfo(name)
    facts.size = len(data)
    tar.addfile(facts, io.BytesIO(data))


def _add_file(tar: tarfile.TarFile, name: str, place: Path) -> None:
    with place.open("rb") as file:
        facts = tarfile.TarInfo(name)
        facts.size = place.stat().st_size
        tar.addfile(facts, file)
