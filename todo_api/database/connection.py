"""Connecting to the database: options, time limits, back-off, and the settings of a session."""

import codecs
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from time import monotonic
from typing import Any
from uuid import UUID

import psycopg2
import psycopg2.extensions
from psycopg2.extras import UUID_adapter
from sqlalchemy.engine import URL, make_url

from todo_api.database.url import address, parameters
from todo_api.errors import Unavailable

CONNECT_TIMEOUT = 2
"""Seconds to wait for a connection, unless the URL has libpq's `connect_timeout`."""

CONNECT_PAUSE = 0.5
"""Seconds without attempts after a failed connection or an unresponsive database."""

OPTIONS: dict[str, str | int] = {
    "connect_timeout": CONNECT_TIMEOUT,
    "application_name": "task-api",
    # Give up a host that vanishes after seconds, not hours (libpq; no effect on unix sockets).
    "keepalives_idle": 5,
    "keepalives_interval": 1,
    "keepalives_count": 3,
    "tcp_user_timeout": 5000,
}
"""Options of libpq, unless the URL sets them. Only `application_name` reaches the server."""

ENCODING = "UTF8"
"""Encoding of all sessions, whatever environment, database or role default to.

Poolers let a client set it.
"""

STATEMENT_TIMEOUT = 5
"""Maximum seconds of a statement, and of a transaction between two statements."""

LOCK_TIMEOUT = 4
"""Maximum seconds that a statement waits for a lock."""

SETTINGS = {
    "statement_timeout": f"{STATEMENT_TIMEOUT}s",  # set first: a shorter default could end the statement that sets the others
    "lock_timeout": f"{LOCK_TIMEOUT}s",
    "search_path": "public",
    "TimeZone": "UTC",
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "postgres",
    "bytea_output": "hex",
    "row_security": "on",
}
"""Settings of PostgreSQL for each statement, independent of defaults of database and role."""

_UNSHARED_SETTINGS = {
    "default_transaction_isolation": "read committed",
    "idle_session_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "transaction_timeout": "0",  # PostgreSQL 17 and later
}
"""Further settings of a session that is not shared."""

STRINGS_ADVICE = (
    "standard_conforming_strings is off:"
    " run ALTER DATABASE ... RESET standard_conforming_strings, and ALTER ROLE ... likewise."
)

_SET_SETTINGS = ", ".join(
    f"set_config('{name}', '{value}', pg_backend_pid() <> %(session)s)" for name, value in SETTINGS.items()
)
_SET_UNSHARED_SETTINGS = " UNION ALL ".join(
    f"SELECT set_config(name, '{value}', pg_backend_pid() <> %(session)s) FROM pg_settings WHERE name = '{name}'"  # noqa: S608  # of constants
    for name, value in _UNSHARED_SETTINGS.items()
)
_PLAN_ONCE = (
    "SELECT set_config(name, 'force_generic_plan', pg_backend_pid() <> %(session)s) FROM pg_settings"
    " WHERE name = 'plan_cache_mode' AND source = 'default'"
)
"""Plan each statement of an unshared session once, unless the deployment has a way of its own.

PostgreSQL would plan many lists anew each time, for 0.2 to 3 ms, to read the same index.
"""
TAKE_SETTINGS = (
    f"SET LOCAL statement_timeout = '{STATEMENT_TIMEOUT}s'; "
    f"SELECT pg_backend_pid() = %(session)s, {_SET_SETTINGS}, ARRAY({_SET_UNSHARED_SETTINGS} UNION ALL {_PLAN_ONCE})"
)
"""Apply SETTINGS to the session. Return whether it is the one that the connection began with.

Behind a pooler it may be another one, which other clients share. Then the last argument of
`set_config` is true: the settings end with this transaction.
"""

EACH_TIME = "SET LOCAL transaction_isolation = 'read committed'; " + "".join(
    f"SET LOCAL {name} = '{value}'; " for name, value in SETTINGS.items()
)
"""SETTINGS for one statement, in a session that lacks them."""

