"""Reads the cases in `policies/cases` and builds the folders that they describe."""

import base64
import os
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from spe.disclosure.engine import conclude, look
from spe.disclosure.folder import Folder
from spe.disclosure.profile import Profile
from spe.disclosure.profiling import profile_folder
from spe.disclosure.settings import DisclosurePolicy
from spe.domain.verdict import Report
from spe.policy.loader import load_profile, policies_folder

CASES = policies_folder() / "cases"
KEY = b"a key that only these tests have"


@cache
def default_policy() -> DisclosurePolicy:
    return load_profile(policies_folder(), "default").policy


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    check: str
    expected: str
    about: str
    files: Mapping[str, Any]
    dataset: Mapping[str, Any] = field(default_factory=dict)
    canaries: tuple[str, ...] = ()
    meanwhile: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return f"{self.check} {self.expected}: {self.about}"


@cache
def all_cases() -> tuple[Case, ...]:
    return tuple(case for path in sorted(CASES.glob("*.yaml")) for case in _of_file(path))


def _of_file(path: Path) -> Iterator[Case]:
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert document["check"] == path.stem
    for expected in ("pass", "fail"):
        for case in document[expected]:
            yield Case(check=path.stem, expected=expected, **{**case, "canaries": tuple(case.get("canaries", ()))})


def examined(case: Case, tmp_path: Path, policy: DisclosurePolicy) -> Report:
    """The report on a case, with the change in the middle when the case has one."""
    folder = tmp_path / "outputs"
    build(folder, case.files)
    profiles: list[Profile] = []
    if case.dataset:
        build(tmp_path / "dataset", case.dataset)
        profiles.append(profile_folder(tmp_path / "dataset", canaries=case.canaries, key=KEY))
    with Folder(folder) as opened:
        first = look(opened, policy, profiles)
        build(folder, case.meanwhile)
        return conclude(opened, first, policy)


def build(folder: Path, files: Mapping[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        if content is not None:
            _make(folder, path, content)


def _make(folder: Path, path: Path, content: Any) -> None:
    if isinstance(content, str):
        path.write_bytes(content.encode())
        return
    match content:
        case {"base64": coded}:
            path.write_bytes(base64.b64decode(coded))
        case {"hex": coded}:
            path.write_bytes(bytes.fromhex(coded))
        case {"repeat": text, "times": times}:
            path.write_text(text * times)
        case {"each": count, "text": text}:
            for number in range(count):
                Path(str(path).format(number)).write_text(text)
        case _:
            _make_special(folder, path, content)


def _make_special(folder: Path, path: Path, content: Any) -> None:
    match content:
        case {"link": target}:
            path.symlink_to(target)
        case {"hard": other}:
            path.hardlink_to(folder / other)
        case {"pipe": True}:
            os.mkfifo(path)
        case {"socket": True}:
            _socket(path)
        case _:
            raise AssertionError(f"unknown content of {path.name}")


def _socket(path: Path) -> None:
    """A socket's path must be short, so it is bound by a relative name."""
    before = Path.cwd()
    os.chdir(path.parent)
    try:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(path.name)
    finally:
        os.chdir(before)
