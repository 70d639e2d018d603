"""Cases of `wall_cases`: users run batches."""

from collections.abc import Callable
from typing import Any

from tests.support.look_alikes import THEIR_TASK, Ask

BATCH = "/api/v1/me/batch"


def run_batch(ask: Ask, mine: Any) -> None:
    for who, number in (("account", 0), ("key", 1), ("operator", 0), ("newcomer-batch", 0)):
        task, project = mine.tasks["pending"][number], mine.projects["account"][number]
        created = {"create_task": {"title": "Buy milk", "labels": ["errand"], "due": {"date": "2026-11-20"}}}
        plain = {"create_task": {"title": "Buy milk"}}
        version = ask(who, "GET", f"/api/v1/me/tasks/{task}").headers.get("etag", '"7"').strip('"')
        for operations in (
            [plain, {"create_task": {"title": "Buy oats", "project_id": project, "status": "completed"}}],
            [plain, {"create_task": {"title": "Buy oats", "id": THEIR_TASK}}],
            [created, {"create_project": {"name": "Kitchen"}}],
            [
                {"update_task": {"id": task, "version": int(version), "change": {"title": "Buy bread"}}},
                {"complete_task": {"id": task}},
                {"update_project": {"id": project, "version": 1, "change": {"name": "Hall"}}},
            ],
            [
                {"move_project": {"id": project, "at": "first"}},
                created,
                {"rename_label": {"label": "errand", "name": "x"}},
            ],
            [created, {"delete_task": {"id": THEIR_TASK}}],
            [{"update_task": {"id": THEIR_TASK, "version": 1, "change": {"title": "Buy bread"}}}],
        ):
            ask(who, "POST", BATCH, {"operations": operations})


CASES: dict[str, Callable[[Ask, Any], None]] = {"run_batch": run_batch}
