"""Two writes at once, of which one is on the trash, a hundred times: a legal outcome each time, and numbers that are those of the rows."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest

from tests.support.client import Client, Reply
from tests.support.tasks import create, path
from tests.support.trash import TRASH, trashed
from tests.support.trees import chain, wrong

ROUNDS = 100
TASKS = "/api/v1/me/tasks"

Send = tuple[str, str, Any]


def back_to(task: dict[str, Any]) -> Send:
    """Return the request that brings a task back."""
    return "POST", f"{TRASH}/{task['id']}/restore", None


class Pair:
    """Sends two requests of a user at once."""

    def __init__(self, client: Client, pool: ThreadPoolExecutor) -> None:
        self._client, self._pool, self._gate = client, pool, Barrier(2)

    def _send(self, request: Send) -> Reply:
        self._gate.wait(60)
        method, address, body = request
        return self._client.request(method, address, json_body=body)

    def send(self, first: Send, second: Send) -> tuple[Reply, Reply]:
        """Return both replies."""
        one, other = self._pool.map(self._send, (first, second))
        return one, other


@pytest.fixture
def pair(ada: Client) -> Iterator[Pair]:
    with ThreadPoolExecutor(2) as pool:
        yield Pair(ada, pool)


def test_restore_item_while_its_parent_is_deleted_is_first_or_refused(ada: Client, pair: Pair, direct: str) -> None:
    for _ in range(ROUNDS):
        line = chain(ada, 2)
        assert ada.delete(path(line[1])).status == 204
        back, gone = pair.send(back_to(line[1]), ("DELETE", path(line[0]), None))
        assert (back.status, back.code if back.status != 200 else "", gone.status) in (
            (200, "", 204),
            (409, "parent_in_trash", 204),
        )
        root = line[0]["id"] if back.status == 200 else line[1]["id"]
        assert trashed(direct, line[0]["user_id"])[line[1]["id"]] == ("task", root)
        assert ada.get(TASKS).json()["total"] == 0
        assert wrong(direct, line[0]) == []
        assert ada.delete(TRASH).status == 204


def test_restore_item_twice_at_once_brings_it_back_once(ada: Client, pair: Pair, direct: str) -> None:
    task = create(ada)
    for _ in range(ROUNDS):
        assert ada.delete(path(task)).status == 204
        assert sorted(reply.status for reply in pair.send(back_to(task), back_to(task))) == [200, 404]
        assert (trashed(direct, task["user_id"]), wrong(direct, task)) == ({}, [])


def test_restore_item_while_the_trash_is_emptied_is_first_or_404(ada: Client, pair: Pair, direct: str) -> None:
    for _ in range(ROUNDS):
        line = chain(ada, 2)
        assert ada.delete(path(line[0])).status == 204
        back, emptied = pair.send(back_to(line[0]), ("DELETE", TRASH, None))
        assert (back.status, emptied.status) in ((200, 204), (404, 204))
        there = [ada.get(path(task)).status for task in line]
        assert there == [200, 200] if back.status == 200 else [404, 404]
        assert (trashed(direct, line[0]["user_id"]), wrong(direct, line[0])) == ({}, [])


def test_restore_item_while_its_parent_moves_is_in_the_project_of_that(ada: Client, pair: Pair, direct: str) -> None:
    garden = ada.post("/api/v1/me/projects", {"name": "Garden"}).json()
    for _ in range(ROUNDS):
        line = chain(ada, 3)
        assert ada.delete(path(line[1])).status == 204
        back, moved = pair.send(back_to(line[1]), ("PATCH", path(line[0]), {"project_id": garden["id"]}))
        assert (back.status, moved.status) == (200, 200)
        assert {ada.get(path(task)).json()["project_id"] for task in line} == {garden["id"]}
        assert wrong(direct, line[0]) == []
