"""Meaning of the driver's errors: the database is away or late, or the outcome is unknown."""

import psycopg2
import psycopg2.errors


class DatabaseTimeout(psycopg2.OperationalError):
    """The database did not answer. The outcome of the statement is unknown."""


class ConnectionLost(psycopg2.OperationalError):
    """The connection ended without an answer. The outcome of the statement is unknown.

    libpq does not tell whether it sent the statement, and keeps only its last error, that of the
    end of the connection. So the reason is unknown, and whether the statement was rolled back.
    """


SHARED_SESSION = (psycopg2.errors.InvalidSqlStatementName, psycopg2.errors.DuplicatePreparedStatement)
"""Another client uses the session: a transaction-mode pooler."""

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
"""The database enforced its time limits. The texts are for people."""

SILENT = "The database does not answer. It is unknown whether the change was made."
LOST = "The connection to the database was lost; it is not known whether anything was changed."
LOST_AT_COMMIT = "The connection to the database was lost at the last moment: whether the change was made is not known."


def hides_commit(error: Exception) -> bool:
    """Return whether a COMMIT that failed with this error may have taken effect."""
    return isinstance(error, AWAY) and not isinstance(error, (*LATE, DatabaseTimeout))
