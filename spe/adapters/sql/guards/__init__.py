"""The rules that the database itself holds, as conditions on rows that both databases understand.

A guard belongs to one table: which columns are written once, whether rows may go, and conditions with
a code (`failures.SENTENCES`) under which an insert or update is refused. Separation of duties, frozen
outputs, confirmed permits and the append-only log stand here a second time, apart from the services,
so that neither a bug above nor direct SQL gets around them. What an owner of the database can still do
(drop a trigger) `triggers.problems` reports.
"""

from spe.adapters.sql.guards import egress, permits, records, reviews
from spe.adapters.sql.guards.shape import Effect, Guard, Rule

GUARDS = (*permits.GUARDS, *egress.GUARDS, *reviews.GUARDS, *records.PLACES, *records.AUDIT)
EFFECTS = permits.EFFECTS

VIEWS = {
    "permit_people": "SELECT p.id AS permit, t.person FROM permits p JOIN terms_people t ON t.terms = p.terms",
}

__all__ = ["EFFECTS", "GUARDS", "VIEWS", "Effect", "Guard", "Rule"]
