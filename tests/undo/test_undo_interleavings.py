"""Undo beside another write of the same user: each as one of the two orders has it.

The first is held up before one of its statements, another one for each pair. What both reply and every row of the user's must be what
one of the two orders gives: members, numbers, trash, tombstones and history.
"""

import json
from collections.abc import Callable, Iterator
from functools import cached_property, partial
from typing import Any, NamedTuple

import pytest
from uuid_utils import uuid7

from tests.support.client import Client, Reply
from tests.support.credentials import token
from tests.support.reversions import ME
from tests.support.rows import rows
from tests.support.stage import Stage, staged
from tests.support.trees import wrong
from todo_api.config import Config

NAMES = ("parent", "task", "child", "trashed", "below", "project", "gone", "inside", "new")
"""What is there: a parent with a task and its child, in a project. In the trash: a child of the task with one below, and a project."""

COLUMNS = "user_id, id, title, status, created_at, updated_at, first_version, version, position, parent_id, project_id, children, labels"
OTHERS = ("position", "completed_at")
"""Members that depend on the clock."""


class World(NamedTuple):
    """A user, and ids by names."""

    user: str
    ids: dict[str, str]

    def told(self, text: str) -> str:
        """Return the text with names in place of ids."""
        for name, id_ in (*self.ids.items(), ("user", self.user)):
            text = text.replace(id_, name)
        return text


class Act(NamedTuple):
    """A request. Names of things stand for their ids in braces."""

    method: str
    path: str
    body: Any = None

    def send(self, client: Client, world: World) -> Reply:
        text = json.dumps(self.body)
        for name, id_ in world.ids.items():
            text = text.replace(f"<{name}>", id_)
        path = self.path.format(**world.ids)
        body = None if self.body is None else json.loads(text)
        return client.signed_in(token(world.user)).request(self.method, f"{ME}{path}", json_body=body)


AT_ONCE = 50
"""Worlds that are made by one command: each alone takes longer than what is tried in it."""


def worlds(url: str) -> Iterator[World]:
    """Yield users whose writes 7 to 10 deleted a task, a project, changed a task and renamed its label."""
    while True:
        made = [World(f"world-{uuid7()}", {name: str(uuid7()) for name in NAMES}) for _ in range(AT_ONCE)]
        rows(url, _insert(made))
        yield from made


def _tasks(world: World) -> Iterator[str]:
    of = {name: f"'{id_}'" for name, id_ in world.ids.items()} | {"": "NULL"}

    def task(name: str, version: int, parent: str, project: str, children: int, labels: str = "NULL") -> str:
        return (
            f"('{world.user}', {of[name]}, '{name}', 'pending', now(), now(), {version}, {version}, 'm{version:014x}',"
            f" {of[parent]}, {of[project]}, {children}, {labels})"
        )

    yield task("parent", 2, "", "project", 1)
    yield task("task", 3, "parent", "project", 2, """'["home"]'""")
    yield task("child", 4, "task", "project", 0)
    yield task("trashed", 5, "task", "project", 1, """'["home"]'""")
    yield task("below", 5, "trashed", "project", 0)
    yield task("inside", 6, "", "gone", 0)


def _insert(made: list[World]) -> str:
    """Return the SQL that makes them."""
    users = ", ".join(f"'{world.user}'" for world in made)
    mine = f"user_id IN ({users})"

    def ids(*names: str) -> str:
        return f"{mine} AND id IN ({', '.join(repr(world.ids[name]) for world in made for name in names)})"

    projects = ", ".join(
        f"('{world.user}', '{world.ids['project']}', 'project', 'm00000000000001', now(), now(), 1, 1),"
        f" ('{world.user}', '{world.ids['gone']}', 'gone', 'm00000000000002', now(), now(), 1, 1)"
        for world in made
    )
    numbers = ", ".join(f"('{world.user}', 7, 6, 2)" for world in made)
    return (
        f"INSERT INTO users (id, seq, pending, projects) VALUES {numbers};"
        " INSERT INTO projects (user_id, id, name, position, created_at, updated_at, version, first_version)"
        f" VALUES {projects};"
        f" INSERT INTO tasks ({COLUMNS}) VALUES {', '.join(task for world in made for task in _tasks(world))};"
        f" INSERT INTO task_labels SELECT user_id, id, 'home', 'home', version FROM tasks WHERE {mine} AND labels IS NOT NULL;"
        f" DELETE FROM tasks WHERE {ids('trashed', 'below')};"
        f" UPDATE users SET seq = 8, pending = 3, projects = 1 WHERE id IN ({users});"
        f" WITH lost AS (DELETE FROM tasks WHERE {ids('inside')}) DELETE FROM projects WHERE {ids('gone')};"
        f" UPDATE users SET seq = 9 WHERE id IN ({users});"
        f" UPDATE tasks SET title = 'changed', version = 9, updated_at = clock_timestamp() WHERE {ids('task')};"
        f" UPDATE users SET seq = 10 WHERE id IN ({users});"
        f" UPDATE tasks SET priority = 2, version = 10, updated_at = clock_timestamp() WHERE {ids('child')}"
    )


TABLES = {
    "users": "seq, pending, in_progress, completed, cancelled, projects",
    "tasks": "id, title, status, priority, labels, parent_id, project_id, version, first_version, children",
    "projects": "id, name, version",
    "task_labels": "task_id, label_key, name, version",
    "trash": "kind, id, root_kind, root_id, version, title",
    "tombstones": "kind, id, version",
    "history": f"seq, kind, id, action, version_before, changes - '{{{','.join(OTHERS)}}}'::text[]",
}


