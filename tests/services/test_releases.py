"""Releases: looked at again at the last moment, copied by digest, proven by a receipt, fetched by one person."""

import json
import zipfile
from io import BytesIO
from typing import Any

import pytest

from spe.adapters.secrets import ed25519
from spe.domain.audit import verify_log
from spe.domain.egress import EgressState
from spe.domain.errors import Corrupt, NotFound, Rejected
from spe.domain.ids import RequestId
from spe.domain.permit import PermitState
from spe.domain.receipt import BadReceipt, verify_receipt
from spe.domain.review import Decision
from spe.ports.objects import Zone
from spe.reconciler.timers import Timers
from spe.services.releases import ReleaseView
from spe.services.reviews import Judgement
from tests.support.asking import denied
from tests.support.ground import CLEAN, Ground
from tests.support.prepared import restart, spoil, with_other_policy

TWO = {"a.csv": CLEAN, "b.csv": CLEAN.replace(b"246", b"247")}


def approved(ground: Ground, files: dict[str, bytes] | None = None) -> RequestId:
    """Decided by people; nothing was carried out yet."""
    request = ground.submitted(files)
    ground.review(request, "checker")
    ground.review(request, "checker2")
    ground.app.reviews.conclude(request, "approve", by=ground.by("checker"))
    assert ground.request(request).state is EgressState.APPROVED
    return request


def minute(ground: Ground) -> None:
    """What the loops do once a minute, and what they then owe."""
    Timers(ground.app).minute()
    ground.settle()


def release_of(ground: Ground, request: RequestId, name: str = "researcher") -> ReleaseView:
    found = ground.app.releases.of_request(request, by=ground.by(name))
    assert found is not None
    return found


def nothing_left(ground: Ground, request: RequestId) -> None:
    """No release is on record and nobody can fetch anything."""
    assert ground.app.releases.of_request(request, by=ground.by("auditor")) is None
    assert ground.app.audit.entries(event="egress.released", by=ground.by("auditor")) == ()


def download(ground: Ground, request: RequestId, name: str = "researcher", path: str = "table.csv") -> bytes:
    release = release_of(ground, request, "auditor").release.id
    with ground.app.releases.download(release, path, by=ground.by(name)) as reader:
        return reader.read()


def suspend(ground: Ground) -> None:
    ground.app.permits.narrow(ground.permit_id, "suspend", reason="a question", by=ground.by("board"))


def resume(ground: Ground) -> None:
    change = ground.app.permits.resume(ground.permit_id, by=ground.by("board")).pending[0]
    ground.app.permits.confirm(change.id, by=ground.by("board2"))


# --- reviewed bytes are released bytes ----------------------------------------------------------------------


def test_what_was_reviewed_is_released_byte_by_byte(ground: Ground) -> None:
    request = ground.released()
    view = release_of(ground, request)
    assert {f.path: f.sha256 for f in view.release.files} == ground.request(request).digests
    assert download(ground, request) == CLEAN


def test_only_approved_outputs_are_released(ground: Ground) -> None:
    request = ground.submitted(TWO)
    ground.review(request, "checker")
    view = ground.app.reviews.view(request, by=ground.by("checker2"))
    judgements = {
        "a.csv": Judgement(decision=Decision.APPROVE),
        "b.csv": Judgement(decision=Decision.REJECT, reason="no"),
    }
    ground.app.reviews.review(view.request.id, judgements, by=ground.by("checker2"))
    ground.app.reviews.conclude(request, "approve", by=ground.by("checker"))
    ground.settle()
    assert [f.path for f in release_of(ground, request).release.files] == ["a.csv"]
    assert not ground.app.house.ports.objects.has(Zone.RELEASE, ground.request(request).digests["b.csv"])
    with pytest.raises(NotFound):
        download(ground, request, path="b.csv")


def test_a_stored_byte_that_changed_after_the_approval_stops_the_release(ground: Ground) -> None:
    request = approved(ground)
    spoil(ground, Zone.AIRLOCK, ground.request(request).digests["table.csv"])
    ground.settle()
    found = ground.request(request)
    assert found.state is EgressState.APPROVED
    assert found.reason == (
        "table.csv: the stored bytes are not the bytes that were submitted; "
        "submit the request again, and tell the operator."
    )
    nothing_left(ground, request)
    assert not ground.app.house.ports.objects.has(Zone.RELEASE, found.digests["table.csv"])
    (held,) = ground.app.audit.entries(event="egress.release-held", by=ground.by("auditor"))
    assert dict(held.details) == {"reason": "output-changed"}


def test_a_byte_that_changes_between_start_and_copy_takes_the_release_back(ground: Ground) -> None:
    request = approved(ground)
    ground.app.releases.begin(request)
    assert ground.request(request).state is EgressState.RELEASING
    spoil(ground, Zone.AIRLOCK, ground.request(request).digests["table.csv"])
    ground.settle()
    minute(ground)
    assert ground.request(request).state is EgressState.APPROVED
    assert "not the bytes that were submitted" in ground.request(request).reason
    nothing_left(ground, request)


