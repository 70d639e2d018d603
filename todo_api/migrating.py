"""The schema: which revision this release needs, and how a database gets there."""

from alembic import command
from alembic.config import Config as AlembicConfig
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, exc

from todo_api.contract import shipped
from todo_api.db import CONNECT_TIMEOUT, engine_url
from todo_api.errors import Unavailable

ONE_AT_A_TIME = 7_305_118_446
"""The advisory lock of the migration's transaction: of two processes that migrate at once, one does, and the other finds it done."""


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


def migrate(url: str, revision: str = "head") -> None:
    """Brings the database to a revision. Raises SchemaTooNewError, and Unavailable where it is out of reach."""
    config = _alembic()
    engine = create_engine(engine_url(url), connect_args={"connect_timeout": CONNECT_TIMEOUT})
    try:
        with engine.connect() as connection:
            _refuse_newer(connection)
            config.attributes["connection"] = connection
            command.upgrade(config, revision)
    except exc.OperationalError as error:
        raise Unavailable(str(error.orig).strip().splitlines()[0]) from error
    finally:
        engine.dispose()


def refuse_unknown(revision: str, what: str) -> None:
    """Raises SchemaTooNewError where this release does not know the revision that `what` is at."""
    if revision not in {script.revision for script in ScriptDirectory.from_config(_alembic()).walk_revisions()}:
        raise SchemaTooNewError(
            f"{what} is at revision {revision}, which this release does not know: install a newer release."
        )


def _refuse_newer(connection: Connection) -> None:
    current = MigrationContext.configure(connection).get_current_revision()
    connection.rollback()
    if current is not None:
        refuse_unknown(current, "The database")
