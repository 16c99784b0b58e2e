"""Who may pass, on clocks a test can turn."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from spe.domain.errors import Denial
from spe.gate.budget import Budget
from spe.gate.config import SessionConfig, Sockets
from spe.gate.ledger import Ledger
from spe.gate.notebook import SocketPlace
from spe.gate.portal import Entitlement, Word, confirm
from spe.gate.session import Clocks, Session


@dataclass
class Turned:
    """Two clocks that stand still until a test turns them."""

    wall: float = 1_700_000_000.0
    steady: float = 5_000.0


def denial_after(folder: Path, change: Callable[[Session, Turned], None]) -> str | None:
    """The code of the denial of a session that was just confirmed for 60 seconds, after a change."""
    denial = denied(folder, change)
    return denial.code if denial else None


def denied(folder: Path, change: Callable[[Session, Turned], None]) -> Denial | None:
    """The denial itself."""

    async def story() -> Denial | None:
        turned = Turned()
        clocks = Clocks(wall=lambda: turned.wall, steady=lambda: turned.steady)
        spec = SessionConfig(
            person="p-ada",
            name="Ada",
            base_url="/user/p-ada/ws-1/",
            sockets=Sockets(notebook=folder / "nb.sock", door=folder),
            daily_bytes=1000,
            message_bytes=1024,
            terminals=False,
            expires=turned.wall + 3600,
            message_families=frozenset(),
        )
        budget = Budget("p-ada", 1000, Ledger(folder / "gate.sqlite"), clocks.wall)
        session = Session(spec, stamp="1", budget=budget, place=SocketPlace(folder / "nb.sock"), clocks=clocks)
        yes = Entitlement(word=Word.YES, until=turned.wall + 600)
        session.confirmation = confirm(yes, asked_at=turned.steady, deadline=60)
        change(session, turned)
        denial = session.denial()
        assert (session.seconds_left() > 0) == (denial is None)
        await session.place.close()
        return denial

    return asyncio.run(story())


def _wall(seconds: float) -> Callable[[Session, Turned], None]:
    def turn(_: Session, turned: Turned) -> None:
        turned.wall += seconds

    return turn


def _steady(seconds: float) -> Callable[[Session, Turned], None]:
    def turn(_: Session, turned: Turned) -> None:
        turned.steady += seconds

    return turn


def _no(session: Session, _: Turned) -> None:
    session.no = ""


def _no_because(session: Session, _: Turned) -> None:
    session.no = "The study was stopped."


def test_a_no_is_told_in_the_portals_own_words(tmp_path: Path) -> None:
    denial = denied(tmp_path, _no_because)
    assert denial is not None
    assert "The study was stopped." in denial.message


def _cut(session: Session, _: Turned) -> None:
    session.cut_reason = "enough."


def _never(session: Session, _: Turned) -> None:
    session.confirmation = None


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (_steady(59.9), None),
        (_steady(60), "not-confirmed"),
        (_wall(599), None),
        (_wall(600), "not-confirmed"),
        (_wall(3600), "expired"),
        (_wall(-86400), None),
        (_no, "not-entitled"),
        (_never, "not-confirmed"),
        (_cut, "cut"),
    ],
)
def test_a_person_passes_only_while_every_clock_and_answer_says_so(
    tmp_path: Path, change: Callable[[Session, Turned], None], code: str | None
) -> None:
    assert denial_after(tmp_path, change) == code


def test_turning_the_wall_clock_back_does_not_stretch_the_deadline(tmp_path: Path) -> None:
    def both(_: Session, turned: Turned) -> None:
        turned.wall -= 86400
        turned.steady += 61

    assert denial_after(tmp_path, both) == "not-confirmed"
