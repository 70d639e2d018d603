"""Moving tasks among their siblings: where they go, what is refused, and what is not written."""

import random
from itertools import combinations
from typing import Any

import pytest

from tests.support.client import Client, Reply
from tests.support.on_loop import on_loop
from tests.support.rows import rows
from tests.support.tasks import create, path
from todo_api.database import Database
from todo_api.ordering import Destination
from todo_api.task_tree import Branch, Node, TaskTree, tree

TASKS = "/api/v1/me/tasks"
STATUSES = ("pending", "in_progress", "completed", "cancelled")
UNKNOWN = "01932c07-9f7a-7c1d-b6a1-5a2f0f5d1c3e"


def move(client: Client, task: dict[str, Any], body: dict[str, Any], **headers: str) -> Reply:
    return client.post(f"{path(task)}/move", body, headers=headers)


def titles(client: Client) -> list[str]:
    """The titles of all tasks by position."""
    return [task["title"] for task in client.get(f"{TASKS}?sort=position&limit=1000").json()["items"]]


@pytest.fixture
def letters(ada: Client) -> dict[str, dict[str, Any]]:
    """The tasks a to e, in this order, of every status."""
    return {title: create(ada, title, status=STATUSES[number % 4]) for number, title in enumerate("abcde")}


@pytest.mark.parametrize(
    ("title", "place", "order"),
    [
        ("d", ("before", "b"), "adbce"),
        ("d", ("before", "a"), "dabce"),
        ("a", ("before", "e"), "bcdae"),
        ("b", ("after", "d"), "acdbe"),
        ("b", ("after", "e"), "acdeb"),
        ("e", ("after", "a"), "aebcd"),
        ("c", ("at", "first"), "cabde"),
        ("c", ("at", "last"), "abdec"),
    ],
)
def test_move_task_goes_where_it_is_told(
    ada: Client, letters: dict[str, dict[str, Any]], title: str, place: tuple[str, str], order: str
) -> None:
    name, other = place
    body = {name: other if name == "at" else letters[other]["id"]}
    reply = move(ada, letters[title], body)
    moved = reply.json()
    assert reply.status == 200
    assert reply.headers["etag"] == f'"{moved["version"]}"'
    assert moved["version"] == max(task["version"] for task in letters.values()) + 1
    changed = {"position", "version", "updated_at"}
    assert {name for name in moved if moved[name] != letters[title][name]} == changed
    assert "".join(titles(ada)) == order
    assert ada.get(path(moved)).json() == moved
    assert [ada.get(path(task)).json() for letter, task in letters.items() if letter != title] == [
        task for letter, task in letters.items() if letter != title
    ]
    create(ada, "f")
    assert "".join(titles(ada)) == f"{order}f"


@pytest.mark.parametrize(
    ("title", "place"),
    [
        ("a", ("at", "first")),
        ("e", ("at", "last")),
        ("b", ("after", "a")),
        ("b", ("before", "c")),
        ("a", ("before", "b")),
    ],
)
def test_move_task_to_where_it_is_writes_nothing(
    ada: Client, letters: dict[str, dict[str, Any]], title: str, place: tuple[str, str]
) -> None:
    name, other = place
    tag = ada.get(TASKS).headers["etag"]
    reply = move(ada, letters[title], {name: other if name == "at" else letters[other]["id"]})
    assert (reply.status, reply.json()) == (200, letters[title])
    assert ada.get(TASKS).headers["etag"] == tag


@pytest.mark.parametrize("place", ["first", "last"])
def test_move_task_without_siblings_writes_nothing(ada: Client, place: str) -> None:
    task = create(ada)
    assert move(ada, task, {"at": place}).json() == task


@pytest.mark.parametrize("name", ["before", "after"])
@pytest.mark.parametrize("whose", ["nobody", "another", "itself"])
def test_move_task_beside_what_is_no_sibling_is_refused(ada: Client, bob: Client, name: str, whose: str) -> None:
    task = create(ada)
    other = {"nobody": UNKNOWN, "another": create(bob)["id"], "itself": task["id"]}[whose]
    reply = move(ada, task, {name: other})
    assert (reply.status, reply.code) == (400, "validation_failed")
    assert [(each["pointer"], each["code"]) for each in reply.json()["errors"]] == [(f"/{name}", "not_a_sibling")]
    assert ada.get(path(task)).json() == task


