"""Cases of `wall_cases`: the feed of changes."""

from collections.abc import Callable
from typing import Any

from tests.support import history_cases
from tests.support.client import Client
from tests.support.look_alikes import Ask

CHANGES = "/api/v1/me/changes"
PROJECTS = "/api/v1/me/projects"
TASKS = "/api/v1/me/tasks"
IDS = ("01932c07-9f7a-7c1d-b6a1-5a2f0f5d1c01", "01932c07-9f7a-7c1d-b6a1-5a2f0f5d1c02")


def seed(user: Client) -> None:
    """Give a user tombstones and history."""
    history_cases.seed(user)
    for path, body in ((PROJECTS, {"name": "Gone"}), (TASKS, {"title": "Gone"})):
        for id_ in IDS:
            user.post(path, body | {"id": id_})
            user.delete(f"{path}/{id_}?permanent=true")


def changes(ask: Ask, mine: Any) -> None:
    for who in ("account", "key", "operator", "newcomer-changes"):
        page = ask(who, "GET", CHANGES)
        ask(who, "GET", CHANGES, **{"If-None-Match": page.headers["etag"]})
        since = page.json()["next"]
        for path, body in ((PROJECTS, {"name": "Back"}), (TASKS, {"title": "Back"})):
            ask(who, "POST", path, body | {"id": IDS[0]})
            ask(who, "GET", f"{CHANGES}?since={since}")
            ask(who, "DELETE", f"{path}/{IDS[0]}?permanent=true")
            ask(who, "GET", f"{CHANGES}?since={since}")
        # Others have tasks and projects of the same ids.
        for path in (PROJECTS, TASKS):
            for each in ask(who, "GET", path).json()["items"][:1]:
                ask(who, "DELETE", f"{path}/{each['id']}")
            ask(who, "GET", f"{CHANGES}?since={since}")
        ask(who, "GET", f"{CHANGES}?since={since}&wait=1")  # there is something: it does not wait
        first = ask(who, "GET", f"{CHANGES}?limit=1").json()["next"]
        ask(who, "GET", f"{CHANGES}?limit=2&since={first}")
        ask(who, "GET", f"{CHANGES}?since={first}")


CASES: dict[str, Callable[[Ask, Any], None]] = {case.__name__: case for case in (changes,)} | history_cases.CASES
