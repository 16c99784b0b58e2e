"""One transaction's statements, with foreign errors turned into ours where they happen.

After an error nothing of the transaction is kept, even when somebody swallows the exception: SQLite
would go on and PostgreSQL would not, and here both behave like the stricter one.
"""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from spe.adapters.sql.failures import translate
from spe.domain.errors import SpeError


class Transaction:
    """An open transaction; `failed` is the first error, and bars the commit."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection
        self.failed: SpeError | None = None
        self.statements = 0

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgresql`."""
        return self._connection.dialect.name

    @property
    def driver(self) -> Any:
        """The driver's own connection, for what it knows about the link."""
        return self._connection.connection.dbapi_connection

    def run(self, statement: sa.Executable, rows: Any = None, *, about: str = "database") -> sa.CursorResult[Any]:
        """Execute; `about` names the port in an `Unavailable`. Raises ours, never the driver's."""
        if self.failed is not None:
            raise self.failed
        self.statements += 1
        try:
            return self._connection.execute(statement, rows)
        except DBAPIError as error:
            raise self.fail(translate(error, port=about)) from error

    def all(self, statement: sa.Executable) -> Sequence[sa.Row[Any]]:
        """Every row of a bounded statement."""
        return self.run(statement).all()

    def fail(self, error: SpeError) -> SpeError:
        """Note that the transaction cannot be kept; returns the error to raise."""
        if self.failed is None:
            self.failed = error
        return error
