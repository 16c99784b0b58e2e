"""`make test`: every test, in two halves side by side. Most of the time of either is waiting.

One half has whole environments, browsers and the portal, the other has the rest; they share nothing but the
machine, and temporary folders least of all: two that end in the same moment would tidy up under each other's feet.
The output of the first is seen as it comes, that of the second when both have ended.
"""

import os
import signal
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

FIRST = ("tests/integration", "tests/browser", "tests/web")
HALVES: tuple[tuple[str, ...], ...] = (FIRST, tuple(f"--ignore={folder}" for folder in FIRST))


def main() -> int:
    """The first exit status that is not 0."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="spe-", ignore_cleanup_errors=True))
        told = stack.enter_context(tempfile.TemporaryFile())
        first, second = (_command(words, Path(folder, str(number))) for number, words in enumerate(HALVES))
        beside = subprocess.Popen(
            second, stdout=told, stderr=subprocess.STDOUT, env=os.environ | {"PYTHONUNBUFFERED": "1"}
        )
        try:
            statuses = [subprocess.call(first), beside.wait()]
        finally:
            beside.terminate()
            beside.wait()
        told.seek(0)
        sys.stdout.flush()
        sys.stdout.buffer.write(told.read())
        sys.stdout.flush()
    return next((status for status in statuses if status), 0)


def _command(words: tuple[str, ...], temporary: Path) -> list[str]:
    return [sys.executable, "-m", "pytest", f"--basetemp={temporary}", *words]


if __name__ == "__main__":
    sys.exit(main())
