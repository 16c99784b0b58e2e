"""Attacks on the record by direct SQL, as data: what is tried, on a request at which state, and the refusal.

All steps of an attack but the last are legal; the last must be refused.
"""

# ruff: noqa: ISC004  (statements span lines)

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from spe.domain.egress import EgressState
from tests.support.record import NOW, ROAD, World

E = EgressState
Steps = list[tuple[object, ...]]
WHEN = NOW.strftime("%Y-%m-%d %H:%M:%S.%f")
X64 = "e" * 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Attack:
    """What is tried on a world at a state: all steps but the last are legal, the last is refused with `code`."""

    name: str
    code: str
    steps: Callable[[World], Steps]
    at: EgressState = E.DRAFT
    only: str = ""


def vote(world: World, checker: str, *, path: str = "", sha256: str = "", round_: int = 1, decision: str = "approve"):
    path = path or world.path
    return (
        "INSERT INTO votes (request, round, path, sha256, checker, decision, reason, acknowledged, at)"
        " VALUES (?, ?, ?, ?, ?, ?, '', '[]', ?)",
        world.request.id, round_, path, sha256 or world.request.digests.get(path, X64), checker, decision, WHEN,
    )  # fmt: skip


def approve_row(world: World, sha256: str = ""):
    sha256 = sha256 or world.request.outputs[0].sha256
    statement = "INSERT INTO egress_approved (request, round, path, sha256) VALUES (?, 1, ?, ?)"
    return (statement, world.request.id, world.path, sha256)


def move(world: World, state: str):
    return ("UPDATE egress SET state = ? WHERE id = ?", state, world.request.id)


def permit_state(world: World, state: str):
    return ("UPDATE permits SET state = ? WHERE id = ?", state, world.permit.id)


def release_row(world: World, key: str = "rl-1"):
    return (
        "INSERT INTO releases (id, request, recipient, receipt, released_at, links_until, version)"
        " VALUES (?, ?, ?, 'r', ?, ?, 0)",
        key, world.request.id, world.author.id, WHEN, WHEN,
    )  # fmt: skip


def file_row(world: World, path: str, sha256: str, key: str = "rl-1", size: int = 812):
    statement = "INSERT INTO release_files (release, path, place, sha256, size) VALUES (?, ?, 0, ?, ?)"
    return (statement, key, path, sha256, size)


def local_person(person: str) -> tuple[str, ...]:
    """Somebody whom no identity provider vouches for yet."""
    return (
        "INSERT INTO people (id, issuer, subject, name, organisation, roles, active, version)"
        " VALUES (?, 'local', ?, 'Nina', '', '[\"auditor\"]', TRUE, 0)",
        person,
        person,
    )


def terms_row(world: World, digest: str, *, people: tuple[str, ...], ends: str = "") -> Steps:
    columns = (
        "title, purpose, conditions, starts, access_mode, memory_bytes, cpu, disk_bytes, daily_bytes, idle_minutes"
    )
    same = "(SELECT terms FROM permits WHERE id = ?)"
    return [
        (
            f"INSERT INTO terms (digest, ends, {columns}) SELECT ?, ends, {columns} FROM terms WHERE digest = {same}",
            digest,
            world.permit.id,
        ),
        *(("INSERT INTO terms_people (terms, person) VALUES (?, ?)", digest, person) for person in people),
    ]


def change_row(world: World, verb: str, terms: str = "", key: str = "ch-1"):
    same = "(SELECT terms FROM permits WHERE id = ?)"
    return (
        "INSERT INTO changes (id, permit, verb, terms, proposed_by, proposed_at, settled, version)"
        f" VALUES (?, ?, ?, {'?' if terms else same}, ?, ?, '', 0)",
        key, world.permit.id, verb, terms or world.permit.id, world.board[0].id, WHEN,
    )  # fmt: skip


def confirmation(person: str, key: str = "ch-1"):
    return ("INSERT INTO change_confirmations (change, person) VALUES (?, ?)", key, person)


