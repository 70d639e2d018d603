"""How Alembic reaches the database: on the connection it is given, or, for developers, by DATABASE_URL."""

import os
import re
from typing import Any

from alembic import context
from sqlalchemy import Connection, event, text

from todo_api.config import Roles
from todo_api.database import SETTINGS
from todo_api.models import LOGIN_ROLE, USER_ROLE, metadata
from todo_api.provisioning import ONE_AT_A_TIME, engine

LOCK_TIMEOUT = "100ms"
"""Shorter than `QUEUE_LIMIT`: requests that wait behind a migration are not refused for it."""
STATEMENT_TIMEOUT = "10min"
WAITING = {"lock_timeout": STATEMENT_TIMEOUT, "statement_timeout": STATEMENT_TIMEOUT}
"""For the turn among processes that migrate at once: as long as the one before may take."""


def run(connection: Connection) -> None:
    """Runs the migrations in one transaction, waiting for locks only so long that others do not queue up behind."""
    context.configure(connection=connection, target_metadata=metadata, compare_server_default=True)
    with context.begin_transaction():
        for name, value in (SETTINGS | WAITING).items():
            connection.execute(text(f"SET LOCAL {name} = '{value}'"))
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": ONE_AT_A_TIME})
        connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'"))
        context.run_migrations()


def name_roles(connection: Connection, roles: Roles) -> None:
    """Has the roles, which migrations call by their default names, called as this deployment calls them."""
    names = dict(zip((USER_ROLE, LOGIN_ROLE), roles, strict=True))
    written = re.compile(rf"\b({'|'.join(names)})\b")

    def named(_: Any, __: Any, statement: str, parameters: Any, *___: Any) -> tuple[str, Any]:
        return written.sub(lambda found: names[found[0]], statement), parameters

    event.listen(connection, "before_cursor_execute", named, retval=True)


given = context.config.attributes.get("connection")
if given is not None:
    if roles := context.config.attributes.get("roles"):
        name_roles(given, roles)
    run(given)
else:
    with engine(os.environ["DATABASE_URL"]).connect() as connection:
        run(connection)
