"""A disk of its own for a home, mounted by an ordinary account in a namespace, and made smaller while it is in use.

Run as a program it enters that namespace, which its owner may, and mounts the disk again with another size.
"""

import ctypes
import os
import subprocess
import sys
from pathlib import Path

_CLONE_NEWUSER, _CLONE_NEWNS = 0x1000_0000, 0x2_0000
_REMOUNT = 32 | 2 | 4
"""Mount again, without devices and set-user-id programs."""


def words(home: Path, size: int) -> tuple[str, ...]:
    """What stands before a command that has a disk of so many bytes at `home`; the command stays of this account."""
    return ("bwrap", "--dev-bind", "/", "/", "--size", str(size), "--tmpfs", str(home), "--")


def resize(pid: int, home: Path, size: int) -> None:
    """Give the disk at `home`, as that process sees it, another size."""
    subprocess.run([sys.executable, __file__, str(pid), str(home), str(size)], check=True, timeout=30)


def main(pid: str, home: str, size: str) -> None:
    """Enter and mount again; without an exec in between, which would take the rights away."""
    libc = ctypes.CDLL(None, use_errno=True)
    places = [os.open(f"/proc/{pid}/ns/{name}", os.O_RDONLY) for name in ("user", "mnt")]
    for place, kind in zip(places, (_CLONE_NEWUSER, _CLONE_NEWNS), strict=True):
        _done(libc.setns(place, kind))
    _done(libc.mount(b"tmpfs", home.encode(), b"tmpfs", _REMOUNT, f"size={size}".encode()))


def _done(answer: int) -> None:
    if answer:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


if __name__ == "__main__":
    main(*sys.argv[1:])