def proposed(world: World) -> Steps:
    """A permit that waits for confirmation."""
    return [
        (
            "INSERT INTO permits"
            " (id, kind, issuer, terms, state, proposed_by, created_at, confirmed_by, reason, version)"
            " SELECT 'pm-2', kind, issuer, terms, 'proposed', proposed_by, created_at, '[]', '', 0"
            " FROM permits WHERE id = ?",
            world.permit.id,
        ),
        (
            "INSERT INTO changes (id, permit, verb, terms, proposed_by, proposed_at, settled, version)"
            " SELECT 'ch-2', id, 'activate', terms, proposed_by, created_at, '', 0 FROM permits WHERE id = 'pm-2'",
        ),
    ]


def widened(world: World) -> Steps:
    people = (world.author.id, world.colleague.id, world.checkers[2].id)
    return terms_row(world, X64, people=people)


REVIEWED: tuple[Attack, ...] = (
    Attack(name="vote as the author", code="own-request", at=E.IN_REVIEW, steps=lambda w: [vote(w, w.author.id)]),
    Attack(name="vote as a person on the permit", code="own-project", at=E.IN_REVIEW,
           steps=lambda w: [vote(w, w.colleague.id)]),
    Attack(name="vote twice", code="already-voted", at=E.IN_REVIEW,
           steps=lambda w: [vote(w, w.checkers[0].id), vote(w, w.checkers[0].id)]),
    Attack(name="change one's mind", code="already-voted", at=E.IN_REVIEW,
           steps=lambda w: [vote(w, w.checkers[0].id, decision="reject"), vote(w, w.checkers[0].id)]),
    Attack(name="vote on other bytes", code="other-bytes", at=E.IN_REVIEW,
           steps=lambda w: [vote(w, w.checkers[0].id, sha256=X64)]),
    Attack(name="vote on a file that is not there", code="other-bytes", at=E.IN_REVIEW,
           steps=lambda w: [vote(w, w.checkers[0].id, path="other.csv")]),
    Attack(name="vote in another round", code="not-in-review", at=E.IN_REVIEW,
           steps=lambda w: [vote(w, w.checkers[0].id, round_=2)]),
    Attack(name="vote before the review", code="not-in-review", at=E.SUBMITTED,
           steps=lambda w: [vote(w, w.checkers[0].id)]),
    Attack(name="vote after the decision", code="not-in-review", at=E.APPROVED,
           steps=lambda w: [vote(w, w.checkers[2].id, decision="reject")]),
    Attack(name="vote as nobody", code="", at=E.IN_REVIEW, only="postgresql", steps=lambda w: [vote(w, "p-nobody")]),
    Attack(name="rewrite a vote", code="fixed", at=E.APPROVED,
           steps=lambda w: [("UPDATE votes SET decision = 'approve' WHERE request = ?", w.request.id)]),
    Attack(name="give a vote to somebody else", code="fixed", at=E.APPROVED,
           steps=lambda w: [("UPDATE votes SET checker = ? WHERE request = ?", w.checkers[2].id, w.request.id)]),
    Attack(name="delete a vote", code="kept", at=E.APPROVED,
           steps=lambda w: [("DELETE FROM votes WHERE request = ?", w.request.id)]),
    Attack(name="replace a vote", code="exists", at=E.IN_REVIEW, only="sqlite",
           steps=lambda w: [vote(w, w.checkers[0].id, decision="reject"),
                            ("INSERT OR REPLACE INTO votes SELECT seq, request, round, 'figures/km.png', ?, checker,"
                             " 'approve', reason, acknowledged, at FROM votes", "b" * 64)]),
    Attack(name="waive as the author", code="own-request", at=E.IN_REVIEW, steps=lambda w: [
        ("INSERT INTO waivers (request, round, finding, person, reason, at) VALUES (?, 1, 'f', ?, '', ?)",
         w.request.id, w.author.id, WHEN)]),
    Attack(name="waive as a person on the permit", code="own-project", at=E.IN_REVIEW, steps=lambda w: [
        ("INSERT INTO waivers (request, round, finding, person, reason, at) VALUES (?, 1, 'f', ?, '', ?)",
         w.request.id, w.colleague.id, WHEN)]),
)  # fmt: skip

