"""Reviews and releases: who may vote, on which bytes, and what a release may hold."""

# ruff: noqa: ISC004  (conditions are put together from constants of this package)

from spe.adapters.sql.guards.shape import IN_REVIEW, Guard, Rule, request_is

_RELEASING = request_is("e.state IN ('releasing', 'released')")
_TIED = (
    ("own-request", request_is("e.author = NEW.{person}")),
    (
        "own-project",
        request_is("EXISTS (SELECT 1 FROM permit_people p WHERE p.permit = e.permit AND p.person = NEW.{person})"),
    ),
)


def _independent(person: str) -> tuple[Rule, ...]:
    return tuple((code, condition.replace("{person}", person)) for code, condition in _TIED)


GUARDS = (
    Guard(
        table="votes",
        keys=(("seq",), ("request", "round", "path", "checker")),
        insert=(
            *_independent("checker"),
            ("not-in-review", f"NOT {IN_REVIEW}"),
            (
                "other-bytes",
                "NOT EXISTS (SELECT 1 FROM egress_outputs o WHERE o.request = NEW.request"
                " AND o.path = NEW.path AND o.sha256 = NEW.sha256)",
            ),
            (
                "already-voted",
                "EXISTS (SELECT 1 FROM votes v WHERE v.request = NEW.request AND v.round = NEW.round"
                " AND v.path = NEW.path AND v.checker = NEW.checker)",
            ),
        ),
    ),
    Guard(
        table="waivers",
        keys=(("seq",), ("request", "round", "finding")),
        insert=_independent("person"),
    ),
    Guard(
        table="releases",
        keys=(("seq",), ("id",)),
        fixed=("seq", "id", "request", "recipient", "receipt", "released_at"),
        insert=(
            ("not-releasing", f"NOT {_RELEASING}"),
            (
                "used-once",
                "EXISTS (SELECT 1 FROM releases r WHERE r.request = NEW.request AND r.recalled_at IS NULL)",
            ),
        ),
        update=(
            (
                "used-once",
                "OLD.recalled_at IS NOT NULL AND (NEW.recalled_at IS NULL OR NEW.recalled_at <> OLD.recalled_at)",
            ),
        ),
    ),
    Guard(
        table="release_files",
        keys=(("release", "path"),),
        insert=(
            (
                "not-approved",
                "NOT EXISTS (SELECT 1 FROM releases r JOIN egress e ON e.id = r.request"
                " JOIN egress_approved a ON a.request = e.id AND a.round = e.round"
                " JOIN egress_outputs o ON o.request = e.id AND o.path = a.path AND o.sha256 = a.sha256"
                " WHERE r.id = NEW.release AND r.recalled_at IS NULL AND e.state IN ('releasing', 'released')"
                " AND a.path = NEW.path AND a.sha256 = NEW.sha256 AND o.size = NEW.size)",
            ),
        ),
    ),
)
