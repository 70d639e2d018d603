"""Two writes of trees at once, a hundred times: one legal outcome each time, and numbers that are those of the rows."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest

from tests.support.client import Client, Reply
from tests.support.rows import rows
from tests.support.tasks import create, path
from tests.support.trees import chain, wrong
from todo_api.task_tree import MOST_CHILDREN

PROJECTS = "/api/v1/me/projects"
TASKS = "/api/v1/me/tasks"
ROUNDS = 100


class Pair:
    """Sends two requests of a user at once."""

    def __init__(self, client: Client, pool: ThreadPoolExecutor) -> None:
        self._client, self._pool, self._gate = client, pool, Barrier(2)

    def _send(self, request: tuple[str, str, Any]) -> Reply:
        self._gate.wait(60)
        method, address, body = request
        return self._client.request(method, address, json_body=body)

    def send(self, first: tuple[str, str, Any], second: tuple[str, str, Any]) -> list[Reply]:
        """Return both replies."""
        return [*self._pool.map(self._send, (first, second))]


@pytest.fixture
def pair(ada: Client) -> Iterator[Pair]:
    with ThreadPoolExecutor(2) as pool:
        yield Pair(ada, pool)


def test_create_task_as_the_200th_and_201st_child_at_once_makes_one(ada: Client, pair: Pair, direct: str) -> None:
    parent = create(ada)
    one_left = (
        f"UPDATE tasks SET children = {MOST_CHILDREN - 1} WHERE user_id = '{parent['user_id']}' AND parent_id IS NULL"
    )
    for _ in range(ROUNDS):
        rows(direct, one_left)
        body = {"title": "x", "parent_id": parent["id"]}
        replies = pair.send(("POST", TASKS, body), ("POST", TASKS, body))
        assert sorted(reply.status for reply in replies) == [201, 409]
        (made,) = (reply.json() for reply in replies if reply.status == 201)
        assert [reply.code for reply in replies if reply.status == 409] == ["too_many_subtasks"]
        assert ada.delete(path(made)).status == 204
    rows(direct, one_left.replace(str(MOST_CHILDREN - 1), "0"))
    assert wrong(direct, parent) == []


def test_update_task_below_another_that_goes_below_it_at_once_moves_one(ada: Client, pair: Pair, direct: str) -> None:
    one, other = create(ada), create(ada)
    for _ in range(ROUNDS):
        requests = [("PATCH", path(task), {"parent_id": to["id"]}) for task, to in ((one, other), (other, one))]
        replies = pair.send(*requests)
        assert sorted(reply.status for reply in replies) == [200, 400]
        (refused,) = (reply.json()["errors"] for reply in replies if reply.status == 400)
        assert [(error["pointer"], error["code"]) for error in refused] == [("/parent_id", "cycle")]
        (moved,) = (reply.json() for reply in replies if reply.status == 200)
        assert wrong(direct, one) == []
        assert ada.patch(path(moved), {"parent_id": None}).status == 200


def test_complete_task_while_a_child_is_added_is_first_or_refused(ada: Client, pair: Pair, direct: str) -> None:
    for _ in range(ROUNDS):
        parent = create(ada)
        made, done = pair.send(
            ("POST", TASKS, {"title": "x", "parent_id": parent["id"]}),
            ("PATCH", f"{path(parent)}/complete", {"completed": True}),
        )
        assert made.status == 201
        if done.status == 200:
            assert done.json()["version"] < made.json()["version"]
        else:
            assert (done.status, done.code, done.json()["open"]) == (409, "open_subtasks", 1)
            assert ada.get(path(parent)).json() == parent
        assert wrong(direct, parent) == []
        assert ada.delete(path(parent)).status == 204
    assert ada.get(TASKS).json()["total"] == 0


def test_delete_project_while_a_tree_moves_in_has_one_legal_outcome_each_time(
    ada: Client, pair: Pair, direct: str
) -> None:
    for _ in range(ROUNDS):
        project = ada.post(PROJECTS, {"name": "Kitchen"}).json()["id"]
        top, child = chain(ada, 2)
        deleted, moved = pair.send(
            ("DELETE", f"{PROJECTS}/{project}", None), ("PATCH", path(top), {"project_id": project})
        )
        assert deleted.status == 204
        page = ada.get(f"{TASKS}?sort=created_at").json()
        if moved.status == 200:
            assert page["items"] == []
        else:
            assert moved.json()["errors"][0]["code"] == "unknown"
            assert page["items"] == [top, child]
            assert ada.delete(path(top)).status == 204
        assert page["total"] == len(page["items"])
        assert wrong(direct, top) == []
