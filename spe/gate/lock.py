"""One gate at a time: a lock on a file, held for the life of the process."""

import fcntl
import os
import time
from pathlib import Path

from spe.domain.errors import Unavailable

LOCK_SECONDS = 5.0
LOCK_PAUSE = 0.05


def take_lock(path: Path) -> int:
    """Take the lock at `path` for the life of this process; a gate that is ending gets some seconds to end.

    Returns the open file. Raises Unavailable when another gate keeps it.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    until = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() >= until:
                os.close(handle)
                raise Unavailable("folder of the gate", "another gate of this workspace is running") from error
            time.sleep(LOCK_PAUSE)
        else:
            return handle
