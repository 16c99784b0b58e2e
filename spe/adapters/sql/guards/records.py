"""Everything else that is written once, and the audit log, which only grows at its end."""

# ruff: noqa: ISC004  (conditions are put together from constants of this package)

from spe.adapters.sql.guards.shape import Guard, moves

PLACES = (
    Guard(
        table="people",
        keys=(("seq",), ("id",), ("issuer", "subject")),
        fixed=("seq", "id"),
        update=(
            (
                # Its own rule, since SQLite's UPDATE OR REPLACE would remove the other person unasked.
                "identity-taken",
                "EXISTS (SELECT 1 FROM people x WHERE x.id <> NEW.id"
                " AND x.issuer = NEW.issuer AND x.subject = NEW.subject)",
            ),
            (
                # Somebody whom the environment itself registered gets the identity of an invitation, once.
                "identity-fixed",
                "(NEW.issuer <> OLD.issuer OR NEW.subject <> OLD.subject)"
                " AND (OLD.issuer <> 'local' OR NEW.issuer = 'local')",
            ),
        ),
    ),
    Guard(table="acceptances", keys=(("person", "permit", "terms"),)),
    Guard(
        table="credentials",
        keys=(("seq",), ("digest",)),
        fixed=("seq", "digest", "kind", "person", "created_at"),
        keeps=False,
        update=(
            (
                "used-once",
                "OLD.used_at IS NOT NULL AND (NEW.used_at IS NULL OR NEW.used_at <> OLD.used_at)",
            ),
        ),
    ),
    Guard(table="answers", keys=(("key",),), keeps=False),
    Guard(table="manifests", keys=(("digest",),)),
    Guard(
        table="datasets",
        keys=(("seq",), ("key",), ("dataset", "number")),
        fixed=(
            "seq",
            "key",
            "dataset",
            "number",
            "manifest",
            "needs",
            "access_modes",
            "disclosure_policy",
            "registered_by",
        ),
    ),
    Guard(
        table="workspaces",
        keys=(("seq",), ("id",)),
        fixed=("seq", "id", "permit", "created_at"),
        insert=(("begins-elsewhere", "NEW.state <> 'requested'"),),
        update=(moves("workspace"),),
    ),
    Guard(
        table="leases",
        keys=(("name",),),
        fixed=("name",),
        update=(("fence", "NEW.fence < OLD.fence OR (NEW.holder <> OLD.holder AND NEW.fence = OLD.fence)"),),
    ),
    Guard(table="transitions", keys=(("machine", "source", "target"),), insert=(("fixed", "1 = 1"),)),
    Guard(table="rules", keys=(("name",),), fixed=("name",), insert=(("fixed", "1 = 1"),)),
)

AUDIT = (
    Guard(
        table="audit_entries",
        keys=(),
        insert=(("index-gap", "NEW.idx <> (SELECT COALESCE(MAX(x.idx) + 1, 0) FROM audit_entries x)"),),
    ),
    Guard(
        table="audit_nodes",
        keys=(("level", "idx"),),
        insert=(
            (
                "index-gap",
                "NEW.level < 0 OR NEW.idx < 0 OR NEW.level > 62 OR NOT EXISTS"
                " (SELECT 1 FROM audit_entries x WHERE x.idx = ((NEW.idx + 1) << CAST(NEW.level AS INTEGER)) - 1)",
            ),
        ),
    ),
    Guard(
        table="checkpoints",
        keys=(("seq",),),
        insert=(
            (
                "checkpoint-contradicts",
                "NEW.size < (SELECT COALESCE(MAX(c.size), 0) FROM checkpoints c)"
                " OR NEW.size > (SELECT COALESCE(MAX(x.idx) + 1, 0) FROM audit_entries x)"
                " OR EXISTS (SELECT 1 FROM checkpoints c WHERE c.size = NEW.size AND c.root <> NEW.root)",
            ),
        ),
    ),
)
