"""The rules that the database itself holds, as conditions on rows that both databases understand.

A guard belongs to one table: which columns are written once, whether rows may go, and conditions with
a code (`failures.SENTENCES`) under which an insert or update is refused. Separation of duties, frozen
outputs, confirmed permits and the append-only log stand here a second time, apart from the services,
so that neither a bug above nor direct SQL gets around them. What an owner of the database can still do
(drop a trigger) `triggers.problems` reports.
"""

# ruff: noqa: S608, ISC004  (conditions are put together from constants of this module; no value comes from outside)

from dataclasses import dataclass

Rule = tuple[str, str]
"""Code and condition: a row for which the condition holds is refused with that code."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """What may happen to the rows of a table. `fixed` None: rows never change; `keeps`: rows never go."""

    table: str
    keys: tuple[tuple[str, ...], ...]
    fixed: tuple[str, ...] | None = None
    keeps: bool = True
    insert: tuple[Rule, ...] = ()
    update: tuple[Rule, ...] = ()
    delete: tuple[Rule, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """A statement that follows a change of a row when `when` holds."""

    name: str
    table: str
    event: str
    statement: str
    when: str = "1 = 1"


def _moves(machine: str) -> Rule:
    listed = f"t.machine = '{machine}' AND t.source = OLD.state AND t.target = NEW.state"
    return "no-such-move", f"NEW.state <> OLD.state AND NOT EXISTS (SELECT 1 FROM transitions t WHERE {listed})"


def _eligible(person: str, *terms: str) -> str:
    """Nobody whom one of these sets of terms names."""
    return " AND ".join(
        f"NOT EXISTS (SELECT 1 FROM terms_people p WHERE p.terms = {name} AND p.person = {person})" for name in terms
    )


def _confirmed(verbs: str) -> str:
    """A change with exactly the new terms, not used before, that an eligible person confirmed."""
    return (
        "EXISTS (SELECT 1 FROM changes c JOIN change_confirmations k ON k.change = c.id"
        f" WHERE c.permit = NEW.id AND c.verb IN ({verbs}) AND c.terms = NEW.terms AND c.spent = 0"
        " AND c.settled IN ('', 'carried out') AND k.person <> c.proposed_by"
        f" AND {_eligible('k.person', 'NEW.terms', 'OLD.terms')})"
    )


def _more(table: str, column: str) -> str:
    old = f"SELECT 1 FROM {table} o WHERE o.terms = OLD.terms AND o.{column} = n.{column}"
    return f"EXISTS (SELECT 1 FROM {table} n WHERE n.terms = NEW.terms AND NOT EXISTS ({old}))"


_LIMITS = ("memory_bytes", "cpu", "disk_bytes", "daily_bytes", "idle_minutes")
_WIDER = " OR ".join(
    (
        "n.purpose <> o.purpose",
        "n.conditions <> o.conditions",
        "n.starts < o.starts",
        "n.ends > o.ends",
        "(o.access_mode = 'streamed' AND n.access_mode <> 'streamed')",
        *(f"n.{limit} > o.{limit}" for limit in _LIMITS),
    )
)
_WIDENS = " OR ".join(
    (
        f"EXISTS (SELECT 1 FROM terms n, terms o WHERE o.digest = OLD.terms AND n.digest = NEW.terms AND ({_WIDER}))",
        _more("terms_people", "person"),
        _more("terms_datasets", "dataset"),
        _more("terms_secrets", "name"),
    )
)
_WIDENING_CONFIRMED = _confirmed("'amend', 'resume'")
_PROPOSAL_CONFIRMED = _confirmed("'activate'")
_RESUMPTION_CONFIRMED = _confirmed("'resume'")
_ACTIVATES = "NEW.state = 'active' AND OLD.state <> 'active'"
_SEALED = " OR ".join(
    f"EXISTS (SELECT 1 FROM {table} x WHERE x.terms = NEW.terms)" for table in ("permits", "changes", "permit_versions")
)

PERMITS = (
    Guard(table="terms", keys=(("digest",),)),
    *(
        Guard(table=table, keys=(("terms", column),), insert=(("terms-sealed", _SEALED),))
        for table, column in (("terms_people", "person"), ("terms_datasets", "dataset"), ("terms_secrets", "name"))
    ),
    Guard(
        table="permits",
        keys=(("seq",), ("id",)),
        fixed=("seq", "id", "kind", "issuer", "proposed_by", "created_at"),
        insert=(
            ("begins-elsewhere", "NEW.state <> 'proposed'"),
            ("own-permit", f"NOT ({_eligible('NEW.proposed_by', 'NEW.terms')})"),
        ),
        update=(
            _moves("permit"),
            ("terms-sealed", "NEW.terms <> OLD.terms AND OLD.state NOT IN ('active', 'suspended')"),
            (
                "widening-unconfirmed",
                f"NEW.terms <> OLD.terms AND ({_WIDENS}) AND NOT {_WIDENING_CONFIRMED}",
            ),
            ("unconfirmed", f"{_ACTIVATES} AND OLD.state = 'proposed' AND NOT {_PROPOSAL_CONFIRMED}"),
            ("unconfirmed", f"{_ACTIVATES} AND OLD.state <> 'proposed' AND NOT {_RESUMPTION_CONFIRMED}"),
        ),
    ),
    Guard(
        table="permit_versions",
        keys=(("permit", "number"),),
        insert=(
            (
                "terms-sealed",
                "NEW.number <> (SELECT COALESCE(MAX(v.number), 0) + 1 FROM permit_versions v"
                " WHERE v.permit = NEW.permit) OR NOT EXISTS"
                " (SELECT 1 FROM permits p WHERE p.id = NEW.permit AND p.terms = NEW.terms)",
            ),
        ),
    ),
    Guard(
        table="changes",
        keys=(("seq",), ("id",)),
        fixed=("seq", "id", "permit", "verb", "terms", "proposed_by", "proposed_at"),
        insert=(("begins-elsewhere", "NEW.settled <> '' OR NEW.spent <> 0"),),
        update=(
            ("settled", "OLD.settled <> '' AND NEW.settled <> OLD.settled"),
            ("settled", "NEW.spent < OLD.spent"),
        ),
    ),
    Guard(
        table="change_confirmations",
        keys=(("change", "person"),),
        insert=(
            (
                "own-proposal",
                "EXISTS (SELECT 1 FROM changes c WHERE c.id = NEW.change AND c.proposed_by = NEW.person)",
            ),
            (
                "own-permit",
                "EXISTS (SELECT 1 FROM changes c JOIN permits p ON p.id = c.permit WHERE c.id = NEW.change"
                f" AND NOT ({_eligible('NEW.person', 'c.terms', 'p.terms')}))",
            ),
            ("settled", "EXISTS (SELECT 1 FROM changes c WHERE c.id = NEW.change AND c.settled <> '')"),
        ),
    ),
)


def _request(condition: str) -> str:
    return f"EXISTS (SELECT 1 FROM egress e WHERE e.id = NEW.request AND {condition})"


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
_IN_REVIEW = _request("e.state = 'in-review' AND e.round = NEW.round")
_RELEASING = _request("e.state IN ('releasing', 'released')")
_LEAVES = (
    "((OLD.state = 'in-review' AND NEW.state = 'approved')"
    " OR (NEW.state IN ('releasing', 'released') AND NEW.state <> OLD.state))"
)
_RESUBMITS = "NEW.state = 'submitted' AND OLD.state <> 'submitted'"
_REVIEWED = "('in-review', 'approved', 'releasing', 'released', 'recalled', 'returned', 'rejected')"
_EDITABLE = "('draft', 'returned', 'blocked')"
_TIED = (
    ("own-request", _request("e.author = NEW.{person}")),
    (
        "own-project",
        _request("EXISTS (SELECT 1 FROM permit_people p WHERE p.permit = e.permit AND p.person = NEW.{person})"),
    ),
)


def _independent(person: str) -> tuple[Rule, ...]:
    return tuple((code, condition.replace("{person}", person)) for code, condition in _TIED)


def _frozen(row: str) -> Rule:
    return (
        "outputs-frozen",
        f"EXISTS (SELECT 1 FROM egress e WHERE e.id = {row}.request AND e.state NOT IN {_EDITABLE})",
    )


EGRESS = (
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
            _moves("egress request"),
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
            ("not-in-review", f"NOT {_IN_REVIEW}"),
            (
                "other-bytes",
                "NOT EXISTS (SELECT 1 FROM egress_outputs o WHERE o.request = NEW.request"
                " AND o.path = NEW.path AND o.sha256 = NEW.sha256)",
            ),
            (
                "too-few-approvals",
                _request(f"{_approvals('e.id', 'e.round', 'NEW', 'e.author', 'e.permit')} < {_NEEDED}"),
            ),
            (
                "too-few-approvals",
                "EXISTS (SELECT 1 FROM votes v WHERE v.request = NEW.request AND v.round = NEW.round"
                " AND v.path = NEW.path AND v.decision <> 'approve')",
            ),
        ),
    ),
)

REVIEWS = (
    Guard(
        table="votes",
        keys=(("seq",), ("request", "round", "path", "checker")),
        insert=(
            *_independent("checker"),
            ("not-in-review", f"NOT {_IN_REVIEW}"),
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

PLACES = (
    Guard(table="people", keys=(("seq",), ("id",), ("issuer", "subject")), fixed=("seq", "id", "issuer", "subject")),
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
        update=(_moves("workspace"),),
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

GUARDS = (*PERMITS, *EGRESS, *REVIEWS, *PLACES, *AUDIT)

_VERSION = (
    "INSERT INTO permit_versions (permit, number, terms)"
    " SELECT NEW.id, COALESCE(MAX(v.number), 0) + 1, NEW.terms FROM permit_versions v WHERE v.permit = NEW.id"
)
EFFECTS = (
    Effect(name="permits_first_version", table="permits", event="INSERT", statement=_VERSION),
    Effect(
        name="permits_next_version",
        table="permits",
        event="UPDATE",
        statement=_VERSION,
        when="NEW.terms <> OLD.terms",
    ),
    Effect(
        name="permits_spend_change",
        table="permits",
        event="UPDATE",
        statement="UPDATE changes SET spent = 1 WHERE permit = NEW.id AND terms = NEW.terms AND spent = 0"
        " AND EXISTS (SELECT 1 FROM change_confirmations k WHERE k.change = changes.id)",
        when=f"NEW.terms <> OLD.terms OR ({_ACTIVATES})",
    ),
)

VIEWS = {
    "permit_people": "SELECT p.id AS permit, t.person AS person"
    " FROM permits p JOIN terms_people t ON t.terms = p.terms",
}
