"""Moving tasks to another project or below another task: what goes along, where it stands, and what is refused."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.support.client import Client, Reply
from tests.support.rows import rows
from tests.support.tasks import create, path
from tests.support.trees import chain, wrong

TASKS = "/api/v1/me/tasks"
UNKNOWN = "01932c07-9f7a-7c1d-b6a1-5a2f0f5d1c3e"


def move(client: Client, task: dict[str, Any], body: dict[str, Any], **headers: str) -> Reply:
    return client.post(f"{path(task)}/move", body, headers=headers)


def read(client: Client, task: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = client.get(path(task)).json()
    return found


def children(client: Client, parent: dict[str, Any]) -> list[str]:
    """Return the titles of a task's subtasks by position."""
    listed = client.get(f"{TASKS}?sort=position&parent_id={parent['id']}").json()["items"]
    return [task["title"] for task in listed]


@pytest.fixture
def project(ada: Client) -> str:
    return str(ada.post("/api/v1/me/projects", {"name": "House"}).json()["id"])


@pytest.fixture
def parent(ada: Client) -> dict[str, Any]:
    """A task with the subtasks a and b."""
    made = create(ada, "parent")
    for title in "ab":
        create(ada, title, parent_id=made["id"])
    return read(ada, made)


@pytest.mark.parametrize(
    ("place", "order"), [({}, "abx"), ({"at": "first"}, "xab"), ({"at": "last"}, "abx"), ({"before": "b"}, "axb")]
)
def test_move_task_below_another_goes_to_its_place_there(
    ada: Client, direct: str, parent: dict[str, Any], place: dict[str, str], order: str
) -> None:
    ids = {task["title"]: task["id"] for task in ada.get(f"{TASKS}?parent_id={parent['id']}").json()["items"]}
    task = create(ada, "x")
    reply = move(
        ada, task, {"parent_id": parent["id"]} | {name: ids.get(value, value) for name, value in place.items()}
    )
    assert (reply.status, reply.json()["parent_id"]) == (200, parent["id"])
    assert reply.headers["etag"] == f'"{task["version"] + 1}"'
    assert "".join(children(ada, parent)) == order
    assert wrong(direct, task) == []


def test_move_task_to_a_project_takes_all_below_it_along_under_one_version(
    ada: Client, direct: str, project: str
) -> None:
    top, middle, bottom = chain(ada, 3)
    other = create(ada, "other", project_id=project)
    moved = move(ada, top, {"project_id": project, "before": other["id"]}).json()
    assert (moved["project_id"], moved["position"] < other["position"]) == (project, True)
    assert [(task["project_id"], task["version"]) for task in (read(ada, middle), read(ada, bottom))] == [
        (project, moved["version"])
    ] * 2
    assert wrong(direct, top) == []


def test_move_task_out_of_its_parent_keeps_its_project_and_goes_last_there(
    ada: Client, direct: str, project: str
) -> None:
    top, below = chain(ada, 2, project_id=project)
    other = create(ada, "other", project_id=project)
    moved = move(ada, below, {"parent_id": None}).json()
    assert (moved["parent_id"], moved["project_id"]) == (None, project)
    assert moved["position"] > other["position"]
    assert children(ada, top) == []
    assert wrong(direct, top) == []


def test_move_task_to_where_it_hangs_already_is_not_written(ada: Client, parent: dict[str, Any]) -> None:
    (first, last) = ada.get(f"{TASKS}?sort=position&parent_id={parent['id']}").json()["items"]
    for task, place in ((first, {}), (first, {"at": "first"}), (last, {"after": first["id"]})):
        moved = move(ada, task, {"parent_id": parent["id"].upper(), **place})
        assert (moved.status, moved.json()) == (200, task)
    assert move(ada, parent, {"project_id": None}).json() == parent


def test_move_task_to_another_place_of_the_parent_it_names_is_moved(ada: Client, parent: dict[str, Any]) -> None:
    (first, _) = ada.get(f"{TASKS}?sort=position&parent_id={parent['id']}").json()["items"]
    assert move(ada, first, {"parent_id": parent["id"], "at": "last"}).json()["version"] == first["version"] + 2
    assert children(ada, parent) == ["b", "a"]


