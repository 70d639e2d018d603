"""Tasks in projects: moved in, moved out, deleted with them, and never into what is another user's."""

import uuid
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest

from tests.support.client import Client
from tests.support.rows import rows
from tests.support.tasks import create, path
from tests.support.users import User
from todo_api.models import STATUSES

PROJECTS = "/api/v1/me/projects"
TASKS = "/api/v1/me/tasks"
ROUNDS = 100
NOWHERE = "01932c07-9f7a-7c1d-b6a1-5a2f0f5d1c3e"


def project_of(client: Client, **members: Any) -> str:
    reply = client.post(PROJECTS, {"name": "Kitchen", **members})
    assert reply.status == 201
    return str(reply.json()["id"])


def counted(client: Client) -> dict[str, int]:
    """The user's counts of tasks by status."""
    return {status: client.get(f"{TASKS}?status={status}&limit=1").json()["total"] for status in STATUSES}


def test_create_task_in_a_project_returns_its_id_as_the_database_has_it(ada: Client) -> None:
    project = project_of(ada)
    for body in ({}, {"due": {"date": "2026-11-20"}}, {"id": str(uuid.uuid4())}):
        made = create(ada, project_id=project.upper(), **body)
        assert made["project_id"] == project
        assert ada.get(path(made)).json() == made


def test_create_task_of_a_user_without_a_row_in_no_project_that_is_theirs_is_refused(ada: Client) -> None:
    reply = ada.post(TASKS, {"title": "First", "project_id": NOWHERE})
    assert (reply.status, reply.code) == (400, "validation_failed")
    assert ada.get(TASKS).json()["items"] == []


@pytest.mark.parametrize("keyed", [False, True], ids=["", "keyed"])
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
def test_write_of_a_project_of_another_user_is_refused_as_one_that_is_not_there(
    ada: Client, bob: Client, method: str, keyed: bool
) -> None:
    task, theirs = create(ada), project_of(bob)
    headers = {"X-Request-ID": "the-same"} | ({"Idempotency-Key": "k"} if keyed and method == "POST" else {})
    told = []
    for project in (theirs, NOWHERE):
        body = {"project_id": project} | ({} if method == "PATCH" else {"title": "x"})
        reply = ada.request(method, TASKS if method == "POST" else path(task), json_body=body, headers=headers)
        (error,) = reply.json()["errors"]
        assert (reply.status, error["pointer"], error["code"]) == (400, "/project_id", "unknown")
        told.append(reply.body)
    assert told[0] == told[1]
    assert ada.get(TASKS).json()["items"] == [task]
    assert bob.get(TASKS).json()["total"] == 0


def test_write_of_an_unknown_project_tells_first_what_else_forbids_it(ada: Client) -> None:
    task = create(ada, status="cancelled")
    body = {"project_id": NOWHERE}
    assert ada.patch(path(task), body, headers={"If-Match": '"0"'}).status == 412
    assert ada.patch(path(task), body | {"status": "completed"}).code == "invalid_transition"
    assert ada.patch(f"{TASKS}/{NOWHERE}", body).status == 404
    assert ada.post(TASKS, {"title": "x", "id": task["id"], **body}).code == "id_taken"


def test_update_task_moves_it_between_projects_and_to_the_inbox(ada: Client) -> None:
    kitchen, hall = project_of(ada), project_of(ada)
    task = create(ada)
    assert task["project_id"] is None
    for project in (kitchen, hall, None):
        moved = ada.patch(path(task), {"project_id": project})
        assert (moved.status, moved.json()["project_id"]) == (200, project)
        assert ada.patch(path(task), {"title": "Kept"}).json()["project_id"] == project
        assert ada.patch(f"{path(task)}/complete").json()["project_id"] == project


def test_delete_project_deletes_its_tasks_alone_under_one_number(user: User, direct: str) -> None:
    kitchen, hall = project_of(user.client), project_of(user.client)
    for status in STATUSES:
        for project in (kitchen, kitchen, hall, None):
            create(user.client, status=status, project_id=project)
    before = int(user.client.get(PROJECTS).headers["etag"].rpartition("-")[2].rstrip('"'))
    assert user.client.delete(f"{PROJECTS}/{kitchen}").status == 204
    assert user.client.get(PROJECTS).headers["etag"].endswith(f'-{before + 1}"')
    assert counted(user.client) == dict.fromkeys(STATUSES, 2)
    left = rows(direct, f"SELECT project_id, count(*) FROM tasks WHERE user_id = '{user.id}' GROUP BY 1 ORDER BY 1")
    assert left == [(hall, 4), (None, 4)]


def test_delete_project_at_an_old_version_deletes_no_task(ada: Client) -> None:
    kitchen = project_of(ada)
    task = create(ada, project_id=kitchen)
    assert ada.delete(f"{PROJECTS}/{kitchen}", headers={"If-Match": '"0"'}).status == 412
    assert ada.get(path(task)).json() == task


