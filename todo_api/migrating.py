"""The schema: which revision this release needs, and how a database gets there."""

import time
from collections.abc import Callable

import psycopg2.errors
from alembic import command
from alembic.config import Config as AlembicConfig
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, exc

from todo_api.connections import engine_url, options
from todo_api.contract import shipped
from todo_api.errors import Unavailable

ONE_AT_A_TIME = 7_305_118_446
"""The advisory lock of the migration's transaction: of two processes that migrate at once, one does, and the other finds it done."""


LOCK_TRIES = 60
LOCK_PAUSE = 1.5
"""A migration that does not get its lock at once gives up, so that requests do not queue behind it, and tries again after these seconds."""


class SchemaTooNewError(Exception):
    """The database is at a revision that this release does not know."""


def _alembic() -> AlembicConfig:
    config = AlembicConfig()
    config.set_main_option("script_location", str(shipped("migrations")).replace("%", "%%"))
    return config


def head() -> str:
    """The revision that this release needs."""
    revision = ScriptDirectory.from_config(_alembic()).get_current_head()
    assert revision is not None  # noqa: S101  # there is a first migration
    return revision


def migrate(url: str, progress: Callable[[str], None] = lambda _: None, *, revision: str = "head") -> None:
    """Brings the database to a revision. Other releases may serve meanwhile: it never keeps them waiting for long.

    `progress` gets a line where it has to wait. Raises SchemaTooNewError, and Unavailable where the database is out of reach, or
    another session keeps a table locked.
    """
    engine = create_engine(engine_url(url), connect_args=options(url))
    try:
        for attempt in range(1, LOCK_TRIES + 1):
            try:
                _upgrade(engine, revision)
                return
            except exc.OperationalError as error:
                locked = isinstance(error.orig, psycopg2.errors.LockNotAvailable)
                if not locked or attempt == LOCK_TRIES:
                    raise Unavailable(str(error.orig).strip().splitlines()[0]) from error
            if attempt == 1:
                progress("the migration waits for another session, which has a table locked")
            time.sleep(LOCK_PAUSE)
    finally:
        engine.dispose()


def refuse_unknown(revision: str, what: str) -> None:
    """Raises SchemaTooNewError where this release does not know the revision that `what` is at."""
    if revision not in {script.revision for script in ScriptDirectory.from_config(_alembic()).walk_revisions()}:
        raise SchemaTooNewError(
            f"{what} is at revision {revision}, which this release does not know: install a newer release."
        )


def _upgrade(engine: Engine, revision: str) -> None:
    config = _alembic()
    with engine.connect() as connection:
        _refuse_newer(connection)
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


def _refuse_newer(connection: Connection) -> None:
    current = MigrationContext.configure(connection).get_current_revision()
    connection.rollback()
    if current is not None:
        refuse_unknown(current, "The database")
