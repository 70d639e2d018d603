"""The types of what a client changes come from the table: a column that is no text needs no cast in the statements."""

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
from sqlalchemy import Boolean, Column, Date, DateTime, Integer, MetaData, Uuid, and_

from tests.support.databases import execute
from tests.support.on_loop import on_loop
from todo_api.database import Database
from todo_api.models import tasks
from todo_api.tasks import statements
from todo_api.tasks.service import TaskService

SCRATCH = {
    "probe_date": (Date, "date", "2026-11-28"),
    "probe_flag": (Boolean, "boolean", True),
    "probe_number": (Integer, "integer", 3),
    "probe_time": (lambda: DateTime(timezone=True), "timestamptz", "2026-11-28T10:00:00Z"),
    "probe_id": (Uuid, "uuid", "01932c07-9f7a-7c1d-b6a1-5a2f0f5d1c3e"),
}
"""Columns of every kind that a task might get, by names that no feature takes: type and JSON value."""


@pytest.fixture
def database(new_database: Callable[[], str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """A database whose tasks have these columns, and the statements know of them."""
    url = new_database()
    table = tasks.to_metadata(MetaData())
    for name, (kind, sql, _) in SCRATCH.items():
        table.append_column(Column(name, kind()))
        execute(url, f"ALTER TABLE tasks ADD {name} {sql}")
    monkeypatch.setattr(statements, "tasks", table)
    mine = and_(table.c.user_id == statements.USER_ID, table.c.id == statements.TASK_ID)
    monkeypatch.setattr(statements, "MINE", mine)
    with closing(Database(url, pool_size=1)) as made:
        yield made
    execute(url, "ALTER TABLE tasks " + ", ".join(f"DROP {name}" for name in SCRATCH))


@pytest.mark.parametrize("name", SCRATCH)
@pytest.mark.parametrize("is_null", [False, True], ids=["value", "null"])
@on_loop
def test_update_task_column_that_is_no_text_is_set(database: Database, name: str, is_null: bool) -> None:
    service = TaskService(database, "ada")
    task = service.create({"title": "Buy milk", "description": None, "status": "pending"})
    value: Any = None if is_null else SCRATCH[name][2]
    assert service.change(task.id, {name: value, "title": "Buy oat milk"}, None).title == "Buy oat milk"