def test_a_policy_that_changed_after_the_approval_sends_the_request_back_without_votes(ground: Ground) -> None:
    request = approved(ground)
    with_other_policy(ground)
    ground.settle()
    found = ground.request(request)
    assert found.state is EgressState.IN_REVIEW
    assert found.round == 2
    assert found.approved == frozenset()
    assert found.reason == (
        "The disclosure policy changed after this request was checked; the checks and the review start again."
    )
    view = ground.app.reviews.view(request, by=ground.by("checker"))
    assert (view.votes, view.reviews_done) == ((), 0)
    nothing_left(ground, request)
    ground.review(request, "checker")
    ground.review(request, "checker3")
    ground.app.reviews.conclude(request, "approve", by=ground.by("checker3"))
    ground.settle()
    assert ground.request(request).state is EgressState.RELEASED


def test_a_policy_that_changes_between_start_and_copy_takes_the_release_back(ground: Ground) -> None:
    request = approved(ground)
    ground.app.releases.begin(request)
    with_other_policy(ground)
    ground.settle()
    minute(ground)
    assert ground.request(request).state is EgressState.IN_REVIEW
    assert ground.request(request).round == 2
    nothing_left(ground, request)


@pytest.mark.parametrize("moment", ["before", "between"])
def test_a_suspended_permit_holds_a_release_until_it_is_resumed(ground: Ground, moment: str) -> None:
    request = approved(ground)
    if moment == "between":
        ground.app.releases.begin(request)
    suspend(ground)
    ground.settle()
    minute(ground)
    assert ground.request(request).state is EgressState.APPROVED
    assert ground.request(request).reason == "The permit is not active, so nothing leaves under it; ask the board."
    nothing_left(ground, request)
    resume(ground)
    minute(ground)
    assert ground.request(request).state is EgressState.RELEASED
    assert ground.request(request).reason == ""
    assert download(ground, request) == CLEAN


@pytest.mark.parametrize("end", ["revoked", "expired"])
def test_nothing_leaves_under_a_permit_that_ended(ground: Ground, end: str) -> None:
    request = approved(ground)
    if end == "revoked":
        ground.app.permits.narrow(ground.permit_id, "revoke", reason="over", by=ground.by("board"))
    else:
        ground.clock.turn(days=90)
    for _ in range(3):
        minute(ground)
    assert ground.request(request).state is EgressState.WITHDRAWN
    assert ground.request(request).reason == "The permit ended before this was released."
    nothing_left(ground, request)
    assert ground.app.permits.view(ground.permit_id, by=ground.by("board")).permit.state is PermitState.CLOSED


def test_a_held_release_is_written_down_once_and_not_each_minute(ground: Ground) -> None:
    request = approved(ground)
    suspend(ground)
    for _ in range(5):
        minute(ground)
    held = ground.app.audit.entries(event="egress.release-held", subject=request, by=ground.by("auditor"))
    assert len(held) == 1


def test_carrying_out_twice_releases_once(ground: Ground) -> None:
    request = approved(ground)
    for _ in range(3):
        ground.app.releases.begin(request)
        ground.app.releases.finish(request)
    ground.settle()
    assert len(ground.app.audit.entries(event="egress.released", by=ground.by("auditor"))) == 1
    assert len(ground.app.releases.all(by=ground.by("auditor"))) == 1


@pytest.mark.parametrize("stage", ["approved", "releasing", "copied"])
def test_a_release_is_finished_after_a_crash_in_between(ground: Ground, stage: str) -> None:
    request = approved(ground)
    if stage != "approved":
        ground.app.releases.begin(request)
    if stage == "copied":
        ground.app.house.ports.objects.copy(
            ground.request(request).digests["table.csv"], Zone.AIRLOCK, Zone.RELEASE
        )  # fmt: skip
    restart(ground)
    ground.settle()
    assert ground.request(request).state is EgressState.RELEASED
    assert len(ground.app.releases.all(by=ground.by("auditor"))) == 1
    size, problems = ground.app.audit.verify(by=ground.by("auditor"))
    assert size
    assert problems == ()


def test_a_request_that_nobody_approved_is_not_released_by_the_machine(ground: Ground) -> None:
    request = ground.submitted()
    ground.review(request, "checker")
    ground.app.releases.begin(request)
    ground.app.releases.finish(request)
    minute(ground)
    assert ground.request(request).state is EgressState.IN_REVIEW
    nothing_left(ground, request)


# --- who fetches --------------------------------------------------------------------------------------------


