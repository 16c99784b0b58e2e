"""The record: everything the environment knows, in one transaction at a time.

`UnitOfWork` is one transaction. Entities carry a `version`; `save` takes the entity as read, changed,
and refuses with `Stale` when somebody else saved meanwhile. Separation of duties, write-once digests
and the append-only audit log hold in the database too, so that direct SQL cannot break them.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, Protocol, TypeVar

from spe.domain.audit import AuditEntry
from spe.domain.checkpoint import Checkpoint
from spe.domain.dataset import DatasetVersion
from spe.domain.egress import EgressRequest
from spe.domain.ids import ChangeId, PermitId, PersonId, ReleaseId, RequestId, WorkspaceId
from spe.domain.intent import Intent, Leadership
from spe.domain.permit import Change, Permit
from spe.domain.person import Acceptance, Credential, CredentialKind, Person
from spe.domain.release import Release
from spe.domain.review import Vote, Waiver
from spe.domain.workspace import Session, Workspace

K = TypeVar("K", contravariant=True)
E = TypeVar("E")


class Table(Protocol[K, E]):
    """Entities of one kind by key."""

    def get(self, key: K) -> E:
        """The entity. Raises `NotFound`."""
        ...

    def find(self, key: K) -> E | None:
        """The entity or None."""
        ...

    def select(self, *, limit: int = 1000, after: str = "", **where: Any) -> tuple[E, ...]:
        """Entities whose columns equal the values given (a set or tuple means: one of), oldest first.

        At most `limit` rows, after the key `after`: no caller loads an unbounded table by accident.
        """
        ...

    def add(self, entity: E) -> None:
        """Insert. Raises `Stale` when the key is there already."""
        ...

    def save(self, entity: E) -> E:
        """Update where the stored version equals `entity.version`; returns it with the next version. `Stale` else."""
        ...


class Votes(Protocol):
    """Votes and waivers: inserted once, never changed."""

    def add(self, vote: Vote) -> None:
        """Insert one vote. Raises `Refused` when the database says the voter may not (author, permit, twice)."""
        ...

    def of(self, request: RequestId) -> tuple[Vote, ...]:
        """Every vote on the request, all rounds, oldest first."""
        ...

    def add_waiver(self, waiver: Waiver) -> None:
        """Insert one waiver."""
        ...

    def waivers(self, request: RequestId) -> tuple[Waiver, ...]:
        """Every waiver on the request."""
        ...


class AuditLog(Protocol):
    """The append-only Merkle log. Its index is assigned here, in the transaction of the change."""

    def append(self, entry: AuditEntry) -> AuditEntry:
        """Append and return the entry with its index. Raises `Unavailable` when it cannot be written."""
        ...

    @property
    def size(self) -> int:
        """Number of entries."""
        ...

    def root(self, size: int | None = None) -> bytes:
        """The RFC 6962 root over the first `size` entries (default: all)."""
        ...

    def node(self, level: int, index: int) -> bytes:
        """The stored hash of a complete subtree: level 0 are leaves."""
        ...

    def entry(self, index: int) -> AuditEntry:
        """One entry. Raises `NotFound`."""
        ...

    def raw(self, start: int = 0, stop: int | None = None) -> Iterator[tuple[int, bytes]]:
        """(index, canonical bytes) as stored, for verification; reads in pages."""
        ...

    def select(
        self,
        *,
        subject: str = "",
        event: str = "",
        person: str = "",
        before: int | None = None,
        limit: int = 100,
    ) -> tuple[AuditEntry, ...]:
        """Entries, newest first, filtered by object id, event prefix or actor's subject."""
        ...

    def add_checkpoint(self, checkpoint: Checkpoint, note: str, at: datetime) -> None:
        """Keep a signed tree head. Append-only as well."""
        ...

    def newest_checkpoint(self) -> tuple[Checkpoint, str] | None:
        """The latest signed tree head with its note, or None."""
        ...

    def checkpoints(self) -> tuple[tuple[Checkpoint, str], ...]:
        """Every signed tree head, oldest first."""
        ...