def test_delete_project_leaves_the_same_ids_of_another_user(ada: Client, bob: Client) -> None:
    id_ = str(uuid.uuid4())
    tasks = [create(user, id=id_, project_id=project_of(user, id=id_)) for user in (ada, bob)]
    assert ada.delete(f"{PROJECTS}/{id_}").status == 204
    assert ada.get(path(tasks[0])).status == 404
    assert bob.get(path(tasks[1])).json() == tasks[1]


def test_delete_account_deletes_projects_with_tasks_in_them(user: User, direct: str) -> None:
    create(user.client, project_id=project_of(user.client))
    rows(direct, f"DELETE FROM users WHERE id = '{user.id}'")
    for table in ("projects", "tasks"):
        assert rows(direct, f"SELECT count(*) FROM {table} WHERE user_id = '{user.id}'") == [(0,)]


def test_delete_project_while_tasks_move_in_has_one_legal_outcome_each_time(ada: Client) -> None:
    """Either the task moved first and is gone with the project, or the project was gone and the move is refused."""
    with ThreadPoolExecutor(3) as pool:
        for _ in range(ROUNDS):
            project, task, gate = project_of(ada), create(ada), Barrier(3)

            def run(method: str, address: str, body: Any = None, gate: Barrier = gate) -> tuple[int, Any]:
                gate.wait()
                reply = ada.request(method, address, json_body=body)
                return reply.status, reply.json() if reply.content else None

            deleted = pool.submit(run, "DELETE", f"{PROJECTS}/{project}")
            moved = pool.submit(run, "PATCH", path(task), {"project_id": project})
            made = pool.submit(run, "POST", TASKS, {"title": "Moves in", "project_id": project})
            assert deleted.result()[0] == 204
            for (status, body), ok in ((moved.result(), 200), (made.result(), 201)):
                assert status == ok or (status, body["errors"][0]["code"]) == (400, "unknown")
            after = ada.get(path(task))
            assert after.status == 404 if moved.result()[0] == 200 else after.json() == task
            if made.result()[0] == 201:
                assert ada.get(path(made.result()[1])).status == 404
            page = ada.get(TASKS).json()
            assert page["total"] == len(page["items"]) == (after.status == 200)
            if after.status == 200:
                assert ada.delete(path(task)).status == 204


def test_list_tasks_of_a_project_has_and_counts_those_alone(ada: Client, bob: Client) -> None:
    kitchen, hall = project_of(ada), project_of(ada)
    made = {
        project: [
            create(ada, f"{project} {number}", project_id=project, status=("pending", "completed")[number % 2])["id"]
            for number in range(5)
        ]
        for project in (kitchen, hall, None)
    }
    create(bob, project_id=project_of(bob, id=kitchen))
    for project, ids in made.items():
        query = f"project_id={project.upper() if project else 'none'}"
        page = ada.get(f"{TASKS}?{query}&sort=created_at&limit=1000").json()
        assert ([task["id"] for task in page["items"]], page["total"]) == (ids, 5)
        for sort, filters, expected in (
            ("-title", "", ids[::-1]),
            ("-created_at", "&status=completed", ids[3::-2]),
            ("created_at", "&completed=false", ids[::2]),
        ):
            found, address = [], f"{TASKS}?{query}&sort={sort}{filters}&limit=2"
            while address:
                reply = ada.get(address)
                found += [task["id"] for task in reply.json()["items"]]
                assert reply.json()["total"] == len(expected)
                address = reply.headers.get("link", "").partition(">")[0].lstrip("<")
            assert found == expected


def test_list_tasks_of_a_project_of_another_user_is_empty_as_of_none(ada: Client, bob: Client) -> None:
    create(ada)
    theirs = project_of(bob)
    create(bob, project_id=theirs)
    for project in (theirs, NOWHERE):
        page = ada.get(f"{TASKS}?project_id={project}").json()
        assert (page["items"], page["total"], page["next_cursor"]) == ([], 0, None)


@pytest.mark.parametrize("sent", ["", "null", "None", "x", NOWHERE[:-1], f"{NOWHERE},none", f"{{{NOWHERE}}}"])
def test_list_tasks_of_what_is_no_id_of_a_project_is_refused(ada: Client, sent: str) -> None:
    reply = ada.get(f"{TASKS}?project_id={sent}")
    assert (reply.status, reply.json()["errors"][0]["pointer"]) == (400, "/project_id")


def test_list_tasks_with_the_cursor_of_another_project_is_refused(ada: Client) -> None:
    kitchen, hall = project_of(ada), project_of(ada)
    for project in (kitchen, kitchen, hall):
        create(ada, project_id=project)
    cursor = ada.get(f"{TASKS}?project_id={kitchen}&limit=1").json()["next_cursor"]
    for other in (f"project_id={hall}&", "project_id=none&", ""):
        assert ada.get(f"{TASKS}?{other}limit=1&cursor={cursor}").code == "invalid_cursor"
    assert ada.get(f"{TASKS}?project_id={kitchen}&limit=1&cursor={cursor}").status == 200
