"""Statements that are prepared once on each connection: how they are planned, and when one of them fails."""

from collections.abc import Callable
from uuid import UUID

import psycopg2.errors
import pytest
from sqlalchemy import Integer, func, literal_column, select, text
from sqlalchemy.engine import make_url

from tests.support.databases import execute
from tests.support.on_loop import on_loop
from todo_api.database.database import Database
from todo_api.database.statement import Statement
from todo_api.lists import SORTS
from todo_api.tasks import list_statements
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


@on_loop
def test_statement_is_prepared_anew_once_a_column_has_another_type(new_database: Callable[[], str]) -> None:
    url = new_database()
    database = Database(url, pool_size=1)
    tasks = TaskService(database, "ada")
    task = tasks.create({"title": "Buy milk", "description": None, "status": "pending"})
    assert tasks.get(task.id) == task
    execute(url, "DROP TRIGGER tasks_fold ON tasks; ALTER TABLE tasks ALTER COLUMN description TYPE varchar(5000)")
    assert [tasks.get(task.id) for _ in range(2)] == [task, task]
    assert database._pool.prepares
    database.close()


END_OTHERS = (
    "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
)


@on_loop
def test_statement_is_prepared_anew_in_the_session_that_follows_a_lost_one(new_database: Callable[[], str]) -> None:
    url = new_database()
    database = Database(url, pool_size=1)
    for _ in range(2):
        assert TaskService(database, "ada").batch(str(UUID(int=0))) == []
        execute(url, END_OTHERS)
    assert TaskService(database, "ada").batch(str(UUID(int=0))) == []
    assert database._pool.prepares
    database.close()


PLANNED = Statement(
    select(func.sum(literal_column("generic_plans", Integer)), func.sum(literal_column("custom_plans", Integer)))
    .select_from(text("pg_prepared_statements"))
    .where(literal_column("cardinality(parameter_types)", Integer) > 0)  # without itself
)


@on_loop
def _plans(url: str) -> tuple[int, int]:
    """Return how often each sort of the list was run with a plan for all users, and with one of its own."""
    database = Database(url, pool_size=1)
    values = {"user_id": "ada", "limit": 11, "skip": 0, "known": []}
    for _ in range(2):
        for sort in SORTS:
            database.as_user("ada").fetch_all(list_statements.page(sort, None), values)
    ((generic, custom),) = database.as_user("ada").fetch_all(PLANNED, {})
    database.close()
    return generic, custom


def test_list_tasks_by_any_sort_is_planned_once(url: str) -> None:
    assert _plans(url) == (2 * len(SORTS), 0)


def test_list_tasks_is_planned_as_the_deployment_has_set_it(url: str) -> None:
    auto = make_url(url).update_query_dict({"options": "-c plan_cache_mode=force_custom_plan"})
    assert _plans(auto.render_as_string(hide_password=False).replace("+", "%20")) == (0, 2 * len(SORTS))
