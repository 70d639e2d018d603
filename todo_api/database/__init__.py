"""PostgreSQL: connections, roles, transactions and statements. It knows no table of the product.

`database` runs statements as a role and user, `transaction` several together; `statement` compiles
each once. `pool` and `connection` are psycopg2's connections on the event loop; `greenlets` lets
plain functions wait on it. `url` reads DATABASE_URL; `purging` deletes expired rows, and repeats
such work. `todo_api.provisioning` migrates the database.
"""

from todo_api.database.connection import (
    EACH_TIME,
    SETTINGS,
    STRINGS_ADVICE,
    connect,
    driver_error,
    engine_url,
    reason,
)
from todo_api.database.database import Database
from todo_api.database.greenlets import in_thread, spawn, wait
from todo_api.database.purging import PeriodicTask, delete_expired, expired_rows
from todo_api.database.spending import spent
from todo_api.database.statement import LONG, Row, Statement, column_value, if_named, param
from todo_api.database.transaction import RoleSession, RoleSessions, Transaction
from todo_api.database.url import UrlError, ignore_environment, parameters

__all__ = [
    "EACH_TIME",
    "LONG",
    "SETTINGS",
    "STRINGS_ADVICE",
    "Database",
    "PeriodicTask",
    "RoleSession",
    "RoleSessions",
    "Row",
    "Statement",
    "Transaction",
    "UrlError",
    "column_value",
    "connect",
    "delete_expired",
    "driver_error",
    "engine_url",
    "expired_rows",
    "if_named",
    "ignore_environment",
    "in_thread",
    "param",
    "parameters",
    "reason",
    "spawn",
    "spent",
    "wait",
]
