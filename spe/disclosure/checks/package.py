"""What may be in a request at all: kinds of entries, names, sizes, and bytes that hold still.

Ids and rules: disclosure notes, section 1.1; GOV-02 from section 1.9.
"""

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from spe.disclosure import codepoints
from spe.disclosure.content import Entry, EntryKind, Hit, Request, SecondLook
from spe.disclosure.parameters import Nothing, Stricter, parameter
from spe.disclosure.registry import check
from spe.domain.verdict import Severity

MIB: Final = 1024 * 1024
_REPOSITORIES: Final = frozenset({".git", ".svn", ".hg", ".bzr"})
_CACHES: Final = frozenset({"__pycache__", "thumbs.db", "desktop.ini", "node_modules", "renv", "packrat"})
_BUNDLES: Final = (".bundle", ".pack", ".pyc", ".pyo", ".swp", "~")
_MAGICS: Final = (b"PACK\x00\x00\x00", b"DIRC\x00\x00\x00", b"# v2 git bundle", b"# v3 git bundle")


@check(
    "PKG-01",
    applies_to=Entry,
    parameters=Nothing,
    sentence="Only regular files and folders may be in a request.",
    remedy="Copy the file itself into the folder instead of a link, pipe, socket or device.",
)
def special_entries(entry: Entry, _: Nothing) -> Iterator[Hit]:
    """Symbolic and hard links, named pipes, sockets and devices: their bytes are not the request's own."""
    if entry.kind not in {EntryKind.FILE, EntryKind.FOLDER}:
        yield Hit(text=f"this is a {entry.kind}, not a file")
    if entry.links > 1:
        yield Hit(text="this file has a second name elsewhere (a hard link)")


@dataclass(frozen=True, slots=True, kw_only=True)
class PathForm:
    """How long and how deep paths may be."""

    depth: int = parameter(12, stricter=Stricter.LOWER, says="folders in a path", at_least=1)
    component_bytes: int = parameter(255, stricter=Stricter.LOWER, says="bytes in one name", at_least=16)


@check(
    "PKG-02",
    applies_to=Entry,
    parameters=PathForm,
    sentence="Paths stay inside the request, at most {depth} levels deep, names at most {component_bytes} bytes long.",
    remedy="Rename the file: plain letters, digits, dots, hyphens and underscores in few folders.",
)
def path_form(entry: Entry, p: PathForm) -> Iterator[Hit]:
    """Parent and absolute paths, drive letters, backslashes, zero bytes, names that are too long or too deep."""
    parts = entry.path.split("/")
    if any(part in {"", ".", ".."} for part in parts) or "\0" in entry.path:
        yield Hit(text="the path does not stay inside the request")
    if "\\" in entry.path or any(len(part) > 1 and part[1] == ":" for part in parts):
        yield Hit(text="the name holds a backslash or a drive letter, which another system reads as a path")
    if len(parts) > p.depth:
        yield Hit(text=f"the path is more than {p.depth} levels deep")
    if any(len(part.encode("utf-8", "surrogateescape")) > p.component_bytes for part in parts):
        yield Hit(text=f"a name is longer than {p.component_bytes} bytes")


@dataclass(frozen=True, slots=True, kw_only=True)
class NameForm:
    """How heavy look-alike letters in a name weigh."""

    look_alikes: Severity = parameter(
        Severity.REFER, stricter=Stricter.WORSE, says="how a name with letters of two scripts weighs"
    )


@check(
    "PKG-03",
    applies_to=Entry,
    parameters=NameForm,
    sentence="Names hold no unseen characters, and no two names look the same; look-alike letters: {look_alikes}.",
    remedy="Rename the file with plain letters and digits.",
)
def unseen_in_names(entry: Entry, p: NameForm) -> Iterator[Hit]:
    """Control, direction-changing and invisible characters in names; names equal but for case or form."""
    name = entry.path if entry.kind is EntryKind.FILE else entry.path.rsplit("/", 1)[-1]
    parts = name.split("/")
    if any("\udc80" <= char <= "\udcff" for char in name):
        yield Hit(text="the name is not valid UTF-8")
        return
    if any(unicodedata.category(char) == "Cc" for char in name):
        yield Hit(text="the name holds a control character")
    if codepoints.invisible(name):
        yield Hit(text="the name holds a character that is not seen or changes the direction of reading")
    if any(part.startswith(("-", " ")) or part.endswith((".", " ")) for part in parts):
        yield Hit(text="a name begins with a hyphen or blank, or ends with a dot or blank")
    if entry.twins:
        yield Hit(text="another entry has the same name but for case or the form of its letters")
    if any(codepoints.disguised(part) for part in parts):
        yield Hit(text="the name mixes Latin letters with look-alikes of another script", severity=p.look_alikes)