APPROVED: tuple[Attack, ...] = (
    Attack(name="approve without a vote", code="too-few-approvals", at=E.IN_REVIEW,
           steps=lambda w: [move(w, "approved")]),
    Attack(name="approve with one vote", code="too-few-approvals", at=E.IN_REVIEW,
           steps=lambda w: [vote(w, w.checkers[0].id), approve_row(w)]),
    Attack(name="approve against an objection", code="too-few-approvals", at=E.IN_REVIEW,
           steps=lambda w: [vote(w, w.checkers[0].id), vote(w, w.checkers[1].id),
                            vote(w, w.checkers[2].id, decision="reject"), approve_row(w)]),
    Attack(name="approve other bytes", code="other-bytes", at=E.IN_REVIEW,
           steps=lambda w: [vote(w, w.checkers[0].id), vote(w, w.checkers[1].id), approve_row(w, X64)]),
    Attack(name="approve before the review", code="not-in-review", at=E.SUBMITTED, steps=lambda w: [approve_row(w)]),
    Attack(name="approve under a suspended permit", code="permit-not-active", at=E.IN_REVIEW,
           steps=lambda w: [vote(w, w.checkers[0].id), vote(w, w.checkers[1].id), approve_row(w),
                            permit_state(w, "suspended"), move(w, "approved")]),
    Attack(name="move an approval to another file", code="fixed", at=E.APPROVED,
           steps=lambda w: [("UPDATE egress_approved SET sha256 = ? WHERE request = ?", X64, w.request.id)]),
    Attack(name="ask for one checker only", code="", steps=lambda w: [("UPDATE rules SET value = 1",)]),
    Attack(name="delete the rule of two", code="kept", steps=lambda w: [("DELETE FROM rules",)]),
    Attack(name="allow another move", code="fixed",
           steps=lambda w: [("INSERT INTO transitions VALUES ('egress request', 'draft', 'released')",)]),
    Attack(name="rewrite an allowed move", code="fixed",
           steps=lambda w: [("UPDATE transitions SET target = 'released' WHERE source = 'draft'",)]),
    Attack(name="begin as approved", code="begins-elsewhere", steps=lambda w: [
        ("INSERT INTO egress (id, workspace, permit, author, purpose, state, created_at, round, policy_digest, report,"
         " views, verdict, reason, version) SELECT 'eg-2', workspace, permit, author, '', 'approved', created_at, 0,"
         " '', '', '', '', '', 0 FROM egress WHERE id = ?", w.request.id)]),
    Attack(name="write a request as a stranger", code="not-on-permit", steps=lambda w: [
        ("INSERT INTO egress (id, workspace, permit, author, purpose, state, created_at, round, policy_digest, report,"
         " views, verdict, reason, version) SELECT 'eg-2', workspace, permit, ?, '', 'draft', created_at, 0,"
         " '', '', '', '', '', 0 FROM egress WHERE id = ?", w.checkers[0].id, w.request.id)]),
    Attack(name="write a request under another permit", code="wrong-permit", steps=lambda w: [
        *proposed(w),
        ("INSERT INTO egress (id, workspace, permit, author, purpose, state, created_at, round, policy_digest, report,"
         " views, verdict, reason, version) SELECT 'eg-2', workspace, 'pm-2', author, '', 'draft', created_at, 0,"
         " '', '', '', '', '', 0 FROM egress WHERE id = ?", w.request.id)]),
    Attack(name="replace a request", code="exists", at=E.IN_REVIEW, only="sqlite", steps=lambda w: [
        ("INSERT OR REPLACE INTO egress SELECT seq, id, workspace, permit, author, purpose, 'draft', created_at, 0,"
         " '', '', '', '', '', 0 FROM egress",)]),
    Attack(name="push a request away by its number", code="exists", at=E.IN_REVIEW, only="sqlite", steps=lambda w: [
        ("INSERT OR REPLACE INTO egress SELECT seq, 'eg-2', workspace, permit, author, purpose, 'draft', created_at,"
         " 0, '', '', '', '', '', 0 FROM egress",)]),
    Attack(name="give a request to another author", code="fixed", at=E.IN_REVIEW,
           steps=lambda w: [("UPDATE egress SET author = ? WHERE id = ?", w.checkers[0].id, w.request.id)]),
    Attack(name="move a request to another permit", code="fixed", at=E.IN_REVIEW,
           steps=lambda w: [*proposed(w), ("UPDATE egress SET permit = 'pm-2' WHERE id = ?", w.request.id)]),
    Attack(name="delete a request", code="kept", at=E.IN_REVIEW,
           steps=lambda w: [("DELETE FROM egress WHERE id = ?", w.request.id)]),
    Attack(name="go back to an earlier round", code="round", at=E.IN_REVIEW,
           steps=lambda w: [("UPDATE egress SET round = 0 WHERE id = ?", w.request.id)]),
    Attack(name="resubmit without a new round", code="round", at=E.APPROVED,
           steps=lambda w: [move(w, "submitted")]),
    Attack(name="change the policy after the review", code="policy-changed", at=E.APPROVED,
           steps=lambda w: [("UPDATE egress SET policy_digest = 'sha256:0' WHERE id = ?", w.request.id)]),
    Attack(name="change the report during the review", code="policy-changed", at=E.IN_REVIEW,
           steps=lambda w: [("UPDATE egress SET report = ? WHERE id = ?", X64, w.request.id)]),
)  # fmt: skip


