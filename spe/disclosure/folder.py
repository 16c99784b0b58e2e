"""A folder of outputs, read by file descriptor so that nothing outside it can be reached.

Every component is opened relative to its parent with no-follow; only regular files with one name are opened,
and never so that a named pipe could make us wait. Names are kept as they are on disk; bytes that are not
UTF-8 survive as surrogates until a check refuses them.
"""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import Final

from spe.disclosure.content import Entry, EntryKind
from spe.domain.errors import Invalid

MAX_ENTRIES: Final = 10_000
MAX_DEPTH: Final = 48
MAX_HASHED: Final = 4 * 1024**3
MAGIC: Final = 64
_BLOCK: Final = 1024 * 1024
_FOLDER_FLAGS: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE_FLAGS: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_KINDS: Final = (
    (stat.S_ISREG, EntryKind.FILE),
    (stat.S_ISDIR, EntryKind.FOLDER),
    (stat.S_ISLNK, EntryKind.LINK),
    (stat.S_ISFIFO, EntryKind.PIPE),
    (stat.S_ISSOCK, EntryKind.SOCKET),
)


class Closed(Exception):
    """Something in the folder cannot be opened as what it was listed as. The text says what."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bytes:
    """A file's digest and size; `data` is None when the file is larger than was asked to be kept."""

    sha256: str
    size: int
    data: bytes | None


class Folder:
    """An open folder; use it in a `with` block. Raises Invalid when `path` is not a folder one may read."""

    def __init__(self, path: Path) -> None:
        try:
            self._fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError as error:
            raise Invalid({"folder": f"There is no folder at {path}; check the path."}) from error
        except NotADirectoryError as error:
            raise Invalid({"folder": f"{path} is a file; name the folder that holds the outputs."}) from error
        except OSError as error:
            raise Invalid({"folder": f"{path} cannot be opened: {error.strerror}."}) from error

    def __enter__(self) -> "Folder":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._fd)

    def entries(self) -> Iterator[Entry]:
        """Every entry below the folder in the order of names. Raises Closed for what cannot be listed."""
        for count, entry in enumerate(_walk(self._fd, "", 0), start=1):
            if count > MAX_ENTRIES:
                raise Closed(f"The folder holds more than {MAX_ENTRIES} entries.")
            yield entry

    def read(self, path: str, keep: int) -> Bytes:
        """Hash a regular file with one name, keeping up to `keep` bytes. Raises Closed."""
        fd = self._open(path)
        try:
            return _read(fd, keep)
        finally:
            os.close(fd)

    def _open(self, path: str) -> int:
        *folders, name = path.split("/")
        fd = os.dup(self._fd)
        try:
            for folder in folders:
                inner = os.open(folder, _FOLDER_FLAGS, dir_fd=fd)
                os.close(fd)
                fd = inner
            return _open_file(name, fd)
        except OSError as error:
            raise Closed(f"It cannot be opened: {error.strerror}.") from error
        finally:
            os.close(fd)


def _open_file(name: str, parent: int) -> int:
    fd = os.open(name, _FILE_FLAGS, dir_fd=parent)
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
        os.close(fd)
        raise Closed("It is no longer a regular file with one name.")
    return fd


def _walk(fd: int, prefix: str, depth: int) -> Iterator[Entry]:
    if depth > MAX_DEPTH:
        raise Closed(f"The folder is nested more than {MAX_DEPTH} levels deep.")
    try:
        names = sorted(os.listdir(fd))
        for name in names:
            entry = _entry(fd, name, prefix)
            yield entry
            if entry.kind is EntryKind.FOLDER:
                inner = os.open(name, _FOLDER_FLAGS, dir_fd=fd)
                try:
                    yield from _walk(inner, f"{entry.path}/", depth + 1)
                finally:
                    os.close(inner)
    except OSError as error:
        raise Closed(f"A folder cannot be listed: {error.strerror}.") from error


def _entry(fd: int, name: str, prefix: str) -> Entry:
    status = os.stat(name, dir_fd=fd, follow_symlinks=False)
    kind = next((kind for test, kind in _KINDS if test(status.st_mode)), EntryKind.DEVICE)
    links = status.st_nlink if kind is EntryKind.FILE else 1
    magic = _magic(fd, name) if kind is EntryKind.FILE and links == 1 else b""
    return Entry(path=prefix + name, kind=kind, links=links, size=status.st_size, magic=magic)


def _magic(parent: int, name: str) -> bytes:
    try:
        fd = _open_file(name, parent)
    except (OSError, Closed):
        return b""  # reading it later fails again, and that is reported
    try:
        return os.read(fd, MAGIC)
    finally:
        os.close(fd)


def _read(fd: int, keep: int) -> Bytes:
    digest, kept, size = sha256(), list[bytes](), 0
    try:
        while block := os.read(fd, _BLOCK):
            digest.update(block)
            size += len(block)
            if size > MAX_HASHED:
                raise Closed(f"It is larger than {MAX_HASHED // 1024**3} GiB.")
            if size <= keep:
                kept.append(block)
    except OSError as error:
        raise Closed(f"Reading stopped: {error.strerror}.") from error
    return Bytes(sha256=digest.hexdigest(), size=size, data=b"".join(kept) if size <= keep else None)
