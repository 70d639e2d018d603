"""How Alembic reaches the database: on the connection it is given, or, for developers, by DATABASE_URL."""

import os

from alembic import context
from sqlalchemy import Connection, create_engine, text

from todo_api.database.connection import engine_url
from todo_api.database.migrations import ONE_AT_A_TIME
from todo_api.models import metadata

LOCK_TIMEOUT = "100ms"
"""Shorter than `QUEUE_LIMIT`: requests that wait behind a migration are not refused for it."""
STATEMENT_TIMEOUT = "10min"


def run(connection: Connection) -> None:
    """Runs the migrations in one transaction, waiting for locks only so long that others do not queue up behind."""
    context.configure(connection=connection, target_metadata=metadata, compare_server_default=True)
    with context.begin_transaction():
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": ONE_AT_A_TIME})
        connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'"))
        connection.execute(text(f"SET LOCAL statement_timeout = '{STATEMENT_TIMEOUT}'"))
        context.run_migrations()


given = context.config.attributes.get("connection")
if given is not None:
    run(given)
else:
    with create_engine(engine_url(os.environ["DATABASE_URL"])).connect() as connection:
        run(connection)
