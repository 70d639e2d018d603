"""Rows of the database, read past row-level security."""

from contextlib import closing
from functools import lru_cache
from typing import Any

import psycopg2
from sqlalchemy.engine import make_url


def superuser_url(url: str) -> str:
    """Return the URL of the database as the superuser of the embedded server, whom the service never is."""
    return make_url(url).set(username="postgres", drivername="postgresql").render_as_string(hide_password=False)


@lru_cache(maxsize=1)  # a module asks one database, and a connection takes longer than what is asked
def _connection(url: str) -> Any:
    connection = psycopg2.connect(superuser_url(url))
    connection.autocommit = True
    return connection


def rows(url: str, statement: str) -> list[tuple[Any, ...]]:
    """Run a statement as the superuser, and return its rows."""
    with closing(_connection(url).cursor()) as cursor:
        cursor.execute(statement)
        return cursor.fetchall() if cursor.description else []


def counts(url: str) -> tuple[int, int, int]:
    """Return the numbers of users, accounts and tasks."""
    ((users, accounts, tasks),) = rows(
        url, "SELECT (SELECT count(*) FROM users), (SELECT count(*) FROM accounts), (SELECT count(*) FROM tasks)"
    )
    return users, accounts, tasks


def tables_of_users(url: str) -> dict[str, set[str]]:
    """The columns of every table that a user has rows in, from the catalogue."""
    found = rows(
        url,
        "SELECT table_name, array_agg(column_name::text) FROM information_schema.columns"
        " WHERE table_schema = 'public' GROUP BY table_name"
        " HAVING bool_or(column_name = 'user_id') OR table_name = 'users'",
    )
    return {table: set(columns) for table, columns in found}