class Outbox(Protocol):
    """Owed effects."""

    def put(self, kind: str, subject: str, due: datetime) -> None:
        """Owe an effect; one that is already owed for the same kind and subject is made due no later."""
        ...

    def due(self, now: datetime, *, limit: int = 20) -> tuple[Intent, ...]:
        """Open intents whose time has come, oldest first."""
        ...

    def open(self, *, limit: int = 200) -> tuple[Intent, ...]:
        """All open intents, for the operator's page."""
        ...

    def done(self, intent: Intent, now: datetime) -> None:
        """Mark as carried out — unless it was put again since it was read, in which case it stays open."""
        ...

    def again(self, intent: Intent, due: datetime, error: str) -> None:
        """Try again at `due`, with the error to show."""
        ...

    def prune(self, before: datetime, *, most: int = 5000) -> int:
        """Drop what was done before this moment, of the `most` oldest rows; how many. What is owed always stays."""
        ...


class UnitOfWork(Protocol):
    """One transaction over everything."""

    @property
    def people(self) -> Table[PersonId, Person]: ...  # noqa: D102
    @property
    def credentials(self) -> Table[str, Credential]: ...  # noqa: D102
    @property
    def permits(self) -> Table[PermitId, Permit]: ...  # noqa: D102
    @property
    def changes(self) -> Table[ChangeId, Change]: ...  # noqa: D102
    @property
    def datasets(self) -> Table[str, DatasetVersion]: ...  # noqa: D102
    @property
    def workspaces(self) -> Table[WorkspaceId, Workspace]: ...  # noqa: D102
    @property
    def sessions(self) -> Table[tuple[WorkspaceId, PersonId], Session]: ...  # noqa: D102
    @property
    def egress(self) -> Table[RequestId, EgressRequest]: ...  # noqa: D102
    @property
    def votes(self) -> Votes: ...  # noqa: D102
    @property
    def releases(self) -> Table[ReleaseId, Release]: ...  # noqa: D102
    @property
    def audit(self) -> AuditLog: ...  # noqa: D102
    @property
    def outbox(self) -> Outbox: ...  # noqa: D102

    def accept(self, acceptance: Acceptance) -> None:
        """Record accepted terms; repeating the same is fine."""
        ...

    def accepted(self, person: PersonId, permit: PermitId) -> Acceptance | None:
        """The latest acceptance, or None."""
        ...

    def person_of(self, issuer: str, subject: str) -> Person | None:
        """The person behind an identity, or None."""
        ...

    def live_credentials(self, kind: CredentialKind, now: datetime) -> tuple[Credential, ...]:
        """Every credential of this kind that still opens something, oldest first."""
        ...

    def answer_of(self, key: str) -> str | None:
        """The stored answer to an Idempotency-Key, or None."""
        ...

    def keep_answer(self, key: str, answer: str, at: datetime) -> None:
        """Store the answer to an Idempotency-Key. Raises `Stale` when there is one."""
        ...


class Store(Protocol):
    """Opens transactions."""

    def begin(self) -> AbstractContextManager[UnitOfWork]:
        """A writing transaction: commits at the end of the block, rolls back on any exception.

        Writers are serialised where the database needs it. Raises `Unavailable` when the database is
        silent, full or read-only.
        """
        ...

    def read(self) -> AbstractContextManager[UnitOfWork]:
        """A reading transaction: one consistent snapshot; writing in it is an error."""
        ...

    def lead(self, holder: str, *, now: datetime, seconds: float) -> Leadership | None:
        """Take or renew the leadership; None while somebody else holds it. The fence rises at each change."""
        ...

    def fenced(self, leadership: Leadership) -> AbstractContextManager[UnitOfWork]:
        """Like `begin`, but refuses with `Stale` when the fence is no longer the newest."""
        ...

    def problems(self) -> Sequence[str]:
        """What is wrong with the database (schema not current, durability too low), one sentence each."""
        ...
