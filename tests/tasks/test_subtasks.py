"""Subtasks: what a task can be below, what it takes along, and what goes with it."""

import uuid
from typing import Any

import pytest

from tests.support.client import Client, Reply
from tests.support.rows import rows
from tests.support.tasks import create, path
from tests.support.trees import chain, wrong
from tests.support.users import User
from todo_api.models import STATUSES
from todo_api.task_tree import DEEPEST, MOST_CHILDREN

PROJECTS = "/api/v1/me/projects"
TASKS = "/api/v1/me/tasks"
NOWHERE = "01932c07-9f7a-7c1d-b6a1-5a2f0f5d1c3e"


def project_of(client: Client) -> str:
    return str(client.post(PROJECTS, {"name": "Kitchen"}).json()["id"])


def refused(reply: Reply) -> list[tuple[str, str]]:
    """Return pointer and code of each violation."""
    assert (reply.status, reply.code) == (400, "validation_failed")
    return [(error["pointer"], error["code"]) for error in reply.json()["errors"]]


def write(client: Client, method: str, task: dict[str, Any], **members: Any) -> Reply:
    """Return the reply to a change of a task by PUT or PATCH, or to a creation by POST."""
    body = members | ({} if method == "PATCH" else {"title": task["title"]})
    return client.request(method, TASKS if method == "POST" else path(task), json_body=body)


def test_create_task_below_another_is_in_its_project(ada: Client, direct: str) -> None:
    project = project_of(ada)
    for parent in (create(ada), create(ada, project_id=project)):
        for body in (
            {},
            {"due": {"date": "2026-11-20"}},
            {"id": str(uuid.uuid4())},
            {"project_id": parent["project_id"]},
        ):
            made = create(ada, parent_id=parent["id"].upper(), **body)
            assert (made["parent_id"], made["project_id"]) == (parent["id"], parent["project_id"])
            assert ada.get(path(made)).json() == made
        assert ada.get(path(parent)).json() == parent
    assert wrong(direct, made) == []


def test_create_task_below_another_with_the_same_id_finds_it_whatever_became_of_the_parent(ada: Client) -> None:
    parent = create(ada)
    task = create(ada, id=NOWHERE, parent_id=parent["id"])
    for parent_id in (parent["id"], str(uuid.uuid4()), NOWHERE):
        reply = ada.post(TASKS, {"title": "Again", "id": NOWHERE, "parent_id": parent_id})
        assert (reply.status, reply.code, reply.json()["current"]) == (409, "id_taken", task)


def test_create_task_below_another_of_a_user_without_a_row_is_refused(ada: Client) -> None:
    assert refused(ada.post(TASKS, {"title": "First", "parent_id": NOWHERE})) == [("/parent_id", "unknown")]
    assert ada.get(TASKS).json()["items"] == []


@pytest.mark.parametrize("keyed", [False, True], ids=["", "keyed"])
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
def test_write_of_a_parent_of_another_user_is_refused_as_one_that_is_not_there(
    ada: Client, bob: Client, method: str, keyed: bool
) -> None:
    task, theirs = create(ada), create(bob)
    headers = {"X-Request-ID": "the-same"} | ({"Idempotency-Key": "k"} if keyed and method == "POST" else {})
    told = []
    for parent in (theirs["id"], NOWHERE):
        body = {"parent_id": parent} | ({} if method == "PATCH" else {"title": "x"})
        reply = ada.request(method, TASKS if method == "POST" else path(task), json_body=body, headers=headers)
        assert refused(reply) == [("/parent_id", "unknown")]
        told.append(reply.body)
    assert told[0] == told[1]
    assert ada.get(TASKS).json()["items"] == [task]
    assert bob.get(TASKS).json()["items"] == [theirs]


