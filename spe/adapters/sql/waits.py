"""How long a database may keep somebody waiting before it counts as silent."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Waits:
    """Limits in seconds; only `lock` means something on SQLite.

    `lock`: waiting for the writer before. `statement`: one statement. `idle`: standing still within a transaction that
    writes, after which the server throws it out; shorter than `lock`, so that a frozen process costs the others a wait
    and no refusal. `patience`: what a server may take besides `statement` before its client hangs up.
    """

    lock: float = 15
    statement: float = 30
    idle: float = 10
    patience: float = 5
