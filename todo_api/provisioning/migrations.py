"""Migrations: the schema that this release needs, and how a database gets it."""

import re
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING

import psycopg2.errors
from sqlalchemy import Engine, create_engine, exc
from sqlalchemy.pool import NullPool

from todo_api.config import ROLE_PREFIX, Roles
from todo_api.contract import shipped
from todo_api.database import connect, driver_error, reason
from todo_api.errors import Unavailable
from todo_api.provisioning.checks import OURS, DatabaseUnfitError, current_revision
from todo_api.provisioning.online import turn

if TYPE_CHECKING:  # imports take half a second, and are needed only to migrate
    from alembic.config import Config as AlembicConfig

LOCK_TRIES = 60
LOCK_PAUSE = 1.5
"""Seconds between attempts to get a table's lock.

A migration that does not get it at once gives up, so that requests do not queue behind it.
"""

LOOK_TIMEOUT = "2s"
"""Maximum wait for a lock on Alembic's table when the revision is read."""

_REVISION = re.compile(r'^revision = "(\w+)"$', re.MULTILINE)


class SchemaTooNewError(Exception):
    """The database is at a revision that this release does not know."""


def known() -> list[str]:
    """Return every revision of this release in order, read from the migrations."""
    found = []
    for path in sorted((shipped("migrations") / "versions").glob("[0-9]*.py")):
        found += _REVISION.findall(path.read_text(encoding="utf-8"))
    return found


def head() -> str:
    """Return the revision that this release needs."""
    return known()[-1]


def migrate(
    url: str,
    progress: Callable[[str], None] = lambda _: None,
    *,
    revision: str = "head",
    role_prefix: str = ROLE_PREFIX,
) -> None:
    """Migrate the database to a revision. Releases that serve meanwhile are blocked only briefly.

    `progress` gets a line if it must wait. Raise DatabaseUnfitError, SchemaTooNewError, or
    Unavailable if the database cannot be reached or a table stays locked.
    """
    for attempt in range(1, LOCK_TRIES + 1):
        try:
            _upgrade(url, revision, Roles.named(role_prefix), progress)
            return
        except (psycopg2.OperationalError, exc.OperationalError) as error:
            if not isinstance(driver_error(error), psycopg2.errors.LockNotAvailable) or attempt == LOCK_TRIES:
                raise Unavailable(reason(error)) from error
        except exc.PendingRollbackError as error:  # Alembic's, since the connection was lost outside a transaction
            lost = error.__context__
            raise Unavailable(reason(lost if isinstance(lost, Exception) else error)) from error
        if attempt == 1:
            progress("the migration waits for another session, which has a table locked")
        time.sleep(LOCK_PAUSE)


def is_migrated(url: str) -> bool:
    """Return whether the database was migrated before, to whatever revision."""
    with closing(connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('public.alembic_version') IS NOT NULL")
        return cursor.fetchone() == (True,)


def refuse_unknown(revision: str, what: str) -> None:
    """Raise SchemaTooNewError if this release does not know the revision of `what`."""
    if not OURS.fullmatch(revision):
        raise DatabaseUnfitError(f"{what} is of another program, at its revision {revision}: take one of todo-api.")
    if revision not in known():
        raise SchemaTooNewError(
            f"{what} is at revision {revision}, which this release does not know: install a newer release."
        )


def _alembic() -> "AlembicConfig":
    from alembic.config import Config as AlembicConfig  # noqa: PLC0415  # needed only to migrate

    config = AlembicConfig()
    config.set_main_option("script_location", str(shipped("migrations")).replace("%", "%%"))
    return config


def engine(url: str) -> Engine:
    """Return an engine for migrations.

    READ COMMITTED shows what a concurrent migration has done.
    """
    return create_engine(
        "postgresql+psycopg2://", creator=partial(connect, url), poolclass=NullPool, isolation_level="READ COMMITTED"
    )


def _upgrade(url: str, revision: str, roles: Roles, progress: Callable[[str], None]) -> None:
    target = head() if revision == "head" else revision
    if not _steps(_current(url, roles), target):
        return
    from alembic import command  # noqa: PLC0415  # needed only to migrate

    config = _alembic()
    config.attributes["roles"] = roles
    with turn(url, progress), engine(url).connect() as connection:
        config.attributes["connection"] = connection
        for step in _steps(_current(url, roles), target):  # another process may have done them
            command.upgrade(config, step)


def _steps(current: str | None, target: str) -> list[str]:
    """Return the revisions to migrate to, each in its own transaction, so locks are short.

    An empty database takes one step.
    """
    if current is None:
        return [target]
    refuse_unknown(current, "The database")
    revisions = known()
    return revisions[revisions.index(current) + 1 : revisions.index(target) + 1]


def _current(url: str, roles: Roles) -> str | None:
    """Return the revision of the database, None before its first migration.

    It uses psycopg2, since SQLAlchemy sends five queries of its own first.
    """
    with closing(connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute(f"SET lock_timeout = '{LOOK_TIMEOUT}'")
        return current_revision(cursor, roles)
