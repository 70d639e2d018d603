"""Projects through HTTP: create, list, read, change and delete them."""

import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg2.errors
import pytest

from tests.support.client import Client
from tests.support.on_loop import on_loop
from tests.support.rows import rows
from tests.support.users import User
from todo_api.database import Database
from todo_api.etags import SpaceTag
from todo_api.guards import Caller
from todo_api.lists import MAX_PAGE
from todo_api.models import MOST_PROJECTS
from todo_api.projects import ProjectService

PROJECTS = "/api/v1/me/projects"
TASKS = "/api/v1/me/tasks"
KITCHEN = {"name": "Kitchen", "description": "New cupboards.", "color": "#2F6f4e"}


def create(client: Client, **members: Any) -> dict[str, Any]:
    reply = client.post(PROJECTS, {"name": "Kitchen", **members})
    assert reply.status == 201
    made: dict[str, Any] = reply.json()
    return made


def names(client: Client) -> list[str]:
    return [project["name"] for project in client.get(PROJECTS).json()["items"]]


@pytest.fixture
def full(user: User, direct: str) -> Client:
    """A user with as many projects as there may be but one."""
    create(user.client)
    rows(
        direct,
        "INSERT INTO projects SELECT user_id, gen_random_uuid(), name, NULL, NULL, position || i, now(), now(), 1"
        f" FROM projects, generate_series(2, {MOST_PROJECTS - 1}) i WHERE user_id = '{user.id}';"
        f" UPDATE users SET projects = {MOST_PROJECTS - 1} WHERE id = '{user.id}'",
    )
    return user.client


def test_create_project_with_every_member_returns_it_with_its_address(ada: Client) -> None:
    reply = ada.post(PROJECTS, KITCHEN)
    made = reply.json()
    assert reply.status == 201
    assert {name: made[name] for name in KITCHEN} == KITCHEN
    assert (reply.headers["etag"], reply.headers["location"]) == (f'"{made["version"]}"', f"{PROJECTS}/{made['id']}")
    assert ada.get(reply.headers["location"]).json() == made


def test_create_project_with_a_name_alone_has_defaults(ada: Client) -> None:
    made = create(ada)
    assert (made["description"], made["color"]) == (None, None)
    assert made["created_at"] == made["updated_at"]
    assert uuid.UUID(made["id"]).version == 7


@pytest.mark.parametrize(
    ("body", "pointer", "code"),
    [
        ({}, "/name", "required"),
        ({"name": "\u2060"}, "/name", "pattern"),
        ({"name": "a\u2028b"}, "/name", "pattern"),
        ({"name": "x", "color": "red"}, "/color", "pattern"),
        ({"name": "x", "color": "#12345g"}, "/color", "pattern"),
        ({"name": "x", "color": "#12345\n"}, "/color", "pattern"),
        ({"name": "x", "position": "m0"}, "/position", "read_only"),
        ({"name": "x", "id": "00000000-0000-0000-0000-000000000000"}, "/id", "pattern"),
    ],
)
def test_create_project_that_breaks_a_rule_is_refused(
    ada: Client, body: dict[str, Any], pointer: str, code: str
) -> None:
    reply = ada.post(PROJECTS, body)
    assert reply.status == 400
    assert (pointer, code) in {(error["pointer"], error["code"]) for error in reply.json()["errors"]}
    assert names(ada) == []


def test_create_project_takes_the_next_number_of_the_user_and_goes_last(ada: Client) -> None:
    task = ada.post(TASKS, {"title": "Buy milk"}).json()
    made = [create(ada, name=name) for name in "cab"]
    assert [project["version"] for project in made] == [task["version"] + n for n in (1, 2, 3)]
    assert [project["position"] for project in made] == sorted(project["position"] for project in made)
    assert names(ada) == ["c", "a", "b"]


def test_create_project_with_an_id_of_the_users_is_refused_with_that_project(ada: Client, bob: Client) -> None:
    id_ = str(uuid.uuid4())
    made = create(ada, id=id_.upper())
    assert made["id"] == id_
    reply = ada.post(PROJECTS, {"id": id_, "name": "Another"})
    assert (reply.status, reply.code, reply.json()["current"]) == (409, "id_taken", made)
    assert reply.json()["detail"] == "One of your projects has this id."
    assert create(bob, id=id_)["name"] == "Kitchen"
    assert create(ada)["version"] == made["version"] + 1  # who was refused took no number


def test_create_project_with_the_id_of_a_task_is_taken(ada: Client) -> None:
    task = ada.post(TASKS, {"title": "Buy milk"}).json()
    assert create(ada, id=task["id"])["id"] == task["id"]