def output_attacks(at: EgressState) -> Iterator[Attack]:
    mine = "WHERE request = ? AND path = ?"
    yield Attack(
        name=f"change a digest when {at}",
        code="outputs-frozen",
        at=at,
        steps=lambda w: [(f"UPDATE egress_outputs SET sha256 = ? {mine}", X64, w.request.id, w.path)],
    )
    yield Attack(
        name=f"add an output when {at}",
        code="outputs-frozen",
        at=at,
        steps=lambda w: [("INSERT INTO egress_outputs VALUES (?, 'more.csv', 9, ?, 1, '{}')", w.request.id, X64)],
    )
    yield Attack(
        name=f"drop an output when {at}",
        code="outputs-frozen",
        at=at,
        steps=lambda w: [(f"DELETE FROM egress_outputs {mine}", w.request.id, w.path)],
    )


OUTPUTS = (
    *(attack for state in ROAD for attack in output_attacks(state)),
    Attack(name="move an output to another request", code="fixed",
           steps=lambda w: [("UPDATE egress_outputs SET request = 'eg-2'",)]),
    Attack(name="store a digest that is none", code="",
           steps=lambda w: [("UPDATE egress_outputs SET sha256 = 'abc'",)]),
    Attack(name="replace an output", code="outputs-frozen", at=E.APPROVED, only="sqlite", steps=lambda w: [
        ("INSERT OR REPLACE INTO egress_outputs VALUES (?, ?, 0, ?, 1, '{}')", w.request.id, w.path, X64)]),
)  # fmt: skip

