"""The system's clock in UTC, and one that a demonstration may turn forward."""

from datetime import UTC, datetime, timedelta
from pathlib import Path


class SystemClock:
    """The host's time."""

    def now(self) -> datetime:
        """Now, in UTC."""
        return datetime.now(UTC)


class DemoClock:
    """The host's time plus the seconds in a file, so that a demonstration can show an expiry.

    Only `spe up --demo` uses it. It can only be turned forward: earlier is never shown (I15).
    """

    def __init__(self, offset: Path) -> None:
        self._offset = offset
        self._latest = datetime.now(UTC)

    def now(self) -> datetime:
        """Now, in UTC, turned forward."""
        try:
            seconds = max(0.0, float(self._offset.read_text()))
        except (OSError, ValueError):
            seconds = 0.0
        self._latest = max(self._latest, datetime.now(UTC) + timedelta(seconds=seconds))
        return self._latest