def test_create_project_twice_with_one_idempotency_key_acts_once(ada: Client) -> None:
    first, again = (ada.post(PROJECTS, {"name": "Once"}, headers={"Idempotency-Key": "k"}) for _ in range(2))
    assert (again.json(), again.headers["idempotency-replayed"]) == (first.json(), "true")
    assert names(ada) == ["Once"]


def test_create_project_beyond_the_limit_is_refused_until_one_is_deleted(full: Client) -> None:
    last = create(full, name="The last")
    assert len(names(full)) == MOST_PROJECTS
    for headers in ({}, {"Idempotency-Key": "full"}):
        reply = full.post(PROJECTS, {"name": "One more"}, headers=headers)
        assert (reply.status, reply.code) == (409, "too_many_projects")
    assert full.post(PROJECTS, {"name": "x", "id": last["id"]}).code == "id_taken"
    assert full.delete(f"{PROJECTS}/{last['id']}").status == 204
    assert create(full)["name"] == "Kitchen"


def test_create_project_by_ten_writers_for_the_last_place_lets_one_through(full: Client) -> None:
    with ThreadPoolExecutor(10) as pool:
        replies = [*pool.map(lambda _: full.post(PROJECTS, {"name": "The last"}).status, range(10))]
    assert sorted(replies) == [201] + [409] * 9
    assert len(names(full)) == MOST_PROJECTS


def test_list_projects_of_a_new_user_is_empty_with_a_tag(ada: Client, bob: Client) -> None:
    reply = ada.get(PROJECTS)
    assert (reply.status, reply.json()) == (200, {"items": []})
    assert ada.get(PROJECTS, headers={"If-None-Match": reply.headers["etag"]}).status == 304
    assert bob.get(PROJECTS).headers["etag"] != reply.headers["etag"]


def test_list_projects_with_known_tag_is_not_modified_until_a_write(ada: Client) -> None:
    made = create(ada)
    tag = {"If-None-Match": ada.get(PROJECTS).headers["etag"]}
    assert ada.get(PROJECTS, headers=tag).status == 304
    assert ada.get(PROJECTS, headers={"If-None-Match": "*"}).status == 304
    for write, status in (
        (lambda: ada.patch(f"{PROJECTS}/{made['id']}", {"name": "Hall"}), 200),
        (lambda: ada.delete(f"{PROJECTS}/{made['id']}"), 204),
    ):
        assert write().status == status
        reply = ada.get(PROJECTS, headers=tag)
        assert reply.status == 200
        tag = {"If-None-Match": reply.headers["etag"]}
    assert names(ada) == []


@on_loop
def test_list_projects_that_the_client_knows_reads_none(user: User, database: Database) -> None:
    create(user.client)
    service = ProjectService(database, user.id, Caller(registered=True))
    found = service.list()
    older, known = (SpaceTag(found.epoch, number) for number in (found.seq - 1, found.seq))
    assert [len(service.list(tags).projects) for tags in ((), [older], [known], [older, known])] == [1, 1, 0, 0]


def test_get_project_with_its_tag_is_not_modified(ada: Client) -> None:
    made = create(ada)
    reply = ada.get(f"{PROJECTS}/{made['id']}", headers={"If-None-Match": f'"{made["version"]}"'})
    assert (reply.status, reply.body) == (304, b"")


def test_update_project_keeps_what_is_absent_and_clears_what_is_null(ada: Client) -> None:
    made = create(ada, **KITCHEN)
    changed = ada.patch(f"{PROJECTS}/{made['id']}", {"name": "Hall", "color": None})
    expected = made | {"name": "Hall", "color": None, "version": made["version"] + 1}
    assert changed.json() == expected | {"updated_at": changed.json()["updated_at"]}
    assert changed.json()["updated_at"] > made["updated_at"]
    assert changed.headers["etag"] == f'"{made["version"] + 1}"'
    cleared = ada.patch(f"{PROJECTS}/{made['id']}", {"description": None}).json()
    assert (cleared["description"], cleared["name"]) == (None, "Hall")


@pytest.mark.parametrize("body", [{"name": None}, {}, {"version": 1}, {"title": "x"}])
def test_update_project_that_breaks_a_rule_is_refused(ada: Client, body: dict[str, Any]) -> None:
    made = create(ada)
    assert ada.patch(f"{PROJECTS}/{made['id']}", body).code == "validation_failed"
    assert ada.get(f"{PROJECTS}/{made['id']}").json() == made


