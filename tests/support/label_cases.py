"""Cases of `wall_cases`: labels of tasks."""

from collections.abc import Callable
from typing import Any

from tests.support.client import Client
from tests.support.look_alikes import THEIR_TASK, Ask
from todo_api.task_labels.statements import MOST_LABELS

LABELS = "/api/v1/me/labels"
TASKS = "/api/v1/me/tasks"


def seed(user: Client) -> None:
    """Give a user tasks with labels."""
    for status in ("pending", "in_progress"):
        for labels in (["home", "Errand"], ["HOME"], ["errand"]):
            user.post(TASKS, {"title": "Paint", "labels": labels, "status": status})


def labels_of_tasks(ask: Ask, mine: Any) -> None:
    for who in ("account", "key", "operator", "newcomer-labels"):
        made = ask(who, "POST", TASKS, {"title": "Paint", "labels": ["home", "New"]}).json()["id"]
        for labels in (["HOME", "other"], [], [], ["x"]):
            for id_ in (made, THEIR_TASK):
                ask(who, "PATCH", f"{TASKS}/{id_}", {"labels": labels})
        ask(who, "PUT", f"{TASKS}/{made}", {"title": "Paint", "labels": ["home"]})
        ask(who, "DELETE", f"{TASKS}/{made}")


def too_many_labels(ask: Ask, mine: Any) -> None:
    for who in ("account", "key"):
        for name in ("LABEL 1", "The last", "One more"):
            ask(who, "POST", TASKS, {"title": "Paint", "labels": [name]})


def labels(ask: Ask, mine: Any) -> None:
    for who in ("account", "key", "operator", "newcomer-labels"):
        ask(who, "GET", LABELS, **{"If-None-Match": ask(who, "GET", LABELS).headers["etag"]})
        ask(who, "POST", TASKS, {"title": "Paint", "labels": ["home", "errand", "new"]})
        for body in ({"name": "Home"}, {"name": "Home"}, {"name": "errand"}, {"name": "errand", "merge": True}):
            ask(who, "PATCH", f"{LABELS}/home", body)
        ask(who, "PATCH", f"{LABELS}/errand", {"name": "Another"})
        ask(who, "GET", LABELS)
        for label in ("new", "another", "another", "nothing"):
            ask(who, "DELETE", f"{LABELS}/{label}")


CASES: dict[str, Callable[[Ask, Any], None]] = {
    case.__name__: case for case in (labels, labels_of_tasks, too_many_labels)
}

PREPARED = {
    "too_many_labels": "DELETE FROM task_labels; INSERT INTO task_labels (user_id, task_id, label_key, name, version)"
    " SELECT t.user_id, t.id, label, label, 1 FROM"
    " (SELECT user_id, min(id::text)::uuid AS id FROM tasks GROUP BY 1) t, generate_series(1, "
    f"{MOST_LABELS - 1}) n, concat('label ', n, CASE WHEN n > 250 THEN ' of ' || left(t.user_id, 30) END) AS label",
}
"""SQL to run before a case, by its name."""
