"""Egress requests by their authors: drafts, frozen files, submission, automatic checks."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from spe.domain.egress import Declaration, EgressState, OutputKind
from spe.domain.errors import Invalid, NotFound, Rejected, Stale, Unavailable
from spe.domain.ids import RequestId
from spe.domain.review import Decision
from spe.domain.verdict import Verdict
from spe.ports.checker import CheckJob, CheckResult
from spe.ports.objects import Zone
from spe.reconciler.timers import Timers
from spe.services.declaration import declaration_from
from spe.services.egress import MOST_FILES
from tests.support.asking import denied, invalid
from tests.support.ground import CLEAN, LEAKING, Ground
from tests.support.prepared import over, restart, spoil, with_other_policy

BAD_PATHS = (
    "",
    "/etc/passwd",
    "../out.csv",
    "a/../b.csv",
    "a//b.csv",
    "./a.csv",
    "a/",
    "a\\b.csv",
    "a\nb.csv",
    "a\x00.csv",
    "a\u202ecsv.exe",
    "a\u200b.csv",
    "a\u2028.csv",
    "\udcff.csv",
    "x" * 256,
    "ä" * 128,
    "/".join("abcdefghijklm"),
    "d/" * 300 + "a",
)


def draft(ground: Ground, files: dict[str, bytes] | None = None) -> RequestId:
    return ground.draft({"table.csv": CLEAN} if files is None else files)


def put(ground: Ground, request: RequestId, path: str, data: bytes = CLEAN, name: str = "researcher") -> object:
    return ground.app.egress.put_file(request, path, [data], by=ground.by(name))


def submit(ground: Ground, request: RequestId, name: str = "researcher") -> None:
    ground.app.egress.submit(request, by=ground.by(name))
    ground.settle()


def messages(ground: Ground, request: RequestId) -> str:
    report = ground.app.egress.view(request, by=ground.by("researcher")).report
    assert report is not None
    return " ".join(f.message for f in report.all_findings)


# --- drafts and files ---------------------------------------------------------------------------------------


def test_a_draft_is_written_by_a_person_on_a_permit_in_force(ground: Ground) -> None:
    with pytest.raises(NotFound):
        ground.app.egress.create(ground.workspace_id, by=ground.by("outsider"))
    assert denied(lambda: ground.app.egress.create(ground.workspace_id, by=ground.by("checker"))) == ("no-permission",)
    ground.clock.turn(days=90)
    assert denied(lambda: draft(ground)) == ("permit-not-active",)


def test_a_draft_is_not_shown_to_checkers(ground: Ground) -> None:
    request = draft(ground)
    assert ground.app.egress.view(request, by=ground.by("colleague")).request.id == request
    for name in ("checker", "auditor", "outsider", "board", "operator"):
        with pytest.raises(NotFound):
            ground.app.egress.view(request, by=ground.by(name))
        assert ground.app.egress.all(by=ground.by(name)) == ()


def test_only_the_author_changes_a_draft(ground: Ground) -> None:
    request, by = draft(ground), ground.by("colleague")
    egress = ground.app.egress
    for act in (
        lambda: put(ground, request, "b.csv", name="colleague"),
        lambda: egress.drop_file(request, "table.csv", by=by),
        lambda: egress.describe(request, purpose="mine", by=by),
        lambda: egress.submit(request, by=by),
        lambda: egress.withdraw(request, by=by),
    ):
        assert "not-author" in denied(act)
    with pytest.raises(NotFound):
        egress.drop_file(request, "table.csv", by=ground.by("outsider"))


@pytest.mark.parametrize("path", BAD_PATHS)
def test_a_path_that_is_not_plain_is_refused_before_a_byte_is_kept(ground: Ground, path: str) -> None:
    request = draft(ground, {})
    before = list(ground.app.house.ports.objects.list(Zone.AIRLOCK))
    sentence = invalid(lambda: put(ground, request, path))["path"]
    assert sentence.isprintable()
    assert list(ground.app.house.ports.objects.list(Zone.AIRLOCK)) == before


def test_a_file_is_not_a_folder_as_well(ground: Ground) -> None:
    request = draft(ground, {"a": CLEAN, "b/c.csv": CLEAN})
    assert "folder" in invalid(lambda: put(ground, request, "a/c.csv"))["path"]
    assert "folder" in invalid(lambda: put(ground, request, "b"))["path"]
    put(ground, request, "ab")
    put(ground, request, "b/cc.csv")


def test_a_request_has_so_many_files_and_no_more(ground: Ground) -> None:
    request = draft(ground, {f"{n}.csv": CLEAN for n in range(MOST_FILES)})
    assert "split it" in invalid(lambda: put(ground, request, "more.csv"))["files"]
    put(ground, request, "0.csv", b"a,b\n1,2\n")
    assert len(ground.request(request).outputs) == MOST_FILES


def test_a_file_that_is_too_large_is_refused_and_nothing_of_it_stays(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = draft(ground, {})
    before = sorted(p for p in ground.folder.rglob("objects/**/*") if p.is_file())
    monkeypatch.setattr("spe.services.egress.LARGEST_FILE", 1000)
    assert "larger than" in invalid(lambda: put(ground, request, "a.csv", b"x" * 1001))["size"]
    assert ground.request(request).outputs == ()
    assert sorted(p for p in ground.folder.rglob("objects/**/*") if p.is_file()) == before


def test_a_broken_stream_leaves_the_request_as_it_was(ground: Ground) -> None:
    request = draft(ground, {})

    def torn() -> Iterator[bytes]:
        yield b"half"
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        ground.app.egress.put_file(request, "a.csv", torn(), by=ground.by("researcher"))
    assert ground.request(request).outputs == ()


def test_a_file_is_replaced_or_dropped_in_a_draft(ground: Ground) -> None:
    request = draft(ground)
    put(ground, request, "table.csv", b"a\n1\n")
    (output,) = ground.request(request).outputs
    assert output.size == 4
    assert output.declaration.title == "table.csv", "what was said about it stays"
    ground.app.egress.drop_file(request, "table.csv", by=ground.by("researcher"))
    assert ground.request(request).outputs == ()


def test_what_is_said_about_files_is_about_files_that_are_there(ground: Ground) -> None:
    request, by = draft(ground), ground.by("researcher")
    egress = ground.app.egress
    with pytest.raises(Invalid, match=r"other\.csv"):
        egress.describe(request, declarations={"other.csv": Declaration(path="other.csv")}, by=by)
    with pytest.raises(Invalid, match="control"):
        egress.describe(request, purpose="a\u202eb", by=by)
    with pytest.raises(Invalid, match="2000"):
        egress.describe(request, purpose="x" * 2001, by=by)


def test_a_declaration_from_a_form_says_which_field_is_wrong() -> None:
    fields = invalid(lambda: declaration_from("a.csv", {"kind": "poem", "population": "many"}))
    assert set(fields) == {"a.csv: kind", "a.csv: population"}
    said = declaration_from("a.csv", {"kind": "figure", "population": " 686 ", "title": " T "})
    assert (said.kind, said.population, said.title, said.unit) == (OutputKind.FIGURE, 686, "T", "person")


def test_files_are_taken_from_ones_own_outputs_folder_only(ground: Ground) -> None:
    ground.outputs.put(ground.workspace_id, ground.id_of("researcher"), "mine.csv", CLEAN)
    ground.outputs.put(ground.workspace_id, ground.id_of("colleague"), "theirs.csv", CLEAN)
    egress, by = ground.app.egress, ground.by("researcher")
    assert [c.path for c in egress.candidates(ground.workspace_id, by=by)] == ["mine.csv"]
    request = draft(ground, {})
    (output,) = egress.take_from_workspace(request, ["mine.csv"], by=by)
    assert output.size == len(CLEAN)
    with pytest.raises(Invalid):
        egress.take_from_workspace(request, ["theirs.csv"], by=by)
    with pytest.raises(NotFound):
        egress.candidates(ground.workspace_id, by=ground.by("outsider"))


# --- submitting ---------------------------------------------------------------------------------------------


def test_a_request_without_files_or_purpose_is_not_submitted(ground: Ground) -> None:
    request = ground.app.egress.create(ground.workspace_id, by=ground.by("researcher")).id
    assert denied(lambda: submit(ground, request)) == ("no-outputs", "purpose-missing")


def test_nothing_is_submitted_under_an_ended_permit(ground: Ground) -> None:
    request = draft(ground)
    ground.clock.turn(days=90)
    assert denied(lambda: submit(ground, request)) == ("permit-not-active",)


def test_what_happens_in_the_workspace_afterwards_changes_nothing(ground: Ground) -> None:
    ground.outputs.put(ground.workspace_id, ground.id_of("researcher"), "table.csv", CLEAN)
    request, by = draft(ground, {}), ground.by("researcher")
    ground.app.egress.take_from_workspace(request, ["table.csv"], by=by)
    before = ground.request(request).digests
    ground.outputs.put(ground.workspace_id, ground.id_of("researcher"), "table.csv", LEAKING)
    submit(ground, request)
    ground.outputs.put(ground.workspace_id, ground.id_of("researcher"), "table.csv", b"other")
    assert ground.request(request).state is EgressState.IN_REVIEW
    assert ground.request(request).digests == before
    with ground.app.house.ports.objects.open(Zone.AIRLOCK, before["table.csv"]) as reader:
        assert reader.read() == CLEAN


@pytest.mark.parametrize(
    "state", [EgressState.SUBMITTED, EgressState.IN_REVIEW, EgressState.APPROVED, EgressState.RELEASED]
)
def test_a_submitted_request_is_frozen(ground: Ground, state: EgressState) -> None:
    request, by = draft(ground), ground.by("researcher")
    ground.app.egress.submit(request, by=by)
    if state is not EgressState.SUBMITTED:
        ground.settle()
    if state in (EgressState.APPROVED, EgressState.RELEASED):
        ground.review(request, "checker")
        ground.review(request, "checker2")
        ground.app.reviews.conclude(request, "approve", by=ground.by("checker"))
    if state is EgressState.RELEASED:
        ground.settle()
    assert ground.request(request).state is state
    egress = ground.app.egress
    before = ground.request(request)
    for act in (
        lambda: put(ground, request, "b.csv"),
        lambda: egress.drop_file(request, "table.csv", by=by),
        lambda: egress.describe(request, purpose="other", by=by),
    ):
        assert denied(act) == ("frozen",)
    assert denied(lambda: egress.submit(request, by=by)) == ("wrong-state",)
    assert ground.request(request) == before


def test_a_stored_byte_that_changed_before_submission_is_told(ground: Ground) -> None:
    request = draft(ground)
    spoil(ground, Zone.AIRLOCK, ground.request(request).digests["table.csv"])
    assert denied(lambda: submit(ground, request)) == ("output-changed",)


def test_a_request_is_withdrawn_while_nobody_reviews_it(ground: Ground) -> None:
    egress, by = ground.app.egress, ground.by("researcher")
    for request in (draft(ground), draft(ground)):
        assert egress.withdraw(request, by=by).request.state is EgressState.WITHDRAWN
        assert denied(lambda request=request: egress.withdraw(request, by=by)) == ("wrong-state",)
    reviewed = ground.submitted()
    assert denied(lambda: egress.withdraw(reviewed, by=by)) == ("wrong-state",)


def test_people_without_a_tie_see_no_request(ground: Ground) -> None:
    request = ground.submitted()
    for name in ("researcher", "colleague", "checker", "auditor"):
        assert ground.app.egress.view(request, by=ground.by(name)).request.id == request
        assert len(ground.app.egress.all(by=ground.by(name))) == 1
    for name in ("outsider", "board", "operator"):
        with pytest.raises(NotFound):
            ground.app.egress.view(request, by=ground.by(name))
        assert ground.app.egress.all(by=ground.by(name)) == ()


# --- the checks ---------------------------------------------------------------------------------------------


def test_clean_outputs_reach_the_checkers_with_their_report(ground: Ground) -> None:
    request = ground.submitted()
    found = ground.app.egress.view(request, by=ground.by("checker"))
    assert found.request.state is EgressState.IN_REVIEW
    assert found.report is not None
    assert found.report.verdict is not Verdict.BLOCK
    assert {o.path: o.sha256 for o in found.report.outputs} == found.request.digests
    assert found.report.policy.digest == found.request.policy_digest
    told = [m for p, _, m in ground.notifier.told if p == ground.id_of("researcher")]
    assert told == [f"Your egress request {request} is now in-review."]


def test_leaking_outputs_are_blocked_and_go_back_to_the_author(ground: Ground) -> None:
    request = ground.submitted({"table.csv": LEAKING})
    assert ground.request(request).state is EgressState.BLOCKED
    put(ground, request, "table.csv", CLEAN)
    submit(ground, request)
    assert ground.request(request).state is EgressState.IN_REVIEW
    assert ground.request(request).round == 2


class Odd:
    """A checker that does not do what it should."""

    def __init__(self, answer: bytes | Exception) -> None:
        self._answer = answer

    def check(self, job: CheckJob) -> CheckResult:
        if isinstance(self._answer, Exception):
            raise self._answer
        return CheckResult(report=self._answer, views={})


def about(request: str, path: str = "table.csv", **changes: object) -> bytes:
    """A report that passes everything, with something wrong about it."""
    output = {
        "path": path,
        "sha256": "0" * 64,
        "size": 1,
        "media_type": "text/csv",
        "verdict": "pass",
        "findings": [],
    }
    stamp = {"name": "default", "version": "1.0.0", "digest": "sha256:" + "0" * 64}
    document = {"schema": "spe.report/1", "policy": stamp, "verdict": "pass", "outputs": [output], "findings": []}
    return json.dumps(document | changes).encode()


BAD_ANSWERS: dict[str, bytes | Exception] = {
    "crash": Rejected("checker", "The checks ended with signal 9."),
    "time-out": Rejected("checker", "The checks took longer than 120 s."),
    "nothing": b"",
    "garbage": b"\x00\xff\xfe",
    "half": b'{"schema": "spe.report/1", "policy"',
    "another document": b"[]",
    "a number": b"1e999",
    "without end": b"[" * 200_000,
    "no outputs": about("", outputs=[]),
    "another file": about(""),
    "another path": about("", path="other.csv"),
}


@pytest.mark.parametrize("case", BAD_ANSWERS)
def test_a_checker_that_gives_no_report_blocks(ground: Ground, case: str) -> None:
    ground.app = over(ground, checker=Odd(BAD_ANSWERS[case]))
    request = ground.submitted()
    assert ground.request(request).state is EgressState.BLOCKED
    report = ground.app.egress.view(request, by=ground.by("researcher")).report
    assert report is not None
    assert {f.check for f in report.all_findings} == {"ENGINE"}
    restart(ground)
    submit(ground, request)
    assert ground.request(request).state is EgressState.IN_REVIEW


def test_the_report_of_another_request_does_not_count(ground: Ground) -> None:
    other = ground.submitted({"table.csv": b"arm,persons\nplacebo,300\ntreated,400\n"})
    kept = ground.app.house.ports.objects
    with kept.open(Zone.EVIDENCE, ground.request(other).report) as reader:
        report = reader.read()
    ground.app = over(ground, checker=Odd(report))
    request = ground.submitted()
    assert ground.request(request).state is EgressState.BLOCKED
    assert "not about these files" in messages(ground, request)


def test_a_checker_that_does_not_answer_is_asked_again(ground: Ground) -> None:
    ground.app = over(ground, checker=Odd(Unavailable("checker")))
    request = ground.submitted()
    assert ground.request(request).state is EgressState.CHECKING
    restart(ground)
    ground.settle()
    assert ground.request(request).state is EgressState.CHECKING, "not before its time"
    ground.clock.turn(seconds=60)
    ground.settle()
    assert ground.request(request).state is EgressState.IN_REVIEW


@pytest.mark.parametrize("how", ["changed", "lost"])
def test_stored_bytes_that_cannot_be_read_for_the_checks_block(ground: Ground, how: str) -> None:
    request = draft(ground)
    ground.app.egress.submit(request, by=ground.by("researcher"))
    digest = ground.request(request).digests["table.csv"]
    with ground.app.house.ports.store.read() as uow:
        assert uow.egress.get(request).state is EgressState.SUBMITTED
    if how == "changed":
        spoil(ground, Zone.AIRLOCK, digest)
        ground.settle()
        assert ground.request(request).state is EgressState.BLOCKED
        assert "another digest" in messages(ground, request) or "not" in messages(ground, request)
    else:
        ground.app.house.ports.objects.delete(Zone.AIRLOCK, digest)
        ground.settle()
        assert ground.request(request).state is EgressState.SUBMITTED
        with ground.app.house.ports.store.read() as uow:
            (owed,) = [i for i in uow.outbox.open() if i.kind == "egress:check"]
        assert "not the bytes that were submitted" in owed.last_error
        ground.app.egress.withdraw(request, by=ground.by("researcher"))


def test_a_policy_that_changed_between_submission_and_checks_is_the_one_that_counts(ground: Ground) -> None:
    request = draft(ground)
    ground.app.egress.submit(request, by=ground.by("researcher"))
    with_other_policy(ground)
    ground.settle()
    found = ground.request(request)
    assert found.state is EgressState.IN_REVIEW
    assert found.policy_digest == ground.policies[-1].disclosure["default"].digest


def test_a_policy_that_changes_during_the_review_sends_the_request_back_to_the_checks(ground: Ground) -> None:
    request = ground.submitted()
    ground.review(request, "checker")
    with_other_policy(ground)
    assert denied(lambda: ground.review(request, "checker2")) == ("policy-changed",)
    restart(ground)
    minute(ground)
    found = ground.request(request)
    assert found.state is EgressState.IN_REVIEW
    assert found.round == 2
    assert found.policy_digest == ground.policies[-1].disclosure["default"].digest
    assert ground.app.reviews.view(request, by=ground.by("checker")).votes == ()
    ground.review(request, "checker")
    ground.review(request, "checker2")
    ground.app.reviews.conclude(request, "approve", by=ground.by("checker"))


def minute(ground: Ground) -> None:
    """What the loops do once a minute, and what they then owe."""
    Timers(ground.app).minute()
    ground.settle()


def test_earlier_releases_are_compared_with(ground: Ground) -> None:
    jobs: list[CheckJob] = []
    ground.released()

    class Watching:
        def check(self, job: CheckJob) -> CheckResult:
            jobs.append(job)
            assert [path.read_bytes() for path in job.history[0].values()] == [CLEAN]
            return ground.checker.check(job)

    ground.app = over(ground, checker=Watching())
    ground.submitted()
    assert [list(earlier) for earlier in jobs[0].history] == [["table.csv"]]


def test_returned_and_resubmitted_begins_a_new_round_without_votes(ground: Ground) -> None:
    request = ground.submitted({"a.csv": CLEAN, "b.csv": CLEAN.replace(b"246", b"247")})
    ground.review(request, "checker")
    ground.review(request, "checker2", Decision.CHANGE)
    ground.app.reviews.conclude(request, "return", reason="round the totals", by=ground.by("checker"))
    ground.settle()
    assert ground.request(request).reason == "round the totals"
    before = ground.request(request).digests
    put(ground, request, "b.csv", CLEAN.replace(b"246", b"248"))
    submit(ground, request)
    found = ground.request(request)
    assert found.round == 2
    assert found.digests["a.csv"] == before["a.csv"]
    assert found.digests["b.csv"] != before["b.csv"]
    view = ground.app.reviews.view(request, by=ground.by("checker"))
    assert view.votes == ()
    assert view.reviews_done == 0
    ground.review(request, "checker")
    assert denied(
        lambda: ground.app.reviews.conclude(request, "approve", by=ground.by("checker"))
    ) == ("reviews-missing", "nothing-approved")  # fmt: skip


def test_two_who_write_at_the_same_time_do_not_overwrite_each_other(ground: Ground) -> None:
    request = draft(ground)
    store = ground.app.house.ports.store
    with store.read() as uow:
        old = uow.egress.get(request)
    ground.app.egress.describe(request, purpose="newer", by=ground.by("researcher"))
    with pytest.raises(Stale), store.begin() as uow:
        uow.egress.save(replace(old, purpose="older"))
    assert ground.request(request).purpose == "newer"


def test_a_person_who_left_the_permit_submits_nothing_for_it(ground: Ground) -> None:
    terms = replace(
        ground.permit.terms, people=frozenset({ground.id_of("colleague")}), ends=ground.clock.now() + timedelta(days=5)
    )
    request = draft(ground)
    ground.app.permits.amend(ground.permit_id, terms, by=ground.by("board"))
    assert denied(lambda: submit(ground, request)) == ("not-on-permit",)
