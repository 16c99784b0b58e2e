"""Several people push requests and the permit around at random; what must always hold is looked at after each step.

Time passes, policies and stored bytes change, people come and go, the process restarts; every act goes through the
services and may be refused.
"""

import contextlib
import dataclasses
import os
import tempfile
from collections.abc import Callable
from datetime import timedelta
from functools import cache
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from spe.domain.egress import EGRESS, SETTLED, EgressContext, EgressRequest, EgressState
from spe.domain.errors import SpeError
from spe.domain.ids import PersonId, ReleaseId, RequestId
from spe.domain.permit import Permit, PermitState
from spe.domain.principal import CHECKS, RELEASER, Role
from spe.domain.release import Release
from spe.domain.review import Decision, Vote
from spe.ports.objects import Zone
from spe.reconciler.timers import Timers
from spe.services.grounds import Grounds
from spe.services.reviews import Judgement
from tests.support.ground import CLEAN, LEAKING, SETUP, Ground
from tests.support.prepared import Template, restart, spoil, with_other_policy

FAST = Path("/dev/shm") if os.access("/dev/shm", os.W_OK) else Path(tempfile.gettempdir())
CHECKERS = ("checker", "checker2", "both")
AUTHORS = ("researcher", "both")
EVERYBODY = ("researcher", "colleague", "outsider", "board", "operator", "auditor", *CHECKERS)
FILES = {
    "a.csv": (CLEAN, CLEAN.replace(b"246", b"251"), LEAKING),
    "b.csv": (CLEAN.replace(b"440", b"441"), CLEAN.replace(b"440", b"442")),
}
RELEASED = (EgressState.RELEASED, EgressState.RECALLED)
ACCIDENTS = ("policy", "term", "suspend", "byte", "person", "restart")
UNDER_WAY = (EgressState.APPROVED, EgressState.RELEASING)

people = st.sampled_from(EVERYBODY)
authors = st.sampled_from(AUTHORS)
numbers = st.sampled_from([0, 0, 1])
sometimes = st.sampled_from([True, False])
checkers = st.sampled_from(CHECKERS)
decisions = st.sampled_from([*Decision, Decision.APPROVE, Decision.APPROVE])


@cache
def template() -> tuple[Template, tempfile.TemporaryDirectory[str]]:
    """A world in which one person is both a checker and, from time to time, on the permit."""
    folder = tempfile.TemporaryDirectory(dir=FAST, prefix="spe-")
    return Template(Path(folder.name) / "template", prepare=with_both), folder


def with_both(ground: Ground) -> None:
    ground.people["both"] = ground.app.people.register(
        issuer="https://login.example",
        subject="both",
        name="Both",
        organisation="",
        roles=[Role.CHECKER, Role.AUTHORISED_USER],
        by=SETUP,
    )