def test_only_the_named_recipient_fetches_and_it_is_written_down(ground: Ground) -> None:
    request = ground.released()
    for name in ("colleague", "checker", "auditor"):
        assert denied(lambda name=name: download(ground, request, name)) == ("not-recipient",)
    release = release_of(ground, request).release.id
    for name in ("outsider", "board", "operator"):
        with pytest.raises(NotFound):
            ground.app.releases.download(release, "table.csv", by=ground.by(name))
        assert ground.app.releases.of_request(request, by=ground.by(name)) is None
    assert ground.app.audit.entries(event="release.downloaded", by=ground.by("auditor")) == ()
    download(ground, request)
    (entry,) = ground.app.audit.entries(event="release.downloaded", by=ground.by("auditor"))
    assert (entry.actor.subject, entry.object_id) == ("researcher", release)


def test_the_download_ends(ground: Ground) -> None:
    request = ground.released()
    until = release_of(ground, request).release.links_until
    ground.clock.turn(seconds=(until - ground.clock.now()).total_seconds() - 1)
    assert download(ground, request) == CLEAN
    ground.clock.turn(seconds=1)
    assert denied(lambda: download(ground, request)) == ("link-expired",)


def test_a_file_that_is_not_in_the_release_is_not_there(ground: Ground) -> None:
    request = ground.released()
    for path in ("other.csv", "../table.csv", ""):
        with pytest.raises(NotFound):
            download(ground, request, path=path)


def test_a_spoilt_released_byte_is_never_handed_out_whole(ground: Ground) -> None:
    request = ground.released()
    spoil(ground, Zone.RELEASE, ground.request(request).digests["table.csv"])
    with pytest.raises(Corrupt):
        download(ground, request)


def test_a_released_object_cannot_be_deleted(ground: Ground) -> None:
    request = ground.released()
    with pytest.raises(Rejected):
        ground.app.house.ports.objects.delete(Zone.RELEASE, ground.request(request).digests["table.csv"])


# --- recall -------------------------------------------------------------------------------------------------


def test_a_recall_ends_the_download_and_keeps_the_evidence(ground: Ground) -> None:
    request = ground.released()
    release = release_of(ground, request).release.id
    recall = ground.app.releases.recall
    assert denied(lambda: recall(request, reason=" ", by=ground.by("checker"))) == ("reason-missing",)
    for name in ("researcher", "board", "operator", "auditor"):
        assert denied(lambda name=name: recall(request, reason="so", by=ground.by(name))) == ("no-permission",)
    view = recall(request, reason="a mistake in table 1", by=ground.by("checker3"))
    assert view.request.state is EgressState.RECALLED
    assert denied(lambda: download(ground, request)) == ("recalled",)
    assert ground.app.releases.receipt(release, by=ground.by("auditor"))
    assert denied(lambda: recall(request, reason="again", by=ground.by("checker"))) == ("wrong-state",)
    ground.settle()
    assert ground.notifier.told[-1][2] == f"Your egress request {request} is now recalled."


def test_what_was_not_released_is_not_recalled(ground: Ground) -> None:
    request = approved(ground)
    recall = ground.app.releases.recall
    assert denied(lambda: recall(request, reason="so", by=ground.by("checker"))) == ("wrong-state",)


# --- the receipt --------------------------------------------------------------------------------------------


def test_the_receipt_proves_the_release_with_public_keys_only(ground: Ground) -> None:
    request = ground.released()
    view = release_of(ground, request)
    data = ground.app.releases.receipt(view.release.id, by=ground.by("researcher"))
    facts = verify_receipt(data, ground.app.audit.keys(), ed25519.verify)
    assert facts.manifest.release == view.release.id
    assert {o.path: o.sha256 for o in facts.manifest.outputs} == ground.request(request).digests
    assert facts.manifest.policy_digest == ground.request(request).policy_digest
    assert len(facts.manifest.decisions) == 2
    assert facts.entry.event == "egress.released"


def test_the_receipt_names_nobody(ground: Ground) -> None:
    request = ground.released()
    data = ground.app.releases.receipt(release_of(ground, request).release.id, by=ground.by("researcher"))
    for name, person in ground.people.items():
        assert person.id.encode() not in data
        if name in ("researcher", "colleague", "operator", "auditor"):  # the others' names are words of the form
            assert name.encode() not in data.lower()
    again = ground.released()
    other = ground.app.releases.receipt(release_of(ground, again).release.id, by=ground.by("researcher"))
    pseudonyms = [{d["checker"] for d in json.loads(receipt)["decisions"]} for receipt in (data, other)]
    assert not pseudonyms[0] & pseudonyms[1], "two receipts do not tell that the same people decided"


def test_every_changed_byte_of_a_receipt_is_found(ground: Ground) -> None:
    request = ground.released()
    data = ground.app.releases.receipt(release_of(ground, request).release.id, by=ground.by("researcher"))
    keys = ground.app.audit.keys()
    for place in range(0, len(data), 7):
        changed = data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
        with pytest.raises(BadReceipt):
            verify_receipt(changed, keys, ed25519.verify)


