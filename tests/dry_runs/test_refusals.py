"""What a write refuses, its dry run refuses: each rule of tasks, projects and labels, and nothing is kept meanwhile."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest

from tests.support.client import Client, Reply
from tests.support.rows import rows

ME = "/api/v1/me"
Send = Callable[[Client, dict[str, str], str], Reply]

REFUSED: dict[str, tuple[Send, int, str]] = {
    "id_taken": (
        lambda ada, ids, dry: ada.post(f"{ME}/tasks{dry}", {"title": "Again", "id": ids["task"]}),
        409,
        "id_taken",
    ),
    "id_taken-project": (
        lambda ada, ids, dry: ada.post(f"{ME}/projects{dry}", {"name": "Again", "id": ids["project"]}),
        409,
        "id_taken",
    ),
    "no-project": (
        lambda ada, _, dry: ada.post(f"{ME}/tasks{dry}", {"title": "Nowhere", "project_id": str(uuid4())}),
        400,
        "/project_id unknown",
    ),
    "no-project-patch": (
        lambda ada, ids, dry: ada.patch(f"{ME}/tasks/{ids['task']}{dry}", {"project_id": str(uuid4())}),
        400,
        "/project_id unknown",
    ),
    "no-project-put": (
        lambda ada, ids, dry: ada.put(
            f"{ME}/tasks/{ids['task']}{dry}", {"title": "Nowhere", "project_id": str(uuid4()), "labels": ["New"]}
        ),
        400,
        "/project_id unknown",
    ),
    "no-parent": (
        lambda ada, _, dry: ada.post(f"{ME}/tasks{dry}", {"title": "Nowhere", "parent_id": str(uuid4())}),
        400,
        "/parent_id unknown",
    ),
    "cycle": (
        lambda ada, ids, dry: ada.patch(f"{ME}/tasks/{ids['task']}{dry}", {"parent_id": ids["child"]}),
        400,
        "/parent_id cycle",
    ),
    "not_a_sibling": (
        lambda ada, ids, dry: ada.post(f"{ME}/tasks/{ids['task']}/move{dry}", {"before": ids["child"]}),
        400,
        "/before not_a_sibling",
    ),
    "after_due": (
        lambda ada, ids, dry: ada.patch(
            f"{ME}/tasks/{ids['task']}{dry}", {"due": {"date": "2026-11-20"}, "start": {"date": "2026-11-21"}}
        ),
        400,
        "/start after_due",
    ),
    "open_subtasks": (
        lambda ada, ids, dry: ada.patch(f"{ME}/tasks/{ids['task']}/complete{dry}", {"completed": True}),
        409,
        "open_subtasks",
    ),
    "invalid_transition": (
        lambda ada, ids, dry: ada.patch(f"{ME}/tasks/{ids['cancelled']}{dry}", {"status": "completed"}),
        409,
        "invalid_transition",
    ),
    "label_exists": (
        lambda ada, _, dry: ada.patch(f"{ME}/labels/home{dry}", {"name": "Errand"}),
        409,
        "label_exists",
    ),
    "batch": (
        lambda ada, ids, dry: ada.post(
            f"{ME}/batch{dry}",
            {
                "operations": [
                    {"create_task": {"title": "Undone as well", "labels": ["new"]}},
                    {"delete_project": {"id": ids["project"]}},
                    {"update_task": {"id": ids["cancelled"], "change": {"status": "completed"}}},
                ]
            },
        ),
        409,
        "invalid_transition",
    ),
    "body": (lambda ada, _, dry: ada.post(f"{ME}/tasks{dry}", {"title": ""}), 400, "/title pattern"),
}


@pytest.fixture
def ids(ada: Client) -> dict[str, str]:
    """Return the ids of a project, and of a task with one below it and one that is cancelled."""
    project = ada.post(f"{ME}/projects", {"name": "Mine"}).json()["id"]
    task = ada.post(f"{ME}/tasks", {"title": "Mine", "labels": ["home", "errand"]}).json()["id"]
    child = ada.post(f"{ME}/tasks", {"title": "Below it", "parent_id": task}).json()["id"]
    cancelled = ada.post(f"{ME}/tasks", {"title": "Not to be done", "status": "cancelled"}).json()["id"]
    return {"project": project, "task": task, "child": child, "cancelled": cancelled}


def told(reply: Reply) -> dict[str, Any]:
    """Return the problem without the id of its request."""
    return {name: value for name, value in reply.json().items() if name != "request_id"}


@pytest.mark.parametrize(("send", "status", "code"), REFUSED.values(), ids=REFUSED)
def test_dry_run_that_breaks_a_rule_is_refused_as_the_write_is(
    ada: Client, ids: dict[str, str], direct: str, send: Send, status: int, code: str
) -> None:
    dry = send(ada, ids, "?dry_run=true")
    problem = dry.json()
    assert dry.status == status
    assert code in {problem["code"], *(f"{one['pointer']} {one['code']}" for one in problem.get("errors", ()))}
    assert told(dry) == told(send(ada, ids, ""))
    assert dry.headers["dry-run"] == "true"
    idle = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in%'"
    assert rows(direct, idle) == [(0,)]
    assert ada.post(f"{ME}/tasks", {"title": "The connection is free, and the user's row as well"}).status == 201
