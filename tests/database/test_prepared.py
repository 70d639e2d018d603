"""Statements that are prepared once on each connection, when one of them fails."""

from collections.abc import Callable

import psycopg2.errors
import pytest

from tests.support.databases import execute
from tests.support.on_loop import on_loop
from todo_api.database.database import Database
from todo_api.tasks.service import TaskService


@on_loop
def test_statement_that_was_refused_is_prepared_again_when_it_is_allowed(new_database: Callable[[], str]) -> None:
    url = new_database()
    database = Database(url, pool_size=1)
    tasks = TaskService(database, "ada")
    execute(url, "REVOKE INSERT ON tasks FROM task_api_user")
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        tasks.create({"title": "Buy milk", "description": None, "status": "pending"})
    execute(url, "GRANT INSERT ON tasks TO task_api_user")
    assert [
        tasks.create({"title": "Buy milk", "description": None, "status": "pending"}).version for _ in range(3)
    ] == [1, 2, 3]
    assert database._pool.prepares
    database.close()