def test_an_issuer_and_paths_in_any_script_reach_the_receipt(ground: Ground) -> None:
    proposed = ground.app.permits.propose(
        kind="data-permit",
        issuer="Zugangsstelle für Gesundheitsdaten — Länder & Bund",
        terms=ground.terms("researcher"),
        by=ground.by("board"),
    )
    ground.app.permits.confirm(proposed.pending[0].id, by=ground.by("board2"))
    ground.settle()
    ground.permit_id = proposed.permit.id
    ground.workspace_id = ground.workspace_of(ground.permit_id)
    files = {"Tabellen/Überleben (1).csv": CLEAN, "表.csv": CLEAN, "a b/c'd.csv": CLEAN}
    request = approved(ground, files)
    ground.settle()
    data = ground.app.releases.receipt(release_of(ground, request).release.id, by=ground.by("researcher"))
    facts = verify_receipt(data, ground.app.audit.keys(), ed25519.verify)
    assert {o.path for o in facts.manifest.outputs} == set(files)


def test_the_receipts_of_many_releases_all_hold_under_the_log_as_it_grows(ground: Ground) -> None:
    releases = [release_of(ground, ground.released()).release.id for _ in range(4)]
    for release in releases:
        data = ground.app.releases.receipt(release, by=ground.by("auditor"))
        verify_receipt(data, ground.app.audit.keys(), ed25519.verify)
    assert ground.app.audit.verify(by=ground.by("auditor"))[1] == ()


# --- the log --------------------------------------------------------------------------------------------------


def test_the_whole_story_is_in_the_log_and_the_log_verifies(ground: Ground) -> None:
    request = ground.released()
    moves = [e.event for e in reversed(ground.app.audit.entries(subject=request, by=ground.by("auditor")))]
    assert moves == [
        "egress.drafted",
        "egress.file-frozen",
        "egress.submitted",
        "egress.checking",
        "egress.checked",
        "egress.referred",
        "egress.reviewed",
        "egress.reviewed",
        "egress.approved",
        "egress.releasing",
        "egress.released",
    ]
    with ground.app.house.ports.store.read() as uow:
        notes = [note.encode() for _, note in uow.audit.checkpoints()]
        raw = [data for _, data in uow.audit.raw()]
    keys = ground.app.audit.keys()
    assert verify_log(iter(raw), notes, origin=keys.origin, publics=keys.log, verify=ed25519.verify) == ()
    swapped = [*raw[:3], raw[4], raw[3], *raw[5:]]
    assert verify_log(iter(swapped), notes, origin=keys.origin, publics=keys.log, verify=ed25519.verify)


def test_the_log_is_for_auditors(ground: Ground) -> None:
    for name in ("researcher", "board", "checker", "operator"):
        by = ground.by(name)
        for act in (ground.app.audit.entries, ground.app.audit.verify, ground.app.audit.export):
            assert denied(lambda act=act, by=by: act(by=by)) == ("no-permission",)


def test_an_audit_pack_holds_the_entries_of_one_object_with_the_heads_and_keys(ground: Ground) -> None:
    request = ground.released()
    pack = zipfile.ZipFile(BytesIO(ground.app.audit.export(subject=request, by=ground.by("auditor"))))
    lines = pack.read("entries.jsonl").splitlines()
    assert len(lines) >= 11
    assert all(request.encode() in line for line in lines)
    assert json.loads(pack.read("keys.json"))
    assert pack.read("checkpoints.txt")
    assert ground.app.audit.entries(event="audit.exported", by=ground.by("auditor"))


def test_what_others_write_while_the_log_is_verified_is_left_to_the_next_time(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    ground.released()
    audit, auditor = ground.app.audit, ground.by("auditor")

    def meanwhile(act: Any) -> Any:
        def done(*words: Any) -> Any:
            found = act(*words)
            ground.app.people.token(ground.by("board").person, by=ground.by("board"))
            return found

        return done

    monkeypatch.setattr(audit, "seal_if_grown", meanwhile(audit.seal_if_grown))
    first, problems = audit.verify(by=auditor)
    assert problems == ()
    second, problems = audit.verify(by=auditor)
    assert (second > first, problems) == (True, ())


def test_one_entry_is_proven_once_a_head_was_signed(ground: Ground) -> None:
    request = ground.released()
    (entry,) = ground.app.audit.entries(event="egress.released", subject=request, by=ground.by("auditor"))
    proof = ground.app.audit.proof(entry.index, by=ground.by("auditor"))
    assert proof.holds
    assert proof.head is not None
    with pytest.raises(NotFound):
        ground.app.audit.proof(10_000, by=ground.by("auditor"))
