"""Telling people that something waits for them. A failure never undoes a decision."""

from typing import Protocol

from spe.domain.ids import PersonId


class Notifier(Protocol):
    """A way to reach people; messages hold ids and states, never content (security note T36)."""

    def tell(self, person: PersonId, subject: str, message: str) -> None:
        """Send one message. Safe to repeat; raises `Unavailable` when it could not be handed over."""
        ...
