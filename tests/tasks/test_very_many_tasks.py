"""Writes of more tasks at once than one write may change: refused as a whole, by the number of tasks and not by the time that they take."""

from typing import Any

import pytest

from tests.support.batches import BATCH, stored
from tests.support.client import Client, Reply
from tests.support.tasks import create, path
from tests.support.trees import chain
from todo_api.database import LONG, Statement
from todo_api.database.connection import STATEMENT_TIMEOUT
from todo_api.database.statement import FEW
from todo_api.labels import service as labels
from todo_api.labels import statements as of_labels
from todo_api.projects import service as projects
from todo_api.task_tree import tree

LABELS = "/api/v1/me/labels"
PROJECTS = "/api/v1/me/projects"


@pytest.fixture(autouse=True)
def three_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (labels, projects, tree):
        monkeypatch.setattr(module, "MOST_AT_ONCE", 3)


def is_refused(reply: Reply) -> bool:
    return (reply.status, reply.code) == (409, "too_many_tasks") and "retry-after" not in reply.headers


def test_change_of_a_label_of_too_many_tasks_is_409_and_changes_nothing(ada: Client, direct: str) -> None:
    tasks = [create(ada, labels=["Big", f"l{number}"]) for number in range(4)]
    other = create(ada, labels=["other"])
    before = stored(direct, other["user_id"])
    assert is_refused(ada.patch(f"{LABELS}/big", {"name": "huge"}))
    assert is_refused(ada.patch(f"{LABELS}/big", {"name": "BIG"}))
    assert is_refused(ada.patch(f"{LABELS}/other", {"name": "big", "merge": True}))
    assert is_refused(ada.delete(f"{LABELS}/big"))
    assert is_refused(ada.delete(f"{LABELS}/big?dry_run=true"))
    assert stored(direct, other["user_id"]) == before
    ada.patch(path(tasks[0]), {"labels": []})
    assert ada.patch(f"{LABELS}/big", {"name": "huge"}).json()["count"] == 3
    assert ada.delete(f"{LABELS}/huge").json()["count"] == 3


def test_rename_label_of_the_most_tasks_that_already_have_the_other_one(ada: Client) -> None:
    """Each task counts for each label: what is merged are rows of labels."""
    for _ in range(2):
        create(ada, labels=["one", "two"])
    assert is_refused(ada.patch(f"{LABELS}/one", {"name": "two", "merge": True}))


def test_delete_project_of_too_many_tasks_is_409_and_changes_nothing(ada: Client, direct: str) -> None:
    project = ada.post(PROJECTS, {"name": "Big"}).json()
    tasks = [create(ada, project_id=project["id"]) for _ in range(4)]
    before = stored(direct, tasks[0]["user_id"])
    for query in ("", "?permanent=true"):
        assert is_refused(ada.delete(f"{PROJECTS}/{project['id']}{query}"))
    assert stored(direct, tasks[0]["user_id"]) == before
    assert ada.delete(path(tasks[0])).status == 204
    assert ada.delete(f"{PROJECTS}/{project['id']}").status == 204


def test_write_of_too_many_subtasks_is_409_and_changes_nothing(ada: Client, direct: str) -> None:
    project: dict[str, Any] = ada.post(PROJECTS, {"name": "Other"}).json()
    root, *_ = chain(ada, 4)
    create(ada, parent_id=root["id"])
    before = stored(direct, root["user_id"])
    assert is_refused(ada.delete(path(root)))
    assert is_refused(ada.patch(f"{path(root)}/complete", {"completed": True, "subtasks": "complete"}))
    assert is_refused(ada.patch(path(root), {"project_id": project["id"]}))
    assert is_refused(ada.put(path(root), {"title": "x", "project_id": project["id"]}))
    assert is_refused(ada.post(f"{path(root)}/move", {"project_id": project["id"], "at": "first"}))
    assert is_refused(ada.post(BATCH, {"operations": [{"delete_task": {"id": root["id"]}}]}))
    assert stored(direct, root["user_id"]) == before
    assert ada.patch(path(root), {"title": "Alone"}).status == 200


def test_statement_has_more_time_than_others_for_more_rows_than_they_can_write() -> None:
    remove = of_labels.remove
    assert remove.for_rows(FEW) is remove
    more = remove.for_rows(FEW + 1)
    settings = f"SET LOCAL statement_timeout = '{LONG}s';\nSET LOCAL enable_nestloop = off;\n"
    assert (more.sql, more.execute) == (settings + remove.sql, settings + remove.execute)
    assert (remove.longer, more.longer) == (0, LONG - STATEMENT_TIMEOUT)


def test_write_of_several_tasks_has_the_time_for_so_many(ada: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(Statement, "for_rows", lambda statement, count: asked.append(count) or statement)
    project, other = (ada.post(PROJECTS, {"name": name}).json() for name in ("One", "Other"))
    root, *_ = chain(ada, 3, labels=["one"], project_id=project["id"])
    for _ in range(2):
        create(ada, labels=["two"])
    assert ada.patch(f"{LABELS}/one", {"name": "two", "merge": True}).status == 200
    assert ada.delete(f"{LABELS}/two").status == 200
    assert ada.patch(path(root), {"project_id": other["id"]}).status == 200
    assert ada.patch(f"{path(root)}/complete", {"completed": True, "subtasks": "complete"}).status == 200
    assert ada.delete(f"{PROJECTS}/{other['id']}").status == 204
    root, *_ = chain(ada, 2)
    assert ada.delete(path(root)).status == 204
    assert asked == [3, 3, 2, 3, 3, 2]
