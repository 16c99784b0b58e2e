"""A folder on disk to a manifest: every regular file with its size and SHA-256, nothing followed.

Each folder is opened without following links and files are read from the descriptor that was
examined (security note T32), so what is hashed is what was looked at.
"""

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from spe.domain.dataset import Manifest, ManifestFile
from spe.domain.errors import Invalid

CHUNK = 1024 * 1024
MOST_FILES = 100_000


def manifest_of(folder: Path) -> Manifest:
    """The manifest of a folder. Raises `Invalid` for links, devices, odd names, what cannot be read, or no file."""
    try:
        root = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except NotADirectoryError as error:
        raise Invalid({"folder": f"{folder} is not a folder (or is a link); name the folder itself."}) from error
    except OSError as error:
        raise Invalid({"folder": f"{folder} cannot be read: {error.strerror}."}) from error
    try:
        files = tuple(_walk(root, ""))
    finally:
        os.close(root)
    if not files:
        raise Invalid({"folder": f"{folder} holds no files; put the dataset's files there first."})
    return Manifest.of(files)


def _walk(directory: int, prefix: str) -> Iterator[ManifestFile]:
    for count, name in enumerate(sorted(os.listdir(directory))):
        path = prefix + name
        if count > MOST_FILES:
            raise Invalid({"folder": f"More than {MOST_FILES} entries in one folder; pack or split the dataset."})
        if not name.isprintable():
            raise Invalid({"folder": f"The name {path!r} has control characters; rename the file."})
        with _readable(path):
            mode = os.lstat(name, dir_fd=directory).st_mode
        if stat.S_ISDIR(mode):
            with _readable(path):
                inner = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=directory)
            try:
                yield from _walk(inner, path + "/")
            finally:
                os.close(inner)
        elif stat.S_ISREG(mode):
            with _readable(path):
                found = _hash(directory, name, path)
            yield found
        else:
            kind = "a symbolic link" if stat.S_ISLNK(mode) else "not a regular file"
            raise Invalid({"folder": f"{path} is {kind}; a dataset holds regular files only. Copy the file itself."})


@contextmanager
def _readable(path: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        sentence = f"{path} cannot be read: {error.strerror}. Mend its rights, then try again."
        raise Invalid({"folder": sentence}) from error


def _hash(directory: int, name: str, path: str) -> ManifestFile:
    descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=directory)
    digest = hashlib.sha256()
    size = 0
    with os.fdopen(descriptor, "rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
            size += len(chunk)
    return ManifestFile(path=path, size=size, sha256=digest.hexdigest())