RELEASED: tuple[Attack, ...] = (
    Attack(name="release without approval", code="no-such-move", at=E.IN_REVIEW,
           steps=lambda w: [move(w, "released")]),
    Attack(name="release a draft", code="no-such-move", steps=lambda w: [move(w, "releasing")]),
    Attack(name="record a release before it is approved", code="not-releasing", at=E.IN_REVIEW,
           steps=lambda w: [release_row(w)]),
    Attack(name="record a release that nobody started", code="not-releasing", at=E.APPROVED,
           steps=lambda w: [release_row(w)]),
    Attack(name="release other bytes", code="not-approved", at=E.RELEASING,
           steps=lambda w: [release_row(w), file_row(w, w.path, X64)]),
    Attack(name="release a file nobody approved", code="not-approved", at=E.RELEASING,
           steps=lambda w: [release_row(w), file_row(w, "other.csv", w.request.outputs[0].sha256)]),
    Attack(name="release under an ended permit", code="permit-not-active", at=E.APPROVED,
           steps=lambda w: [permit_state(w, "revoked"), move(w, "releasing")]),
    Attack(name="finish under an ended permit", code="permit-not-active", at=E.RELEASING,
           steps=lambda w: [permit_state(w, "expired"), move(w, "released")]),
    Attack(name="release twice", code="used-once", at=E.RELEASED, steps=lambda w: [release_row(w)]),
    Attack(name="add a file to a release", code="not-approved", at=E.RELEASED, steps=lambda w: [
        ("INSERT INTO release_files SELECT id, 'more.csv', 9, ?, 1 FROM releases", X64)]),
    Attack(name="change a released file", code="fixed", at=E.RELEASED,
           steps=lambda w: [("UPDATE release_files SET sha256 = ?", X64)]),
    Attack(name="send a release to somebody else", code="fixed", at=E.RELEASED,
           steps=lambda w: [("UPDATE releases SET recipient = ?", w.colleague.id)]),
    Attack(name="exchange a receipt", code="fixed", at=E.RELEASED,
           steps=lambda w: [("UPDATE releases SET receipt = ?", X64)]),
    Attack(name="take a recall back", code="used-once", at=E.RELEASED,
           steps=lambda w: [("UPDATE releases SET recalled_at = ?", WHEN),
                            ("UPDATE releases SET recalled_at = NULL",)]),
    Attack(name="delete a release", code="kept", at=E.RELEASED, steps=lambda w: [("DELETE FROM release_files",)]),
)  # fmt: skip