def test_move_task_of_a_project_stays_among_its_tasks(ada: Client) -> None:
    projects = [ada.post("/api/v1/me/projects", {"name": name}).json()["id"] for name in ("Home", "Work")]
    made = [create(ada, f"{number}", project_id=project) for number in range(3) for project in (*projects, None)]
    for project in (*projects, None):
        first, second, third = (task for task in made if task["project_id"] == project)
        other = next(task for task in made if task["project_id"] != project)
        assert move(ada, third, {"after": other["id"]}).status == 400
        assert move(ada, first, {"at": "first"}).json() == first
        moved = move(ada, third, {"before": second["id"]}).json()
        assert first["position"] < moved["position"] < second["position"]
        assert moved["project_id"] == project


@pytest.mark.parametrize("places", [*combinations(("before", "after", "at"), 2), ("before", "after", "at")], ids=str)
@pytest.mark.parametrize("further", [(), ("parent_id",), ("project_id", "parent_id")], ids=str)
def test_move_task_to_several_places_is_refused(ada: Client, places: tuple[str, ...], further: tuple[str, ...]) -> None:
    task, other = create(ada), create(ada)
    named = {place: "last" if place == "at" else other["id"] for place in places}
    reply = move(ada, task, named | dict.fromkeys(further))
    assert reply.status == 400
    assert [(each["pointer"], each["code"]) for each in reply.json()["errors"]] == [
        (f"/{place}", "conflicting") for place in places[1:]
    ]
    assert ada.get(f"/api/v1/me/tasks/{task['id']}").json() == task


def test_move_task_to_no_place_is_refused(ada: Client) -> None:
    assert move(ada, create(ada), {}).code == "validation_failed"


def test_move_task_that_is_not_there_or_of_another_is_not_found(ada: Client, bob: Client) -> None:
    for task in ({"id": UNKNOWN}, create(bob)):
        reply = move(ada, task, {"at": "first"})
        assert (reply.status, reply.code) == (404, "not_found")


def test_move_task_with_an_old_tag_fails_the_precondition(ada: Client) -> None:
    task, other = create(ada), create(ada)
    current = ada.patch(path(task), {"title": "Changed"}).json()
    reply = move(ada, task, {"after": other["id"]}, **{"If-Match": f'"{task["version"]}"'})
    assert (reply.status, reply.json()["current"]) == (412, current)
    moved = move(ada, task, {"after": other["id"]}, **{"If-Match": f'"{current["version"]}"'})
    assert moved.json()["version"] == current["version"] + 1


@pytest.mark.parametrize("tag", ['"x"', 'W/"1"', '""'])
def test_move_task_with_a_tag_that_is_no_version_fails_the_precondition(ada: Client, tag: str) -> None:
    task, _ = create(ada), create(ada)
    assert move(ada, task, {"at": "last"}, **{"If-Match": tag}).status == 412
    assert ada.get(path(task)).json() == task


def test_move_task_repeated_with_the_same_key_moves_once(ada: Client) -> None:
    first, second = create(ada), create(ada)
    key = {"Idempotency-Key": '"move-once"'}
    reply = move(ada, second, {"at": "first"}, **key)
    move(ada, first, {"at": "first"})
    again = move(ada, second, {"at": "first"}, **key)
    assert (again.status, again.json()) == (200, reply.json())
    assert again.headers["idempotency-replayed"] == "true"
    assert titles(ada) == [first["title"], second["title"]]


