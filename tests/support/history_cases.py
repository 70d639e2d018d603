"""Cases of `wall_cases`: the history."""

from collections.abc import Callable
from typing import Any

from tests.support.client import Client
from tests.support.look_alikes import THEIR_TASK, Ask

HISTORY = "/api/v1/me/history"
PROJECTS = "/api/v1/me/projects"
TASKS = "/api/v1/me/tasks"


def seed(user: Client) -> None:
    """Give a user some history."""
    task = user.post(TASKS, {"title": "First"}).headers["location"]
    for title in ("Second", "Third", "Fourth"):
        user.patch(task, {"title": title})
    project = user.post(PROJECTS, {"name": "First"}).headers["location"]
    user.patch(project, {"name": "Second"})


def histories(ask: Ask, mine: Any) -> None:
    for who in ("account", "key", "operator", "newcomer-history"):
        page = ask(who, "GET", HISTORY)
        ask(who, "GET", HISTORY, **{"If-None-Match": page.headers["etag"]})
        for entry in page.json()["items"][:4]:
            place = f"{TASKS}/{entry['id']}/history"
            first = ask(who, "GET", f"{place}?limit=1")
            if first.status == 200 and (cursor := first.json()["next_cursor"]):
                ask(who, "GET", f"{place}?limit=1&cursor={cursor}")
            ask(who, "GET", f"{HISTORY}?from={entry['at']}")
            ask(who, "GET", f"{HISTORY}?to={entry['at']}&limit=2")
            if entry["actor"]["id"]:
                ask(who, "GET", f"{HISTORY}?actor_id={entry['actor']['id']}")
        if page.json()["items"]:
            cursor = ask(who, "GET", f"{HISTORY}?limit=1").json()["next_cursor"]
            ask(who, "GET", f"{HISTORY}?limit=1&cursor={cursor}")
        ask(who, "GET", f"{HISTORY}?action=updated")
        ask(who, "GET", f"{TASKS}/{THEIR_TASK}/history")


CASES: dict[str, Callable[[Ask, Any], None]] = {case.__name__: case for case in (histories,)}
