"""The suite's core on `tasks` spread by user over hash partitions, as a distributed PostgreSQL would hold it."""

import json
import re
from collections.abc import Callable

import pytest
import sqlalchemy

from tests.support.client import Client
from tests.support.databases import execute
from tests.support.on_loop import on_loop
from tests.support.rows import rows
from tests.support.tasks import path
from tests.support.trash import restore
from tests.support.trees import chain, wrong
from todo_api.database.database import Database
from todo_api.database.statement import Statement
from todo_api.tasks import list_statements
from todo_api.tasks import statements as task_statements

PARTITIONS = 16

SPREAD = """
    ALTER TABLE task_labels DROP CONSTRAINT task_labels_user_id_task_id_fkey;
    ALTER TABLE tasks RENAME TO whole;
    CREATE TABLE tasks (LIKE whole INCLUDING ALL, FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE,
            FOREIGN KEY (user_id, project_id) REFERENCES projects (user_id, id),
            FOREIGN KEY (user_id, parent_id) REFERENCES tasks (user_id, id))
        PARTITION BY HASH (user_id);
    DROP TABLE whole;
    ALTER TABLE task_labels RENAME TO whole;
    CREATE TABLE task_labels (LIKE whole INCLUDING ALL, FOREIGN KEY (user_id, task_id) REFERENCES tasks (user_id, id) ON DELETE CASCADE)
        PARTITION BY HASH (user_id);
    DROP TABLE whole;
    GRANT SELECT, INSERT, UPDATE, DELETE ON task_labels TO task_api_user;
    ALTER TABLE task_labels ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
    CREATE POLICY task_labels_of_user ON task_labels TO task_api_user
        USING (user_id = current_setting('app.user_id', true)) WITH CHECK (user_id = current_setting('app.user_id', true));
    GRANT SELECT, INSERT, UPDATE, DELETE ON tasks TO task_api_user;
    CREATE TRIGGER tasks_bury AFTER DELETE ON tasks
        REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION bury('task');
    CREATE TRIGGER tasks_note_end AFTER DELETE ON tasks
        REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION note_end('task');
    CREATE TRIGGER tasks_note AFTER UPDATE OF version ON tasks FOR EACH ROW EXECUTE FUNCTION note_task();
    CREATE TRIGGER tasks_trash AFTER DELETE ON tasks
        REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION trash_tasks();
    ALTER TABLE tasks ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
    CREATE POLICY tasks_of_user ON tasks TO task_api_user
        USING (user_id = current_setting('app.user_id', true)) WITH CHECK (user_id = current_setting('app.user_id', true));
"""

PAST = ("tombstones", "history", "trash")
"""Tables that triggers of tasks write."""

SPREAD_PAST = """
    ALTER TABLE {table} RENAME TO whole;
    CREATE TABLE {table} (LIKE whole INCLUDING ALL, FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE)
        PARTITION BY HASH (user_id);
    DROP TABLE whole;
    GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO task_api_user;
    ALTER TABLE {table} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
    CREATE POLICY {table}_of_user ON {table} TO task_api_user
        USING (user_id = current_setting('app.user_id', true)) WITH CHECK (user_id = current_setting('app.user_id', true));
"""


@pytest.fixture(scope="module")
def url(new_database: Callable[[], str]) -> str:
    """A database of the module's own, with `tasks` and their labels in partitions."""
    url = new_database()
    execute(url, SPREAD)
    for table in PAST:
        execute(url, SPREAD_PAST.format(table=table))
    for number in range(PARTITIONS):
        values = f"FOR VALUES WITH (MODULUS {PARTITIONS}, REMAINDER {number})"
        for table in ("tasks", "task_labels", *PAST):
            execute(url, f"CREATE TABLE {table}_{number} PARTITION OF {table} {values}")
    return url


@pytest.fixture
def task(ada: Client) -> str:
    """The path of a task of Ada's."""
    return ada.post("/api/v1/me/tasks", {"title": "Spread"}).headers["location"]


def test_restore_item_on_partitions_brings_a_tree_back(ada: Client, direct: str) -> None:
    line = chain(ada, 3, labels=["home"], due={"date": "2026-11-20"})
    before = [{**ada.get(path(task)).json(), "version": 0, "updated_at": ""} for task in line]
    assert ada.delete(path(line[0])).status == 204
    assert ada.get("/api/v1/me/trash").json()["items"][0]["others"] == 2
    assert restore(ada, line[0]).status == 200
    assert [{**ada.get(path(task)).json(), "version": 0, "updated_at": ""} for task in line] == before
    assert wrong(direct, line[0]) == []
    assert ada.delete(path(line[1])).status == 204
    assert ada.delete("/api/v1/me/trash").status == 204


def test_create_task_on_partitions_is_read_back(ada: Client) -> None:
    created = ada.post("/api/v1/me/tasks", {"title": "Spread", "description": "over servers"})
    assert created.status == 201
    assert ada.get(created.headers["location"]).json() == created.json()


