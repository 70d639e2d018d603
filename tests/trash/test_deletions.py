"""What is deleted is copied to the trash, by every statement that deletes: each row whole, and with what it went there."""

import threading
from collections.abc import Callable
from contextlib import closing
from typing import Any
from uuid import uuid4

import psycopg2
import pytest

from tests.support.batches import run
from tests.support.client import Client, Reply
from tests.support.credentials import SECRET
from tests.support.locks import somebody_waits
from tests.support.rows import rows, superuser_url
from tests.support.tasks import create, path
from tests.support.trash import PROJECTS, project, trashed
from tests.support.trees import chain
from tests.support.users import User
from todo_api.config import Config

TASKS = "/api/v1/me/tasks"

DELETE_BELOW = "DELETE FROM tasks WHERE user_id = '{0}' AND id = '{1}'; UPDATE users SET seq = seq + 1 WHERE id = '{0}'"


def whole(url: str, table: str, id_: str) -> Any:
    """Return a row without its nulls."""
    ((found,),) = rows(url, f"SELECT jsonb_strip_nulls(to_jsonb(r)) FROM {table} r WHERE id = '{id_}'")
    return found


def content(url: str, id_: str) -> tuple[Any, ...]:
    (found,) = rows(url, f"SELECT content, kind, title, version FROM trash WHERE id = '{id_}'")
    return found


def test_delete_task_copies_the_row_to_the_trash(ada: Client, direct: str) -> None:
    more = {"priority": "high", "labels": ["home"], "links": [{"url": "https://oats.example/"}], "description": "Ä"}
    task = create(ada, "Bücher", due={"date": "2026-11-20"}, project_id=project(ada)["id"], status="completed", **more)
    before = whole(direct, "tasks", task["id"])
    assert ada.delete(path(task)).status == 204
    assert ada.get(path(task)).status == 404
    assert content(direct, task["id"]) == (before, "task", "Bücher", task["version"] + 1)
    assert trashed(direct, task["user_id"]) == {task["id"]: ("task", task["id"])}


@pytest.mark.parametrize("level", [0, 1, 4])
def test_delete_task_takes_all_below_to_the_trash_with_it(ada: Client, direct: str, level: int) -> None:
    line = chain(ada, 5, project_id=project(ada)["id"])
    beside = create(ada, "beside", parent_id=line[3]["id"])
    root = line[level]["id"]
    assert ada.delete(path(line[level])).status == 204
    gone = [task["id"] for task in [*line[level:], *([beside] if level < 4 else [])]]
    assert trashed(direct, line[0]["user_id"]) == dict.fromkeys(gone, ("task", root))


def test_delete_project_takes_its_tasks_to_the_trash_with_it(ada: Client, direct: str) -> None:
    garden, other = project(ada), project(ada, "Other")
    before = whole(direct, "projects", garden["id"])
    line = chain(ada, 3, project_id=garden["id"])
    alone, kept = create(ada, project_id=garden["id"]), create(ada, project_id=other["id"])
    by_itself = create(ada, parent_id=line[2]["id"])
    assert ada.delete(path(by_itself)).status == 204
    assert ada.delete(f"{PROJECTS}/{garden['id']}").status == 204
    gone = [garden["id"], *(task["id"] for task in [*line, alone])]
    found = dict.fromkeys(gone, ("project", garden["id"])) | {by_itself["id"]: ("task", by_itself["id"])}
    assert trashed(direct, kept["user_id"]) == found
    assert content(direct, garden["id"])[:3] == (before, "project", "Garden")


def test_delete_task_below_one_that_is_gone_already_went_with_that(ada: Client, direct: str) -> None:
    """So the release before deletes what is below a task: before its row is copied."""
    line, others = chain(ada, 4), chain(ada, 2)
    user_id = line[0]["user_id"]
    rows(direct, DELETE_BELOW.format(user_id, line[1]["id"]))
    assert trashed(direct, user_id) == dict.fromkeys([task["id"] for task in line[1:]], ("task", line[1]["id"]))
    assert ada.get(path(others[1])).status == 200


def test_delete_permanently_leaves_nothing_in_the_trash(ada: Client, direct: str) -> None:
    line, garden = chain(ada, 3), project(ada)
    inside, alone, tagged = create(ada, project_id=garden["id"]), create(ada), create(ada)
    for address in (path(alone), path(line[1]), f"{PROJECTS}/{garden['id']}"):
        assert ada.delete(f"{address}?permanent=true").status == 204
        assert ada.get(address).status == 404
    assert ada.get(path(inside)).status == 404
    headers = {"If-Match": f'"{tagged["version"]}"'}
    assert ada.delete(f"{path(tagged)}?permanent=true", headers=headers).status == 204
    assert trashed(direct, alone["user_id"]) == {}
    later = create(ada)
    assert ada.delete(f"{path(later)}?permanent=false").status == 204
    assert trashed(direct, alone["user_id"]) == {later["id"]: ("task", later["id"])}


