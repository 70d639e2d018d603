"""Cases of `wall_cases`: users move tasks."""

from collections.abc import Callable
from typing import Any

from tests.support.look_alikes import THEIR_TASK, Ask
from todo_api.models import STATUSES

TASKS = "/api/v1/me/tasks"


def move_where_there_is_no_room(ask: Ask, mine: Any) -> None:
    in_project = [{"project_id": project} for project in mine.projects["account"][:1]]
    for place in ({}, *in_project):
        made = [ask("account", "POST", TASKS, {"title": "Buy milk"} | place).json()["id"] for _ in range(3)]
        for other in (*made[1:], THEIR_TASK):
            for body in ({"after": other}, {"before": other}, {"at": "first"}, {"at": "last"}):
                ask("account", "POST", f"{TASKS}/{made[0]}/move", body)
    in_inbox = [id_ for status in STATUSES[1:] for id_ in mine.tasks[status]]
    for first, *others in (in_inbox, mine.tasks["pending"]):
        for other in others:
            ask("account", "POST", f"{TASKS}/{first}/move", {"after": other})


CASES: dict[str, Callable[[Ask, Any], None]] = {"move_where_there_is_no_room": move_where_there_is_no_room}

PREPARED = {
    "move_where_there_is_no_room": "UPDATE tasks SET position = 'm0000000000000', project_id = CASE WHEN status = 'pending'"
    " THEN (SELECT id FROM projects WHERE projects.user_id = tasks.user_id ORDER BY id LIMIT 1) END",
}
"""SQL to run before a case, by its name."""