def test_update_project_to_what_it_is_writes_nothing(ada: Client) -> None:
    made = create(ada, **KITCHEN)
    tag = ada.get(PROJECTS).headers["etag"]
    for body in (KITCHEN, {"color": KITCHEN["color"]}):
        reply = ada.patch(f"{PROJECTS}/{made['id']}", body, headers={"If-Match": f'"{made["version"]}"'})
        assert (reply.status, reply.json()) == (200, made)
    assert ada.get(PROJECTS).headers["etag"] == tag


def test_update_and_delete_project_at_another_version_fail_with_the_current_one(ada: Client) -> None:
    made = create(ada)
    changed = ada.patch(f"{PROJECTS}/{made['id']}", {"name": "Hall"}, headers={"If-Match": f'"{made["version"]}"'})
    condition = {"If-Match": f'"{made["version"]}"'}
    for attempt in (
        lambda: ada.patch(f"{PROJECTS}/{made['id']}", {"name": "Hall"}, headers=condition),
        lambda: ada.delete(f"{PROJECTS}/{made['id']}", headers=condition),
    ):
        reply = attempt()
        assert (reply.status, reply.json()["current"]) == (412, changed.json())
        assert reply.headers["etag"] == changed.headers["etag"]
        assert reply.json()["detail"] == "The project has changed since you read it."
    assert ada.delete(f"{PROJECTS}/{made['id']}", headers={"If-Match": changed.headers["etag"]}).status == 204


def test_update_project_by_twenty_writers_with_one_if_match_lets_one_through(ada: Client) -> None:
    made = create(ada)
    condition = {"If-Match": f'"{made["version"]}"'}

    def write(number: int) -> int:
        return ada.patch(f"{PROJECTS}/{made['id']}", {"name": f"Writer {number}"}, headers=condition).status

    with ThreadPoolExecutor(20) as pool:
        assert sorted(pool.map(write, range(20))) == [200] + [412] * 19


def test_delete_project_a_second_time_is_not_found(ada: Client) -> None:
    made = create(ada)
    first, second = (ada.delete(f"{PROJECTS}/{made['id']}") for _ in range(2))
    assert (first.status, second.status, second.code) == (204, 404, "not_found")
    for reply in (ada.get(f"{PROJECTS}/{made['id']}"), ada.patch(f"{PROJECTS}/{made['id']}", {"name": "x"})):
        assert reply.json()["detail"] == "There is no such project in your space."


def test_delete_account_deletes_its_projects(ada: Client, direct: str, user: User) -> None:
    create(user.client)
    create(ada)
    of_user = f"SELECT count(*) FROM projects WHERE user_id = '{user.id}'"
    assert rows(direct, of_user) == [(1,)]
    rows(direct, f"DELETE FROM users WHERE id = '{user.id}'")
    assert rows(direct, of_user) == [(0,)]
    assert names(ada) == ["Kitchen"]


def test_list_projects_of_the_longest_texts_has_at_most_as_many_bytes_as_a_page_of_tasks(
    ada: Client, full: Client, direct: str
) -> None:
    texts = {"name": "😀" * 120, "description": "😀" * 500, "color": "#ffffff"}
    longest = create(full, **texts)
    rows(
        direct,
        f"UPDATE projects SET name = longest.name, description = longest.description, color = longest.color,"
        f" version = {2**53 - 1}, position = rpad(projects.position, 250, 'z')"
        f" FROM projects longest WHERE longest.id = '{longest['id']}'",
    )
    reply = full.get(PROJECTS)
    projects = reply.json()["items"]
    assert len(projects) == MOST_PROJECTS
    assert all({name: project[name] for name in texts} == texts for project in projects)
    assert 1_000_000 < len(reply.content) <= MAX_PAGE
    assert create(ada, description="x" * 500)["description"] == "x" * 500
    assert ada.post(PROJECTS, {"name": "Kitchen", "description": "x" * 501}).status == 400


def test_export_account_has_every_project_by_position(ada: Client) -> None:
    made = [create(ada, name=name) for name in "cab"]
    assert ada.get("/api/v1/me/account/export").json()["projects"] == made


@pytest.mark.parametrize(
    "change",
    [
        "name = E'a\\u2028b'",
        "name = E'\\u2060'",
        "name = repeat('x', 121)",
        "description = repeat('x', 501)",
        "color = 'red'",
        "color = E'#123456\\n'",
        "position = ''",
        "position = repeat('a', 251)",
        "version = 0",
    ],
)
def test_projects_table_refuses_what_the_contract_refuses(ada: Client, direct: str, change: str) -> None:
    create(ada)
    with pytest.raises(psycopg2.errors.CheckViolation):
        rows(direct, f"UPDATE projects SET {change}")