def test_create_task_on_partitions_of_many_users_uses_each(url: str, new_user: Callable[[], Client]) -> None:
    used: set[str] = set()
    for _ in range(1000):
        task = new_user().post("/api/v1/me/tasks", {"title": "Anywhere"}).json()["id"]
        used |= {name for (name,) in rows(url, f"SELECT tableoid::regclass::text FROM tasks WHERE id = '{task}'")}
        if len(used) == PARTITIONS:
            break
    assert used == {f"tasks_{number}" for number in range(PARTITIONS)}


def test_update_task_on_partitions_with_its_version_succeeds(ada: Client, task: str) -> None:
    reply = ada.patch(task, {"title": "Changed"}, headers={"If-Match": '"1"'})
    assert (reply.status, reply.json()["title"], reply.json()["version"]) == (200, "Changed", 2)


def test_update_task_on_partitions_with_old_version_fails_the_precondition(ada: Client, task: str) -> None:
    current = ada.patch(task, {"title": "Changed"}).json()
    reply = ada.patch(task, {"title": "Lost"}, headers={"If-Match": '"1"'})
    assert (reply.status, reply.json()["current"]) == (412, current)


def test_complete_task_on_partitions_toggles(ada: Client, task: str) -> None:
    assert [ada.patch(f"{task}/complete").json()["status"] for _ in range(2)] == ["completed", "pending"]


def test_delete_task_on_partitions_removes_it(ada: Client, task: str) -> None:
    assert ada.delete(task).status == 204
    assert ada.get(task).status == 404
    assert ada.get("/api/v1/me/tasks").json() == {
        "items": [],
        "total": 0,
        "next_cursor": None,
        "as_of": None,
        "time_zone": None,
    }


def test_list_changes_on_partitions_has_what_is_new_and_what_is_deleted(ada: Client, task: str) -> None:
    since = ada.get("/api/v1/me/changes").json()["next"]
    new = ada.post("/api/v1/me/tasks", {"title": "New"}).json()
    assert ada.delete(task).status == 204
    page = ada.get(f"/api/v1/me/changes?since={since}").json()
    assert (page["tasks"], [each["id"] for each in page["deleted"]]) == ([new], [task.rpartition("/")[2]])


def test_update_task_on_partitions_is_noted(ada: Client, task: str, url: str) -> None:
    version = ada.patch(task, {"title": "Changed"}).json()["version"]
    assert ada.delete(task).status == 204
    id_ = task.rpartition("/")[2]
    assert rows(url, f"SELECT seq, action FROM history WHERE id = '{id_}' ORDER BY seq") == [
        (version, "updated"),
        (version + 1, "trashed"),
    ]


def test_get_task_on_partitions_of_another_user_is_not_found(bob: Client, task: str) -> None:
    assert bob.get(task).status == 404


@pytest.mark.parametrize(
    "sort", ["created_at", "-created_at", "updated_at", "-updated_at", "title", "-title", "position"]
)
def test_list_tasks_on_partitions_by_cursor_gives_each_task_once(ada: Client, sort: str) -> None:
    created = [
        ada.post("/api/v1/me/tasks", {"title": f"Task {number % 3}", "status": status}).json()
        for number in range(4)
        for status in ("pending", "completed", "cancelled")
    ]
    key = sort.lstrip("-")
    expected = sorted(created, key=lambda task: (task[key], task["id"]), reverse=sort.startswith("-"))
    walked, path = [], f"/api/v1/me/tasks?limit=5&sort={sort}"
    cursor = ""
    while cursor is not None:
        page = ada.get(path + (f"&cursor={cursor}" if cursor else "")).json()
        assert page["total"] == 12
        walked += page["items"]
        cursor = page["next_cursor"]
    assert walked == expected


@pytest.mark.parametrize(
    ("statement", "more"),
    [
        (task_statements.get, {}),
        (task_statements.change(frozenset({"title"}), True), {"title": "x", "versions": [1]}),
        (task_statements.remove(False), {}),
        (
            list_statements.page("-created_at", ("pending", "completed")),
            {"limit": 51, "skip": 0, "known": []},
        ),
    ],
    ids=["get", "change", "remove", "page"],
)
@on_loop
def test_statements_on_partitions_go_to_one(url: str, statement: Statement, more: dict[str, object]) -> None:
    explained = Statement(sqlalchemy.text("SELECT"))
    explained.sql = "EXPLAIN (FORMAT JSON) " + statement.sql
    database = Database(url, pool_size=1)
    database._pool.prepares = False  # EXPLAIN cannot be prepared
    parameters = {"user_id": "ada", "task_id": "01932c07-9f7a-7c1d-b6a1-5a2f0f5d1c3e", **more}
    plan = json.dumps(database.as_user("ada").fetch_all(explained, parameters))
    database.close()
    assert len(set(re.findall(r'"Relation Name": "(tasks_[0-9]+)"', plan))) == 1
