"""Writing the audit log: who, what, on which object, from which state to which; never free text.

`transact.apply` writes every move; the other acts (reads of outputs, leases, registrations) come here.
"""

from collections.abc import Mapping
from datetime import datetime

from spe.domain.audit import Actor, AuditEntry
from spe.domain.principal import Principal
from spe.ports.store import UnitOfWork

DIGEST_PREFIX = "sha256:"


def record(
    uow: UnitOfWork,
    *,
    event: str,
    kind: str,
    subject: str,
    now: datetime,
    before: str | None = None,
    after: str | None = None,
    facts: Mapping[str, str | int | bool] | None = None,
    by: Principal,
) -> AuditEntry:
    """Append one entry in the transaction. Facts that are digests stand among the entry's digests.

    Raises `Unavailable` when the log cannot be written; the caller's transaction then fails as a whole.
    """
    given = dict(facts or {})
    digests = {k: v for k, v in given.items() if isinstance(v, str) and v.startswith(DIGEST_PREFIX)}
    return uow.audit.append(
        AuditEntry(
            at=now,
            actor=Actor.of(by),
            event=event,
            object_kind=kind,
            object_id=subject,
            before=before,
            after=after,
            digests=digests,
            details={k: v for k, v in given.items() if k not in digests},
        )
    )
