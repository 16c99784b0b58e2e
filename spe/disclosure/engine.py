"""Examine a folder of outputs: look, read, check, look again, judge.

Pure apart from reading the folder. Each output is read, checked and let go before the next, so memory follows
the largest file and not the request. A second look at the end compares every digest with the first: what
changed meanwhile is a block, and so is everything that could not be read, whatever the policy says.
"""

import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from spe.disclosure import declaration
from spe.disclosure.acrofolders import acro_folders, is_acro_evidence
from spe.disclosure.content import (
    Declaration,
    Entry,
    EntryKind,
    Hit,
    Image,
    Notebook,
    Opened,
    Profiled,
    Request,
    SecondLook,
    Unreadable,
)
from spe.disclosure.folder import MAX_HASHED, Closed, Folder
from spe.disclosure.profile import Profile
from spe.disclosure.readers import MAX_READ, open_output
from spe.disclosure.registry import catalogue
from spe.disclosure.settings import DisclosurePolicy
from spe.disclosure.verdict import ENGINE, Examined, Sighting, judge
from spe.domain.errors import Invalid
from spe.domain.verdict import Report, Severity

Watch = Callable[[int, Opened, bytes | None], None]


@dataclass(slots=True)
class FirstLook:
    """What the first pass over the folder saw."""

    entries: tuple[Entry, ...] = ()
    declaration: Declaration = field(default_factory=Declaration)
    outputs: list[Examined] = field(default_factory=list)
    digests: dict[str, str] = field(default_factory=dict)
    evidence: dict[str, bytes] = field(default_factory=dict)
    sightings: list[Sighting] = field(default_factory=list)


def examine(
    folder: Path,
    policy: DisclosurePolicy,
    profiles: Sequence[Profile] = (),
    history: Sequence[Path] = (),
    *,
    declaration_bytes: bytes | None = None,
    watch: Watch | None = None,
) -> Report:
    """The report on the outputs in `folder`.

    `profiles` are those of the datasets the workspace could read; `history` holds folders of earlier releases.
    `declaration_bytes` stand for `egress.yaml` when it is kept elsewhere; one in the folder is then an output.
    `watch` sees each opened output with its number and bytes, for making views. Raises Invalid when `folder`
    or a folder of `history` is not one that can be read; never for what the outputs contain.
    """
    with Folder(folder) as opened:
        first = look(opened, policy, profiles, declaration_bytes=declaration_bytes, watch=watch)
        return conclude(opened, first, policy, history)


def look(
    folder: Folder,
    policy: DisclosurePolicy,
    profiles: Sequence[Profile] = (),
    *,
    declaration_bytes: bytes | None = None,
    watch: Watch | None = None,
) -> FirstLook:
    """The first pass: list, read and check every output."""
    first = FirstLook()
    try:
        first.entries = _with_twins(tuple(folder.entries()))
    except Closed as error:
        first.sightings.append(_engine(str(error)))
        return first
    checks = _enabled(policy)
    described = None
    if declaration_bytes is not None:
        first.declaration = declaration.read_declaration(declaration_bytes)
    else:
        described = declaration.NAME
        _read_declaration(folder, first)
    for entry in first.entries:
        first.sightings += _run(checks, entry, entry.path)
        if entry.readable and entry.path != described:
            _output(folder, entry, checks, profiles, first, watch)
    first.sightings += _run(checks, _request(first), None)
    for acro in acro_folders(first.digests, first.evidence):
        first.sightings += _run(checks, acro, None)
    return first


def conclude(folder: Folder, first: FirstLook, policy: DisclosurePolicy, history: Sequence[Path] = ()) -> Report:
    """The second look and the judgement."""
    sightings = [*first.sightings, *_second_look(folder, first, _enabled(policy)), *_earlier(history)]
    return judge(first.outputs, sightings, policy)


_Enabled = Mapping[type, list[tuple[str, Callable[[Any, Any], Iterable[Hit]], object]]]


def _enabled(policy: DisclosurePolicy) -> _Enabled:
    """The checks of the policy by the kind of thing they look at."""
    found: dict[type, list[tuple[str, Callable[[Any, Any], Iterable[Hit]], object]]] = defaultdict(list)
    for setting in policy.settings:
        known = catalogue()[setting.check]
        found[known.applies_to].append((known.id, known.run, setting.parameters))
    return found


def _run(checks: _Enabled, thing: object, path: str | None) -> Iterator[Sighting]:
    for name, run, parameters in checks.get(type(thing), ()):
        for hit in run(thing, parameters):
            yield Sighting(check=name, hit=hit, path=path)


