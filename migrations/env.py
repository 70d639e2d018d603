"""How Alembic reaches the database: on the connection it is given, or, for developers, by DATABASE_URL."""

import os
import re
from typing import Any

from alembic import context
from sqlalchemy import Connection, event

from todo_api.config import Roles
from todo_api.models import LOGIN_ROLE, USER_ROLE, metadata
from todo_api.provisioning import engine
from todo_api.provisioning.online import limit, turn


def run(connection: Connection) -> None:
    """Runs the migrations in one transaction, waiting for locks only so long that others do not queue up behind."""
    context.configure(connection=connection, target_metadata=metadata, compare_server_default=True)
    with context.begin_transaction():
        limit(connection)
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
    url = os.environ["DATABASE_URL"]
    with turn(url), engine(url).connect() as connection:
        run(connection)
