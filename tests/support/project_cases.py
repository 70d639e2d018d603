"""Cases of `wall_cases`: users and their projects."""

from collections.abc import Callable
from typing import Any

from tests.support.client import Client
from tests.support.look_alikes import THEIR_PROJECT, Ask, tags
from todo_api.models import STATUSES

PROJECTS = "/api/v1/me/projects"
TASKS = "/api/v1/me/tasks"


def seed(user: Client, mine: Any, who: str) -> None:
    """Give a user projects, and the account tasks of each status in the first."""
    for owner in ("account", "account", "key", "key") if who == "account" else (who,):
        mine.projects.setdefault(owner, []).append(user.post(PROJECTS, {"name": "Hall"}).json()["id"])
    if who == "account":
        for status in STATUSES * 2:
            user.post(TASKS, {"title": "Paint", "status": status, "project_id": mine.projects[who][0]})


def further_filters(mine: Any) -> list[str]:
    """The filters of lists after 1.1, each of which some tasks of the account meet."""
    of_project = f"project_id={mine.projects['account'][0]}"
    return [
        f"&{one}"
        for one in ("project_id=none", of_project, "label=Home", "priority=none", "updated_since=2000-01-01T00:00:00Z")
    ]


def projects(ask: Ask, mine: Any) -> None:
    for who in ("account", "key", "operator", "newcomer-projects"):
        for body in (
            {"name": "Kitchen"},
            {"id": mine.projects["account"][0], "name": "x"},
            {"id": THEIR_PROJECT, "name": "x"},
        ):
            ask(who, "POST", PROJECTS, body)
        ask(who, "GET", PROJECTS, **{"If-None-Match": ask(who, "GET", PROJECTS).headers["etag"]})
    for who, id_ in [(owner, id_) for owner in ("account", "key") for id_ in mine.projects[owner]]:
        address = f"{PROJECTS}/{id_}"
        for condition in [*tags(ask(who, "GET", address))]:
            for body in ({"name": "Hall"}, {"name": "Hall", "color": None, "description": "x"}):
                ask(who, "PATCH", address, body, **condition)
        for place in (
            {"at": "first"},
            {"at": "last"},
            {"before": THEIR_PROJECT},
            {"after": mine.projects["account"][0]},
        ):
            for condition in [*tags(ask(who, "GET", address))]:
                ask(who, "POST", f"{address}/move", place, **condition)
        for condition in [*tags(ask(who, "GET", address))]:
            ask(who, "DELETE", address, **condition)


def tasks_in_projects(ask: Ask, mine: Any) -> None:
    for who in ("account", "key"):
        kitchen, hall = mine.projects[who]
        for project in (kitchen, THEIR_PROJECT, None):
            made = ask(who, "POST", TASKS, {"title": "Paint", "project_id": project})
            ask(who, "POST", TASKS, {"title": "Paint", "project_id": project}, **{"Idempotency-Key": f"{project}"})
        for project in (hall, THEIR_PROJECT, None, kitchen):
            ask(who, "PATCH", f"{TASKS}/{made.json()['id']}", {"project_id": project})
            ask(who, "PUT", f"{TASKS}/{made.json()['id']}", {"title": "Paint", "project_id": project})
        ask(who, "DELETE", f"{PROJECTS}/{kitchen}", **{"If-Match": '"1"'})
        ask(who, "DELETE", f"{PROJECTS}/{kitchen}")
        ask(who, "GET", f"{TASKS}/{made.json()['id']}")
        ask(who, "DELETE", f"{PROJECTS}/{THEIR_PROJECT}")


def too_many_projects(ask: Ask, mine: Any) -> None:
    for who in ("account", "key"):
        ask(who, "GET", PROJECTS)
        ask(who, "POST", PROJECTS, {"name": "One more"})


CASES: dict[str, Callable[[Ask, Any], None]] = {
    case.__name__: case for case in (projects, tasks_in_projects, too_many_projects)
}
