"""Readers who follow the feed while others write: in the end each has what the server has, wherever it had stopped."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from random import Random
from threading import Event
from typing import Any
from uuid import UUID

import pytest

from tests.support.client import Client
from tests.support.tasks import create, path

CHANGES = "/api/v1/me/changes"
PROJECTS = "/api/v1/me/projects"
LABELS = "/api/v1/me/labels"
TASKS = "/api/v1/me/tasks"

NAMES = ("home", "errand", "garden")
IDS = [str(UUID(int=number)) for number in range(1, 9)]
"""Ids that are used again and again."""

WRITERS = 4
WRITES = 40
READERS = 3


class Writer:
    """Somebody who writes at random. What another has deleted meanwhile is answered 404 and the like."""

    def __init__(self, client: Client, seed: int) -> None:
        self._client = client
        self._random = Random(seed)  # noqa: S311  # no secret

    def write(self) -> int:
        """Do something, and return the status of the reply."""
        acts: list[Callable[[], int]] = [
            self._create,
            self._create,
            self._create_again,
            self._change,
            self._complete,
            self._move,
            self._rename_label,
            self._delete,
            self._create_project,
            self._change_project,
            self._delete_project,
        ]
        return self._random.choice(acts)()

    def _some(self, address: str) -> dict[str, Any]:
        found: list[dict[str, Any]] = self._client.get(f"{address}{'?limit=1000' if address == TASKS else ''}").json()[
            "items"
        ]
        return self._random.choice(found) if found else {"id": str(UUID(int=0))}

    def _create(self) -> int:
        body: dict[str, Any] = {"title": f"Task {self._random.random()}", "labels": self._random.sample(NAMES, 2)}
        kind = self._random.choice(("plain", "of a project", "of a task"))
        if kind != "plain":
            name = "project_id" if kind == "of a project" else "parent_id"
            body[name] = self._some(PROJECTS if kind == "of a project" else TASKS)["id"]
        return self._client.post(TASKS, body).status

    def _create_again(self) -> int:
        return self._client.post(TASKS, {"title": "Again", "id": self._random.choice(IDS)}).status

    def _change(self) -> int:
        return self._client.patch(path(self._some(TASKS)), {"title": f"Changed {self._random.random()}"}).status

    def _complete(self) -> int:
        body = {"completed": True, "subtasks": "complete"}
        return self._client.patch(f"{path(self._some(TASKS))}/complete", body).status

    def _move(self) -> int:
        place = self._random.choice(({"parent_id": self._some(TASKS)["id"]}, {"parent_id": None}, {"at": "first"}))
        return self._client.post(f"{path(self._some(TASKS))}/move", place).status

    def _rename_label(self) -> int:
        old, new = self._random.sample(NAMES, 2)
        return self._client.patch(f"{LABELS}/{old}", {"name": new, "merge": True}).status

    def _delete(self) -> int:
        return self._client.delete(path(self._some(TASKS))).status

    def _create_project(self) -> int:
        return self._client.post(PROJECTS, {"name": "Project"}).status

    def _change_project(self) -> int:
        return self._client.patch(
            f"{PROJECTS}/{self._some(PROJECTS)['id']}", {"name": f"{self._random.random()}"}
        ).status

    def _delete_project(self) -> int:
        return self._client.delete(f"{PROJECTS}/{self._some(PROJECTS)['id']}").status


class Reader:
    """Somebody who keeps a copy, stops anywhere, forgets the page that came last, or begins anew."""

    def __init__(self, client: Client, seed: int) -> None:
        self._client = client
        self._random = Random(seed)  # noqa: S311  # no secret
        self._begin()

    def _begin(self) -> None:
        self.tasks: dict[str, Any] = {}
        self.projects: dict[str, Any] = {}
        self._token = ""

    def read(self, limit: int) -> bool:
        """Take a page, and return whether there is more."""
        page = self._client.get(f"{CHANGES}?limit={limit}{self._token}").json()
        ids = [each["id"] for name in ("tasks", "projects", "deleted") for each in page[name]]
        assert len(ids) == len({*ids}) <= limit
        if self._random.random() < 0.1:
            return True  # it was lost before it was kept
        for kept, name in ((self.tasks, "tasks"), (self.projects, "projects")):
            for each in page[name]:
                assert each["version"] >= kept.get(each["id"], each)["version"]
                kept[each["id"]] = each
        for each in page["deleted"]:
            kept = self.tasks if each["kind"] == "task" else self.projects
            assert each["version"] > kept.pop(each["id"], {"version": 0})["version"]
        self._token = f"&since={page['next']}"
        return bool(page["more"])

    def follow(self, ended: Event) -> None:
        """Take pages until everybody has stopped to write, and then the rest."""
        while not ended.is_set():
            if self._random.random() < 0.02:
                self._begin()
            self.read(self._random.choice((1, 2, 5, 50)))
        while self.read(self._random.choice((1, 7, 50))):
            pass


def stored(client: Client, address: str) -> dict[str, Any]:
    """Return what the server has, by id."""
    page = client.get(f"{address}{'?limit=1000' if address == TASKS else ''}").json()
    return {each["id"]: each for each in page["items"]}


@pytest.mark.parametrize("seed", [1, 2])
def test_list_changes_beside_writers_gives_each_reader_what_the_server_has(ada: Client, seed: int) -> None:
    create(ada)
    writers = [Writer(ada, seed * 100 + number) for number in range(WRITERS)]
    readers = [Reader(ada, seed * 200 + number) for number in range(READERS)]
    ended = Event()
    with ThreadPoolExecutor(WRITERS + READERS) as pool:
        following = [pool.submit(reader.follow, ended) for reader in readers]
        writing = [pool.submit(lambda writer: [writer.write() for _ in range(WRITES)], writer) for writer in writers]
        try:
            statuses = {status for each in writing for status in each.result()}
        finally:
            ended.set()
        for each in following:
            each.result()
    assert statuses >= {200, 201, 204}
    assert statuses <= {200, 201, 204, 400, 404, 409}
    expected = (stored(ada, TASKS), stored(ada, PROJECTS))
    for reader in readers:
        assert (reader.tasks, reader.projects) == expected


def test_list_changes_with_limit_1_after_cascades_of_a_hundred_gives_what_the_server_has(ada: Client) -> None:
    reader = Reader(ada, 3)
    project = ada.post(PROJECTS, {"name": "Big"}).json()["id"]
    for number in range(100):
        create(ada, f"Task {number}", project_id=project, labels=["home"])
    while reader.read(1000):
        pass
    for act in (
        lambda: ada.patch(f"{LABELS}/home", {"name": "garden"}).status,
        lambda: ada.delete(f"{LABELS}/garden").status,
        lambda: ada.delete(f"{PROJECTS}/{project}").status,
    ):
        assert act() in (200, 204)  # the deletion of a project has no content
        while reader.read(1):
            pass
        assert (reader.tasks, reader.projects) == (stored(ada, TASKS), stored(ada, PROJECTS))
