"""Cases of `wall_cases`: users look at their trash, and bring back or delete for good what is in it."""

from collections.abc import Callable
from typing import Any
from unittest.mock import patch

from tests.support.client import Client
from tests.support.look_alikes import THEIR_TASK, Ask
from todo_api.trash import service

PROJECTS = "/api/v1/me/projects"
TASKS = "/api/v1/me/tasks"
TRASH = "/api/v1/me/trash"
IDS = [f"01932c07-9f7a-7c1d-b6a1-5a2f0f5d1d0{number}" for number in range(6)]


def seed(user: Client) -> None:
    """Give a user a trash: a task with one below it, below another, and a project with a task."""
    top, root, child, project, inside, alone = IDS
    user.post(PROJECTS, {"id": project, "name": "Gone"})
    fields = {"labels": ["gone"], "due": {"date": "2026-11-20"}}
    for id_, more in (
        (top, {}),
        (root, {"parent_id": top} | fields),
        (child, {"parent_id": root}),
        (inside, {"project_id": project, "status": "completed"}),
        (alone, {}),
    ):
        user.post(TASKS, {"id": id_, "title": "Gone", **more})
    for address in (f"{TASKS}/{root}", f"{PROJECTS}/{project}", f"{TASKS}/{alone}"):
        user.delete(address)


def trash(ask: Ask, mine: Any) -> None:
    top, root, child, project, inside, alone = IDS
    for who in ("account", "key", "operator", "newcomer-trash"):
        page = ask(who, "GET", TRASH)
        ask(who, "GET", TRASH, **{"If-None-Match": page.headers["etag"]})
        first = ask(who, "GET", f"{TRASH}?limit=1").json()["next_cursor"]
        if first:
            ask(who, "GET", f"{TRASH}?limit=1&cursor={first}")
        for item in (root, project, child, THEIR_TASK):
            ask(who, "POST", f"{TRASH}/{item}/restore")
            ask(who, "GET", TASKS)
            ask(who, "GET", PROJECTS)
        ask(who, "DELETE", f"{TASKS}/{root}")
        ask(who, "DELETE", f"{TASKS}/{top}")
        ask(who, "POST", f"{TRASH}/{root}/restore")
        ask(who, "DELETE", f"{TRASH}/{top}")
        ask(who, "POST", f"{TRASH}/{root}/restore")
        for item in (alone, inside, THEIR_TASK):
            ask(who, "DELETE", f"{TRASH}/{item}")
        ask(who, "POST", TASKS, {"id": alone, "title": "Again"})
        ask(who, "POST", TASKS, {"id": root, "title": "Again"})
        ask(who, "DELETE", f"{PROJECTS}/{project}?permanent=true")
        ask(who, "DELETE", f"{TASKS}/{alone}?permanent=true")
        ask(who, "DELETE", TRASH)
        ask(who, "DELETE", TRASH)
        ask(who, "GET", TRASH)


def delete_for_good(ask: Ask, mine: Any) -> None:
    for who in ("account", "key", "operator"):
        for condition in ({}, {"If-Match": '"1"'}):
            above = ask(who, "POST", TASKS, {"title": "Gone"}).json()["id"]
            ask(who, "POST", TASKS, {"title": "Gone", "parent_id": above})
            alone = ask(who, "POST", TASKS, {"title": "Gone"}).json()["id"]
            project = ask(who, "POST", PROJECTS, {"name": "Gone"}).json()["id"]
            for address in (f"{TASKS}/{above}", f"{TASKS}/{alone}", f"{PROJECTS}/{project}", f"{TASKS}/{THEIR_TASK}"):
                ask(who, "DELETE", f"{address}?permanent=true", **condition)
                exactly = ask(who, "GET", address).headers.get("etag")
                if exactly:
                    ask(who, "DELETE", f"{address}?permanent=true", **{"If-Match": exactly})
        project = ask(who, "POST", PROJECTS, {"name": "Kept"}).json()["id"]
        inside = ask(who, "POST", TASKS, {"title": "Gone", "project_id": project}).json()["id"]
        for _ in range(2):
            ask(who, "DELETE", f"{TASKS}/{inside}")
            ask(who, "POST", f"{TRASH}/{inside}/restore")
            ask(who, "DELETE", f"{PROJECTS}/{project}")
        ask(who, "GET", TRASH)


def restore_one_task_at_a_time(ask: Ask, mine: Any) -> None:
    for who in ("account", "key", "operator"):
        above = ask(who, "POST", TASKS, {"title": "Above", "labels": ["gone"]}).json()["id"]
        ask(who, "POST", TASKS, {"title": "Below", "parent_id": above, "due": {"date": "2026-11-20"}})
        ask(who, "DELETE", f"{TASKS}/{above}")
        with patch.object(service, "AT_ONCE", 1):
            ask(who, "POST", f"{TRASH}/{above}/restore")


CASES: dict[str, Callable[[Ask, Any], None]] = {
    case.__name__: case for case in (trash, delete_for_good, restore_one_task_at_a_time)
}
