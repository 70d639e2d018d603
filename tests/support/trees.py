"""Trees of tasks for tests: made, and looked at in the database."""

from typing import Any

from tests.support.client import Client
from tests.support.rows import rows
from tests.support.tasks import create
from todo_api.models import STATUSES

_COUNTED = " OR ".join(
    f"{status} != (SELECT count(*) FROM tasks WHERE user_id = users.id AND status = '{status}')" for status in STATUSES
)

_WRONG = f"""
    SELECT 'children', id::text FROM tasks p
        WHERE p.user_id = '{{user}}' AND children != (SELECT count(*) FROM tasks c WHERE c.user_id = p.user_id AND c.parent_id = p.id)
    UNION ALL SELECT 'project', c.id::text FROM tasks c JOIN tasks p ON p.user_id = c.user_id AND p.id = c.parent_id
        WHERE c.user_id = '{{user}}' AND c.project_id IS DISTINCT FROM p.project_id
    UNION ALL SELECT 'counts', id FROM users WHERE id = '{{user}}' AND ({_COUNTED})
"""


def wrong(direct: str, task: dict[str, Any]) -> list[Any]:
    """Return what is wrong with the tasks of a task's owner: a number of children, a project, the counts by status."""
    return rows(direct, _WRONG.format(user=task["user_id"]))


def chain(client: Client, length: int, **fields: Any) -> list[dict[str, Any]]:
    """Return new tasks, each the parent of the next. The fields are those of the first."""
    made = [create(client, "1", **fields)]
    while len(made) < length:
        made.append(create(client, str(len(made) + 1), parent_id=made[-1]["id"]))
    return made
