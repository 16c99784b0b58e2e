"""What checks look at: directory entries, opened outputs and their tables, text layers, pictures and notebooks.

These are plain values without behaviour beyond finding a place. They are made by the folder and the readers,
so a check never touches a file; what could not be read is an `Unreadable` value, never an empty one.
"""

import re
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import TypeAlias

from spe.disclosure.columns import Column
from spe.disclosure.outline import Outline
from spe.disclosure.profile import Profile
from spe.domain.verdict import NOWHERE, Place, Severity


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """What a check saw: a sentence, where, and path and severity only when they are not the obvious ones."""

    text: str
    place: Place = NOWHERE
    path: str | None = None
    severity: Severity | None = None


class EntryKind(StrEnum):
    """What a directory entry is, without following it."""

    FILE = "file"
    FOLDER = "folder"
    LINK = "symbolic link"
    PIPE = "named pipe"
    SOCKET = "socket"
    DEVICE = "device"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One directory entry: path below the folder with `/`, kind, number of names, size, first bytes."""

    path: str
    kind: EntryKind
    links: int = 1
    size: int = 0
    magic: bytes = b""
    twins: tuple[str, ...] = ()

    @property
    def readable(self) -> bool:
        """Whether its bytes may be opened at all: a regular file with one name."""
        return self.kind is EntryKind.FILE and self.links == 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """A recognised format: its name and the group that the rules speak of."""

    name: str
    group: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreadable:
    """Content that no reader accepts. `rule` is the check that reports it."""

    rule: str
    reason: str
    place: Place = NOWHERE


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Cells in columns. `first_line` is the line of the first data row when the table stands in a text."""

    columns: tuple[Column, ...]
    rows: int
    defects: tuple[Hit, ...] = ()
    first_line: int | None = None
    kind: str | None = None

    def place(self, row: int | None = None, column: Column | None = None) -> Place:
        """The place of a data row (from 0), of a column's header, or of a cell."""
        name = column.label if column is not None else None
        if self.first_line is None:
            return Place(row=None if row is None else row + 1, column=name)
        return Place(line=self.first_line + (0 if row is None else row), column=name)


@dataclass(frozen=True, kw_only=True)
class Layer:
    """A piece of text of an output. `origin` says where it was found when it is not the file's own text."""

    text: str
    origin: str | None = None
    code: bool = False
    line: int = 1

    def place(self, position: int) -> Place:
        """The line of a character position; a decoded layer is placed where its coded form stands."""
        return Place(line=self.line if self.origin is not None else bisect_left(self._ends, position) + 1)

    @cached_property
    def outline(self) -> Outline:
        """What rules that do not tell one digit from another ask before they read the text."""
        return Outline(text=self.text)

    @cached_property
    def _ends(self) -> tuple[int, ...]:
        """Where the lines end: a text with many findings is counted through once."""
        return tuple(found.start() for found in re.finditer("\n", self.text))

    @property
    def suffix(self) -> str:
        """What a sentence about this layer ends with."""
        return f" ({self.origin})" if self.origin else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """Text as a document or as code."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """A file that is one table."""

    table: Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Json:
    """A JSON document."""

    value: object = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Notebook:
    """A Jupyter notebook: each cell's parts that may hold results, and what stands in the metadata."""

    outputs: tuple[int, ...]
    attachments: tuple[int, ...]
    cell_metadata: tuple[int, ...]
    metadata: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """A raster picture: size in pixels, bytes that are not pixels, bytes after its end, odd parts by name."""

    format: str
    width: int
    height: int
    dropped: int
    trailing: int
    parts: tuple[str, ...]


Content: TypeAlias = Sheet | Text | Json | Notebook | Image | Unreadable


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """What the researcher says about one output."""

    path: str
    title: str = ""
    kind: str | None = None
    population: int | None = None
    unit: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """`egress.yaml`: whether it is there, what it says, what is wrong with it."""

    present: bool = False
    outputs: Mapping[str, Declared] = field(default_factory=dict)
    faults: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """One output as the checks see it."""

    path: str
    sha256: str
    size: int
    type: str
    media_type: str
    content: Content
    signature: Signature | None = None
    head: str = ""
    tables: tuple[Table, ...] = ()
    layers: tuple[Layer, ...] = ()
    declared: Declared | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Profiled:
    """An output beside the profiles of the datasets that the workspace could read."""

    opened: Opened
    profiles: tuple[Profile, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SecondLook:
    """The digest of one file at the start and at the end of the check; None where it was not there."""

    path: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AcroFolder:
    """An ACRO output folder (disclosure notes, section 2): its manifest, digests on disk, checksum files."""

    prefix: str
    results: object
    digests: Mapping[str, str]
    checksums: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """The whole request: every entry, the size of each output, and the declaration."""

    entries: tuple[Entry, ...]
    sizes: Mapping[str, int]
    declaration: Declaration
