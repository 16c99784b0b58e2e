"""Time, in UTC. Rules get it as a value; only this port is asked for it."""

from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    """Where `now` comes from."""

    def now(self) -> datetime:
        """The present instant, timezone-aware, in UTC."""
        ...