POOL_TIMEOUT = 2
"""Maximum seconds to wait for a free connection of the pool."""


def _time(text: Any, _: object) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


TYPES = (
    psycopg2.extensions.new_type((2950,), "UUID_TEXT", psycopg2.STRING),
    psycopg2.extensions.new_type((1184,), "TIME", _time),
)
"""Readers of ids, as text, and of times. Python reads a time in 0.3 µs, psycopg2 in 0.5."""

TIME_AS_TEXT = psycopg2.extensions.new_type((1184,), "TIME_AS_TEXT", psycopg2.STRING)
"""Reader of times for a statement that wants them as text.

By a cast PostgreSQL would write the texts before it sorts the rows, and sort longer rows.
"""

# For the whole process: an id in a cursor is a UUID, and psycopg2 decodes the names of columns by a
# function of C. That of Python's own `utf_8` is written in Python, and is called for each column.
psycopg2.extensions.register_adapter(UUID, UUID_adapter)
_UTF8 = codecs.CodecInfo(codecs.utf_8_encode, codecs.utf_8_decode, name="utf_8_of_columns")
codecs.register(lambda name: _UTF8 if name == _UTF8.name else None)
psycopg2.extensions.encodings[ENCODING] = _UTF8.name

IN_USE = "All connections to the database are in use."


def engine_url(url: str) -> URL:
    """Return the URL for SQLAlchemy: scheme `postgresql`, driver psycopg2."""
    return make_url(url.replace("postgres://", "postgresql://", 1)).set(drivername="postgresql+psycopg2")


def options(url: str) -> dict[str, str | int]:
    """Return libpq's options besides the URL: OPTIONS that it lacks, and those that are fixed."""
    given = parameters(url)
    chosen: dict[str, str | int] = {name: value for name, value in OPTIONS.items() if name not in given}
    several = "," in given.get("host", given.get("hostaddr", ""))
    target = given.get("target_session_attrs", "primary" if several else "any")
    return chosen | {"client_encoding": ENCODING, "options": given.get("options", ""), "target_session_attrs": target}


def connect(url: str) -> psycopg2.extensions.connection:
    """Return a blocking connection of psycopg2, with SETTINGS if its session is not shared."""
    made: psycopg2.extensions.connection = psycopg2.connect(address(url), **options(url))  # type: ignore[call-overload]  # libpq takes numbers, too
    made.autocommit = True
    with made.cursor() as cursor:
        cursor.execute(TAKE_SETTINGS, {"session": made.info.backend_pid})
    made.autocommit = False
    return made


def refuse_other_strings(connection: Any) -> None:
    """Raise OperationalError if backslashes escape in strings.

    No prefix mends that: PostgreSQL parses all statements of a query before it runs the first.
    """
    if connection.get_parameter_status("standard_conforming_strings") == "off":
        raise psycopg2.OperationalError(STRINGS_ADVICE)


def driver_error(error: Exception) -> Exception:
    """Return psycopg2's error, unwrapped from SQLAlchemy's."""
    return getattr(error, "orig", error)


def reason(error: Exception) -> str:
    """Return the first line of PostgreSQL's or libpq's message, or the error's type without one."""
    found = driver_error(error)
    return str(found).strip().partition("\n")[0] or type(found).__name__


class ConnectBackoff:
    """Limits attempts to connect: after a failure one at a time, with a pause between them."""

    def __init__(self) -> None:
        self._trouble = False
        self._trying = 0
        self._paused_until = 0.0

    def failed(self) -> None:
        """Allow no attempt for a while."""
        self._trouble = True
        self._paused_until = monotonic() + CONNECT_PAUSE

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """Allow an attempt. Raise Unavailable if another has just failed or is in progress."""
        if self._trouble and (self._trying or monotonic() < self._paused_until):
            raise Unavailable
        self._trying += 1
        try:
            yield
        except Exception:
            self.failed()
            raise
        else:
            self._trouble = False
        finally:
            self._trying -= 1
