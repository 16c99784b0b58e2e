"""`make test`: every test, in two halves side by side. Most of the time of either is waiting.

One half has whole environments, browsers and the portal, the other has the rest; they share nothing but the
machine. The output of the first is seen as it comes, that of the second when both have ended.
"""

import os
import signal
import subprocess
import sys
import tempfile

FIRST = ("tests/integration", "tests/browser", "tests/web")
HALVES: tuple[tuple[str, ...], ...] = (FIRST, tuple(f"--ignore={folder}" for folder in FIRST))


def main() -> int:
    """The first exit status that is not 0."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    first, second = ([sys.executable, "-m", "pytest", *words] for words in HALVES)
    with tempfile.TemporaryFile() as told:
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


if __name__ == "__main__":
    sys.exit(main())