@pytest.mark.parametrize("seed", [1, 2])
def test_move_task_at_random_equals_a_list(ada: Client, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311  # no secret: a failure can be repeated
    model = [create(ada, f"{number}", status=STATUSES[number % 4]) for number in range(12)]
    for _ in range(60):
        task = model.pop(chance.randrange(len(model)))
        place = chance.randrange(len(model) + 1)
        after_all = chance.choice([{"at": "last"}, {"after": model[-1]["id"]}])
        body = after_all if place == len(model) else {"before": model[place]["id"]}
        assert move(ada, task, body).status == 200
        model.insert(place, task)
    assert titles(ada) == [task["title"] for task in model]


def test_move_task_into_a_full_gap_gives_all_siblings_new_positions(
    ada: Client, direct: str, letters: dict[str, dict[str, Any]]
) -> None:
    low = letters["a"]["position"]
    full = {"b": f"{low}{'0' * 235}1", "c": f"{low}{'0' * 235}2"}
    for title, position in full.items():
        of_task = f"user_id = '{letters[title]['user_id']}' AND id = '{letters[title]['id']}'"
        rows(direct, f"UPDATE tasks SET position = '{position}' WHERE {of_task}")
    assert titles(ada) == [*"abcde"]
    moved = move(ada, letters["e"], {"before": letters["c"]["id"]}).json()
    after = ada.get(f"{TASKS}?sort=position").json()["items"]
    assert [task["title"] for task in after] == [*"abecd"]
    assert {len(task["position"]) for task in after} == {14}
    assert {task["version"] for task in after} == {moved["version"]}
    assert min(task["updated_at"] for task in after) > letters["e"]["created_at"]
    assert ada.get(path(moved)).json() == moved
    create(ada, "f")
    assert titles(ada) == [*"abecdf"]


def test_move_task_into_a_full_gap_among_others_gives_as_many_new_positions_as_make_room(
    ada: Client, direct: str, letters: dict[str, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tree, "NEAR", 1)
    low = letters["a"]["position"]
    for number, title in enumerate("abcde", 1):
        of_task = f"user_id = '{letters[title]['user_id']}' AND id = '{letters[title]['id']}'"
        rows(direct, f"UPDATE tasks SET position = '{low}{'0' * 235}{number}' WHERE {of_task}")
    moved = move(ada, letters["e"], {"before": letters["c"]["id"]}).json()
    after = ada.get(f"{TASKS}?sort=position").json()["items"]
    assert [task["title"] for task in after] == [*"abecd"]
    assert {len(task["position"]) for task in after} == {14}
    assert {task["version"] for task in after} == {moved["version"]}


def test_move_task_into_a_full_gap_of_many_siblings_gives_those_near_it_new_positions(ada: Client, direct: str) -> None:
    moving = create(ada, "moving")
    of_user = f"user_id = '{moving['user_id']}'"
    rows(
        direct,
        "INSERT INTO tasks (user_id, id, title, status, created_at, updated_at, version, position)"
        " SELECT user_id, gen_random_uuid(), n::text, status, now(), now(), version, 'm' || lpad(to_hex(n * 1000), 13, '0')"
        f" FROM tasks, generate_series(1, 1400) n WHERE {of_user};"
        f" UPDATE users SET pending = 1401 WHERE id = '{moving['user_id']}';"
        " UPDATE tasks SET position = full_gap.low || repeat('0', 235) || (title::int - 700)"
        f" FROM (SELECT position AS low FROM tasks WHERE {of_user} AND title = '700') full_gap"
        f" WHERE {of_user} AND title IN ('701', '702')",
    )
    ((before,),) = rows(direct, f"SELECT id FROM tasks WHERE {of_user} AND title = '702'")
    moved = move(ada, moving, {"before": str(before)}).json()
    found = rows(direct, f"SELECT title, version, length(position) FROM tasks WHERE {of_user} ORDER BY position, id")
    assert [title for title, *_ in found] == [*map(str, range(1, 702)), "moving", *map(str, range(702, 1401))]
    changed = [title for title, version, _ in found if version == moved["version"]]
    assert changed == [*map(str, range(202, 702)), "moving", *map(str, range(702, 1202))]
    assert max(length for *_, length in found) < 20


def test_move_task_between_equal_positions_gives_them_new_ones(
    ada: Client, direct: str, letters: dict[str, dict[str, Any]]
) -> None:
    """As after the clock of the database was put back: they stand in the order of their ids, and what is new goes last."""
    rows(direct, f"UPDATE tasks SET position = 'mz{'0' * 12}' WHERE user_id = '{letters['a']['user_id']}'")
    order = titles(ada)
    assert (
        move(ada, letters[order[1]], {"after": letters[order[0]]["id"]}).json()["version"]
        == letters[order[1]]["version"]
    )
    assert (
        move(ada, letters[order[3]], {"before": letters[order[4]]["id"]}).json()["version"]
        == letters[order[3]]["version"]
    )
    move(ada, letters[order[4]], {"after": letters[order[1]]["id"]})
    assert titles(ada) == [order[0], order[1], order[4], order[2], order[3]]
    create(ada, "f")
    assert titles(ada)[-1] == "f"


def test_move_task_to_the_end_after_the_clock_was_put_back_stands_last(
    ada: Client, direct: str, letters: dict[str, dict[str, Any]]
) -> None:
    task = letters["b"]
    rows(
        direct,
        f"UPDATE tasks SET position = 'mz{'0' * 12}' WHERE user_id = '{task['user_id']}' AND id = '{task['id']}'",
    )
    move(ada, letters["a"], {"at": "last"})
    assert titles(ada) == [*"cdeba"]


@on_loop
def test_place_at_the_end_at_the_moment_of_the_last_task_is_after_it(
    database: Database, letters: dict[str, dict[str, Any]]
) -> None:
    """As where the clock of the database stands still: two positions are never equal."""
    first, last = letters["a"], letters["e"]
    tree = TaskTree(database.as_user(first["user_id"]), first["user_id"])
    task = Node(first["id"], first["position"], Branch())
    place = tree.place(task, task.branch, Destination(at="last"), last["position"])
    assert place is not None
    assert place.position > last["position"]
