"""What an error of the driver says: that the database is away, that it was late, or that nobody knows what became of a statement."""

import psycopg2
import psycopg2.errors


class DatabaseTimeout(psycopg2.OperationalError):
    """The database gave no answer at all. What became of the statement is not known."""


class ConnectionLost(psycopg2.OperationalError):
    """The connection ended in place of an answer. What became of the statement is not known.

    libpq does not tell whether it could send the statement. And it keeps the last error alone, which is that of the end of the
    connection: why the server or a pooler ended it, and so whether the statement was rolled back, is not to be had.
    """


SHARED_SESSION = (psycopg2.errors.InvalidSqlStatementName, psycopg2.errors.DuplicatePreparedStatement)
"""Another client has, or had, the session: a transaction-mode pooler."""

AWAY = (
    psycopg2.OperationalError,
    psycopg2.InterfaceError,
    psycopg2.errors.ReadOnlySqlTransaction,  # a former primary during a failover
)
"""The database cannot be used now."""

LATE: dict[type[Exception], str] = {
    psycopg2.errors.QueryCanceled: "The database did not answer in time; nothing was changed.",
    psycopg2.errors.LockNotAvailable: "What the request needs is in use by others; nothing was changed.",
}
"""The database kept its own limits, and is there: what people are told."""

SILENT = "The database does not answer. It is unknown whether the change was made."
LOST = "The connection to the database was lost; it is not known whether anything was changed."
LOST_AT_COMMIT = "The connection to the database was lost at the last moment: whether the change was made is not known."


def hides_commit(error: Exception) -> bool:
    """Return whether a COMMIT that failed like this may have taken effect all the same."""
    return isinstance(error, AWAY) and not isinstance(error, (*LATE, DatabaseTimeout))