def test_write_of_an_unknown_parent_tells_first_what_else_forbids_it(ada: Client) -> None:
    task = create(ada, status="cancelled")
    body = {"parent_id": NOWHERE}
    assert ada.patch(path(task), body, headers={"If-Match": '"0"'}).status == 412
    assert ada.patch(path(task), body | {"status": "completed"}).code == "invalid_transition"
    assert ada.patch(f"{TASKS}/{NOWHERE}", body).status == 404


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_write_of_a_parent_takes_the_subtree_along_and_puts_the_task_last(
    ada: Client, direct: str, method: str
) -> None:
    project = project_of(ada)
    parent = create(ada, project_id=project)
    task, child, grandchild = chain(ada, 3)
    before = [create(ada, parent_id=parent["id"]), create(ada, parent_id=parent["id"])]
    moved = write(ada, method, task, parent_id=parent["id"])
    assert moved.status == 200
    assert moved.headers["etag"] == f'"{moved.json()["version"]}"'
    changed = {"parent_id": parent["id"], "project_id": project}
    assert changed.items() <= moved.json().items()
    listed = ada.get(f"{TASKS}?parent_id={parent['id']}&sort=position").json()
    assert [each["id"] for each in listed["items"]] == [*(each["id"] for each in before), task["id"]]
    assert (listed["items"][-1], listed["total"]) == (moved.json(), 3)
    for each in (child, grandchild):
        now = ada.get(path(each)).json()
        told = {"project_id": project, "version": moved.json()["version"], "updated_at": now["updated_at"]}
        assert now == each | told
        assert now["updated_at"] >= moved.json()["updated_at"]
    assert ada.get(path(parent)).json() == parent
    assert write(ada, method, task, parent_id=parent["id"]).json() == moved.json()
    free = write(ada, method, task, parent_id=None).json()
    assert (free["parent_id"], free["project_id"]) == (None, project)
    assert ada.get(path(child)).json()["version"] == moved.json()["version"]
    assert wrong(direct, task) == []


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_write_of_a_project_takes_the_subtree_along_and_puts_the_task_last(
    ada: Client, direct: str, method: str
) -> None:
    project = project_of(ada)
    task, child, grandchild = chain(ada, 3)
    last = create(ada, project_id=project)
    moved = write(ada, method, task, project_id=project, priority="high").json()
    assert (moved["project_id"], moved["priority"]) == (project, "high")
    assert moved["position"] > last["position"] > task["position"]
    for each in (child, grandchild):
        now = ada.get(path(each)).json()
        assert (now["project_id"], now["version"]) == (project, moved["version"])
    assert ada.get(f"{TASKS}?project_id={project}").json()["total"] == 4
    assert wrong(direct, task) == []


def test_update_task_with_its_branch_and_more_is_one_version(ada: Client) -> None:
    parent, task = create(ada), create(ada)
    body = {"parent_id": parent["id"], "title": "Other", "status": "completed", "due": {"date": "2026-11-20"}}
    changed = ada.patch(path(task), body).json()
    assert changed["version"] == task["version"] + 1
    assert (changed["parent_id"], changed["title"], changed["completed"]) == (parent["id"], "Other", True)
    assert changed["due"] == {"date": "2026-11-20", "time": None, "time_zone": None}
    assert ada.get(path(changed)).json() == changed
    assert ada.get(f"{TASKS}?status=completed").json()["total"] == 1
    again = ada.patch(path(changed), {"parent_id": None, "completed": False}).json()
    assert (again["parent_id"], again["status"], again["completed_at"]) == (None, "pending", None)


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_write_of_a_parent_below_the_task_is_refused(ada: Client, method: str) -> None:
    tasks = chain(ada, DEEPEST)
    for index, task in enumerate(tasks):
        for below in tasks[index:]:
            assert refused(write(ada, method, task, parent_id=below["id"])) == [("/parent_id", "cycle")]
    assert [ada.get(path(task)).json() for task in tasks] == tasks


def test_write_of_a_parent_counts_the_depth_of_both(ada: Client, direct: str) -> None:
    deep = chain(ada, DEEPEST)
    reply = ada.post(TASKS, {"title": "6", "parent_id": deep[-1]["id"]})
    assert refused(reply) == [("/parent_id", "too_deep")]
    for height in range(1, DEEPEST + 1):
        top = chain(ada, height)[0]
        for depth, parent in enumerate(deep, start=1):
            if depth + height > DEEPEST:
                assert refused(ada.patch(path(top), {"parent_id": parent["id"]})) == [("/parent_id", "too_deep")]
        if height < DEEPEST:
            assert ada.patch(path(top), {"parent_id": deep[DEEPEST - height - 1]["id"]}).status == 200
    assert wrong(direct, deep[0]) == []


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
def test_write_of_another_project_than_that_of_the_parent_is_refused(ada: Client, method: str) -> None:
    mine, other = project_of(ada), project_of(ada)
    for parent in (create(ada, project_id=mine), create(ada)):
        child = create(ada, parent_id=parent["id"])
        for project in (other, NOWHERE, mine if parent["project_id"] is None else None):
            asked = [{"project_id": project, "parent_id": parent["id"]}]
            asked += [] if method == "POST" else [{"project_id": project}]
            for members in asked:
                assert refused(write(ada, method, child, **members)) == [("/project_id", "project_of_parent")]
        assert ada.get(path(child)).json() == child
        away = ada.patch(path(child), {"project_id": other, "parent_id": None}).json()
        assert (away["project_id"], away["parent_id"]) == (other, None)


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
def test_write_of_a_parent_with_200_children_is_refused(ada: Client, direct: str, method: str) -> None:
    parent, task = create(ada), create(ada)
    child = create(ada, parent_id=parent["id"])
    rows(
        direct,
        f"UPDATE tasks SET children = {MOST_CHILDREN} WHERE user_id = '{task['user_id']}' AND id = '{parent['id']}'",
    )
    body = {"parent_id": parent["id"]}
    reply = write(ada, method, task, **body)
    assert (reply.status, reply.code) == (409, "too_many_subtasks")
    assert ada.get(f"{TASKS}?parent_id=none").json()["total"] == 2
    renamed = ada.patch(path(child), {"title": "Stays", **body})
    assert (renamed.status, renamed.json()["title"]) == (200, "Stays")
    assert ada.delete(path(child)).status == 204
    assert ada.patch(path(task), body).status == 200


