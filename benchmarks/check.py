"""Before load: every server answers rightly, and all the same."""

import re
from typing import Any

from prepare import COMPETITORS, FURTHER
from servers import Answer, Running

HOME = "/api/v1/me/tasks"
_REFUSED = 400
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
Facts = dict[str, tuple[int, Any, str | None]]

TASK = (
    "id",
    "user_id",
    "title",
    "description",
    "status",
    "completed",
    "completed_at",
    "created_at",
    "updated_at",
    "version",
)
"""Members of a task that every server has: those of contract 1.0."""


def answers(server: Running, name: str, sample: tuple[str, str]) -> Facts:
    """What a server answers to each operation: status, body and ETag, with what may differ made the same."""
    owner, task_id = sample
    facts = {
        "get": _fact(server.ask("GET", f"{HOME}/{task_id}", owner)),
        "list of 50": _page(server.ask("GET", HOME + "?limit=50", owner)),
        "list of 1000": _page(server.ask("GET", HOME + "?limit=1000", owner)),
    }
    user = f"checker-{server.port}"
    if any(status != 200 for status, _, _ in facts.values()):
        raise SystemExit(f"{name} cannot read: {facts}")
    made = server.ask("POST", HOME, user, {"title": "Check", "description": "At first", "status": "in_progress"})
    place = f"{HOME}/{made.body['id']}"
    changed = server.ask("PATCH", place, user, {"title": "Checked", "description": "Then"})
    done = server.ask("PATCH", f"{place}/complete", user)
    read = server.ask("GET", place, user)
    if read.body != done.body:
        raise SystemExit(f"{name}: what was written is not what is read")
    written = {"create": made, "update": changed, "complete": done, "get what was written": read}
    facts |= {step: _new(answer, user) for step, answer in written.items()}
    facts["reopen"] = _new(server.ask("PATCH", f"{place}/complete", user), user)
    listed = server.ask("GET", HOME, user)
    facts["list of one"] = (listed.status, [_masked(task, user) for task in listed.body["items"]], None)
    return facts


def refusals(server: Running) -> dict[str, int]:
    """The status of what every server but the floor must refuse."""
    user = f"refused-{server.port}"
    made = server.ask("POST", HOME, user, {"title": "Refuse", "status": "cancelled"})
    place = f"{HOME}/{made.body['id']}"
    steps = {
        "no token": server.ask("GET", place, None),
        "bad token": server.ask("GET", place, None, authorization="Bearer a.b.c"),
        "another user's path": server.ask("GET", "/api/v1/somebody/tasks", user),
        "another user's task": server.ask("GET", place, "somebody"),
        "stale version": server.ask("PATCH", place, user, {"title": "Late"}, if_match='"9"'),
        "forbidden transition": server.ask("PATCH", place, user, {"status": "completed"}),
        "complete a cancelled task": server.ask("PATCH", f"{place}/complete", user),
    }
    told = {step: answer.status for step, answer in steps.items()}
    invalid = {
        "title too long": {"title": "x" * 256},
        "title without a visible character": {"title": " \u200b "},
        "control character": {"title": "a\nb"},
        "description too long": {"title": "x", "description": "x" * 5001},
        "unknown member": {"title": "x", "id": 1},
        "unknown status": {"title": "x", "status": "done"},
        "no title": {},
    }
    for step, body in invalid.items():
        status = server.ask("POST", HOME, user, body).status
        told[step] = 400 if status == 422 else status  # FastAPI says 422 where the contract says 400
    return told


def same(all_facts: dict[str, Facts]) -> None:
    """Ends the run where servers answer differently."""
    (first, expected), *others = all_facts.items()
    for name, facts in others:
        for step, fact in expected.items():
            if facts[step] != fact:
                raise SystemExit(f"{step}: {first} and {name} differ:\n{fact}\n{facts[step]}")


def same_refusals(told: dict[str, dict[str, int]]) -> None:
    """Ends the run where a competitor lets through what the service refuses, or refuses it otherwise."""
    for name in COMPETITORS + FURTHER:
        if name in told and told[name] != told["ours"]:
            raise SystemExit(f"ours and {name} refuse differently:\n{told['ours']}\n{told[name]}")


def _fact(answer: Answer) -> tuple[int, Any, str | None]:
    body = _common(answer.body) if answer.status < _REFUSED else answer.body
    return answer.status, body, answer.headers.get("etag")


def _common(task: dict[str, Any]) -> dict[str, Any]:
    """The members that every server has."""
    return {name: task[name] for name in TASK}


def _page(answer: Answer) -> tuple[int, Any, None]:
    """The cursor is opaque, and only the service gives lists an ETag."""
    if answer.status != 200:
        return answer.status, answer.body, None
    items, total, cursor = (answer.body[name] for name in ("items", "total", "next_cursor"))
    return answer.status, {"items": [_common(task) for task in items], "total": total, "more": cursor is not None}, None


def _new(answer: Answer, user: str) -> tuple[int, Any, str | None]:
    return answer.status, _masked(answer.body, user), answer.headers.get("etag")


def _masked(task: dict[str, Any], user: str) -> dict[str, Any]:
    """Ids and times are each server's own; that they are ids and times is compared."""
    masked = {key: "a time" if TIME.fullmatch(str(value)) else value for key, value in _common(task).items()}
    return masked | {"id": len(task["id"]), "user_id": task["user_id"] == user}
