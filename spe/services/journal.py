"""Writing the audit log: who, what, on which object, from which state to which, on which request, under which
policies; never free text.

`transact.apply` writes every move; the other acts (reads of outputs, leases, registrations) come here.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime

from spe.domain.audit import Actor, AuditEntry
from spe.domain.principal import Principal
from spe.ports.store import UnitOfWork

DIGEST_PREFIX = "sha256:"
_REQUEST: ContextVar[str | None] = ContextVar("request", default=None)


@contextmanager
def under(request: str) -> Iterator[None]:
    """Entries written in this block name the request, or the owed effect, that they come from."""
    token = _REQUEST.set(request)
    try:
        yield
    finally:
        _REQUEST.reset(token)


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
            request=_REQUEST.get(),
            policy=by.policy or None,
            details={k: v for k, v in given.items() if k not in digests},
        )
    )