PERMITS: tuple[Attack, ...] = (
    Attack(name="activate without confirmation", code="unconfirmed",
           steps=lambda w: [*proposed(w), ("UPDATE permits SET state = 'active' WHERE id = 'pm-2'",)]),
    Attack(name="confirm one's own proposal", code="own-proposal",
           steps=lambda w: [*proposed(w), confirmation(w.board[0].id, "ch-2")]),
    Attack(name="confirm as a person on the permit", code="own-permit",
           steps=lambda w: [*proposed(w), confirmation(w.author.id, "ch-2")]),
    Attack(name="confirm a change that names oneself", code="own-permit",
           steps=lambda w: [*widened(w), change_row(w, "amend", X64), confirmation(w.checkers[2].id)]),
    Attack(name="activate on a dropped proposal", code="unconfirmed",
           steps=lambda w: [*proposed(w), confirmation(w.board[1].id, "ch-2"),
                            ("UPDATE changes SET settled = 'replaced' WHERE id = 'ch-2'",),
                            ("UPDATE permits SET state = 'active' WHERE id = 'pm-2'",)]),
    Attack(name="confirm a settled proposal", code="settled",
           steps=lambda w: [*proposed(w), ("UPDATE changes SET settled = 'replaced' WHERE id = 'ch-2'",),
                            confirmation(w.board[1].id, "ch-2")]),
    Attack(name="begin as active", code="begins-elsewhere", steps=lambda w: [
        ("INSERT INTO permits (id, kind, issuer, terms, state, proposed_by, created_at, confirmed_by, reason, version)"
         " SELECT 'pm-2', kind, issuer, terms, 'active', proposed_by, created_at, '[]', '', 0 FROM permits",)]),
    Attack(name="propose a permit for oneself", code="own-permit", steps=lambda w: [
        ("INSERT INTO permits (id, kind, issuer, terms, state, proposed_by, created_at, confirmed_by, reason, version)"
         " SELECT 'pm-2', kind, issuer, terms, 'proposed', ?, created_at, '[]', '', 0 FROM permits", w.author.id)]),
    Attack(name="resume without confirmation", code="unconfirmed",
           steps=lambda w: [permit_state(w, "suspended"), permit_state(w, "active")]),
    Attack(name="resume twice on one confirmation", code="unconfirmed",
           steps=lambda w: [permit_state(w, "suspended"), change_row(w, "resume"), confirmation(w.board[1].id),
                            permit_state(w, "active"), permit_state(w, "suspended"), permit_state(w, "active")]),
    Attack(name="resume on a confirmation of something else", code="unconfirmed",
           steps=lambda w: [permit_state(w, "suspended"), change_row(w, "amend"), confirmation(w.board[1].id),
                            permit_state(w, "active")]),
    Attack(name="revive a revoked permit", code="no-such-move",
           steps=lambda w: [permit_state(w, "revoked"), change_row(w, "resume"), confirmation(w.board[1].id),
                            permit_state(w, "active")]),
    Attack(name="name another proposer", code="fixed",
           steps=lambda w: [("UPDATE permits SET proposed_by = ?", w.board[1].id)]),
    Attack(name="name another proposer of a change", code="fixed",
           steps=lambda w: [("UPDATE changes SET proposed_by = ?", w.checkers[0].id)]),
    Attack(name="use a confirmation again", code="settled", steps=lambda w: [("UPDATE changes SET spent = 0",)]),
    Attack(name="reopen a settled change", code="settled", steps=lambda w: [("UPDATE changes SET settled = ''",)]),
    Attack(name="take a confirmation back", code="kept", steps=lambda w: [("DELETE FROM change_confirmations",)]),
    Attack(name="widen the terms alone", code="widening-unconfirmed",
           steps=lambda w: [*widened(w), ("UPDATE permits SET terms = ?", X64)]),
    Attack(name="widen the terms on an open proposal", code="widening-unconfirmed",
           steps=lambda w: [*widened(w), change_row(w, "amend", X64), ("UPDATE permits SET terms = ?", X64)]),
    Attack(name="change the terms of a proposal", code="terms-sealed",
           steps=lambda w: [*proposed(w), *terms_row(w, X64, people=(w.author.id,)),
                            ("UPDATE permits SET terms = ? WHERE id = 'pm-2'", X64)]),
    Attack(name="add a person to the terms", code="terms-sealed", steps=lambda w: [
        ("INSERT INTO terms_people SELECT terms, ? FROM permits", w.checkers[0].id)]),
    Attack(name="add a dataset to the terms", code="terms-sealed", steps=lambda w: [
        ("INSERT INTO terms_datasets SELECT terms, ? FROM permits", w.dataset.key)]),
    Attack(name="strike a person off the terms", code="kept", steps=lambda w: [("DELETE FROM terms_people",)]),
    Attack(name="prolong the terms in place", code="fixed",
           steps=lambda w: [("UPDATE terms SET ends = '2099-01-01 00:00:00.000000'",)]),
    Attack(name="rewrite the history of the terms", code="fixed",
           steps=lambda w: [("UPDATE permit_versions SET number = 7",)]),
    Attack(name="invent a version of the terms", code="terms-sealed", steps=lambda w: [
        ("INSERT INTO permit_versions SELECT permit, 9, terms FROM permit_versions",)]),
    Attack(name="delete a permit", code="kept", steps=lambda w: [("DELETE FROM permits",)]),
)  # fmt: skip

