"""The address book by itself, on a clock that a test turns: what it believes, how long, and how often it asks."""

import asyncio
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from spe.gate.addresses import AddressBook, unambiguous
from spe.gate.journal import Journal
from spe.gate.portal import read_addresses
from spe.gate.session import Clocks

ADA, BOB = "p-ada", "p-bob"
HERE, THERE = "10.0.0.7", "10.0.0.8"


@dataclass
class Told:
    """A portal's answers, and somebody who hears of moves."""

    table: Mapping[str, str] | None = field(default_factory=lambda: {ADA: HERE})
    asked: int = 0
    moves: int = 0
    now: float = 1000.0
    hold: asyncio.Event | None = None

    async def ask(self) -> Mapping[str, str] | None:
        self.asked += 1
        if self.hold is not None:
            await self.hold.wait()
        return self.table

    async def moved(self) -> None:
        self.moves += 1

    def book(self, deadline: float = 30.0) -> AddressBook:
        clocks = Clocks(wall=lambda: self.now, steady=lambda: self.now)
        return AddressBook(self.ask, clocks=clocks, deadline=deadline, journal=Journal("ws-1", io.StringIO()))


def run(story: Any) -> Any:
    return asyncio.run(story)


def test_a_fresh_answer_is_not_asked_for_again_and_an_old_one_is() -> None:
    async def story() -> list[int]:
        told = Told()
        book, seen = told.book(), []
        for later in (0.0, 0.5, 0.4, 0.2, 5.0):
            told.now += later
            assert await book.find(ADA) == HERE
            assert await book.recognise(HERE) == ADA
            seen.append(told.asked)
        return seen

    assert run(story()) == [1, 1, 1, 2, 3]


def test_an_answer_holds_no_longer_than_the_deadline() -> None:
    async def story() -> list[Any]:
        told = Told()
        book = told.book(deadline=30.0)
        await book.find(ADA)
        told.table = None
        seen: list[Any] = []
        for later in (20.0, 9.0, 2.0):
            told.now += later
            seen.append((book.address_of(ADA), book.person_at(HERE)))
        told.table = {ADA: HERE}
        return [*seen, await book.find(ADA)]

    assert run(story()) == [(HERE, ADA), (HERE, ADA), (None, None), HERE]


def test_the_deadline_counts_from_the_question_not_from_the_answer() -> None:
    async def story() -> Any:
        told = Told(hold=asyncio.Event())
        book = told.book(deadline=30.0)
        finding = asyncio.create_task(book.find(ADA))
        while not told.asked:
            await asyncio.sleep(0)
        told.now += 29.0
        assert told.hold is not None
        told.hold.set()
        first = await finding
        told.now += 2.0
        return first, book.address_of(ADA)

    assert run(story()) == (HERE, None)


def test_callers_share_one_question() -> None:
    async def story() -> Any:
        told = Told(hold=asyncio.Event())
        book = told.book()
        finding = [asyncio.create_task(book.find(ADA)) for _ in range(50)]
        finding += [asyncio.create_task(book.recognise(HERE)) for _ in range(50)]
        while not told.asked:
            await asyncio.sleep(0)
        assert told.hold is not None
        told.hold.set()
        return set(await asyncio.gather(*finding)), told.asked

    assert run(story()) == ({HERE, ADA}, 1)


def test_whoever_gives_up_waiting_does_not_end_the_question_for_the_others() -> None:
    async def story() -> Any:
        told = Told(hold=asyncio.Event())
        book = told.book()
        first, second = asyncio.create_task(book.find(ADA)), asyncio.create_task(book.find(ADA))
        while not told.asked:
            await asyncio.sleep(0)
        first.cancel()
        assert told.hold is not None
        told.hold.set()
        return await second, told.asked

    assert run(story()) == (HERE, 1)


@pytest.mark.parametrize(
    ("after", "moves"),
    [({ADA: HERE}, 0), ({ADA: THERE}, 1), ({}, 1), ({ADA: HERE, BOB: HERE}, 1), ({ADA: HERE, BOB: THERE}, 0)],
)
def test_who_lives_there_hears_of_every_change_before_anybody_goes_on(after: dict[str, str], moves: int) -> None:
    async def story() -> Any:
        told = Told()
        book = told.book()
        book.enter(ADA, told)
        await book.find(ADA)
        told.table, told.now = after, told.now + 2.0
        found = await book.find(ADA)
        return told.moves, found

    assert run(story()) == (moves, unambiguous(after).get(ADA))


def test_a_listener_that_fails_does_not_leave_the_others_waiting() -> None:
    class Broken:
        async def moved(self) -> None:
            raise RuntimeError("broken")

    async def story() -> Any:
        told = Told()
        book = told.book()
        book.enter(ADA, Broken())
        await book.find(ADA)
        told.table, told.now = {ADA: THERE}, told.now + 2.0
        return await asyncio.wait_for(book.find(ADA), 5)

    assert run(story()) == THERE


@pytest.mark.parametrize(
    ("table", "usable"),
    [
        ({ADA: HERE, BOB: THERE}, {ADA: HERE, BOB: THERE}),
        ({ADA: HERE, BOB: HERE}, {}),
        ({ADA: "10.0.0.7", BOB: "010.0.0.7"}, {ADA: HERE}),
        ({ADA: "fd00::1", BOB: "fd00:0:0::1"}, {}),
        ({ADA: "fd00:0:0::1"}, {ADA: "fd00::1"}),
        ({ADA: "169.254.169.254", "../x": HERE, "P-ADA": HERE}, {}),
        ({ADA: "10.0.0.7:80"}, {}),
        ({ADA: "10.0.0.7/32"}, {}),
        ({ADA: "localhost"}, {}),
    ],
)
def test_what_of_a_table_can_be_used(table: dict[str, str], usable: dict[str, str]) -> None:
    assert unambiguous(table) == usable


@pytest.mark.parametrize(
    ("status", "body", "meaning"),
    [
        (200, b'{"p-ada": "10.0.0.7"}', {ADA: HERE}),
        (200, b"{}", {}),
        (200, b"[]", None),
        (200, b'{"p-ada": null}', None),
        (200, b'{"p-ada": 7}', None),
        (200, b"{", None),
        (204, b"", None),
        (401, b"{}", None),
        (503, b'{"p-ada": "10.0.0.7"}', None),
    ],
)
def test_what_an_answer_of_the_portal_means(status: int, body: bytes, meaning: Any) -> None:
    assert read_addresses(status, body) == meaning
