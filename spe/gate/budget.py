"""What a person may still take out today, in bytes, and what it went on.

The arithmetic is pure. Bytes are reserved in the store before the first of them is sent, a block at a time,
so that killing the process can lose unused allowance but never give any back.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

DAY = 86400
SMALLEST_BLOCK = 64 * 1024
LARGEST_BLOCK = 4 * 1024 * 1024
BLOCKS_A_DAY = 64
FRAME_COST = 16
"""Charged with every message and answer besides its bytes: that something was said is a signal too."""

Spent = dict[tuple[str, str], int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where a person stands on one day. `used` ≤ `reserved` ≤ `limit`; `reserved` is what the store knows."""

    used: int
    reserved: int


def block_size(limit: int) -> int:
    """How much is reserved at once: small enough to lose, large enough not to wait for the disk."""
    return max(SMALLEST_BLOCK, min(LARGEST_BLOCK, limit // BLOCKS_A_DAY))


def after(standing: Standing, size: int, limit: int) -> Standing | None:
    """The standing after sending `size` bytes, or None when they do not fit under `limit`."""
    used = standing.used + size
    if size < 0 or used > limit:
        return None
    if used <= standing.reserved:
        return Standing(used=used, reserved=standing.reserved)
    return Standing(used=used, reserved=min(limit, used + block_size(limit)))


def day_of(moment: float) -> int:
    """The UTC day a moment (seconds since the epoch) falls on, as a number of days since the epoch."""
    return int(moment // DAY)


class Reserves(Protocol):
    """Where reservations are kept. Both calls have reached the disk when they return."""

    def reserved(self, person: str, day: int) -> int:
        """Bytes reserved so far."""

    def spent(self, person: str, day: int) -> Spent:
        """Bytes sent so far by channel and message type, as far as settled."""

    def reserve(self, person: str, day: int, amount: int) -> None:
        """Set the bytes reserved; never called with less than was sent."""

    def settle(self, person: str, day: int, used: int, spent: Spent) -> None:
        """Write what was really sent, and give the rest of the block back."""


class Budget:
    """One person's allowance, day by day. Not thread-safe: one event loop owns it."""

    def __init__(self, person: str, limit: int, reserves: Reserves, clock: Callable[[], float]) -> None:
        self.person = person
        self.limit = limit
        self._reserves = reserves
        self._clock = clock
        self._open(day_of(clock()))

    def _open(self, day: int) -> None:
        self.day = day
        reserved = self._reserves.reserved(self.person, day)
        self._standing = Standing(used=reserved, reserved=reserved)
        self._spent = self._reserves.spent(self.person, day)
        self._settled = True

    def _turn(self) -> None:
        day = day_of(self._clock())
        if day != self.day:
            self.settle()
            self._open(day)

    def spend(self, channel: str, kind: str, size: int) -> bool:
        """Count `size` bytes that are about to be sent. False: they do not fit, and nothing was counted."""
        self._turn()
        standing = after(self._standing, size, self.limit)
        if standing is None:
            return False
        if standing.reserved != self._standing.reserved:
            self._reserves.reserve(self.person, self.day, standing.reserved)
        self._standing = standing
        key = (channel, kind)
        self._spent[key] = self._spent.get(key, 0) + size
        self._settled = False
        return True

    def exhaust(self) -> None:
        """Close the day: a connection was cut because its next message did not fit, so that opening it again and
        again does not end in the same cut. The rest is charged as what it is.
        """
        self.spend("budget", "cut-off", self.remaining)

    def settle(self) -> None:
        """Write the exact figures; called now and then and at the end."""
        if not self._settled:
            self._reserves.settle(self.person, self.day, self._standing.used, self._spent)
            self._standing = Standing(used=self._standing.used, reserved=self._standing.used)
            self._settled = True

    @property
    def used(self) -> int:
        """Bytes gone today, blocks lost in a crash included."""
        self._turn()
        return self._standing.used

    @property
    def remaining(self) -> int:
        """Bytes left today; never negative, also after the limit was lowered."""
        return max(0, self.limit - self.used)

    def spent(self) -> Spent:
        """Bytes by (channel, message type); what is missing to `used` was reserved when a gate was killed."""
        self._turn()
        return dict(self._spent)