REFUSED: dict[str, tuple[Callable[[dict[str, Any], dict[str, Any], str], dict[str, Any]], str, str]] = {
    "below itself": (lambda top, _, __: {"parent_id": top["id"]}, "/parent_id", "cycle"),
    "below what is below it": (lambda _, below, __: {"parent_id": below["id"], "at": "first"}, "/parent_id", "cycle"),
    "below what is not there": (lambda *_: {"parent_id": UNKNOWN}, "/parent_id", "unknown"),
    "into what is not there": (lambda *_: {"project_id": UNKNOWN}, "/project_id", "unknown"),
    "before one of elsewhere": (lambda _, below, __: {"before": below["id"]}, "/before", "not_a_sibling"),
    "after one of where it was": (lambda top, _, project: {"project_id": project, "after": top["id"]}, "/after", "not_a_sibling"),
    "to two places": (lambda *_: {"parent_id": None, "at": "first", "before": UNKNOWN}, "/at", "conflicting"),
}  # fmt: skip
"""By what is refused the body, and the violation."""


@pytest.mark.parametrize("name", REFUSED)
def test_move_task_to_where_it_cannot_be_is_refused_and_nothing_is_written(
    ada: Client, direct: str, project: str, name: str
) -> None:
    body, pointer, code = REFUSED[name]
    top, below = chain(ada, 2)
    reply = move(ada, top, body(top, below, project))
    (error,) = reply.json()["errors"]
    assert (reply.status, error["pointer"], error["code"]) == (400, pointer, code)
    assert [read(ada, task) for task in (top, below)] == [top, below]
    assert wrong(direct, top) == []


def test_move_task_of_a_parent_to_another_project_than_its_parents_is_refused(ada: Client, project: str) -> None:
    _, below = chain(ada, 2)
    (error,) = move(ada, below, {"project_id": project}).json()["errors"]
    assert (error["pointer"], error["code"]) == ("/project_id", "project_of_parent")
    moved = move(ada, below, {"project_id": project, "parent_id": None}).json()
    assert (moved["project_id"], moved["parent_id"]) == (project, None)


def test_move_task_deeper_than_five_counts_what_is_below_it(ada: Client) -> None:
    *_, fourth = chain(ada, 4)
    top, _ = chain(ada, 2)
    (error,) = move(ada, top, {"parent_id": fourth["id"]}).json()["errors"]
    assert (error["pointer"], error["code"]) == ("/parent_id", "too_deep")
    assert move(ada, top, {"parent_id": fourth["parent_id"]}).status == 200


def test_move_task_below_one_with_two_hundred_is_refused(ada: Client, direct: str) -> None:
    full, task = create(ada, "full"), create(ada, "x")
    first, second = (create(ada, title, parent_id=full["id"]) for title in ("first", "second"))
    rows(direct, f"UPDATE tasks SET children = 200 WHERE user_id = '{full['user_id']}' AND id = '{full['id']}'")
    reply = move(ada, task, {"parent_id": full["id"]})
    assert (reply.status, reply.code) == (409, "too_many_subtasks")
    assert read(ada, task) == task
    assert move(ada, second, {"parent_id": full["id"], "before": first["id"]}).status == 200  # it is there already


def test_move_task_below_another_users_is_unknown(ada: Client, bob: Client) -> None:
    theirs, mine = create(bob, "theirs"), create(ada, "mine")
    (error,) = move(ada, mine, {"parent_id": theirs["id"]}).json()["errors"]
    assert (error["pointer"], error["code"]) == ("/parent_id", "unknown")


def test_move_task_below_another_at_an_old_version_is_refused(ada: Client, parent: dict[str, Any]) -> None:
    task = create(ada, "x")
    reply = move(ada, task, {"parent_id": parent["id"]}, **{"If-Match": '"1"'})
    assert (reply.status, reply.json()["current"]) == (412, task)
