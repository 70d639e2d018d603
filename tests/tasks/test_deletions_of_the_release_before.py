"""Deletions by the release before, which serves beside this one during an upgrade and knows no subtasks."""

from contextlib import closing

import psycopg2
import pytest

from tests.support.client import Client
from tests.support.rows import rows
from tests.support.tasks import create, path
from tests.support.trees import chain, wrong
from todo_api.database.connection import engine_url
from todo_api.models import USER_ROLE

TASKS = "/api/v1/me/tasks"

DELETE = """
    SELECT set_config('role', %(role)s, true), set_config('app.user_id', %(user_id)s, true);
    WITH me AS (SELECT users.id AS id FROM users WHERE users.id = %(user_id)s FOR NO KEY UPDATE),
    gone AS (DELETE FROM tasks USING me
        WHERE tasks.user_id = %(user_id)s AND tasks.id = %(task_id)s::uuid AND tasks.user_id = me.id RETURNING tasks.status)
    UPDATE users SET seq=(users.seq + 1), pending=(users.pending - CAST(gone.status = 'pending' AS INTEGER)),
        in_progress=(users.in_progress - CAST(gone.status = 'in_progress' AS INTEGER)),
        completed=(users.completed - CAST(gone.status = 'completed' AS INTEGER)),
        cancelled=(users.cancelled - CAST(gone.status = 'cancelled' AS INTEGER))
    FROM gone WHERE users.id = %(user_id)s AND gone.status IS NOT NULL RETURNING users.seq
"""
"""The statement of `deleteTask` in 1.1.0."""


def delete(url: str, task: dict[str, str]) -> int:
    """Delete a task as 1.1.0 does. Return the user's number."""
    values = {"role": USER_ROLE, "user_id": task["user_id"], "task_id": task["id"]}
    text = engine_url(url).set(drivername="postgresql").render_as_string(False)
    with closing(psycopg2.connect(text)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(DELETE, values)
        ((seq,),) = cursor.fetchall()
    return int(seq)


@pytest.mark.parametrize("level", [0, 1, 2, 3])
def test_delete_task_by_the_release_before_takes_all_below_along(
    ada: Client, bob: Client, direct: str, level: int
) -> None:
    line, others = chain(ada, 4), chain(bob, 2)
    beside = create(ada, "beside", parent_id=line[2]["id"], status="in_progress")
    ada.patch(f"{path(line[3])}/complete")
    before = ada.get(path(line[0])).json()["version"]
    seq = delete(direct, line[level])
    assert seq > before
    kept = [*line[:level], *([beside] if level == 3 else [])]
    page = ada.get(f"{TASKS}?sort=created_at").json()
    assert [task["id"] for task in page["items"]] == [task["id"] for task in kept]
    assert page["total"] == len(kept)
    assert wrong(direct, line[0]) == []
    gone = {task["id"] for task in [*line, beside]} - {task["id"] for task in kept}
    buried = rows(direct, f"SELECT id::text, version FROM tombstones WHERE user_id = '{line[0]['user_id']}'")
    assert {*buried} == {(each, seq) for each in gone}
    assert bob.get(f"{TASKS}?sort=created_at").json()["items"] == [bob.get(path(task)).json() for task in others]


def test_delete_task_below_another_is_counted_once(ada: Client, direct: str) -> None:
    top, middle, _ = chain(ada, 3)
    other = create(ada, parent_id=top["id"])
    for task in (middle, other):
        assert ada.delete(path(task)).status == 204
        assert wrong(direct, top) == []
    assert ada.get(TASKS).json()["total"] == 1
