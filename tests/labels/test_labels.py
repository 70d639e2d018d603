"""Labels as a whole: listed, renamed and removed in every task, under one number."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any
from urllib.parse import quote

import pytest

from tests.support.client import Client
from tests.support.rows import rows
from tests.support.tasks import create, path
from todo_api.task_labels.statements import MOST_LABELS

LABELS = "/api/v1/me/labels"
TASKS = "/api/v1/me/tasks"
ROUNDS = 100


def listed(client: Client) -> list[tuple[str, int]]:
    """Return name and open tasks of each label."""
    return [(label["name"], label["open_tasks"]) for label in client.get(LABELS).json()["items"]]


def number(client: Client) -> int:
    """Return the number of the user's last write."""
    return int(client.get(LABELS).headers["etag"].rpartition("-")[2].rstrip('"'))


def labels_of(client: Client, task: dict[str, Any]) -> list[str]:
    """Return the labels of a task, and see that lists filtered by each have it."""
    found: list[str] = client.get(path(task)).json()["labels"]
    for name in found:
        of_label = client.get(f"{TASKS}?label={quote(name, safe='')}").json()["items"]
        assert task["id"] in [each["id"] for each in of_label]
    return found


def test_list_labels_has_each_once_as_spelled_first_with_its_open_tasks(ada: Client) -> None:
    first = create(ada, labels=["Home", "errand"], status="completed")
    create(ada, labels=["home"], status="in_progress")
    create(ada, labels=["HOME", "Ämter"])
    create(ada, labels=["Zoo"], status="cancelled")
    assert listed(ada) == [("errand", 0), ("Home", 2), ("Zoo", 0), ("Ämter", 1)]
    assert ada.patch(path(first), {"labels": ["hOME"]}).status == 200
    assert listed(ada) == [("home", 2), ("Zoo", 0), ("Ämter", 1)]
    assert ada.delete(path(first)).status == 204
    assert listed(ada) == [("home", 2), ("Zoo", 0), ("Ämter", 1)]


def test_list_labels_without_labels_or_a_row_is_empty(ada: Client, bob: Client) -> None:
    assert listed(ada) == []
    create(bob, labels=["home"])
    create(ada)
    assert listed(ada) == []


def test_list_labels_with_known_tag_is_304_until_a_write(ada: Client) -> None:
    task = create(ada, labels=["home"])
    tag = ada.get(LABELS).headers["etag"]
    reply = ada.get(LABELS, headers={"If-None-Match": tag})
    assert (reply.status, reply.headers["etag"], reply.body) == (304, tag, b"")
    assert ada.patch(f"{path(task)}/complete").status == 200
    reply = ada.get(LABELS, headers={"If-None-Match": tag})
    assert (reply.status, reply.json()["items"]) == (200, [{"name": "home", "open_tasks": 0}])


def test_rename_label_renames_it_in_every_task_under_one_number(ada: Client, bob: Client) -> None:
    tasks = [create(ada, labels=["home", "a"]), create(ada, labels=["HOME", "z"], status="completed")]
    other, theirs = create(ada, labels=["a"]), create(bob, labels=["home"])
    before = number(ada)
    reply = ada.patch(f"{LABELS}/Home", {"name": "b"})
    assert (reply.status, reply.json()) == (200, {"version": before + 1, "count": 2})
    assert number(ada) == before + 1
    assert [labels_of(ada, task) for task in tasks] == [["a", "b"], ["b", "z"]]
    for task in tasks:
        found = ada.get(path(task)).json()
        assert found["version"] == before + 1
        assert found["updated_at"] > task["updated_at"]
        kept = {name: value for name, value in found.items() if name not in ("labels", "version", "updated_at")}
        assert kept == {name: task[name] for name in kept}
    assert (ada.get(path(other)).json(), bob.get(path(theirs)).json()) == (other, theirs)
    assert ada.get(f"{TASKS}?label=home").json()["total"] == 0


def test_rename_label_to_another_case_of_itself_unifies_it(ada: Client) -> None:
    tasks = [create(ada, labels=[name]) for name in ("home", "Home", "HOME")]
    before = number(ada)
    assert ada.patch(f"{LABELS}/home", {"name": "Home"}).json() == {"version": before + 1, "count": 2}
    assert [labels_of(ada, task) for task in tasks] == [["Home"]] * 3
    assert ada.get(path(tasks[1])).json() == tasks[1]
    assert listed(ada) == [("Home", 3)]


@pytest.mark.parametrize("merge", [{}, {"merge": False}, {"merge": True}])
def test_rename_label_to_what_it_is_writes_nothing(ada: Client, merge: dict[str, bool]) -> None:
    task = create(ada, labels=["Home"])
    tag = ada.get(LABELS).headers["etag"]
    reply = ada.patch(f"{LABELS}/HOME", {"name": "Home", **merge})
    assert (reply.status, reply.json()) == (200, {"version": task["version"], "count": 0})
    assert ada.get(path(task)).json() == task
    assert ada.get(LABELS).headers["etag"] == tag


def test_rename_label_to_another_one_is_409_unless_they_are_merged(ada: Client) -> None:
    both, one, other = (create(ada, labels=labels) for labels in (["home", "Flat", "x"], ["home"], ["flat"]))
    for body in ({"name": "FLAT"}, {"name": "FLAT", "merge": False}):
        reply = ada.patch(f"{LABELS}/home", body)
        assert (reply.status, reply.code) == (409, "label_exists")
    assert ada.get(path(both)).json() == both
    before = number(ada)
    merged = ada.patch(f"{LABELS}/home", {"name": "FLAT", "merge": True})
    assert (merged.status, merged.json()) == (200, {"version": before + 1, "count": 3})
    assert [labels_of(ada, task) for task in (both, one, other)] == [["FLAT", "x"], ["FLAT"], ["FLAT"]]
    assert listed(ada) == [("FLAT", 3), ("x", 1)]


