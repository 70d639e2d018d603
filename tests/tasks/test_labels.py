"""Labels of a task: names that are the same in any case, at most twenty on a task and 500 of a user."""

import json
import unicodedata
from typing import Any

import pytest

from tests.support.client import Client
from tests.support.rows import rows
from tests.support.tasks import create, path
from tests.support.users import User
from todo_api import task_labels
from todo_api.task_labels.statements import MOST_LABELS

TASKS = "/api/v1/me/tasks"
WRITES = ("POST", "PUT", "PATCH")

SAME = [
    ("home", "HOME"),
    ("Größe", "GRÖSSE"),
    ("ΣΊΣΥΦΟΣ", "σίσυφος"),
    ("caf\u00e9", "CAFE\u0301"),
    ("\u212b", "\u00e5"),
    ("\u1e9e", "SS"),
    ("\u0390", "\u1fd3"),
    ("\ua7dc", "\u019b"),  # cased since Unicode 16
    ("\U00010d50", "\U00010d70"),  # the same
]


def write(client: Client, method: str, task: dict[str, Any], labels: Any) -> Any:
    """Return the reply to a write of the labels: of another task with POST."""
    body = {"labels": labels} | ({} if method == "PATCH" else {"title": "x"})
    return client.request(method, TASKS if method == "POST" else path(task), json_body=body)


def stored(url: str, task: dict[str, Any]) -> list[Any]:
    """Return keys and names of the rows of a task's labels."""
    return rows(url, f"SELECT label_key, name FROM task_labels WHERE task_id = '{task['id']}' ORDER BY 1")


@pytest.mark.parametrize("body", [{}, {"due": {"date": "2026-11-20"}}, {"status": "completed", "priority": "low"}])
def test_create_task_with_labels_returns_them_by_code_point_without_case(
    ada: Client, direct: str, body: dict[str, Any]
) -> None:
    task = create(ada, labels=["home", "Zoo", "Äpfel", "errand", "e2"], **body)
    assert task["labels"] == ["e2", "errand", "home", "Zoo", "Äpfel"]
    assert ada.get(path(task)).json() == task
    assert ada.get(TASKS).json()["items"] == [task]
    assert [name for _, name in stored(direct, task)] == task["labels"]


@pytest.mark.parametrize(
    "name", ["x", "x" * 60, "\U0001f469\u200d\U0001f680", '"\\/%2F', " a b ", "\u05d0\u05b7", "😀" * 60]
)
def test_create_task_with_a_label_keeps_it_as_sent(ada: Client, name: str) -> None:
    assert create(ada, labels=[name])["labels"] == [name]


def test_create_task_with_a_decomposed_label_composes_it(ada: Client) -> None:
    assert create(ada, labels=["cafe\u0301"])["labels"] == ["caf\u00e9"]


@pytest.mark.parametrize(
    ("labels", "pointer", "code"),
    [
        (None, "/labels", "wrong_type"),
        (["x", 1], "/labels/1", "wrong_type"),
        (["x", None], "/labels/1", "wrong_type"),
        (["x", "a,b"], "/labels/1", "pattern"),
        (["."], "/labels/0", "pattern"),
        (["x", ".."], "/labels/1", "pattern"),
        ([""], "/labels/0", "pattern"),
        (["\u200b\u00a0"], "/labels/0", "pattern"),
        (["a\nb"], "/labels/0", "pattern"),
        (["a\u2028b"], "/labels/0", "pattern"),
        (["x" * 61], "/labels/0", "too_long"),
        (["x", "\u0958" * 31], "/labels/1", "too_long"),
        ([f"label {number}" for number in range(21)], "/labels", "too_many"),
        *((["a", *names], "/labels/2", "duplicate") for names in SAME),
        (["x", "y", "X"], "/labels/2", "duplicate"),
    ],
)
def test_write_of_labels_against_the_contract_is_400(ada: Client, labels: Any, pointer: str, code: str) -> None:
    task = create(ada)
    for method in WRITES:
        reply = write(ada, method, task, labels)
        (error,) = reply.json()["errors"]
        assert (reply.status, error["pointer"], error["code"]) == (400, pointer, code)
    assert ada.get(TASKS).json()["items"] == [task]


def test_write_of_labels_tells_every_violation_with_those_of_dates(ada: Client) -> None:
    body = {"title": "x", "labels": ["a", "A", "a"], "due": {"date": "2026-11-20", "time": "09:00", "time_zone": "X"}}
    errors = ada.post(TASKS, body).json()["errors"]
    assert [error["pointer"] for error in errors] == ["/due/time_zone", "/labels/1", "/labels/2"]


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_write_of_labels_replaces_all_of_them(ada: Client, direct: str, method: str) -> None:
    task = create(ada, labels=["home", "errand"])
    for labels, expected in (
        (["b", "HOME"], [("b", "b"), ("home", "HOME")]),
        (["home"], [("home", "home")]),
        ([], []),
        (["x"], [("x", "x")]),
    ):
        before = ada.get(path(task)).json()["version"]
        reply = write(ada, method, task, labels)
        assert (reply.status, reply.json()["labels"]) == (200, labels)
        assert reply.json()["version"] == before + 1
        assert ada.get(path(task)).json() == reply.json()
        assert stored(direct, task) == expected


