"""PostgreSQL: connections, roles, transactions, statements and migrations. It knows no table but by their metadata.

`database` runs statements as a role and a user, with `transaction`; `statement` compiles each once, at start.
`pool` and `connection` are psycopg2's connections on the event loop; `greenlets` lets plain functions wait on it.
`migrations` brings the schema up to date; `url`, `checks` and `readiness` judge the database that is found.
`purging` deletes what has expired; `epochs` marks a restored database as new.
"""

from todo_api.database import epochs, migrations, readiness
from todo_api.database.checks import DatabaseUnfitError
from todo_api.database.connection import SETTINGS, engine_url, reason
from todo_api.database.database import Database
from todo_api.database.greenlets import in_thread, spawn, wait
from todo_api.database.migrations import ONE_AT_A_TIME, engine
from todo_api.database.purging import Purging, delete_expired
from todo_api.database.statement import Row, Statement, column_value, given
from todo_api.database.transaction import Scope, Scopes, Transaction
from todo_api.database.url import UrlError, ignore_environment, parameters

__all__ = [
    "ONE_AT_A_TIME",
    "SETTINGS",
    "Database",
    "DatabaseUnfitError",
    "Purging",
    "Row",
    "Scope",
    "Scopes",
    "Statement",
    "Transaction",
    "UrlError",
    "column_value",
    "delete_expired",
    "engine",
    "engine_url",
    "epochs",
    "given",
    "ignore_environment",
    "in_thread",
    "migrations",
    "parameters",
    "readiness",
    "reason",
    "spawn",
    "wait",
]
