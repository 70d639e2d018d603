"""Writes of more tasks at once than one write may change: refused as a whole, by the number of tasks and not by the time that they take."""

from typing import Any

import pytest

from tests.support.batches import BATCH, stored
from tests.support.client import Client, Reply
from tests.support.tasks import create, path
from tests.support.trees import chain
from todo_api.database import LONG
from todo_api.labels import service as labels
from todo_api.labels import statements as of_labels
from todo_api.projects import service as projects
from todo_api.projects import statements as of_projects
from todo_api.task_tree import statements as of_trees
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


@pytest.mark.parametrize(
    "statement",
    [
        of_labels.rename,
        of_labels.remove,
        of_projects.remove(conditional=False, permanent=False),
        of_trees.remove(permanent=False),
        of_trees.complete,
        of_trees.bring,
    ],
)
def test_statement_that_writes_as_many_tasks_as_one_write_may_has_more_time_than_others(statement: Any) -> None:
    assert statement.execute.startswith(f"SET LOCAL statement_timeout = '{LONG}s'")
