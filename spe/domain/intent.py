"""Intents: effects that were decided and are still owed to the world (transactional outbox).

An intent is written in the transaction of the decision and carried out afterwards, from the record,
by a loop that may be killed at any moment; so every effect is repeatable.
"""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """One owed effect: its kind, the subject's id, and when to try (again).

    `generation` rises each time the effect is put again while it is still owed.
    """

    id: int
    kind: str
    subject: str
    due: datetime
    attempts: int = 0
    last_error: str = ""
    done_at: datetime | None = None
    generation: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Leadership:
    """Who may act on the world until `until`; `fence` rises at every change of hands."""

    holder: str
    fence: int
    until: datetime
