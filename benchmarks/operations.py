"""The operations that came after 1.0, of a user with few tasks and one with many, slice by slice in turn.

And one user who writes as fast as the service lets them: single tasks, one after the other or at once, and batches.
"""

from argparse import Namespace
from pathlib import Path
from typing import Any

from closed_loop import HOME, MEASURES, NEW, load, request, write
from figures import User
from lists import FEW, two_users
from peers import middle
from prepare import databases, token
from servers import Running, running

CHANGES, BATCH = HOME.replace("tasks", "changes"), HOME.replace("tasks", "batch")
CONNECTIONS = 4
SIZE = 100
"""Operations of a batch, and ids that are moved."""

LISTS = ("", "status=pending", "completed=false&sort=due", "project_id={project}", "label=label%201")
LISTS += ("parent_id={parent}", "priority=high", "due=today")
ONE_USER = {
    "single creates, one after the other": (1, 1, 1),
    "single creates, 8 at once": (8, 1, 1),
    f"batches of {SIZE}, one after the other": (1, SIZE, 1),
    f"batches of {SIZE}, 4 at once": (4, SIZE, 1),
    "8 users, single creates, one after the other each": (8, 1, 8),
}
"""Connections, tasks in a request, and users."""


def operations(options: Namespace, url: str) -> dict[str, Any]:
    """Requests/s and latency of each operation, for both users."""
    seen: dict[str, dict[str, list[dict[str, float]]]] = {}
    with two_users(options, url) as ours, running("ours", ours, options.workers) as server:
        files = {
            name: {kind: write(Path.cwd() / f"{name}-{number}", texts) for number, (kind, texts) in enumerate(asked)}
            for name in ("few", "many")
            for asked in [_requests(server, f"reader-{name}").items()]
        }
        for number in range(options.rounds + 1):
            for kind in files["few"]:
                slices = seen.setdefault(kind, {"few": [], "many": []})
                for name in sorted(slices, reverse=bool(number % 2)):
                    done = load(server, files[name][kind], options.seconds, CONNECTIONS)
                    if number:  # the first round warms up
                        slices[name].append(done)
    told = {kind: {name: _told(slices[name]) for name in slices} for kind, slices in seen.items()}
    return {"few": FEW, "many": options.many, "connections": CONNECTIONS, "operations": told}


def _requests(server: Running, name: str) -> dict[str, list[str]]:
    """The requests of each operation. A write changes something each time."""
    user, bearer = User(server, name), token(name)
    project = user.ask("GET", "/api/v1/me/projects")[1]["items"][0]["id"]
    parent = user.ask("GET", f"{HOME}?limit=1&sort=position")[1]["items"][0]["id"]
    tasks = [task["id"] for task in user.ask("GET", f"{HOME}?limit={FEW}")[1]["items"]]
    loose = user.ask("GET", f"{HOME}?limit={SIZE}&project_id=none&parent_id=none")[1]["items"]
    moved = [task["id"] for task in loose]
    middle_of_walk, end = _walk(user)
    told = {
        "get": [request("GET", f"{HOME}/{task}", bearer) for task in tasks],
        "feed, first page of 100": [request("GET", f"{CHANGES}?limit=100", bearer)],
        "feed, page of 100 from the middle": [request("GET", f"{CHANGES}?limit=100&since={middle_of_walk}", bearer)],
        "feed, nothing new": [request("GET", f"{CHANGES}?limit=100&since={end}", bearer)],
    }
    for query in LISTS:
        path = f"{HOME}?limit=50&{query}".rstrip("&").replace("{project}", project).replace("{parent}", parent)
        told[f"list of 50 {query}".strip()] = [request("GET", path, bearer)]
    told["move to the first place"] = [
        request("POST", f"{HOME}/{task}/move", bearer, {"at": "first"}) for task in moved
    ]
    told[f"batch of {SIZE} updates"] = [
        request("POST", BATCH, bearer, {"operations": [_update(task, word) for task in tasks[:SIZE]]})
        for word in ("Changed", "Changed again")
    ]
    return told


def _update(task: str, title: str) -> dict[str, Any]:
    return {"update_task": {"id": task, "change": {"title": title}}}


def _walk(user: User) -> tuple[str, str]:
    """The `since` of a page from the middle of the walk through everything, and the one after its end."""
    sinces = []
    page: dict[str, Any] = {"more": True, "next": ""}
    while page["more"]:
        since = f"&since={page['next']}" if page["next"] else ""
        page = user.ask("GET", f"{CHANGES}?limit=1000{since}")[1]
        sinces.append(page["next"])
    return sinces[max(len(sinces) // 2 - 1, 0)], sinces[-1]


def one_user(options: Namespace, url: str) -> dict[str, Any]:
    """Tasks/s of one user who creates as fast as the service lets them, by each way to do it."""
    names = [f"maker-{number:03}" for number in range(9)]
    lone, *others = names
    single = {name: request("POST", HOME, token(name), NEW) for name in names}
    whole = request("POST", BATCH, token(lone), {"operations": [{"create_task": NEW}] * SIZE})
    seen: dict[str, list[dict[str, float]]] = {kind: [] for kind in ONE_USER}
    with (
        databases(url, ["ours"], dict.fromkeys(names, 1)) as data,
        running("ours", data.urls["ours"], options.workers) as server,
    ):
        for number in range(options.rounds + 1):
            for place, (kind, (connections, tasks, users)) in enumerate(ONE_USER.items()):
                texts = [whole] if tasks > 1 else [single[name] for name in (others if users > 1 else [lone])]
                file = write(Path.cwd() / f"one-user-{place}", texts)
                done = load(server, file, options.seconds, connections)
                if number:  # the first round warms up
                    seen[kind].append(done | {"rps": done["rps"] * tasks})
    return {"ways": {kind: _told(slices) for kind, slices in seen.items()}}


def _told(slices: list[dict[str, float]]) -> dict[str, Any]:
    told: dict[str, Any] = {each: middle([one[each] for one in slices]) for each in MEASURES}
    return told | {"errors": sum(one["refused"] + one["broken"] for one in slices)}
