"""How much a workspace's writable folders hold: plain folders have no quota, so they are measured.

A walk in small portions between other work, never following links. What cannot be measured (a folder
closed to its own owner, a path too long to open) counts as over the limit: silence is a refusal.
"""

import asyncio
import os
from collections.abc import Iterator, Sequence

_PORTION = 400
_MOST = 1_000_000


class Unmeasurable(Exception):
    """A folder that cannot be read or holds more entries than anyone counts."""


async def measured(folders: Sequence[str]) -> int:
    """Bytes on disk below the folders. Raises `Unmeasurable`."""
    total = 0
    for number, size in enumerate(_sizes(folders), start=1):
        total += size
        if number > _MOST:
            raise Unmeasurable(f"more than {_MOST} files")
        if number % _PORTION == 0:
            await asyncio.sleep(0)
    return total


def _sizes(folders: Sequence[str]) -> Iterator[int]:
    waiting = list(folders)
    while waiting:
        folder = waiting.pop()
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    yield _size(entry)
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise Unmeasurable(f"a folder cannot be read ({error.strerror})") from error


def _size(entry: os.DirEntry[str]) -> int:
    try:
        return entry.stat(follow_symlinks=False).st_blocks * 512
    except FileNotFoundError:
        return 0