def _output(
    folder: Folder, entry: Entry, checks: _Enabled, profiles: Sequence[Profile], first: FirstLook, watch: Watch | None
) -> None:
    try:
        data = folder.read(entry.path, MAX_READ)
    except Closed as error:
        first.sightings.append(_engine(f"The file cannot be read. {error}", entry.path))
        return
    opened = open_output(entry.path, data, first.declaration.outputs.get(entry.path))
    if watch is not None:
        watch(len(first.outputs), opened, data.data)
    first.outputs.append(
        Examined(path=opened.path, sha256=opened.sha256, size=opened.size, media_type=opened.media_type)
    )
    first.digests[opened.path] = opened.sha256
    if is_acro_evidence(opened.path) and data.data is not None:
        first.evidence[opened.path] = data.data
    found = [hit for thing in _things(opened, profiles) for hit in _run(checks, thing, opened.path)]
    first.sightings += found
    first.sightings += _unread(opened, found)


def _things(opened: Opened, profiles: Sequence[Profile]) -> Iterator[object]:
    yield opened
    yield Profiled(opened=opened, profiles=tuple(profiles))
    yield from opened.tables
    yield from opened.layers
    if isinstance(opened.content, Image | Notebook):
        yield opened.content


def _unread(opened: Opened, found: Iterable[Sighting]) -> Iterator[Sighting]:
    """Unreadable is a block under every policy, also one that does not name the check that reports it."""
    if isinstance(opened.content, Unreadable) and not any(one.hit.severity is Severity.BLOCK for one in found):
        yield _engine(f"The file cannot be read: {opened.content.reason}.", opened.path)


def _with_twins(entries: tuple[Entry, ...]) -> tuple[Entry, ...]:
    """Entries with the others whose name is the same after normal form and case folding."""
    same: dict[str, list[str]] = defaultdict(list)
    for entry in entries:
        same[unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", entry.path).casefold())].append(entry.path)
    twins = {path: tuple(other for other in group if other != path) for group in same.values() for path in group}
    return tuple(replace(entry, twins=twins[entry.path]) if twins[entry.path] else entry for entry in entries)


def _read_declaration(folder: Folder, first: FirstLook) -> None:
    entry = next((one for one in first.entries if one.path == declaration.NAME), None)
    if entry is None or not entry.readable:
        return
    try:
        first.declaration = declaration.read_declaration(folder.read(entry.path, declaration.MAX_SIZE).data)
        first.digests[entry.path] = folder.read(entry.path, 0).sha256
    except Closed as error:
        first.sightings.append(_engine(f"The declaration cannot be read. {error}"))


def _request(first: FirstLook) -> Request:
    return Request(
        entries=first.entries,
        sizes={output.path: output.size for output in first.outputs},
        declaration=first.declaration,
    )


def _second_look(folder: Folder, first: FirstLook, checks: _Enabled) -> Iterator[Sighting]:
    try:
        again = {entry.path: entry for entry in folder.entries() if entry.kind is not EntryKind.FOLDER}
    except Closed as error:
        yield _engine(f"The folder changed while it was checked. {error}")
        return
    before = {entry.path for entry in first.entries if entry.kind is not EntryKind.FOLDER}
    for path in sorted(before | set(again)):
        seen = SecondLook(path=path, before=_before(path, before, first), after=_after(folder, again.get(path)))
        yield from _run(checks, seen, path)
        if "PKG-08" not in {name for name, _, _ in checks.get(SecondLook, ())} and seen.before != seen.after:
            yield _engine("The folder changed while it was checked.", path)


_UNREAD: Final = "unread"


def _before(path: str, known: set[str], first: FirstLook) -> str | None:
    return first.digests.get(path, _UNREAD) if path in known else None


def _after(folder: Folder, entry: Entry | None) -> str | None:
    if entry is None:
        return None
    if not entry.readable or entry.size > MAX_HASHED:
        return _UNREAD
    try:
        return folder.read(entry.path, 0).sha256
    except Closed:
        return _UNREAD


def _earlier(history: Sequence[Path]) -> Iterator[Sighting]:
    """Earlier releases must at least be there: a check that should compare with them and cannot is no check."""
    for path in history:
        try:
            with Folder(path) as folder:
                sum(1 for _ in folder.entries())
        except Closed as error:
            raise Invalid({"history": f"The earlier release at {path} cannot be read: {error}"}) from error
    if history:
        text = "Earlier releases were given, but no check of this policy compares with them."
        yield Sighting(check=ENGINE, hit=Hit(text=text, severity=Severity.NOTE))


def _engine(sentence: str, path: str | None = None) -> Sighting:
    return Sighting(check=ENGINE, hit=Hit(text=sentence, severity=Severity.BLOCK), path=path)