def test_delete_without_a_trash_leaves_nothing_in_it(
    url: str, direct: str, new_client: Callable[[Config], Client], ada: Client
) -> None:
    config = Config(database_url=url, jwt_secret=SECRET, rate_limit="off", queue_limit=60_000, trash_days=0)
    client = new_client(config).signed_in(ada.token)
    line, garden = chain(client, 3), project(client)
    inside, alone, last = create(client, project_id=garden["id"]), create(client), create(client)
    for address in (path(alone), path(line[1]), f"{PROJECTS}/{garden['id']}"):
        assert client.delete(address).status == 204
    assert run(client, {"delete_task": {"id": last["id"]}}, {"delete_task": {"id": line[0]["id"]}}).status == 200
    assert client.get(TASKS).json()["total"] == 0
    assert client.get(path(inside)).status == 404
    assert trashed(direct, alone["user_id"]) == {}


def test_run_batch_copies_what_it_deletes_under_its_number(ada: Client, direct: str) -> None:
    line, garden = chain(ada, 2), project(ada)
    inside = create(ada, project_id=garden["id"])
    operations = [{"delete_task": {"id": line[1]["id"]}}, {"delete_task": {"id": line[0]["id"]}}]
    seq = run(ada, *operations, {"delete_project": {"id": garden["id"]}}).json()["seq"]
    roots = {task["id"]: ("task", task["id"]) for task in line}
    roots |= dict.fromkeys([garden["id"], inside["id"]], ("project", garden["id"]))
    assert trashed(direct, inside["user_id"]) == roots
    assert {content(direct, id_)[3] for id_ in roots} == {seq}


def test_delete_task_on_a_dry_run_leaves_nothing_in_the_trash(ada: Client, direct: str) -> None:
    line = chain(ada, 2)
    for query in ("dry_run=true", "dry_run=true&permanent=true"):
        assert ada.delete(f"{path(line[0])}?{query}").status == 204
    assert trashed(direct, line[0]["user_id"]) == {}


def test_delete_account_leaves_no_trash(user: User, direct: str) -> None:
    line, garden = chain(user.client, 3), project(user.client)
    create(user.client, project_id=garden["id"])
    assert user.client.delete(path(line[1])).status == 204
    assert trashed(direct, user.id) != {}
    rows(direct, f"DELETE FROM users WHERE id = '{user.id}'")
    assert trashed(direct, user.id) == {}


WAYS: dict[str, Callable[[Client, str], Reply]] = {
    "plain": lambda client, id_: client.post(TASKS, {"id": id_, "title": "x"}),
    "dated": lambda client, id_: client.post(TASKS, {"id": id_, "title": "x", "due": {"date": "2026-11-20"}}),
    "labelled": lambda client, id_: client.post(TASKS, {"id": id_, "title": "x", "labels": ["x"]}),
    "below": lambda client, id_: client.post(TASKS, {"id": id_, "title": "x", "parent_id": create(client)["id"]}),
    "batch": lambda client, id_: run(client, {"create_task": {"id": id_, "title": "x"}}),
    "batch of several": lambda client, id_: run(
        client, *({"create_task": {"id": each, "title": "x"}} for each in (str(uuid4()), id_))
    ),
}


@pytest.mark.parametrize("way", WAYS)
def test_create_task_with_an_id_of_the_trash_is_409_without_current(ada: Client, way: str) -> None:
    line = chain(ada, 2)
    assert ada.delete(path(line[0])).status == 204
    for task in line:
        reply = WAYS[way](ada, task["id"])
        assert (reply.status, reply.code, "current" in reply.json()) == (409, "id_taken", False)
        assert reply.json()["detail"] == "A task in your trash has this id. Restore it, or delete it there."
        assert ada.get(path(task)).status == 404
    # Of a project it is no conflict.
    assert ada.post(PROJECTS, {"id": line[0]["id"], "name": "x"}).status == 201


@pytest.mark.parametrize("in_batch", [False, True])
def test_create_project_with_an_id_of_the_trash_is_409_without_current(ada: Client, *, in_batch: bool) -> None:
    garden = project(ada)
    assert ada.delete(f"{PROJECTS}/{garden['id']}").status == 204
    body = {"id": garden["id"], "name": "x"}
    reply = run(ada, {"create_project": body}) if in_batch else ada.post(PROJECTS, body)
    assert (reply.status, reply.code, "current" in reply.json()) == (409, "id_taken", False)
    assert reply.json()["detail"] == "A project in your trash has this id. Restore it, or delete it there."
    assert create(ada, id=garden["id"])["id"] == garden["id"]


@pytest.mark.parametrize("kind", ["task", "project"])
def test_create_while_what_has_the_id_is_deleted_is_409(ada: Client, direct: str, kind: str) -> None:
    """The creation has begun before the deletion ends: what its statement sees of the trash is older than that."""
    address, body = (TASKS, {"title": "x"}) if kind == "task" else (PROJECTS, {"name": "x"})
    made = ada.post(address, body).json()
    user_id = create(ada)["user_id"]
    replies: list[Reply] = []
    with closing(psycopg2.connect(superuser_url(direct))) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT FROM users WHERE id = %s FOR UPDATE", [user_id])
        thread = threading.Thread(target=lambda: replies.append(ada.post(address, body | {"id": made["id"]})))
        thread.start()
        assert somebody_waits(direct)
        cursor.execute(f"DELETE FROM {kind}s WHERE user_id = %s AND id = %s", [user_id, made["id"]])
        connection.commit()
        thread.join(60)
    assert [(reply.status, reply.code, "current" in reply.json()) for reply in replies] == [(409, "id_taken", False)]
    assert [*trashed(direct, user_id)] == [made["id"]]