def left(url: str, world: World) -> dict[str, Any]:
    """Return the user's rows, without what depends on the clock. Numbers of tasks and children are right."""
    assert wrong(url, {"user_id": world.user}) == []
    asked = (
        f"SELECT '{table}', ROW({columns})::text FROM {table} WHERE {'id' if table == 'users' else 'user_id'} = '{world.user}'"
        for table, columns in TABLES.items()
    )
    found: dict[str, list[str]] = {table: [] for table in TABLES}
    for table, line in rows(url, " UNION ALL ".join(asked)):
        found[table].append(world.told(line))
    return {table: sorted(lines) for table, lines in found.items()}


def told(reply: Reply) -> str:
    """Return what is compared of a reply: its status and code."""
    return str(reply.status) if reply.status < 400 else f"{reply.status} {reply.code}"


class Outcome(NamedTuple):
    """Both replies, and what is left."""

    replies: tuple[str, str]
    left: dict[str, Any]


class Pairs(Stage):
    """Two requests of one user."""

    @cached_property
    def worlds(self) -> Iterator[World]:
        """Users whom nothing has been tried with."""
        return worlds(self.url)

    def in_turn(self, first: Act, second: Act) -> Outcome:
        """Return what comes of one after the other."""
        world = next(self.worlds)
        replies = (told(first.send(self.direct, world)), told(second.send(self.direct, world)))
        return Outcome(replies, left(self.url, world))

    def interleaved(self, first: Act, second: Act, number: int) -> Outcome | None:
        """Return what comes of it where the second begins before that statement of the first. None: it has fewer."""
        world = next(self.worlds)
        pair = self.pair(partial(first.send, self.gated, world), partial(second.send, self.direct, world), number)
        if pair is None:
            return None
        return Outcome((told(pair.first), told(pair.second)), left(self.url, world))

    def check(self, first: Act, second: Act, number: int) -> None:
        """Assert that the interleaving before that statement, or the last before, is as one of the two orders."""
        reverse = self.in_turn(second, first)
        legal = [self.in_turn(first, second), Outcome(reverse.replies[::-1], reverse.left)]
        found = None
        while found is None:
            found = self.interleaved(first, second, number)
            number -= 1
        assert found in legal, f"before statement {number + 1}:\n{found}\nis neither of\n{legal}"
        assert not any(reply.startswith("5") for reply in found.replies)


@pytest.fixture(scope="module")
def stage(url: str, new_client: Callable[[Config], Client]) -> Iterator[Pairs]:
    with staged(Pairs, url, new_client) as stage:
        yield stage


UNDO = {
    "revertTask": Act("POST", "/tasks/{task}/revert", {"version": 3}),
    "revertChange": Act("POST", "/changes/9/revert"),
    "revertChange-force": Act("POST", "/changes/9/revert", {"force": True}),
    "revertChange-creation": Act("POST", "/changes/3/revert", {"force": True}),
    "revertChange-deletion": Act("POST", "/changes/7/revert"),
    "revertChange-project": Act("POST", "/changes/8/revert"),
    "restoreItem": Act("POST", "/trash/{trashed}/restore"),
    "restoreItem-project": Act("POST", "/trash/{gone}/restore"),
    "purgeItem": Act("DELETE", "/trash/{trashed}"),
    "emptyTrash": Act("DELETE", "/trash"),
    "updateTask-base": Act("PATCH", "/tasks/{task}?base=9", {"title": "based"}),
}
BESIDE = UNDO | {
    "updateTask": Act("PATCH", "/tasks/{task}", {"title": "mine", "labels": ["work"]}),
    "updateTask-project": Act("PATCH", "/tasks/{parent}", {"project_id": None}),
    "replaceTask": Act("PUT", "/tasks/{task}", {"title": "replaced"}),
    "completeTask": Act("PATCH", "/tasks/{task}/complete", {"completed": True, "subtasks": "complete"}),
    "moveTask": Act("POST", "/tasks/{task}/move", {"parent_id": None}),
    "deleteTask": Act("DELETE", "/tasks/{task}"),
    "deleteTask-permanent": Act("DELETE", "/tasks/{task}?permanent=true"),
    "createTask-below": Act("POST", "/tasks", {"title": "new", "id": "<new>", "parent_id": "<task>"}),
    "createTask-again": Act("POST", "/tasks", {"title": "new", "id": "<trashed>"}),
    "renameLabel": Act("PATCH", "/labels/home", {"name": "shop"}),
    "removeLabel": Act("DELETE", "/labels/home"),
    "createProject-again": Act("POST", "/projects", {"name": "new", "id": "<gone>"}),
    "updateProject": Act("PATCH", "/projects/{project}", {"name": "mine"}),
    "deleteProject": Act("DELETE", "/projects/{project}"),
    "runBatch": Act(
        "POST",
        "/batch",
        {
            "operations": [
                {"update_task": {"id": "<task>", "change": {"title": "batch"}}},
                {"create_task": {"id": "<new>", "title": "new", "parent_id": "<task>"}},
                {"delete_task": {"id": "<child>"}},
            ]
        },
    ),
}


MOST = 9
"""Statements of an act before which a second one begins, from the second on. Before the first nothing is begun."""


@pytest.mark.parametrize("first", UNDO)
def test_undo_beside_every_other_write_is_as_one_after_the_other(stage: Pairs, first: str) -> None:
    for place, second in enumerate(BESIDE):
        print(first, second)  # it stands below the test if it fails
        stage.check(UNDO[first], BESIDE[second], 2 + place % MOST)


@pytest.mark.parametrize("first", [name for name in BESIDE if name not in UNDO])
def test_every_other_write_beside_undo_is_as_one_after_the_other(stage: Pairs, first: str) -> None:
    for place, second in enumerate(("revertTask", "revertChange-force", "restoreItem", "emptyTrash")):
        print(first, second)
        stage.check(BESIDE[first], UNDO[second], 2 + place)
