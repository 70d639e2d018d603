"""What users do with projects: cases of `wall_cases`."""

from collections.abc import Callable
from typing import Any

from tests.support.look_alikes import THEIR_PROJECT, Ask, tags

PROJECTS = "/api/v1/me/projects"


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
        for condition in [*tags(ask(who, "GET", address))]:
            ask(who, "DELETE", address, **condition)


def too_many_projects(ask: Ask, mine: Any) -> None:
    for who in ("account", "key"):
        ask(who, "GET", PROJECTS)
        ask(who, "POST", PROJECTS, {"name": "One more"})


CASES: dict[str, Callable[[Ask, Any], None]] = {"projects": projects, "too_many_projects": too_many_projects}
