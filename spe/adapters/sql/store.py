"""`spe.ports.store.Store` over SQLite or PostgreSQL: opens transactions and tells what is wrong.

One writer at a time, in the whole database. A transaction in which any statement failed is never
committed, whatever became of the exception.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import cached_property

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from spe.adapters.sql import credentials, engine, migrations, people, standing, triggers
from spe.adapters.sql.audit import SqlAuditLog
from spe.adapters.sql.credentials import Credentials
from spe.adapters.sql.datasets import Datasets
from spe.adapters.sql.egress import Requests
from spe.adapters.sql.failures import translate, uncommitted
from spe.adapters.sql.outbox import SqlOutbox, leads, take_lead
from spe.adapters.sql.people import People
from spe.adapters.sql.permits import Changes, Permits
from spe.adapters.sql.releases import Releases
from spe.adapters.sql.reviews import SqlVotes
from spe.adapters.sql.transaction import Transaction
from spe.adapters.sql.waits import Waits
from spe.adapters.sql.workspaces import Sessions, Workspaces
from spe.domain.errors import Stale, Unavailable
from spe.domain.ids import PermitId, PersonId
from spe.domain.intent import Leadership
from spe.domain.person import Acceptance, Credential, CredentialKind, Person


class SqlUnitOfWork:
    """`spe.ports.store.UnitOfWork` in one transaction; tables are made when they are first asked for."""

    def __init__(self, transaction: Transaction) -> None:
        self._t = transaction

    @cached_property
    def people(self) -> People:
        """People."""
        return People(self._t)

    @cached_property
    def credentials(self) -> Credentials:
        """Credentials, by digest."""
        return Credentials(self._t)

    @cached_property
    def permits(self) -> Permits:
        """Permits."""
        return Permits(self._t)

    @cached_property
    def changes(self) -> Changes:
        """Changes of permits that wait for confirmation, and those settled."""
        return Changes(self._t)

    @cached_property
    def datasets(self) -> Datasets:
        """Dataset versions."""
        return Datasets(self._t)

    @cached_property
    def workspaces(self) -> Workspaces:
        """Workspaces."""
        return Workspaces(self._t)

    @cached_property
    def sessions(self) -> Sessions:
        """Notebook sessions."""
        return Sessions(self._t)

    @cached_property
    def egress(self) -> Requests:
        """Egress requests."""
        return Requests(self._t)

    @cached_property
    def votes(self) -> SqlVotes:
        """Votes and waivers."""
        return SqlVotes(self._t)

    @cached_property
    def releases(self) -> Releases:
        """Releases."""
        return Releases(self._t)

    @cached_property
    def audit(self) -> SqlAuditLog:
        """The audit log."""
        return SqlAuditLog(self._t)

    @cached_property
    def outbox(self) -> SqlOutbox:
        """Owed effects."""
        return SqlOutbox(self._t)

    @property
    def statements(self) -> int:
        """How many statements ran so far, for tests and benchmarks."""
        return self._t.statements

    def accept(self, acceptance: Acceptance) -> None:
        """Record accepted terms; repeating the same is fine."""
        people.accept(self._t, acceptance)

    def accepted(self, person: PersonId, permit: PermitId) -> Acceptance | None:
        """The latest acceptance, or None."""
        return people.accepted(self._t, person, permit)

    def person_of(self, issuer: str, subject: str) -> Person | None:
        """The person behind an identity, or None."""
        return self.people.of_identity(issuer, subject)

    def live_credentials(self, kind: CredentialKind, now: datetime) -> tuple[Credential, ...]:
        """Every credential of this kind that still opens something, oldest first."""
        return credentials.live(self._t, kind, now)

    def answer_of(self, key: str) -> str | None:
        """The stored answer to an Idempotency-Key, or None."""
        return credentials.answer_of(self._t, key)

    def keep_answer(self, key: str, answer: str, at: datetime) -> None:
        """Store the answer to an Idempotency-Key. Raises `Stale` when there is one."""
        credentials.keep_answer(self._t, key, answer, at)


class SqlStore:
    """Opens transactions on the database at `url` (`sqlite:////path` or `postgresql://…`).

    Each keyword is a limit of `Waits`, after which the database counts as silent. Threads may share a store.
    Opening it connects to nothing; the schema is made by `migrations.upgrade`.
    """

    def __init__(self, url: str, **limits: float) -> None:
        self.url = url
        waits = Waits(**limits)
        self._writer, self._reader = engine.writer(url, waits), engine.reader(url, waits)

    @contextmanager
    def begin(self) -> Iterator[SqlUnitOfWork]:
        """A writing transaction: commits at the end of the block, rolls back on any exception."""
        with self._transaction(self._writer) as transaction:
            yield SqlUnitOfWork(transaction)

    @contextmanager
    def read(self) -> Iterator[SqlUnitOfWork]:
        """A reading transaction on one snapshot; the database refuses to write in it."""
        with self._transaction(self._reader) as transaction:
            yield SqlUnitOfWork(transaction)

    def lead(self, holder: str, *, now: datetime, seconds: float) -> Leadership | None:
        """Take or renew the leadership; None while somebody else holds it. The fence rises at each change."""
        with self._transaction(self._writer) as transaction:
            return take_lead(transaction, holder, now + timedelta(seconds=seconds), now)

    @contextmanager
    def fenced(self, leadership: Leadership) -> Iterator[SqlUnitOfWork]:
        """Like `begin`, but refuses with `Stale` when somebody else has taken the leadership since."""
        with self._transaction(self._writer) as transaction:
            if not leads(transaction, leadership):
                raise Stale("Another process leads now; this one stops acting.")
            yield SqlUnitOfWork(transaction)

    def problems(self) -> Sequence[str]:
        """What is wrong with the database (schema not current, rules missing, durability too low)."""
        try:
            found = migrations.problems(self.url)
            if found:
                return found
            with self._transaction(self._reader) as transaction:
                return (*triggers.problems(transaction), *standing.problems(transaction), *_durability(transaction))
        except Unavailable as error:
            return error.sentences

    def close(self) -> None:
        """Close all connections that are not in use."""
        self._writer.dispose()
        self._reader.dispose()

    @contextmanager
    def _transaction(self, source: sa.Engine) -> Iterator[Transaction]:
        with _connected(source) as connection:
            transaction = Transaction(connection)
            try:
                yield transaction
            except BaseException:
                _roll_back(connection)
                raise
            if transaction.failed is not None:
                _roll_back(connection)
                raise transaction.failed
            try:
                connection.commit()
            except DBAPIError as error:
                raise (uncommitted(error) if source is self._writer else translate(error)) from error


@contextmanager
def _connected(source: sa.Engine) -> Iterator[sa.Connection]:
    """A connection in an open transaction; what cannot be opened is `Unavailable`."""
    try:
        connection = source.connect()
    except PoolTimeout as error:
        raise Unavailable("database", "all connections are busy") from error
    except DBAPIError as error:
        raise translate(error) from error
    try:
        try:
            connection.begin()
        except DBAPIError as error:
            connection.invalidate(error)
            raise translate(error) from error
        yield connection
    finally:
        connection.close()


def _roll_back(connection: sa.Connection) -> None:
    """Undo; a connection that cannot even do that is thrown away, which undoes as well."""
    try:
        connection.rollback()
    except DBAPIError as error:
        connection.invalidate(error)


def _durability(transaction: Transaction) -> Iterator[str]:
    if transaction.dialect == "sqlite":
        return
    for name in ("fsync", "full_page_writes", "synchronous_commit"):
        value = transaction.run(sa.text(f"SHOW {name}")).scalar()
        if value == "off":
            yield f"The database server runs with {name}=off, so a committed decision may be lost; switch it on."
