"""The browser's side of a workspace: each request is judged in one fixed order, then served or refused.

Target, session, route, headers, pass, standing; then the gate's own copy, a websocket, or the notebook. Whatever
goes wrong inside ends as a refusal with a sentence, never as a trace. Only who shows a pass hears why a session
ended.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from aiohttp import HttpVersion11, web

from spe.domain.errors import Denial, Refused, SpeError
from spe.gate import assets, headers, rules
from spe.gate.config import GateConfig
from spe.gate.journal import Journal
from spe.gate.pages import refusal, status_of
from spe.gate.passes import NO_PASS, Passes, by_the_hub, is_check
from spe.gate.portal import Reporter
from spe.gate.proxy import BrokenOffError, Exchange, forward
from spe.gate.roster import Roster
from spe.gate.rules import Kind
from spe.gate.session import Session
from spe.gate.target import Target, parse_target
from spe.gate.websocket import bridge

PARTING_SECONDS = 1.0
PARTING_PAUSE = 0.005

UP_PAUSE = 0.1
PASSING = frozenset({"no-session", "not-confirmed", "notebook-silent", "ended"})
"""Refusals that may be over in a moment, while a session starts."""

NOT_UP = Denial(code="not-up", message="The notebook is not up.")
NO_SESSION = Denial(code="no-session", message="No session is running at this address.")
OLD = Denial(code="malformed", message="This workspace speaks HTTP/1.1 only.")
NO_FILE = Denial(code="no-file", message="The notebook interface has no such file.")
EVENTS = {
    "over-budget": "budget-exceeded",
    "saved-over-budget": "budget-exceeded",
    "answer-too-large": "answer-too-large",
}


class FrontDoor:
    """Handler of the place where the Hub and its proxy enter.

    `patience` is how many seconds the Hub's question whether a notebook is up may wait for a yes; a no would make
    the Hub back off for seconds, and any other answer would count as up.
    """

    def __init__(
        self,
        config: GateConfig,
        roster: Roster,
        files: Mapping[str, Path],
        *,
        passes: Passes,
        reporter: Reporter,
        journal: Journal,
        patience: float = 0.0,
    ) -> None:
        self._patience = patience
        self._config = config
        self._passes = passes
        self._roster = roster
        self._files = files
        self._reporter = reporter
        self._journal = journal
        self._hosts = config.public_hosts
        self.counts: Counter[str] = Counter()

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request; one that had a body is answered to its end before the connection goes."""
        had_body = request.can_read_body
        answer = await self._answer(request)
        if had_body:
            await answer.prepare(request)
            await answer.write_eof()
            if not answer.keep_alive:
                await _close_last(request)
        return answer

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        self.counts["requests"] += 1
        session: Session | None = None
        target = parse_target(request.raw_path)
        try:
            _raise(None if request.version == HttpVersion11 else OLD)
            accepted = _accepted(target)
            session = self._roster.by_path(accepted.path)
            if self._patience and is_check(request, accepted):
                return await self._until_up(request, accepted)
            return await self._admit(request, accepted, session)
        except Refused as error:
            return self._refuse(request, error.denials[0], session, target)
        except BrokenOffError as error:
            self._note(request, error.denial, session, target)
            if request.transport is not None:
                request.transport.abort()
            raise
        except SpeError as error:
            return self._refuse(request, Denial(code="unavailable", message=str(error)), session, target)

    async def _admit(self, request: web.BaseRequest, target: Target, session: Session | None) -> web.StreamResponse:
        if session is None:
            raise Refused([NO_SESSION])
        path = target.path.removeprefix(session.spec.base_url)
        route = rules.classify(request.method, path, terminals=session.spec.terminals)
        if isinstance(route, Denial):
            raise Refused([route])
        pairs = list(request.headers.items())
        _raise(
            headers.denial_of(
                pairs,
                method=request.method,
                kind=route.kind,
                hosts=self._hosts,
                origins=self._config.public_origins,
            )
        )
        if route.name == "enter":
            return await self._passes.take(request, session, target)
        shown = self._passes.shown(request, session)
        if not shown and route.kind is Kind.PAGE:
            return self._passes.to_portal(session, target)
        _raise(None if shown or by_the_hub(request, route.kind) else NO_PASS)
        _raise(session.denial())
        if route.kind is Kind.ASSET:
            return self._asset(path)
        exchange = Exchange(request=request, session=session, route=route, target=target, config=self._config)
        if route.kind.is_socket:
            return await bridge(exchange, reporter=self._reporter, journal=self._journal)
        with session.flight(request):
            return await forward(exchange)

    async def _until_up(self, request: web.BaseRequest, target: Target) -> web.StreamResponse:
        """The notebook's yes as soon as there is one, else the last no when patience ends. Raises Refused."""
        last = NOT_UP
        with suppress(TimeoutError):
            async with asyncio.timeout(self._patience):
                while True:
                    try:
                        return await self._admit(request, target, self._roster.by_path(target.path))
                    except Refused as error:
                        last = error.denials[0]
                        if last.code not in PASSING:
                            break
                    await asyncio.sleep(UP_PAUSE)
        raise Refused([last if status_of(last) >= 500 else NOT_UP])

    def _asset(self, path: str) -> web.StreamResponse:
        answer = assets.serve(self._files, path)
        if answer is None:
            raise Refused([NO_FILE])
        return answer

    def _refuse(
        self, request: web.BaseRequest, denial: Denial, session: Session | None, target: Target | Denial
    ) -> web.StreamResponse:
        self._note(request, denial, session, target)
        return refusal(denial, accept=request.headers.get("Accept", "")[:200], close=request.can_read_body)

    def _note(self, request: web.BaseRequest, denial: Denial, session: Session | None, target: Target | Denial) -> None:
        """One line per refusal; the audit hears of budgets."""
        self.counts[f"refused:{denial.code}"] += 1
        person = session.spec.person if session else None
        path = request.raw_path.partition("?")[0]
        relative = path.removeprefix(session.spec.base_url) if session else path
        if not (isinstance(target, Target) and rules.is_expected(relative)):
            self._journal.write(
                "refused", door="in", person=person, method=request.method, path=path, reason=denial.code
            )
        event = EVENTS.get(denial.code)
        if event is not None and session is not None:
            detail = {"used": session.budget.used, "limit": session.spec.daily_bytes, "what": "http"}
            self._reporter.report(event, session.spec.person, once="day", **detail)


async def _close_last(request: web.BaseRequest) -> None:
    """Wait a little for the other side to close. The Hub's proxy makes one more, empty write behind a body: were the
    connection gone by then, it would drop the answer and tell the person that the notebook is dead.
    """
    end = time.monotonic() + PARTING_SECONDS
    while request.transport is not None and not request.transport.is_closing() and time.monotonic() < end:
        await asyncio.sleep(PARTING_PAUSE)


def _accepted(target: Target | Denial) -> Target:
    if isinstance(target, Denial):
        raise Refused([target])
    return target


def _raise(denial: Denial | None) -> None:
    if denial is not None:
        raise Refused([denial])
