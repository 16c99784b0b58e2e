"""A small file under AES-256-GCM, replaced whole, with its key in another file.

The key file is one line, `spe.sealing-key/1 <base64 of 32 bytes>`, mode 0600; the sealed file is
canonical JSON `{"schema": "spe.sealed/1", "key": …, "nonce": …, "data": …}`, where `key` names the
sealing key by a digest and is authenticated together with the schema. Both are made together, once;
if either is missing later, nothing is started and nothing is made anew, because new keys would
silently turn all earlier receipts and secrets into waste paper. An older sealed file with its proper
key is accepted: what it can bring back are ended leases and replaced secrets, never a permission.
Contents travel as `SecretValue`, so that no error carries them.
"""

import contextlib
import fcntl
import glob
import hashlib
import os
import secrets
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from spe.adapters.secrets.rules import PORT
from spe.domain.canonical import Reader, canonical, parse, read64, text64
from spe.domain.errors import Corrupt, Invalid, Unavailable
from spe.ports.secrets import SecretValue

SCHEMA = "spe.sealed/1"

_KEY_WORD = "spe.sealing-key/1"
_KEYS = frozenset({"schema", "key", "nonce", "data"})
_NONCE = 12
_PART = ".part"
_LOCK_SECONDS = 10.0


class SealedFile:
    """The sealed file at `path`, opened with the key at `key_path`; each in a folder made 0700 when missing."""

    def __init__(self, path: Path, key_path: Path, *, fresh: Callable[[], SecretValue]) -> None:
        """Open what is there, or make both files with the contents `fresh()` when neither is.

        Raises `Invalid` when others can read the key, `Corrupt` when one of the files is missing,
        changed, or does not belong to the other.
        """
        self._path = path
        self._key_path = key_path
        self._pending = key_path.with_name(key_path.name + ".new")
        self._held = -1
        self._stamp: tuple[int, ...] = ()
        with _speaking():
            for folder in {path.parent, key_path.parent}:
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with self.locked():
                self._sweep()
                if not self._finish_birth():
                    self._give_birth(fresh())
                self._key = _read_key(key_path)
        self.read()

    def news(self) -> SecretValue | None:
        """The contents if the file was replaced or touched since the last call, else None; one caller at a time.

        The file read last is kept open, so that its inode number cannot come back under a newer file.
        """
        with _speaking():
            if _stamp(os.stat(self._path)) == self._stamp:
                return None
            descriptor = os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                stamp = _stamp(os.fstat(descriptor))
                contents = self._opened(_all_of(descriptor))
            except BaseException:
                os.close(descriptor)
                raise
        if self._held >= 0:
            os.close(self._held)
        self._held, self._stamp = descriptor, stamp
        return contents

    def read(self) -> SecretValue:
        """The contents as they are now; `Corrupt` when the file was changed or belongs to another key."""
        with _speaking():
            return self._opened(self._path.read_bytes())

    def write(self, contents: SecretValue) -> None:
        """Replace the contents durably; call it under `locked()`. A reader sees the old or the new, whole."""
        with _speaking():
            _replace(self._path, _seal(contents, self._key))

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep every other thread and process from writing; `Unavailable` after ten seconds of waiting."""
        lock = self._path.with_name(self._path.name + ".lock")
        with _speaking():
            descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            _take(descriptor)
            yield
        finally:
            os.close(descriptor)

    def _opened(self, data: bytes) -> SecretValue:
        contents = _unseal(data, self._key)
        if contents is None:
            raise Corrupt(
                f"The sealed file {self._path} was changed, or belongs to another key than {self._key_path}. "
                "Restore both from the same backup."
            )
        return contents

    def _sweep(self) -> None:
        """Remove what a killed writer left beside the files; nobody else writes while we hold the lock."""
        for path in (self._path, self._pending):
            for beside in path.parent.glob(f"{glob.escape(path.name)}.*{_PART}"):
                beside.unlink(missing_ok=True)

    def _finish_birth(self) -> bool:
        """Whether both files are there, after completing a birth that was cut short; False when none is."""
        key, sealed, pending = self._key_path.exists(), self._path.exists(), self._pending.exists()
        if key and not sealed:
            raise Corrupt(
                f"The sealed file {self._path} is missing although its key {self._key_path} is there. Restore it "
                "from a backup; only to give up all secrets and keys kept so far, move the key away as well."
            )
        if sealed and not key:
            if not pending or _unseal(self._path.read_bytes(), _read_key(self._pending)) is None:
                raise Corrupt(
                    f"The key {self._key_path} is missing although the sealed file {self._path} is there. "
                    "Put the key back from its backup; without it nobody can open the file."
                )
            self._pending.rename(self._key_path)
            _sync(self._key_path.parent)
        return sealed

    def _give_birth(self, contents: SecretValue) -> None:
        key = AESGCM.generate_key(bit_length=256)
        _replace(self._pending, f"{_KEY_WORD} {text64(key)}\n".encode())
        _replace(self._path, _seal(contents, key))
        self._pending.rename(self._key_path)
        _sync(self._key_path.parent)


def _seal(contents: SecretValue, key: bytes) -> bytes:
    nonce = secrets.token_bytes(_NONCE)
    data = AESGCM(key).encrypt(nonce, contents.reveal().encode(), _label(key))
    return canonical({"schema": SCHEMA, "key": _name(key), "nonce": text64(nonce), "data": text64(data)})


def _unseal(data: bytes, key: bytes) -> SecretValue | None:
    try:
        fields = Reader(parse(data), "sealed file", _KEYS)
        text = fields.text("data")
        sealed = read64(text, len(text) // 4 * 3 - text[-2:].count("="))
        if (fields.text("schema"), fields.text("key")) != (SCHEMA, _name(key)):
            return None
        return SecretValue(AESGCM(key).decrypt(read64(fields.text("nonce"), _NONCE), sealed, _label(key)).decode())
    except (Invalid, InvalidTag):
        return None


def _name(key: bytes) -> str:
    return hashlib.sha256(SCHEMA.encode() + b"\n" + key).hexdigest()[:32]


def _label(key: bytes) -> bytes:
    return canonical({"schema": SCHEMA, "key": _name(key)})


def _read_key(path: Path) -> bytes:
    """The key in the file, after making sure that nobody else can have read it."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid():
            raise Invalid({"key file": f"{path} belongs to another account; run `spe` as its owner."})
        if found.st_mode & 0o077:
            raise Invalid(
                {
                    "key file": f"Others can read {path}. Run `chmod 600 {path}`, and if they may have read it, "
                    "store all secrets anew under a fresh key."
                }
            )
        line = file.read(200)
    word, _, text = line.decode(errors="replace").rstrip("\n").partition(" ")
    if word == _KEY_WORD:
        with contextlib.suppress(Invalid):
            return read64(text, 32)
    raise Corrupt(f"{path} is not a sealing key of this version. Put the key back from its backup.")


def _replace(path: Path, data: bytes) -> None:
    """Write beside, flush, rename, flush the folder; the file is 0600 from its first instant."""
    beside = path.with_name(f"{path.name}.{secrets.token_hex(8)}{_PART}")
    try:
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(descriptor)
        beside.rename(path)
    finally:
        beside.unlink(missing_ok=True)
    _sync(path.parent)


def _all_of(descriptor: int) -> bytes:
    with os.fdopen(os.dup(descriptor), "rb") as file:
        return file.read()


def _stamp(found: os.stat_result) -> tuple[int, ...]:
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _take(descriptor: int) -> None:
    end = time.monotonic() + _LOCK_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > end:
                raise Unavailable(PORT, "another process keeps its file locked") from None
            time.sleep(0.005)
        else:
            return


@contextlib.contextmanager
def _speaking() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Unavailable(PORT, f"{error.filename or 'its file'}: {os.strerror(error.errno or 0)}") from error