def test_write_of_other_members_leaves_the_labels(ada: Client, direct: str) -> None:
    task = create(ada, labels=["home"])
    for method, body in (("PATCH", {"title": "y"}), ("PUT", {"title": "z"}), ("PATCH", {"priority": "low"})):
        assert ada.request(method, path(task), json_body=body).json()["labels"] == ["home"]
    assert ada.patch(f"{path(task)}/complete").json()["labels"] == ["home"]
    assert stored(direct, task) == [("home", "home")]


@pytest.mark.parametrize("condition", ['"0"', 'W/"1"'])
def test_update_task_of_labels_at_another_version_is_412_and_writes_none(
    ada: Client, direct: str, condition: str
) -> None:
    task = create(ada, labels=["home"])
    reply = ada.patch(path(task), {"labels": ["errand"]}, headers={"If-Match": condition})
    assert (reply.status, reply.json()["current"]) == (412, task)
    assert stored(direct, task) == [("home", "home")]


def test_update_task_of_labels_that_its_status_forbids_writes_none(ada: Client, direct: str) -> None:
    task = create(ada, labels=["home"], status="cancelled")
    assert ada.patch(path(task), {"labels": ["errand"], "status": "completed"}).code == "invalid_transition"
    assert stored(direct, task) == [("home", "home")]


def test_update_task_of_labels_of_another_user_is_404(ada: Client, bob: Client, direct: str) -> None:
    task = create(bob, labels=["home"])
    assert ada.patch(path(task), {"labels": ["errand"]}).status == 404
    assert stored(direct, task) == [("home", "home")]


def test_delete_task_deletes_the_rows_of_its_labels(user: User, direct: str) -> None:
    task, other = (create(user.client, labels=["home"]) for _ in range(2))
    assert user.client.delete(path(task)).status == 204
    assert (stored(direct, task), stored(direct, other)) == ([], [("home", "home")])
    rows(direct, f"DELETE FROM users WHERE id = '{user.id}'")
    assert stored(direct, other) == []


def test_create_task_with_labels_once_more_under_its_key_replays_them(ada: Client, direct: str) -> None:
    body = {"title": "x", "labels": ["b", "A"]}
    replies = [ada.post(TASKS, body, headers={"Idempotency-Key": "once"}) for _ in range(2)]
    assert [reply.json()["labels"] for reply in replies] == [["A", "b"]] * 2
    assert ada.get(TASKS).json()["total"] == 1
    assert [key for key, _ in stored(direct, replies[0].json())] == ["a", "b"]


def test_create_task_with_labels_by_a_user_without_a_row_makes_both(ada: Client) -> None:
    task = create(ada, labels=["home"])
    assert (task["labels"], task["version"]) == (["home"], 1)


def test_create_task_with_labels_in_no_project_that_is_there_writes_none(ada: Client, direct: str) -> None:
    create(ada)
    project = "01932c08-4a6b-7f3e-8d1c-2b3a4c5d6e7f"
    assert ada.post(TASKS, {"title": "x", "labels": ["home"], "project_id": project}).status == 400
    assert rows(direct, "SELECT count(*) FROM task_labels WHERE name = 'home' AND user_id = '" + me(ada) + "'") == [
        (0,)
    ]


def me(client: Client) -> str:
    """Return the user's id."""
    return str(client.get("/api/v1/me/account").json()["id"])


def fill(client: Client) -> list[dict[str, Any]]:
    """Give a user as many labels as they can have, and return the tasks."""
    made = range(0, MOST_LABELS, 20)
    return [create(client, labels=[f"label {number}" for number in range(first, first + 20)]) for first in made]


def test_write_of_one_label_too_many_is_409_and_writes_nothing(ada: Client) -> None:
    tasks, task = fill(ada), create(ada, labels=["LABEL 7"])
    tag = ada.get(TASKS).headers["etag"]
    for method in WRITES:
        reply = write(ada, method, task, ["label 7", "One more"])
        assert (reply.status, reply.code) == (409, "too_many_labels")
    keyed = ada.post(TASKS, {"title": "x", "labels": ["One more"]}, headers={"Idempotency-Key": "k"})
    assert keyed.code == "too_many_labels"
    assert ada.get(path(task)).json() == task
    assert ada.get(TASKS).headers["etag"] == tag
    assert write(ada, "PATCH", task, ["Label 7", "label 8"]).status == 200
    exchanged = write(ada, "PATCH", tasks[0], [*tasks[0]["labels"][:-1], "One more"])
    assert exchanged.status == 200
    assert ada.delete(path(tasks[1])).status == 204
    assert write(ada, "POST", task, [f"other {number}" for number in range(20)]).status == 201
    assert write(ada, "POST", task, ["yet another"]).code == "too_many_labels"


@pytest.mark.parametrize(("one", "other"), SAME)
def test_key_of_a_name_is_the_same_in_any_case(one: str, other: str) -> None:
    assert task_labels.key_of(one) == task_labels.key_of(other)


def test_key_of_a_name_is_what_the_search_has(direct: str) -> None:
    """Of every letter with another case, and of what is composed of several: in the database of the search."""
    letters = [chr(code) for code in range(1, 0x30000) if not 0xD800 <= code < 0xE000]
    found = [letter for letter in letters if unicodedata.category(letter) != "Cn"]
    cased = [letter for letter in found if task_labels.key_of(letter) != letter or not letter.isascii()]
    texts = ["".join(cased[place : place + 40]) for place in range(0, len(cased), 40)]
    quoted = json.dumps(texts).replace("'", "''")
    folded = rows(direct, f"SELECT fold_case(given) FROM jsonb_array_elements_text('{quoted}') given")
    assert [text for (text,) in folded] == [task_labels.key_of(text) for text in texts]