@check(
    "PKG-04",
    applies_to=Entry,
    parameters=Nothing,
    sentence="No hidden files, version-control folders, bundles or caches.",
    remedy="Remove it; copy only the files that you want to take out into a fresh folder.",
)
def hidden_entries(entry: Entry, _: Nothing) -> Iterator[Hit]:
    """Hidden files, repositories, bundles and caches carry whole histories (NHS England SDE asks to remove `.git`)."""
    parts = entry.path.split("/") if entry.kind is EntryKind.FILE else [entry.path.rsplit("/", 1)[-1]]
    if any(part.lower() in _REPOSITORIES for part in parts):
        yield Hit(text="this belongs to a version-control repository")
    elif any(part.startswith(".") for part in parts):
        yield Hit(text="this is a hidden file or stands in a hidden folder")
    if any(part.lower() in _CACHES for part in parts) or parts[-1].lower().endswith(_BUNDLES):
        yield Hit(text="this is a cache, a bundle or an editor's copy")
    elif entry.magic.startswith(_MAGICS):
        yield Hit(text="this is a part of a version-control repository under another name")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How much one request may hold before a person looks at its size."""

    file_mib: int = parameter(16, stricter=Stricter.LOWER, says="MiB in one file", at_least=1)
    request_mib: int = parameter(100, stricter=Stricter.LOWER, says="MiB in the request", at_least=1)
    files: int = parameter(50, stricter=Stricter.LOWER, says="files in the request", at_least=1)


@check(
    "PKG-06",
    applies_to=Request,
    parameters=Sizes,
    severity=Severity.REFER,
    sentence="At most {file_mib} MiB in a file, {request_mib} MiB and {files} files in a request.",
    remedy="Take out results, not working files; split what is really needed into several requests.",
)
def sizes(request: Request, p: Sizes) -> Iterator[Hit]:
    """Large files and many files are rarely results (OpenSAFELY caps a file at 16 MB)."""
    for path, size in request.sizes.items():
        if size > p.file_mib * MIB:
            yield Hit(text=f"the file is larger than {p.file_mib} MiB", path=path)
    if sum(request.sizes.values()) > p.request_mib * MIB:
        yield Hit(text=f"the request is larger than {p.request_mib} MiB")
    if len(request.sizes) > p.files:
        yield Hit(text=f"the request holds more than {p.files} files")


@check(
    "PKG-08",
    applies_to=SecondLook,
    parameters=Nothing,
    sentence="The files do not change while they are checked.",
    remedy="Wait until nothing writes to the folder, then check it again.",
)
def changed_meanwhile(look: SecondLook, _: Nothing) -> Iterator[Hit]:
    """Reviewed bytes are released bytes: the digest at the end must be the digest at the start."""
    if look.before is None:
        yield Hit(text="this file appeared while the request was checked")
    elif look.after is None:
        yield Hit(text="this file went away while the request was checked")
    elif look.before != look.after:
        yield Hit(text="this file changed while it was checked")


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaring:
    """What weighs how in a declaration; without any declaration the checks still work."""

    undeclared: Severity = parameter(
        Severity.REFER, stricter=Stricter.WORSE, says="how a file weighs that the declaration does not list"
    )
    required: bool = parameter(False, stricter=Stricter.YES, says="whether a declaration must be there")


@check(
    "GOV-02",
    applies_to=Request,
    parameters=Declaring,
    sentence="A declaration lists every file and nothing else; unlisted files: {undeclared}; required: {required}.",
    remedy="Correct egress.yaml: one entry for each file, with its path as it is in the folder.",
)
def declaration(request: Request, p: Declaring) -> Iterator[Hit]:
    """A quarter of real rejections is missing context; what is declared and what is there must agree."""
    declared = request.declaration
    for fault in declared.faults:
        yield Hit(text=fault)
    if not declared.present:
        if p.required:
            yield Hit(text="There is no egress.yaml that says what the outputs are.")
        return
    for at, path in enumerate(declared.outputs, start=1):
        if path not in request.sizes:
            yield Hit(text=f"Output {at} of the declaration names a file that is not in the request.")
    for path in request.sizes:
        if path not in declared.outputs:
            yield Hit(text="the declaration does not list this file", path=path, severity=p.undeclared)