def test_remove_label_takes_it_off_every_task_under_one_number(ada: Client, bob: Client) -> None:
    tasks = [create(ada, labels=["home", "a"]), create(ada, labels=["HOME"])]
    theirs = create(bob, labels=["home"])
    before = number(ada)
    reply = ada.delete(f"{LABELS}/home")
    assert (reply.status, reply.json()) == (200, {"version": before + 1, "count": 2})
    found = [ada.get(path(task)).json() for task in tasks]
    assert [(task["labels"], task["version"]) for task in found] == [(["a"], before + 1), ([], before + 1)]
    assert ada.delete(f"{LABELS}/home").status == 404
    assert number(ada) == before + 1
    assert bob.get(path(theirs)).json() == theirs


@pytest.mark.parametrize("who", ["a user", "a user without a row"])
def test_change_of_a_label_that_is_not_there_is_404(ada: Client, bob: Client, who: str) -> None:
    create(bob, labels=["home"])
    if who == "a user":
        create(ada, labels=["homes"])
    for merge in ({}, {"merge": True}):
        assert ada.patch(f"{LABELS}/home", {"name": "x", **merge}).status == 404
    assert ada.delete(f"{LABELS}/home").status == 404


ODD = [
    "a/b",
    "//",
    "...",
    ". .",
    "./..",
    "%2E",
    "%2F",
    "a%b",
    "?#&=+;",
    "a b",
    '"\\',
    "größe 😀",
    "\u05d0\u05b7",
    "me",
    "{label}",
    "<b>",
]


@pytest.mark.parametrize("name", ODD)
def test_change_of_a_label_of_any_characters_finds_it_by_its_path(ada: Client, name: str) -> None:
    task = create(ada, labels=[name])
    address = f"{LABELS}/{quote(name, safe='').replace('.', '%2E')}"
    assert ada.patch(address, {"name": f"{name}!"}).json()["count"] == 1
    assert labels_of(ada, task) == [f"{name}!"]
    assert ada.patch(f"{LABELS}/{quote(name + '!', safe='')}", {"name": name}).json()["count"] == 1
    written = ada.patch(path(task), {"labels": [name]}).json()
    assert written == ada.get(path(task)).json()
    assert written["version"] == task["version"] + 2
    assert ada.delete(address).json()["count"] == 1


@pytest.mark.parametrize("sent", ["a,b", "%00", "a%0Ab", "x" * 61, "%E2%80%8B", "%FF", "%2E", "%2E%2e"])
def test_change_of_what_is_no_label_is_400(ada: Client, sent: str) -> None:
    for method, body in (("PATCH", {"name": "x"}), ("DELETE", None)):
        reply = ada.request(method, f"{LABELS}/{sent}", json_body=body)
        assert (reply.status, reply.json()["errors"][0]["pointer"]) == (400, "/label")


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("a,b", "pattern"),
        (".", "pattern"),
        ("..", "pattern"),
        ("", "pattern"),
        ("x" * 61, "too_long"),
        ("\u0958" * 31, "too_long"),
    ],
)
def test_rename_label_to_what_is_no_name_is_400(ada: Client, name: str, code: str) -> None:
    task = create(ada, labels=["home"])
    (error,) = ada.patch(f"{LABELS}/home", {"name": name}).json()["errors"]
    assert (error["pointer"], error["code"]) == ("/name", code)
    assert ada.get(path(task)).json() == task


def test_rename_label_while_a_task_gets_it_has_one_legal_outcome_each_time(ada: Client) -> None:
    """Either the task got it first and has the new name, or it got it after and has the old one again."""
    with ThreadPoolExecutor(2) as pool:
        for _ in range(ROUNDS):
            one, other, gate = create(ada, labels=["home"]), create(ada), Barrier(2)

            def run(address: str, body: Any, gate: Barrier = gate) -> dict[str, Any]:
                gate.wait()
                reply = ada.patch(address, body)
                assert reply.status == 200
                return dict(reply.json())

            renamed = pool.submit(run, f"{LABELS}/home", {"name": "flat"})
            given = pool.submit(run, path(other), {"labels": ["home"]})
            first = given.result()["version"] < renamed.result()["version"]
            assert renamed.result()["count"] == 1 + first
            assert labels_of(ada, one) == ["flat"]
            assert labels_of(ada, other) == (["flat"] if first else ["home"])
            assert listed(ada) == [("flat", 2)] if first else [("flat", 1), ("home", 1)]
            assert [ada.delete(path(task)).status for task in (one, other)] == [204, 204]


def test_write_of_the_last_labels_at_once_lets_one_in_each_time(ada: Client, direct: str) -> None:
    """A user has 499 labels, and two tasks get another each: one is the last, the other too many."""
    task = create(ada, labels=["label 1"])
    rows(
        direct,
        "INSERT INTO task_labels (user_id, task_id, label_key, name, version) SELECT user_id, id, label, label, 1"
        f" FROM tasks, generate_series(2, {MOST_LABELS - 1}) n, concat('label ', n) label WHERE id = '{task['id']}'",
    )
    tasks = [create(ada) for _ in range(2)]
    with ThreadPoolExecutor(2) as pool:
        for _ in range(ROUNDS):
            gate = Barrier(2)

            def run(number: int, gate: Barrier = gate) -> int:
                gate.wait()
                return ada.patch(path(tasks[number]), {"labels": [f"new {number}"]}).status

            assert sorted(pool.map(run, range(2))) == [200, 409]
            assert sum(ada.patch(path(each), {"labels": []}).json()["labels"] == [] for each in tasks) == len(tasks)