def test_delete_task_deletes_all_below_it_under_one_number(user: User, direct: str) -> None:
    top, middle, *_ = chain(user.client, DEEPEST)
    for status in STATUSES:
        create(user.client, parent_id=middle["id"], status=status)
        create(user.client, parent_id=top["id"], status=status)
        create(user.client, status=status)
    before = int(user.client.get(TASKS).headers["etag"].rpartition("-")[2].rstrip('"'))
    assert user.client.delete(path(middle), headers={"If-Match": '"0"'}).status == 412
    assert user.client.delete(path(middle)).status == 204
    assert user.client.get(TASKS).headers["etag"].endswith(f'-{before + 1}"')
    assert user.client.get(TASKS).json()["total"] == 9
    assert wrong(direct, top) == []
    assert user.client.delete(path(top)).status == 204
    assert user.client.get(TASKS).json()["total"] == len(STATUSES)
    assert wrong(direct, top) == []
    assert user.client.delete(path(top)).status == 404


def test_delete_project_deletes_its_trees(ada: Client, direct: str) -> None:
    project = project_of(ada)
    chain(ada, 3, project_id=project)
    kept = chain(ada, 2)
    assert ada.delete(f"{PROJECTS}/{project}").status == 204
    assert ada.get(f"{TASKS}?sort=created_at").json()["items"] == kept
    assert wrong(direct, kept[0]) == []


def test_delete_account_deletes_trees(user: User, direct: str) -> None:
    chain(user.client, 3, project_id=project_of(user.client))
    rows(direct, f"DELETE FROM users WHERE id = '{user.id}'")
    assert rows(direct, f"SELECT count(*) FROM tasks WHERE user_id = '{user.id}'") == [(0,)]


def test_delete_task_leaves_the_same_ids_of_another_user(ada: Client, bob: Client) -> None:
    ids = [str(uuid.uuid4()) for _ in range(2)]
    made = [[create(user, id=ids[0]), create(user, id=ids[1], parent_id=ids[0])] for user in (ada, bob)]
    assert ada.delete(path(made[0][0])).status == 204
    assert bob.get(f"{TASKS}?sort=created_at").json()["items"] == made[1]


def test_list_tasks_of_a_parent_has_and_counts_its_children_alone(ada: Client, bob: Client) -> None:
    parent, child, _ = chain(ada, 3)
    children = [child["id"]] + [
        create(ada, parent_id=parent["id"], status=("pending", "completed")[number % 2])["id"] for number in range(4)
    ]
    create(bob, parent_id=create(bob, id=parent["id"])["id"])
    query = f"{TASKS}?parent_id={parent['id'].upper()}&sort=created_at"
    found, address = [], f"{query}&limit=2"
    while address:
        reply = ada.get(address)
        found += [task["id"] for task in reply.json()["items"]]
        assert reply.json()["total"] == 5
        address = reply.headers.get("link", "").partition(">")[0].lstrip("<")
    assert found == children
    assert ada.get(f"{query}&status=completed").json()["total"] == 2
    assert [task["id"] for task in ada.get(f"{TASKS}?parent_id=none").json()["items"]] == [parent["id"]]


def test_list_tasks_of_a_parent_of_another_user_is_empty_as_of_none(ada: Client, bob: Client) -> None:
    create(ada)
    theirs, _ = chain(bob, 2)
    for parent in (theirs["id"], NOWHERE):
        page = ada.get(f"{TASKS}?parent_id={parent}").json()
        assert (page["items"], page["total"], page["next_cursor"]) == ([], 0, None)


@pytest.mark.parametrize("sent", ["", "null", "x", NOWHERE[:-1], f"{NOWHERE},none"])
def test_list_tasks_of_what_is_no_id_of_a_parent_is_refused(ada: Client, sent: str) -> None:
    assert refused(ada.get(f"{TASKS}?parent_id={sent}"))[0][0] == "/parent_id"


def test_list_tasks_with_the_cursor_of_another_parent_is_refused(ada: Client) -> None:
    parent, *_ = chain(ada, 3)
    create(ada, parent_id=parent["id"])
    cursor = ada.get(f"{TASKS}?parent_id={parent['id']}&limit=1").json()["next_cursor"]
    for other in ("parent_id=none&", f"parent_id={NOWHERE}&", f"project_id={parent['id']}&", ""):
        assert ada.get(f"{TASKS}?{other}limit=1&cursor={cursor}").code == "invalid_cursor"
    assert ada.get(f"{TASKS}?parent_id={parent['id']}&limit=1&cursor={cursor}").status == 200
