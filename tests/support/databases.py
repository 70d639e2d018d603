"""Databases for tests: migrated ones, copied from one template, and statements as their owner."""

import secrets
from collections.abc import Callable
from contextlib import closing
from typing import Any

import psycopg2
from sqlalchemy.engine import make_url

from tests.support.rows import rows
from todo_api.database.connection import engine_url
from todo_api.embedded import EmbeddedServer
from todo_api.provisioning import migrations

SERVER_URL = "TEST_SERVER_URL"
"""The variable that names a PostgreSQL to use, as its superuser, in place of one that the run starts."""


def make_template(url: str) -> None:
    """Makes the migrated database `template_tasks`, unless it is there from an earlier run."""
    if not rows(url, "SELECT 1 FROM pg_database WHERE datname = 'template_tasks'"):
        execute(url, "CREATE DATABASE template_tasks")
        migrations.migrate(database_url(url, "template_tasks"))


def new_databases(server: EmbeddedServer) -> Callable[[], str]:
    """Makes migrated, empty databases."""

    def make() -> str:
        name = f"test_{secrets.token_hex(4)}"
        execute(server.url, f"CREATE DATABASE {name} TEMPLATE template_tasks STRATEGY file_copy")
        return patient(database_url(server.url, name))

    return make


def empty_database(server: EmbeddedServer) -> str:
    """Make a database without anything in it. Return its URL."""
    name = f"empty_{secrets.token_hex(4)}"
    execute(server.url, f"CREATE DATABASE {name}")
    return database_url(server.url, name)


def execute(url: str, statement: str) -> list[tuple[Any, ...]]:
    """Runs a statement as the owner of the database."""
    with closing(psycopg2.connect(engine_url(url).set(drivername="postgresql").render_as_string(False))) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []


def patient(url: str) -> str:
    """Give the machine, however busy, the time that it takes to connect."""
    return make_url(url).update_query_dict({"connect_timeout": "60"}).render_as_string(hide_password=False)


def database_url(url: str, name: str) -> str:
    """The URL of another database of the same server."""
    return make_url(url).set(database=name).render_as_string(hide_password=False)
