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

from spe.domain.egress import EGRESS, SETTLED, EgressRequest, EgressState
from spe.domain.errors import SpeError
from spe.domain.ids import PersonId, RequestId
from spe.domain.permit import PERMIT, PermitState
from spe.domain.principal import CHECKS, RELEASER, TIMERS, Role
from spe.domain.release import Release
from spe.domain.review import Decision, Vote
from spe.domain.workspace import WorkspaceState
from spe.ports.objects import Zone
from spe.reconciler.timers import Timers
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

people = st.sampled_from(EVERYBODY)
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
        self.seen_forces: dict[RequestId, bool] = {}
        self.released: dict[RequestId, dict[str, str]] = {}
        self.entries = 0

    def teardown(self) -> None:
        self._stack.close()

    def attempt(self, act: Callable[[], object]) -> bool:
        """Whether the act was allowed; every refusal is one of ours."""
        try:
            act()
        except SpeError as error:
            assert all(sentence.strip() for sentence in error.sentences)
            return False
        return True

    def get(self, number: int) -> RequestId:
        return self.requests[number % len(self.requests)]

    def facts(self) -> list[EgressRequest]:
        return [self.ground.request(r) for r in self.requests]

    # --- what people do

    @initialize()
    def begin(self) -> None:
        self.requests = [self.ground.draft({"a.csv": CLEAN, "b.csv": FILES["b.csv"][0]})]

    @precondition(lambda self: len(self.requests) == 1)
    @rule(name=st.sampled_from(AUTHORS))
    def write_another(self, name: str) -> None:
        with contextlib.suppress(SpeError):
            self.requests.append(self.ground.draft({"a.csv": CLEAN}, author=name))

    @rule(number=st.integers(0, 1), name=st.sampled_from(AUTHORS), path=st.sampled_from(sorted(FILES)), pick=st.integers(0, 2))  # fmt: skip
    def change_a_file(self, number: int, name: str, path: str, pick: int) -> None:
        data = FILES[path][pick % len(FILES[path])]
        by = self.ground.by(name)
        before = self.ground.request(self.get(number))
        if self.attempt(lambda: self.ground.app.egress.put_file(before.id, path, [data], by=by)):
            assert by.person == before.author
            assert before.state in (EgressState.DRAFT, EgressState.RETURNED, EgressState.BLOCKED)

    @rule(number=st.integers(0, 1), name=people)
    def submit(self, number: int, name: str) -> None:
        before = self.ground.request(self.get(number))
        if self.attempt(lambda: self.ground.app.egress.submit(before.id, by=self.ground.by(name))):
            assert self.ground.request(before.id).round == before.round + 1

    @rule(number=st.integers(0, 1))
    def submit_as_author(self, number: int) -> None:
        before = self.ground.request(self.get(number))
        name = next(n for n, p in self.ground.people.items() if p.id == before.author)
        self.submit(number, name)
        self.ground.settle()

    @rule(number=st.integers(0, 1), name=people, often=st.integers(0, 4))
    def withdraw(self, number: int, name: str, often: int) -> None:
        if often == 0:
            self.attempt(lambda: self.ground.app.egress.withdraw(self.get(number), by=self.ground.by(name)))

    @rule(number=st.integers(0, 1), name=checkers, a=decisions, b=decisions)
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

    @rule(number=st.integers(0, 1))
    def both_checkers_approve(self, number: int) -> None:
        for name in CHECKERS[:2]:
            self.review(number, name, Decision.APPROVE, Decision.APPROVE)
        self.conclude(number, "checker", "approve")

    @rule(number=st.integers(0, 1), name=people, verb=st.sampled_from(["approve", "approve", "return", "reject", "recall"]))  # fmt: skip
    def conclude(self, number: int, name: str, verb: str) -> None:
        by = self.ground.by(name)
        self.attempt(lambda: self.ground.app.reviews.conclude(self.get(number), verb, reason="so", by=by))

    @rule(number=st.integers(0, 1), name=people)
    def recall(self, number: int, name: str) -> None:
        by = self.ground.by(name)
        self.attempt(lambda: self.ground.app.releases.recall(self.get(number), reason="so", by=by))

    @rule(number=st.integers(0, 1), name=people)
    def download(self, number: int, name: str) -> None:
        request = self.ground.request(self.get(number))
        release = self.release_of(request.id)
        if release is None:
            return
        by = self.ground.by(name)
        for file in release.files:

            def fetch(path: str = file.path, digest: str = file.sha256) -> None:
                with self.ground.app.releases.download(release.id, path, by=by) as reader:
                    reader.read()
                assert by.person == request.author
                assert request.state is EgressState.RELEASED
                assert request.digests[path] == digest

            self.attempt(fetch)

    @rule(verb=st.sampled_from(["suspend", "suspend", "suspend", "revoke"]), often=st.integers(0, 2))
    def narrow(self, verb: str, often: int) -> None:
        if often == 0:
            by = self.ground.by("board")
            self.attempt(lambda: self.ground.app.permits.narrow(self.ground.permit_id, verb, reason="so", by=by))

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

    @rule(name=st.sampled_from(["board", "board2", "researcher"]))
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

    @rule(days=st.sampled_from([0.1, 1, 20, 45]), often=st.integers(0, 2))
    def time_passes(self, days: float, often: int) -> None:
        if often == 0:
            self.ground.clock.turn(days=days)

    @rule(often=st.integers(0, 3))
    def policy_changes(self, often: int) -> None:
        if often == 0:
            with_other_policy(self.ground, f"2.0.{len(self.ground.policies)}")

    @rule()
    def process_restarts(self) -> None:
        restart(self.ground)

    @rule(number=st.integers(0, 1), often=st.integers(0, 4))
    def a_stored_byte_changes(self, number: int, often: int) -> None:
        request = self.ground.request(self.get(number))
        for digest in list(request.digests.values())[:1]:
            stored = self.ground.folder / "objects" / Zone.AIRLOCK / digest[:2] / digest
            if often == 0 and stored.exists():
                spoil(self.ground, Zone.AIRLOCK, digest)

    @rule(number=st.integers(0, 1), step=st.sampled_from(["check", "begin", "finish"]))
    def one_step_alone(self, number: int, step: str) -> None:
        app, request = self.ground.app, self.get(number)
        self.attempt(
            lambda: {"check": app.checks.run, "begin": app.releases.begin, "finish": app.releases.finish}[step](request)
        )

    # --- what must always hold

    def release_of(self, request: RequestId) -> Release | None:
        with self.ground.app.house.ports.store.read() as uow:
            found = uow.releases.select(request=request)
        assert len(found) <= 1, "released twice"
        return found[0] if found else None

    def votes(self, request: EgressRequest) -> list[Vote]:
        with self.ground.app.house.ports.store.read() as uow:
            return [v for v in uow.votes.of(request.id) if v.round == request.round]

    @invariant()
    def what_was_released_was_reviewed_by_two_without_a_tie(self) -> None:
        for request in self.facts():
            release = self.release_of(request.id)
            assert (release is not None) == (request.state in RELEASED)
            if release is None:
                continue
            assert release.files
            assert {f.path for f in release.files} <= request.approved
            for file in release.files:
                assert request.digests[file.path] == file.sha256
                yes = {v.checker for v in self.votes(request) if (v.path, v.sha256) == (file.path, file.sha256) and v.decision is Decision.APPROVE}  # fmt: skip
                no = [v for v in self.votes(request) if v.path == file.path and v.decision is not Decision.APPROVE]
                assert len(yes) >= 2
                assert not no
                assert request.author not in yes

    @invariant()
    def nothing_was_released_while_the_permit_was_not_in_force_or_by_people_on_it(self) -> None:
        permit = self.ground.permit
        for request in self.facts():
            release = self.release_of(request.id)
            if release is None or request.id in self.released:
                continue
            # Released since the last look: the permit cannot have changed in the same step.
            assert permit.terms.starts <= release.released_at < permit.terms.ends
            assert permit.state is PermitState.ACTIVE
            assert not {v.checker for v in self.votes(request)} & permit.terms.people
            assert request.policy_digest == self.ground.policies[-1].disclosure["default"].digest
            self.released[request.id] = {f.path: f.sha256 for f in release.files}

    @invariant()
    def a_release_never_changes(self) -> None:
        for request, files in self.released.items():
            release = self.release_of(request)
            assert release is not None
            assert {f.path: f.sha256 for f in release.files} == files

    @invariant()
    def nobody_sees_the_vote_of_another_too_early(self) -> None:
        for request in self.facts():
            if request.state is not EgressState.IN_REVIEW:
                continue
            for name in CHECKERS:
                me = self.ground.id_of(name)
                view = self.ground.app.reviews.view(request.id, by=self.ground.by(name))
                if view.reviews_done < 2:
                    assert {v.checker for v in view.votes} <= {me}
                    assert not view.standings

    @invariant()
    def votes_are_those_of_the_round_and_of_people_who_may(self) -> None:
        for request in self.facts():
            votes = self.votes(request)
            assert all(v.checker != request.author for v in votes)
            seen: set[tuple[PersonId, str]] = set()
            for vote in votes:
                assert (vote.checker, vote.path) not in seen
                seen.add((vote.checker, vote.path))

    @invariant()
    def there_is_always_a_way_on(self) -> None:
        systems = (CHECKS, RELEASER, TIMERS)
        for request in self.facts():
            if request.state in EGRESS.final:
                continue
            offered = [
                offer.verb
                for by in (*(self.ground.by(n) for n in (*AUTHORS, *CHECKERS)), *systems)
                for offer in self.offers(request, by)
            ]
            assert offered, request.state
        permit = self.ground.permit
        if permit.state not in PERMIT.final:
            assert any(permit.state in t.sources for t in PERMIT.transitions)

    def offers(self, request: EgressRequest, by):  # type: ignore[no-untyped-def]
        with self.ground.app.house.ports.store.read() as uow:
            context = self.ground.app.egress.context(uow, request, by.person, reason="so")
        return [o for o in EGRESS.offers(request.state, context) if by.may(o.permission)]

    @invariant()
    def the_log_only_grows_and_verifies(self) -> None:
        with self.ground.app.house.ports.store.read() as uow:
            size = uow.audit.size
        assert size >= self.entries
        self.entries = size
        assert self.ground.app.audit.verify(by=self.ground.by("auditor")) == (size, ())

    @invariant()
    def data_is_shown_only_under_a_permit_in_force_once_the_loops_have_run(self) -> None:
        with self.ground.app.house.ports.store.read() as uow:
            waits = uow.outbox.due(self.ground.clock.now())
        permit = self.ground.permit
        in_force = permit.in_force(self.ground.clock.now())
        if not waits and permit.state in (PermitState.SUSPENDED, PermitState.REVOKED, PermitState.EXPIRED):
            assert not self.ground.cluster.observe(self.ground.workspace_id).data
            assert not in_force
        if self.ground.workspace.state is WorkspaceState.CLOSED:
            assert not self.ground.cluster.observe(self.ground.workspace_id).anything
        if permit.state is PermitState.CLOSED:
            assert all(r.state in SETTLED for r in self.facts())


Story.TestCase.settings = settings(
    max_examples=40,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
TestStory = Story.TestCase
