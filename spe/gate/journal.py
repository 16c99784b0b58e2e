"""One JSON line per thing worth knowing, on standard error.

No token, no query, no content of a message; names are cut short and escaped, and a flood of refusals
becomes one line that says how many were left out.
"""

import json
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TextIO

LONGEST_FIELD = 200
LINES_A_SECOND = 50


class Journal:
    """Writes lines to `stream`; `clock` gives seconds. `workspace` stands in each line."""

    def __init__(
        self, workspace: str, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.workspace = workspace
        self._stream = stream or sys.stderr
        self._clock = clock
        self._second = 0
        self._lines = 0
        self._left_out = 0

    def write(self, event: str, **fields: object) -> None:
        """Write one line unless this second has had its share."""
        second = int(self._clock())
        if second != self._second:
            if self._left_out:
                self._line("left-out", {"lines": self._left_out})
            self._second, self._lines, self._left_out = second, 0, 0
        if self._lines >= LINES_A_SECOND:
            self._left_out += 1
            return
        self._lines += 1
        self._line(event, fields)

    def _line(self, event: str, fields: dict[str, object]) -> None:
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        line: dict[str, object] = {"at": now, "workspace": self.workspace, "event": event}
        line |= {name: _short(value) for name, value in fields.items() if value is not None}
        try:
            self._stream.write(json.dumps(line) + "\n")
            self._stream.flush()
        except OSError:
            self._left_out += 1  # nobody reads: a gate does not fail for its log


def _short(value: object) -> object:
    if isinstance(value, bool | int | float):
        return value
    text = str(value)
    return text if len(text) <= LONGEST_FIELD else text[:LONGEST_FIELD] + "…"