class Story(RuleBasedStateMachine):
    """What people, time and accidents do to two requests under one permit."""

    ground: Ground

    def __init__(self) -> None:
        super().__init__()
        made, folder = template()
        self._stack = contextlib.ExitStack()
        place = self._stack.enter_context(tempfile.TemporaryDirectory(dir=folder.name))
        self.ground = self._stack.enter_context(made.copy(Path(place) / "world"))
        self.requests: list[RequestId] = []
        self.released: dict[RequestId, dict[str, str]] = {}
        self.entries = 0

    def teardown(self) -> None:
        try:
            size, problems = self.ground.app.audit.verify(by=self.ground.by("auditor"))
            assert size >= self.entries
            assert problems == ()
        finally:
            self._stack.close()

    def attempt(self, act: Callable[[], object]) -> bool:
        """Whether the act was allowed; every refusal is one of ours and says something."""
        said: tuple[str, ...] = ()
        try:
            act()
        except SpeError as error:
            said = error.sentences
        assert all(sentence.strip() for sentence in said)
        return not said

    def get(self, number: int) -> RequestId:
        return self.requests[number % len(self.requests)]

    def name_of(self, person: PersonId) -> str:
        return next(name for name, known in self.ground.people.items() if known.id == person)

    # --- what people do

    @initialize(steps=st.sampled_from([5, 7, 4, 6, 3, 2, 0]), what=st.sampled_from(["", *ACCIDENTS]))
    def begin(self, steps: int, what: str) -> None:
        self.requests = [self.ground.draft({"a.csv": CLEAN, "b.csv": FILES["b.csv"][0]})]
        for _ in range(steps):
            self.go_on(0)
        if what and self.ground.request(self.requests[0]).state in UNDER_WAY:
            self.something_happens_while_a_release_is_carried_out(what)

    @rule(number=numbers)
    def people_and_loops_go_on(self, number: int) -> None:
        for _ in range(3):
            self.go_on(number)

    @rule(number=numbers)
    def go_on(self, number: int) -> None:
        """Whoever is to do the next thing does it, in favour."""
        request = self.ground.request(self.get(number))
        state = request.state
        if state in (EgressState.DRAFT, EgressState.RETURNED, EgressState.BLOCKED):
            self.submit(number, self.name_of(request.author))
        elif state is EgressState.IN_REVIEW:
            voted = {v.checker for v in self.look(request).votes}
            waiting = [name for name in CHECKERS[:2] if self.ground.id_of(name) not in voted]
            if waiting:
                self.review(number, waiting[0], Decision.APPROVE, Decision.APPROVE)
            else:
                self.conclude(number, "checker", "approve")
        elif state is EgressState.APPROVED:
            self.attempt(lambda: self.ground.app.releases.begin(request.id))
        else:
            self.ground.settle()

    @precondition(lambda self: len(self.requests) == 1)
    @rule(name=st.sampled_from(AUTHORS))
    def write_another(self, name: str) -> None:
        with contextlib.suppress(SpeError):
            self.requests.append(self.ground.draft({"a.csv": CLEAN}, author=name))

    @rule(number=numbers, name=authors, path=st.sampled_from(sorted(FILES)), pick=st.integers(0, 2))
    def change_a_file(self, number: int, name: str, path: str, pick: int) -> None:
        data = FILES[path][pick % len(FILES[path])]
        by = self.ground.by(name)
        before = self.ground.request(self.get(number))
        if self.attempt(lambda: self.ground.app.egress.put_file(before.id, path, [data], by=by)):
            assert by.person == before.author
            assert before.state in (EgressState.DRAFT, EgressState.RETURNED, EgressState.BLOCKED)

    @rule(number=numbers, name=people)
    def submit(self, number: int, name: str) -> None:
        before = self.ground.request(self.get(number))
        if self.attempt(lambda: self.ground.app.egress.submit(before.id, by=self.ground.by(name))):
            assert self.ground.request(before.id).round == before.round + 1
            assert self.ground.id_of(name) == before.author

    @rule(number=numbers, name=people, now=sometimes)
    def withdraw(self, number: int, name: str, now: bool) -> None:
        if now:
            self.attempt(lambda: self.ground.app.egress.withdraw(self.get(number), by=self.ground.by(name)))

    @rule(number=numbers, name=checkers, a=decisions, b=decisions)
    def review(self, number: int, name: str, a: Decision, b: Decision) -> None:
        request, by = self.get(number), self.ground.by(name)

        def act() -> None:
            view = self.ground.app.reviews.view(request, by=by)
            found = {o.path: frozenset(f.key for f in o.findings) for o in view.report.outputs} if view.report else {}
            judgements = {
                path: Judgement(decision=d, reason="so", acknowledged=found.get(path, frozenset()))
                for path, d in (("a.csv", a), ("b.csv", b))
                if path in view.request.digests
            }
            self.ground.app.reviews.review(request, judgements, by=by)

        self.attempt(act)

    @rule(number=numbers, name=people, verb=st.sampled_from(["approve", "return", "reject", "recall"]))
    def conclude(self, number: int, name: str, verb: str) -> None:
        by = self.ground.by(name)
        self.attempt(lambda: self.ground.app.reviews.conclude(self.get(number), verb, reason="so", by=by))

    @rule(number=numbers, name=people)
    def recall(self, number: int, name: str) -> None:
        by = self.ground.by(name)
        self.attempt(lambda: self.ground.app.releases.recall(self.get(number), reason="so", by=by))

    @rule(number=numbers, name=people)
    def download(self, number: int, name: str) -> None:
        request = self.ground.request(self.get(number))
        release = self.look(request).release
        by = self.ground.by(name)
        for file in release.files if release else ():

            def fetch(key: ReleaseId = release.id, path: str = file.path) -> None:  # type: ignore[union-attr]
                with self.ground.app.releases.download(key, path, by=by) as reader:
                    reader.read()
                assert by.person == request.author
                assert request.state is EgressState.RELEASED

            self.attempt(fetch)

    @rule(verb=st.sampled_from(["suspend", "suspend", "suspend", "revoke"]), now=sometimes)
    def narrow(self, verb: str, now: bool) -> None:
        if now:
            by = self.ground.by("board")
            self.attempt(lambda: self.ground.app.permits.narrow(self.ground.permit_id, verb, reason="so", by=by))

    @precondition(lambda self: self.ground.permit.state is PermitState.SUSPENDED)
    @rule(name=st.sampled_from(["board", "board2"]))
    def resume(self, name: str) -> None:
        self.attempt(lambda: self.ground.app.permits.resume(self.ground.permit_id, by=self.ground.by(name)))

    @rule(on=st.booleans(), longer=st.booleans())
    def amend(self, on: bool, longer: bool) -> None:
        terms = self.ground.permit.terms
        both = frozenset({self.ground.id_of("both")})
        changed = dataclasses.replace(
            terms,
            people=terms.people | both if on else terms.people - both,
            ends=terms.ends + timedelta(days=1) if longer else terms.ends,
        )
        self.attempt(lambda: self.ground.app.permits.amend(self.ground.permit_id, changed, by=self.ground.by("board")))

    @rule(name=st.sampled_from(["board", "board2", "board2", "researcher"]))
    def confirm(self, name: str) -> None:
        for change in self.ground.app.permits.view(self.ground.permit_id, by=self.ground.by("auditor")).pending:
            if self.attempt(lambda c=change: self.ground.app.permits.confirm(c.id, by=self.ground.by(name))):
                assert change.proposed_by != self.ground.id_of(name)

    # --- what happens by itself

    @rule()
    def loops(self) -> None:
        self.ground.settle()

    @rule()
    def minute(self) -> None:
        self.ground.clock.turn(minutes=1)
        Timers(self.ground.app).minute()
        self.ground.settle()

    @rule(days=st.sampled_from([0.1, 1, 20, 45]), now=sometimes)
    def time_passes(self, days: float, now: bool) -> None:
        if now:
            self.ground.clock.turn(days=days)

    @rule(now=sometimes)
    def policy_changes(self, now: bool) -> None:
        if now:
            with_other_policy(self.ground, f"2.0.{len(self.ground.policies)}")

    @rule()
    def process_restarts(self) -> None:
        restart(self.ground)

    @rule(number=numbers, now=sometimes)
    def a_stored_byte_changes(self, number: int, now: bool) -> None:
        request = self.ground.request(self.get(number))
        for digest in list(request.digests.values())[:1]:
            stored = self.ground.folder / "objects" / Zone.AIRLOCK / digest[:2] / digest
            if now and stored.exists():
                spoil(self.ground, Zone.AIRLOCK, digest)

    @rule(number=numbers, step=st.sampled_from(["check", "begin", "finish"]))
    def one_step_alone(self, number: int, step: str) -> None:
        app, request = self.ground.app, self.get(number)
        steps = {"check": app.checks.run, "begin": app.releases.begin, "finish": app.releases.finish}
        self.attempt(lambda: steps[step](request))

    @precondition(lambda self: any(self.ground.request(r).state in UNDER_WAY for r in self.requests))
    @rule(what=st.sampled_from(ACCIDENTS))
    def something_happens_while_a_release_is_carried_out(self, what: str) -> None:
        """The machine goes on before any loop has looked at the change."""
        app = self.ground.app
        if what == "term":
            left = self.ground.permit.terms.ends - self.ground.clock.now()
            self.ground.clock.turn(seconds=max(0.0, left.total_seconds()))
        elif what == "policy":
            with_other_policy(self.ground, f"2.0.{len(self.ground.policies)}")
        elif what == "suspend":
            self.narrow("suspend", True)
        elif what == "byte":
            self.a_stored_byte_changes(0, True)
        elif what == "person":
            self.amend(True, False)
            self.confirm("board2")
        else:
            restart(self.ground)
            app = self.ground.app
        for request in self.requests:
            self.attempt(lambda r=request: app.releases.begin(r))
            self.attempt(lambda r=request: app.releases.finish(r))

    # --- what must always hold

    def look(self, request: EgressRequest) -> "Look":
        """What the record says about a request, read at once."""
        with self.ground.app.house.ports.store.read() as uow:
            releases = uow.releases.select(request=request.id)
            votes = tuple(v for v in uow.votes.of(request.id) if v.round == request.round)
            context = Grounds(self.ground.app.house).context(uow, request, request.author, reason="so")
        assert len(releases) <= 1, "released twice"
        return Look(request=request, release=releases[0] if releases else None, votes=votes, context=context)

    @invariant()
    def everything_holds(self) -> None:
        """One reading of the record for all that must hold, so that each step costs little."""
        permit = self.ground.permit
        for found in [self.look(self.ground.request(r)) for r in self.requests]:
            votes_are_of_people_who_may(found)
            what_was_released_was_reviewed_by_two_without_a_tie(found)
            self.nothing_is_released_outside_the_permit_or_by_people_on_it(found, permit)
            self.nobody_sees_the_vote_of_another_too_early(found)
            self.there_is_a_way_on(found)
            if permit.state is PermitState.CLOSED:
                assert found.request.state in SETTLED
        self.data_is_shown_only_under_a_permit_in_force(permit)
        with self.ground.app.house.ports.store.read() as uow:
            assert uow.audit.size >= self.entries
            self.entries = uow.audit.size

    def nothing_is_released_outside_the_permit_or_by_people_on_it(self, found: "Look", permit: Permit) -> None:
        request, release = found.request, found.release
        if release is None:
            assert request.id not in self.released
            return
        files = {f.path: f.sha256 for f in release.files}
        if request.id not in self.released:
            # Released since the last look, so permit and policy are those of that step.
            assert permit.terms.starts <= release.released_at < permit.terms.ends
            assert permit.state is PermitState.ACTIVE
            assert len({v.checker for v in found.votes} - permit.terms.people) >= 2
            assert request.policy_digest == self.ground.policies[-1].disclosure["default"].digest
            self.released[request.id] = files
        assert self.released[request.id] == files, "a release never changes"

    def nobody_sees_the_vote_of_another_too_early(self, found: "Look") -> None:
        if found.request.state is not EgressState.IN_REVIEW:
            return
        for name in CHECKERS:
            view = self.ground.app.reviews.view(found.request.id, by=self.ground.by(name))
            if view.reviews_done < 2:
                assert {v.checker for v in view.votes} <= {self.ground.id_of(name)}
                assert not view.standings

    def there_is_a_way_on(self, found: "Look") -> None:
        """Each state is final or offers something to a person, or to the loops that come by themselves."""
        if found.request.state in EGRESS.final:
            return
        who = [*(self.ground.by(name) for name in EVERYBODY), CHECKS, RELEASER]
        offers = [
            offer.verb
            for by in who
            for offer in EGRESS.offers(found.request.state, dataclasses.replace(found.context, actor=by.person))
            if by.may(offer.permission)
        ]
        assert offers, found.request.state

    def data_is_shown_only_under_a_permit_in_force(self, permit: Permit) -> None:
        now = self.ground.clock.now()
        with self.ground.app.house.ports.store.read() as uow:
            waits = uow.outbox.due(now)
        if not waits and permit.state in (PermitState.SUSPENDED, PermitState.REVOKED, PermitState.EXPIRED):
            assert not permit.in_force(now)
            assert not self.ground.cluster.observe(self.ground.workspace_id).data
        if permit.state is PermitState.CLOSED:
            assert self.ground.cluster.owned() == ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Look:
    """A request with its release, the votes of its round and what the guards see."""

    request: EgressRequest
    release: Release | None
    votes: tuple[Vote, ...]
    context: EgressContext


def what_was_released_was_reviewed_by_two_without_a_tie(found: Look) -> None:
    """Released implies two distinct approvals of exactly these bytes, and no objection."""
    request, release = found.request, found.release
    assert (release is not None) == (request.state in RELEASED)
    for file in release.files if release else ():
        mine = [v for v in found.votes if (v.path, v.sha256) == (file.path, file.sha256)]
        assert request.digests[file.path] == file.sha256
        assert file.path in request.approved
        assert len({v.checker for v in mine}) >= 2
        assert all(v.decision is Decision.APPROVE for v in mine)
        assert request.author not in {v.checker for v in mine}


def votes_are_of_people_who_may(found: Look) -> None:
    """Nobody votes on their own request, and nobody twice on a file."""
    places = [(v.checker, v.path) for v in found.votes]
    assert len(places) == len(set(places))
    assert found.request.author not in {v.checker for v in found.votes}


Story.TestCase.settings = settings(
    max_examples=100,
    stateful_step_count=16,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
TestStory = Story.TestCase
