"""The schema: which revision this release needs, and how a database gets there."""

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

if TYPE_CHECKING:  # half a second to import, and needed only where there is something to migrate
    from alembic.config import Config as AlembicConfig

ONE_AT_A_TIME = 7_305_118_446
"""The advisory lock of the migration's transaction: of two processes that migrate at once, one does, and the other finds it done."""


LOCK_TRIES = 60
LOCK_PAUSE = 1.5
"""A migration that does not get its lock at once gives up, so that requests do not queue behind it, and tries again after these seconds."""

LOOK_TIMEOUT = "2s"
"""How long the question for the revision waits for a lock on Alembic's table."""

_REVISION = re.compile(r'^revision = "(\w+)"$', re.MULTILINE)


class SchemaTooNewError(Exception):
    """The database is at a revision that this release does not know."""


def known() -> list[str]:
    """Every revision of this release, the first one first. Read from the migrations, which are numbered in their order."""
    found = []
    for path in sorted((shipped("migrations") / "versions").glob("[0-9]*.py")):
        found += _REVISION.findall(path.read_text(encoding="utf-8"))
    return found


def head() -> str:
    """The revision that this release needs."""
    return known()[-1]


def migrate(
    url: str,
    progress: Callable[[str], None] = lambda _: None,
    *,
    revision: str = "head",
    role_prefix: str = ROLE_PREFIX,
) -> None:
    """Brings the database to a revision. Other releases may serve meanwhile: it never keeps them waiting for long.

    `progress` gets a line where it has to wait. Raises DatabaseUnfitError, SchemaTooNewError, and Unavailable where the database is
    out of reach, or another session keeps a table locked.
    """
    for attempt in range(1, LOCK_TRIES + 1):
        try:
            _upgrade(url, revision, Roles.named(role_prefix))
            return
        except (psycopg2.OperationalError, exc.OperationalError) as error:
            if not isinstance(driver_error(error), psycopg2.errors.LockNotAvailable) or attempt == LOCK_TRIES:
                raise Unavailable(reason(error)) from error
        if attempt == 1:
            progress("the migration waits for another session, which has a table locked")
        time.sleep(LOCK_PAUSE)


def refuse_unknown(revision: str, what: str) -> None:
    """Raises SchemaTooNewError where this release does not know the revision that `what` is at."""
    if not OURS.fullmatch(revision):
        raise DatabaseUnfitError(f"{what} is of another program, at its revision {revision}: take one of todo-api.")
    if revision not in known():
        raise SchemaTooNewError(
            f"{what} is at revision {revision}, which this release does not know: install a newer release."
        )


def _alembic() -> "AlembicConfig":
    from alembic.config import Config as AlembicConfig  # noqa: PLC0415  # only where there is something to migrate

    config = AlembicConfig()
    config.set_main_option("script_location", str(shipped("migrations")).replace("%", "%%"))
    return config


def engine(url: str) -> Engine:
    """An engine for migrations. READ COMMITTED, so that who has waited for another migration sees what it did."""
    return create_engine(
        "postgresql+psycopg2://", creator=partial(connect, url), poolclass=NullPool, isolation_level="READ COMMITTED"
    )


def _upgrade(url: str, revision: str, roles: Roles) -> None:
    current = _current(url, roles)
    if current is not None:
        refuse_unknown(current, "The database")
    steps = _steps(current, head() if revision == "head" else revision)
    if not steps:
        return
    from alembic import command  # noqa: PLC0415  # only where there is something to migrate

    config = _alembic()
    config.attributes["roles"] = roles
    with engine(url).connect() as connection:
        config.attributes["connection"] = connection
        for step in steps:
            command.upgrade(config, step)


def _steps(current: str | None, target: str) -> list[str]:
    """The revisions to go to, each in a transaction of its own, so that no lock is held for longer than one needs it.

    An empty database gets there in one: nobody waits for its tables.
    """
    if current is None:
        return [target]
    revisions = known()
    return revisions[revisions.index(current) + 1 : revisions.index(target) + 1]


def _current(url: str, roles: Roles) -> str | None:
    """The revision of the database; None before its first migration. Asked of psycopg2: SQLAlchemy asks five questions of its own first."""
    with closing(connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute(f"SET lock_timeout = '{LOOK_TIMEOUT}'")
        return current_revision(cursor, roles)
