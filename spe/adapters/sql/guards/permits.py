"""Permits: confirmed by somebody else before they give access, with terms that are sealed."""

# ruff: noqa: S608, ISC004  (conditions are put together from constants of this package)

from spe.adapters.sql.guards.shape import Effect, Guard, moves


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

GUARDS = (
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
            moves("permit"),
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
