"""Objects as files of one folder: `<zone>/<first two digits>/<digest>`, for a single host.

A file is written under another name, flushed to the disk and then linked into place, so an object is
there whole or not at all, and never replaces one that is. Files are 0400 in folders of 0700. A
writer holds a lock on its unfinished file: what a killed process left behind has no lock and is
swept at the next start, while files that another process is writing are left alone.
"""

import contextlib
import errno
import fcntl
import hashlib
import os
import secrets
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, NoReturn, TypeAlias

from spe.adapters.objects.rules import PORT, check_entrance, check_passing, check_way, limited, name_of
from spe.adapters.objects.verified import VerifiedReader
from spe.domain.errors import Corrupt, NotFound, Unavailable
from spe.ports.objects import DEFAULT_LIMIT, Stored, StoreGuarantee, Zone

Write: TypeAlias = Callable[[int, memoryview], int]
"""As `os.write`: tests give one that fails as a full disk does."""

_INCOMING = ".incoming"
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class LocalObjects:
    """An `ObjectStore` in the folder `root`, which is made when missing."""

    def __init__(self, root: Path, *, write: Write = os.write) -> None:
        self._root = root
        self._write = write
        with _speaking():
            _private_folder(root)
            for name in (*Zone, _INCOMING):
                _private_folder(root / name)
            self._sweep()

    @property
    def guarantees(self) -> frozenset[StoreGuarantee]:
        """Write-once and digest-verified; there is no object lock against the host's own administrator."""
        return frozenset({StoreGuarantee.WRITE_ONCE, StoreGuarantee.DIGEST_VERIFIED})

    def put(self, zone: Zone, chunks: Iterable[bytes], *, limit: int = DEFAULT_LIMIT) -> Stored:
        """See `ObjectStore.put`."""
        check_entrance(zone)
        return self._keep(zone, limited(chunks, limit), expected=None)

    def open(self, zone: Zone, digest: str) -> VerifiedReader:
        """See `ObjectStore.open`."""
        source = self._source(zone, digest)
        try:
            size = os.fstat(source.fileno()).st_size
            return VerifiedReader(source, digest=digest, size=size, place=zone)
        except BaseException:
            source.close()
            raise

    def copy(self, digest: str, source: Zone, target: Zone) -> Stored:
        """See `ObjectStore.copy`."""
        check_way(source, target)
        with self.open(source, digest) as reader:
            return self._keep(target, reader, expected=digest)

    def has(self, zone: Zone, digest: str) -> bool:
        """See `ObjectStore.has`."""
        with _speaking():
            return self._path(zone, digest).is_file()

    def delete(self, zone: Zone, digest: str) -> bool:
        """See `ObjectStore.delete`."""
        check_passing(zone)
        path = self._path(zone, digest)
        with _speaking():
            try:
                path.unlink()
            except FileNotFoundError:
                return False
            _sync_folder(path.parent)
        return True

    def list(self, zone: Zone) -> Iterator[Stored]:
        """See `ObjectStore.list`."""
        with _speaking():
            for folder in sorted((self._root / zone).iterdir()):
                for path in sorted(folder.iterdir()):
                    with contextlib.suppress(FileNotFoundError):  # deleted while we look
                        yield Stored(digest=path.name, size=path.stat().st_size)

    def _path(self, zone: Zone, digest: str) -> Path:
        return self._root / Zone(zone).value / name_of(digest)

    def _source(self, zone: Zone, digest: str) -> BinaryIO:
        path = self._path(zone, digest)
        with _speaking():
            try:
                return os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb")
            except FileNotFoundError:
                pass
        raise NotFound(f"There is no object {digest} in the {zone} zone.")

    def _keep(self, zone: Zone, chunks: Iterable[bytes], *, expected: str | None) -> Stored:
        """Write to an unfinished file, then link it into place under its digest."""
        unfinished, descriptor = self._unfinished()
        try:
            stored = self._fill(descriptor, chunks)
            if expected not in (None, stored.digest):
                raise Corrupt(f"The bytes read for {expected} have another digest; nothing was stored.")
            with _speaking():
                os.fchmod(descriptor, 0o400)
                os.fsync(descriptor)
                self._place(unfinished, zone, stored)
        finally:
            with contextlib.suppress(OSError):
                unfinished.unlink()
            os.close(descriptor)
        return stored

    def _place(self, unfinished: Path, zone: Zone, stored: Stored) -> None:
        final = self._path(zone, stored.digest)
        if _private_folder(final.parent):
            _sync_folder(final.parent.parent)
        while not self._is_there(zone, stored.digest):
            with contextlib.suppress(FileExistsError):  # another writer was quicker: look at theirs
                os.link(unfinished, final)
                break
        _sync_folder(final.parent)

    def _is_there(self, zone: Zone, digest: str) -> bool:
        """Whether the object is there already, read through; `Corrupt` when it holds other bytes."""
        try:
            with self.open(zone, digest) as there:
                for _ in there:
                    pass
        except NotFound:
            return False
        return True

    def _fill(self, descriptor: int, chunks: Iterable[bytes]) -> Stored:
        digest, size = hashlib.sha256(), 0
        for chunk in chunks:
            digest.update(chunk)
            size += len(chunk)
            left = memoryview(chunk)
            with _speaking():
                while left:
                    left = left[self._write(descriptor, left) :]
        return Stored(digest=digest.hexdigest(), size=size)

    def _unfinished(self) -> tuple[Path, int]:
        """A fresh file under our lock; tried again when a sweeper took the newborn for an orphan."""
        with _speaking():
            while True:
                path = self._root / _INCOMING / secrets.token_hex(16)
                descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                if path.exists():
                    return path, descriptor
                os.close(descriptor)

    def _sweep(self) -> None:
        for path in (self._root / _INCOMING).iterdir():
            with contextlib.suppress(FileNotFoundError, BlockingIOError):
                descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    path.unlink()
                finally:
                    os.close(descriptor)


def _private_folder(path: Path) -> bool:
    """Make the folder 0700, whatever the umask or an earlier mode; True when it was new."""
    try:
        path.mkdir(mode=0o700, parents=True)
        new = True
    except FileExistsError:
        new = False
    if path.stat().st_mode & 0o777 != 0o700:
        path.chmod(0o700)
    return new


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _speaking() -> Iterator[None]:
    """Turn the system's errors into the port's sentence."""
    try:
        yield
    except OSError as error:
        _say(error)


def _say(error: OSError) -> NoReturn:
    if error.errno in _FULL:
        raise Unavailable(PORT, "its disk is full, so nothing was stored; free some space, then try again") from error
    raise Unavailable(PORT, os.strerror(error.errno) if error.errno else type(error).__name__) from error