PLACES: tuple[Attack, ...] = (
    Attack(name="make a workspace ready at once", code="no-such-move",
           steps=lambda w: [("UPDATE workspaces SET state = 'ready'",)]),
    Attack(name="give a workspace to another permit", code="fixed",
           steps=lambda w: [*proposed(w), ("UPDATE workspaces SET permit = 'pm-2'",)]),
    Attack(name="change a sealed manifest", code="fixed", steps=lambda w: [("UPDATE manifests SET files = '[]'",)]),
    Attack(name="point a version at another manifest", code="fixed", steps=lambda w: [
        ("INSERT INTO manifests (digest, files) VALUES ('sha256:0', '[]')",),
        ("UPDATE datasets SET manifest = 'sha256:0'",)]),
    Attack(name="drop what a dataset needs", code="fixed", steps=lambda w: [("UPDATE datasets SET needs = '[]'",)]),
    Attack(name="use a link again", code="used-once", steps=lambda w: [
        ("INSERT INTO credentials (digest, kind, person, created_at, expires, used_at, facts, version)"
         " VALUES ('d', 'link', ?, ?, ?, ?, '{}', 0)", w.author.id, WHEN, WHEN, WHEN),
        ("UPDATE credentials SET used_at = NULL",)]),
    Attack(name="give a credential to somebody else", code="fixed", steps=lambda w: [
        ("INSERT INTO credentials (digest, kind, person, created_at, expires, facts, version)"
         " VALUES ('d', 'link', ?, ?, ?, '{}', 0)", w.author.id, WHEN, WHEN),
        ("UPDATE credentials SET person = ?", w.board[0].id)]),
    Attack(name="become somebody else", code="identity-fixed",
           steps=lambda w: [("UPDATE people SET subject = 'mallory' WHERE id = ?", w.author.id)]),
    Attack(name="take an identity away", code="identity-fixed",
           steps=lambda w: [("UPDATE people SET issuer = 'local' WHERE id = ?", w.author.id)]),
    Attack(name="rename somebody local", code="identity-fixed", steps=lambda w: [
        local_person("p-local"), ("UPDATE people SET subject = 'mallory' WHERE id = 'p-local'",)]),
    Attack(name="bind an identity that somebody has", code="identity-taken", steps=lambda w: [
        local_person("p-local"),
        ("UPDATE people SET issuer = ?, subject = ? WHERE id = 'p-local'", w.author.issuer, w.author.subject)]),
    Attack(name="replace somebody who has the identity", code="identity-taken", only="sqlite", steps=lambda w: [
        local_person("p-local"),
        ("UPDATE OR REPLACE people SET issuer = ?, subject = ? WHERE id = 'p-local'",
         w.author.issuer, w.author.subject)]),
    Attack(name="bind a second identity", code="identity-fixed", steps=lambda w: [
        local_person("p-local"),
        ("UPDATE people SET issuer = 'https://login.example', subject = 'a' WHERE id = 'p-local'",),
        ("UPDATE people SET issuer = 'https://login.example', subject = 'b' WHERE id = 'p-local'",)]),
    Attack(name="give a person another number", code="fixed",
           steps=lambda w: [("UPDATE people SET id = 'p-other' WHERE id = ?", w.author.id)]),
    Attack(name="change an accepted text", code="fixed", steps=lambda w: [
        ("INSERT INTO acceptances (person, permit, terms, at) VALUES (?, ?, 'a', ?)", w.author.id, w.permit.id, WHEN),
        ("UPDATE acceptances SET terms = 'b'",)]),
    Attack(name="lower the fence", code="fence", steps=lambda w: [
        ("INSERT INTO leases (name, holder, fence, until) VALUES ('reconciler', 'a', 5, ?)", WHEN),
        ("UPDATE leases SET fence = 4",)]),
    Attack(name="take the lead without raising the fence", code="fence", steps=lambda w: [
        ("INSERT INTO leases (name, holder, fence, until) VALUES ('reconciler', 'a', 5, ?)", WHEN),
        ("UPDATE leases SET holder = 'b'",)]),
)  # fmt: skip

