"""Egress: frozen outputs, and no approval or release without enough independent checkers."""

# ruff: noqa: S608, ISC004  (conditions are put together from constants of this package)

from spe.adapters.sql.guards.shape import IN_REVIEW, Guard, Rule, moves, request_is


def _approvals(request: str, round_: str, output: str, author: str, permit: str) -> str:
    """How many independent checkers approved exactly these bytes in this round."""
    return (
        f"(SELECT COUNT(DISTINCT v.checker) FROM votes v WHERE v.request = {request} AND v.round = {round_}"
        f" AND v.path = {output}.path AND v.sha256 = {output}.sha256 AND v.decision = 'approve'"
        f" AND v.checker <> {author} AND NOT EXISTS"
        f" (SELECT 1 FROM permit_people p WHERE p.permit = {permit} AND p.person = v.checker))"
    )


_NEEDED = "(SELECT r.value FROM rules r WHERE r.name = 'reviewers')"
_APPROVED = "FROM egress_approved a WHERE a.request = NEW.id AND a.round = NEW.round"
_UNAPPROVED = (
    f"NOT EXISTS (SELECT 1 {_APPROVED}) OR EXISTS (SELECT 1 {_APPROVED}"
    f" AND {_approvals('NEW.id', 'NEW.round', 'a', 'NEW.author', 'NEW.permit')} < {_NEEDED})"
)
_LEAVES = (
    "((OLD.state = 'in-review' AND NEW.state = 'approved')"
    " OR (NEW.state IN ('releasing', 'released') AND NEW.state <> OLD.state))"
)
_RESUBMITS = "NEW.state = 'submitted' AND OLD.state <> 'submitted'"
_REVIEWED = "('in-review', 'approved', 'releasing', 'released', 'recalled', 'returned', 'rejected')"
_EDITABLE = "('draft', 'returned', 'blocked')"


def _frozen(row: str) -> Rule:
    return (
        "outputs-frozen",
        f"EXISTS (SELECT 1 FROM egress e WHERE e.id = {row}.request AND e.state NOT IN {_EDITABLE})",
    )


GUARDS = (
    Guard(
        table="egress",
        keys=(("seq",), ("id",)),
        fixed=("seq", "id", "workspace", "permit", "author", "created_at"),
        insert=(
            ("begins-elsewhere", "NEW.state <> 'draft' OR NEW.round <> 0"),
            (
                "wrong-permit",
                "NOT EXISTS (SELECT 1 FROM workspaces w WHERE w.id = NEW.workspace AND w.permit = NEW.permit)",
            ),
            (
                "not-on-permit",
                "NOT EXISTS (SELECT 1 FROM permit_people p WHERE p.permit = NEW.permit AND p.person = NEW.author)",
            ),
        ),
        update=(
            moves("egress request"),
            ("round", f"{_RESUBMITS} AND NEW.round <> OLD.round + 1"),
            ("round", f"NOT ({_RESUBMITS}) AND NEW.round <> OLD.round"),
            (
                "policy-changed",
                f"OLD.state IN {_REVIEWED} AND NEW.state <> 'submitted'"
                " AND (NEW.policy_digest <> OLD.policy_digest OR NEW.report <> OLD.report)",
            ),
            (
                "permit-not-active",
                f"{_LEAVES} AND NOT EXISTS (SELECT 1 FROM permits p WHERE p.id = NEW.permit AND p.state = 'active')",
            ),
            ("too-few-approvals", f"{_LEAVES} AND ({_UNAPPROVED})"),
        ),
    ),
    Guard(
        table="egress_outputs",
        keys=(("request", "path"),),
        fixed=("request", "path"),
        keeps=False,
        insert=(_frozen("NEW"),),
        update=(_frozen("OLD"),),
        delete=(_frozen("OLD"),),
    ),
    Guard(
        table="egress_approved",
        keys=(("request", "round", "path"),),
        insert=(
            ("not-in-review", f"NOT {IN_REVIEW}"),
            (
                "other-bytes",
                "NOT EXISTS (SELECT 1 FROM egress_outputs o WHERE o.request = NEW.request"
                " AND o.path = NEW.path AND o.sha256 = NEW.sha256)",
            ),
            (
                "too-few-approvals",
                request_is(f"{_approvals('e.id', 'e.round', 'NEW', 'e.author', 'e.permit')} < {_NEEDED}"),
            ),
            (
                "too-few-approvals",
                "EXISTS (SELECT 1 FROM votes v WHERE v.request = NEW.request AND v.round = NEW.round"
                " AND v.path = NEW.path AND v.decision <> 'approve')",
            ),
        ),
    ),
)
