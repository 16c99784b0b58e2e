"""Which sessions there are: opens and closes what changed, keeps entitlements fresh.

A cut holds until the session is gone from what is wanted or written anew, also over a restart of the gate; one
that became unreadable ends.
"""

import asyncio
import contextlib
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field

from spe.domain.errors import SpeError
from spe.gate.budget import Budget
from spe.gate.config import GateConfig, SessionConfig
from spe.gate.journal import Journal
from spe.gate.ledger import Ledger
from spe.gate.portal import Portal, Reporter, Word, confirm
from spe.gate.session import CUT_SECONDS, Clocks, Ending, Session
from spe.gate.surroundings import Surroundings, Wanted

ASK_SECONDS = 5.0
ASKS_A_DEADLINE = 3
SHORTEST_PAUSE = 0.05
CLOSED_BY_RULE = 4403


@dataclass(slots=True, kw_only=True)
class _Entry:
    """A session with what runs for it."""

    session: Session
    doors: AbstractAsyncContextManager[object]
    keeper: asyncio.Task[None] | None = None
    changed: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """What a reload did: people whose sessions now stand, people whose sessions went, what was refused."""

    sessions: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    refused: dict[str, list[str]] = field(default_factory=dict)


class Roster:
    """The sessions of one gate."""

    def __init__(
        self,
        config: GateConfig,
        surroundings: Surroundings,
        *,
        ledger: Ledger,
        portal: Portal,
        reporter: Reporter,
        journal: Journal,
        clocks: Clocks,
    ) -> None:
        self._config = config
        self._surroundings = surroundings
        self._ledger = ledger
        self._portal = portal
        self._reporter = reporter
        self._journal = journal
        self._clocks = clocks
        self._entries: dict[str, _Entry] = {}
        self._one_at_a_time = asyncio.Lock()
        self.applied = Applied()

    def by_path(self, path: str) -> Session | None:
        """The session whose base URL `path` lies below."""
        parts = path.split("/", 4)
        if len(parts) < 5 or parts[1] != "user" or parts[3] != self._config.workspace:
            return None
        entry = self._entries.get(parts[2])
        return entry.session if entry else None

    def of(self, person: str) -> Session | None:
        """The person's session."""
        entry = self._entries.get(person)
        return entry.session if entry else None

    @property
    def sessions(self) -> list[Session]:
        """Every session known now."""
        return [entry.session for entry in self._entries.values()]

    async def reload(self) -> Applied:
        """Make the sessions what is wanted; answers when that is so and the portal was asked."""
        async with self._one_at_a_time:
            wanted = self._read()
            applied = Applied(refused=dict(wanted.refused))
            for person in [p for p in self._entries if p not in wanted.sessions]:
                await self._remove(person)
                applied.removed.append(person)
            # A session may have gone while no gate ran; but of one that could not be read nothing is known.
            known = frozenset() if wanted.refused else self._ledger.people()
            gone = {*applied.removed, *known} - wanted.sessions.keys()
            self._ledger.forget(gone, passes=not wanted.closed)
            await asyncio.gather(*(self._put(spec, stamp, applied) for spec, stamp in wanted.sessions.values()))
            applied.sessions.extend(sorted(self._entries))
            self.applied = applied
            self._journal.write(
                "reloaded",
                sessions=len(applied.sessions),
                removed=len(applied.removed),
                refused=len(applied.refused),
            )
            return applied

    def _read(self) -> Wanted:
        wanted = self._surroundings.wanted()
        for name, sentences in wanted.refused.items():
            self._journal.write("session-refused", file=name, reason=" ".join(sentences))
        return wanted

    async def _put(self, spec: SessionConfig, stamp: str, applied: Applied) -> None:
        entry = self._entries.get(spec.person)
        if entry is not None and (entry.session.spec.identity != spec.identity or _reopened(entry.session, stamp)):
            await self._remove(spec.person)
            entry = None
        if entry is not None:
            entry.session.spec = spec
            entry.session.stamp = stamp
            entry.session.budget.limit = spec.daily_bytes
            entry.changed.set()  # its end may be another one
            if entry.session.denial() is not None:  # the answer may be another one now
                await self._ask(entry.session)
            await self._close_if_denied(entry.session)
            return
        try:
            await self._add(spec, stamp)
        except (OSError, SpeError) as error:
            applied.refused[spec.person] = [f"The session cannot be opened: {error}"]
            self._journal.write("session-refused", person=spec.person, reason=str(error))

    async def _add(self, spec: SessionConfig, stamp: str) -> None:
        """Known before the portal is asked, so that a cut in between meets it; until a yes it lets nobody pass."""
        budget = Budget(spec.person, spec.daily_bytes, self._ledger, self._clocks.wall)
        place = self._surroundings.place(spec)
        session = Session(spec, stamp=stamp, budget=budget, place=place, clocks=self._clocks)
        marked = self._ledger.cut(spec.person)
        if marked is not None and marked[0] == stamp:
            session.cut_reason = marked[1]
        elif marked is not None:
            self._ledger.lift_cut(spec.person)
        doors = self._surroundings.doors(session)
        try:
            await doors.__aenter__()
        except OSError:
            await place.close()
            raise
        entry = self._entries[spec.person] = _Entry(session=session, doors=doors)
        await self._ask(session)
        if self._entries.get(spec.person) is entry:
            entry.keeper = asyncio.create_task(self._keep(session, entry.changed), name=f"keeper {spec.person}")

    async def _remove(self, person: str) -> None:
        entry = self._entries.pop(person)
        if entry.keeper is not None:
            entry.keeper.cancel()
        session = entry.session
        self._settle(session)
        session.cut_reason = session.cut_reason or "it was stopped."
        await session.close_open(ending(session))
        await entry.doors.__aexit__(None, None, None)
        await session.place.close()

    async def cut(self, person: str | None, reason: str) -> int:
        """Close what is open and refuse what comes, for one person or all. Returns the websockets closed."""
        chosen = [s for s in self.sessions if person is None or s.spec.person == person]
        for session in chosen:
            session.cut_reason = reason
        closed = await asyncio.gather(*(session.close_open(ending(session)) for session in chosen))
        for session, count in zip(chosen, closed, strict=True):
            self._ledger.mark_cut(session.spec.person, session.stamp, reason)
            self._reporter.report("cut", session.spec.person, reason=reason, websockets=count)
        return sum(closed)

    async def _keep(self, session: Session, changed: asyncio.Event) -> None:
        """Ask again three times per deadline; end what is open as soon as the person may not pass."""
        usual = self._config.deadline_seconds / ASKS_A_DEADLINE
        while True:
            left = session.seconds_left()
            pause = min(usual, max(SHORTEST_PAUSE, left)) if left > 0 else usual
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(changed.wait(), pause)
            if changed.is_set():
                changed.clear()
                continue
            try:
                await self._close_if_denied(session)
                await self._ask(session)
                await self._close_if_denied(session)
            except Exception as error:  # a keeper that died would keep a session open
                self._journal.write("keeper-failed", person=session.spec.person, reason=type(error).__name__)

    async def _ask(self, session: Session) -> None:
        usual = min(ASK_SECONDS, self._config.deadline_seconds / ASKS_A_DEADLINE)
        left = session.seconds_left()
        asked_at = self._clocks.steady()
        answer = await self._portal.ask(session.spec.person, within=min(usual, left) if left > 0 else usual)
        if answer.word is Word.YES:
            session.no = None
            session.confirmation = confirm(answer, asked_at=asked_at, deadline=self._config.deadline_seconds)
        elif answer.word is Word.NO:
            session.no = answer.reason
            session.confirmation = None

    async def _close_if_denied(self, session: Session) -> None:
        denial = session.denial()
        if denial is None or not session.busy:
            return
        count = await session.close_open(ending(session))
        self._reporter.report(denial.code, session.spec.person, reason=denial.message, websockets=count)

    def settle(self) -> None:
        """Write every counter; what cannot be written stays reserved, so that nothing is won."""
        for session in self.sessions:
            self._settle(session)

    def _settle(self, session: Session) -> None:
        try:
            session.budget.settle()
        except SpeError as error:
            self._journal.write("not-settled", person=session.spec.person, reason=str(error))

    async def close(self) -> None:
        """End everything; the counters are exact afterwards."""
        await asyncio.gather(*(self._remove(person) for person in list(self._entries)))


def ending(session: Session) -> Ending:
    """The close code and sentence for a session that may not pass."""
    denial = session.denial()
    sentence = denial.message if denial else "This session was ended."
    return Ending(code=CLOSED_BY_RULE, sentence=sentence, patience=CUT_SECONDS / 2)


def _reopened(session: Session, stamp: str) -> bool:
    """True when a session was cut and its file has been written anew since."""
    return session.cut_reason is not None and session.stamp != stamp


SETTLE_SECONDS = 10.0


async def settle_now_and_then(roster: Roster) -> None:
    """Write the counters every few seconds, so that a crash loses little allowance and little detail."""
    while True:
        await asyncio.sleep(SETTLE_SECONDS)
        roster.settle()