AUDIT: tuple[Attack, ...] = (
    Attack(name="edit an audit entry", code="fixed", steps=lambda w: [("UPDATE audit_entries SET event = 'a.b'",)]),
    Attack(name="edit the bytes of an entry", code="fixed",
           steps=lambda w: [("UPDATE audit_entries SET body = ? WHERE idx = 0", b"{}")]),
    Attack(name="delete an audit entry", code="kept", steps=lambda w: [("DELETE FROM audit_entries WHERE idx = 2",)]),
    Attack(name="cut the end of the log", code="kept", steps=lambda w: [("DELETE FROM audit_entries WHERE idx > 0",)]),
    Attack(name="leave a gap in the log", code="index-gap", steps=lambda w: [
        ("INSERT INTO audit_entries (idx, body, at, event, object_id, actor) VALUES (9, ?, ?, 'a.b', '', '')",
         b"{}", WHEN)]),
    Attack(name="insert before the end of the log", code="index-gap", steps=lambda w: [
        ("INSERT INTO audit_entries (idx, body, at, event, object_id, actor) VALUES (-1, ?, ?, 'a.b', '', '')",
         b"{}", WHEN)]),
    Attack(name="replace an audit entry", code="index-gap", only="sqlite", steps=lambda w: [
        ("INSERT OR REPLACE INTO audit_entries (idx, body, at, event, object_id, actor) VALUES (2, ?, ?, '', '', '')",
         b"{}", WHEN)]),
    Attack(name="upsert an audit entry", code="", steps=lambda w: [
        ("INSERT INTO audit_entries (idx, body, at, event, object_id, actor) VALUES (2, ?, ?, '', '', '')"
         " ON CONFLICT (idx) DO UPDATE SET body = excluded.body", b"{}", WHEN)]),
    Attack(name="edit a node of the tree", code="fixed",
           steps=lambda w: [("UPDATE audit_nodes SET hash = ?", b"\0" * 32)]),
    Attack(name="delete the nodes of the tree", code="kept", steps=lambda w: [("DELETE FROM audit_nodes",)]),
    Attack(name="replace a node of the tree", code="exists", only="sqlite", steps=lambda w: [
        ("INSERT OR REPLACE INTO audit_nodes (level, idx, hash) VALUES (0, 0, ?)", b"\0" * 32)]),
    Attack(name="store a node ahead of its entries", code="index-gap", steps=lambda w: [
        ("INSERT INTO audit_nodes (level, idx, hash) VALUES (0, 7, ?)", b"\0" * 32)]),
    Attack(name="sign a second root for one size", code="checkpoint-contradicts", steps=lambda w: [
        ("INSERT INTO checkpoints (origin, size, root, note, at) VALUES ('o', 3, ?, '', ?)", b"\0" * 32, WHEN),
        ("INSERT INTO checkpoints (origin, size, root, note, at) VALUES ('o', 3, ?, '', ?)", b"\1" * 32, WHEN)]),
    Attack(name="sign a shorter log", code="checkpoint-contradicts", steps=lambda w: [
        ("INSERT INTO checkpoints (origin, size, root, note, at) VALUES ('o', 3, ?, '', ?)", b"\0" * 32, WHEN),
        ("INSERT INTO checkpoints (origin, size, root, note, at) VALUES ('o', 2, ?, '', ?)", b"\0" * 32, WHEN)]),
    Attack(name="sign entries that are not there", code="checkpoint-contradicts", steps=lambda w: [
        ("INSERT INTO checkpoints (origin, size, root, note, at) VALUES ('o', 4, ?, '', ?)", b"\0" * 32, WHEN)]),
    Attack(name="edit a tree head", code="fixed", steps=lambda w: [
        ("INSERT INTO checkpoints (origin, size, root, note, at) VALUES ('o', 3, ?, '', ?)", b"\0" * 32, WHEN),
        ("UPDATE checkpoints SET note = 'x'",)]),
    *(Attack(name=f"truncate {table}", code="kept", only="postgresql",
             steps=lambda w, table=table: [(f"TRUNCATE {table} CASCADE",)])
      for table in ("audit_entries", "audit_nodes", "checkpoints", "votes", "egress_approved")),
)  # fmt: skip

ATTACKS = (*REVIEWED, *APPROVED, *OUTPUTS, *RELEASED, *PERMITS, *PLACES, *AUDIT)
