"""Lists of tasks: filters, search, order, pages by skip, and the total."""

import random
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest

from tests.support.client import Client
from tests.support.credentials import token
from tests.support.rows import rows
from tests.support.tasks import create, path

TASKS = "/api/v1/me/tasks"
STATUSES = ["pending", "in_progress", "completed", "cancelled"]


def titles(client: Client, query: str = "") -> list[str]:
    reply = client.get(TASKS + query)
    assert reply.status == 200, reply.body
    return [task["title"] for task in reply.json()["items"]]


@pytest.fixture(scope="module")
def reader(anonymous: Client) -> Client:
    """A user with two tasks of each status, named after it, in the order of STATUSES. Only to be read."""
    client = anonymous.signed_in(token("reader"))
    for number in (1, 2):
        for status in STATUSES:
            create(client, f"{status} {number}", status=status)
    return client


@pytest.fixture(scope="module")
def many(anonymous: Client) -> Client:
    """A user with sixty tasks, `t00` to `t59`. Only to be read."""
    client = anonymous.signed_in(token("many"))
    for number in range(60):
        create(client, f"t{number:02}")
    return client


def test_list_tasks_of_new_user_is_empty(ada: Client) -> None:
    reply = ada.get(TASKS)
    assert (reply.status, reply.json()) == (
        200,
        {"items": [], "total": 0, "next_cursor": None, "as_of": None, "time_zone": None},
    )
    assert (reply.headers["etag"][-3:], reply.headers["cache-control"]) == ('-0"', "private, no-cache")
    assert "link" not in reply.headers


def test_list_tasks_without_parameters_gives_newest_first(ada: Client) -> None:
    tasks = [create(ada, title) for title in ("first", "second", "third")]
    reply = ada.get(TASKS)
    assert reply.json() == {"items": tasks[::-1], "total": 3, "next_cursor": None, "as_of": None, "time_zone": None}
    assert reply.headers["etag"].endswith('-3"')


def test_list_tasks_of_two_users_keeps_them_apart(ada: Client, bob: Client) -> None:
    create(ada, "of ada")
    create(bob, "of bob")
    assert (titles(ada), titles(bob)) == (["of ada"], ["of bob"])


@pytest.mark.parametrize(
    ("query", "statuses"),
    [
        *((f"status={status}", [status]) for status in STATUSES),
        ("status=pending,cancelled", ["pending", "cancelled"]),
        ("status=cancelled,pending", ["pending", "cancelled"]),
        ("status=pending,pending", ["pending"]),
        ("status=pending,in_progress,completed,cancelled", STATUSES),
        ("completed=true", ["completed"]),
        ("completed=false", ["pending", "in_progress", "cancelled"]),
        ("completed=true&status=completed", ["completed"]),
        ("completed=true&status=completed,pending", ["completed"]),
        ("completed=false&status=completed,pending", ["pending"]),
        ("completed=true&status=pending", []),
        ("completed=true&status=pending,in_progress,cancelled", []),
        ("completed=false&status=completed", []),
    ],
)
def test_list_tasks_with_status_filters_gives_and_counts_those(reader: Client, query: str, statuses: list[str]) -> None:
    expected = [f"{status} {number}" for number in (1, 2) for status in STATUSES if status in statuses]
    for sort, order in (("created_at", expected), ("-created_at", expected[::-1]), ("title", sorted(expected))):
        reply = reader.get(f"{TASKS}?{query}&sort={sort}").json()
        assert [task["title"] for task in reply["items"]] == order
        assert (reply["total"], reply["next_cursor"]) == (len(expected), None)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("q=1&status=completed", ["completed 1"]),
        ("q=completed&completed=false", []),
        ("q=progress+2&completed=false&status=in_progress,pending", ["in_progress 2"]),
        ("q=pending&status=completed&completed=false", []),
    ],
)
def test_list_tasks_with_words_and_status_filters_gives_what_all_match(
    reader: Client, query: str, expected: list[str]
) -> None:
    reply = reader.get(f"{TASKS}?{query}").json()
    assert [task["title"] for task in reply["items"]] == expected
    assert reply["total"] == len(expected)


BAD = """
    status= status=done status=pending, status=pending,done status=Pending
    completed= completed=1 completed=True completed=yes status=pending,completed,cancelled,pending,pending
    sort= sort=status sort=+title sort=--title sort=title,created_at sort=Title q= q=%00 q=a%0Ab
    limit=0 limit=1001 limit=-1 limit= limit=1.0 limit=1e2 limit=+5 limit=1_0 limit=05
    limit=5&limit=6 limit=99999999999999999999 limit=%D9%A1 skip=-1 skip=100001 skip= skip=NaN
    page=2 Limit=5 q=%ff %ff=1 =1 cursor= cursor=a.b
"""


@pytest.mark.parametrize("query", [*BAD.split(), "q=" + "a" * 201, "cursor=" + "a" * 2049])
def test_list_tasks_with_bad_parameter_is_refused(ada: Client, query: str) -> None:
    reply = ada.get(f"{TASKS}?{query}")
    assert (reply.status, reply.code) == (400, "validation_failed")
    assert {error["location"] for error in reply.json()["errors"]} == {"query"}


def test_list_tasks_with_several_bad_parameters_tells_of_each(ada: Client) -> None:
    errors = ada.get(f"{TASKS}?limit=0&skip=-1&sort=age&status=done&completed=1&page=2&q=").json()["errors"]
    assert sorted((error["pointer"], error["code"]) for error in errors) == [
        ("/completed", "wrong_type"),
        ("/limit", "too_small"),
        ("/page", "unknown"),
        ("/q", "too_short"),
        ("/skip", "too_small"),
        ("/sort", "not_allowed"),
        ("/status/0", "not_allowed"),
    ]


@pytest.mark.parametrize(
    ("query", "count"), [("", 50), ("?limit=1", 1), ("?limit=60", 60), ("?limit=61", 60), ("?limit=1000", 60)]
)
def test_list_tasks_with_limit_gives_at_most_so_many(many: Client, query: str, count: int) -> None:
    reply = many.get(TASKS + query).json()
    assert (len(reply["items"]), reply["total"], reply["next_cursor"] is None) == (count, 60, count == 60)


@pytest.mark.parametrize(("skip", "expected"), [(0, ["t00", "t01"]), (1, ["t01", "t02"]), (59, ["t59"]), (60, [])])
def test_list_tasks_with_skip_leaves_out_so_many(many: Client, skip: int, expected: list[str]) -> None:
    reply = many.get(f"{TASKS}?sort=created_at&limit=2&skip={skip}").json()
    assert [task["title"] for task in reply["items"]] == expected
    assert reply["total"] == 60


def test_list_tasks_with_most_skip_is_empty(many: Client) -> None:
    assert many.get(f"{TASKS}?skip=100000").json() == {
        "items": [],
        "total": 60,
        "next_cursor": None,
        "as_of": None,
        "time_zone": None,
    }


def test_list_tasks_with_thousand_in_one_page_gives_all(url: str, ada: Client) -> None:
    user_id = create(ada)["user_id"]
    rows(
        url,
        "INSERT INTO tasks (user_id, id, title, status, created_at, updated_at, version)"
        f" SELECT '{user_id}', gen_random_uuid(), 'n' || n, 'pending', now(), now(), n + 1 FROM generate_series(1, 999) n",
    )
    rows(url, f"UPDATE users SET seq = 1000, pending = 1000 WHERE id = '{user_id}'")
    reply = ada.get(f"{TASKS}?limit=1000").json()
    assert (len(reply["items"]), reply["total"], reply["next_cursor"]) == (1000, 1000, None)


@pytest.mark.parametrize("sort", ["created_at", "updated_at", "title"])
def test_list_tasks_in_each_order_is_sorted_both_ways(ada: Client, sort: str) -> None:
    names = ["b", "B", "a", "ä", "Z", "b", "10", "9", "é", "\U0001f600", "ﬀ"]
    tasks = [create(ada, name) for name in names]
    for number in random.Random(7).sample(range(len(tasks)), 5):  # noqa: S311  # a fixed order, no secret
        tasks[number] = ada.patch(path(tasks[number]), {"description": "changed"}).json()
    expected = sorted(tasks, key=lambda task: (task[sort], task["id"]))
    assert ada.get(f"{TASKS}?sort={sort}").json()["items"] == expected
    assert ada.get(f"{TASKS}?sort=-{sort}").json()["items"] == expected[::-1]


@pytest.mark.parametrize("sort", ["created_at", "updated_at", "title"])
def test_list_tasks_with_equal_keys_is_ordered_by_id(url: str, ada: Client, sort: str) -> None:
    tasks = [create(ada, "same") for _ in range(8)]
    moment = "'2026-01-02 03:04:05.678901+00'"
    rows(url, f"UPDATE tasks SET created_at = {moment}, updated_at = {moment} WHERE user_id = '{tasks[0]['user_id']}'")
    ids = sorted(task["id"] for task in tasks)
    assert [task["id"] for task in ada.get(f"{TASKS}?sort={sort}").json()["items"]] == ids
    assert [task["id"] for task in ada.get(f"{TASKS}?sort=-{sort}").json()["items"]] == ids[::-1]


TEXTS = {
    "percent": ("100% done", None),
    "underscore": ("snake_case", None),
    "backslash": (r"C:\Temp", None),
    "plain": ("Buy MILK", "Two litres, oat."),
    "german": ("ÜBER Straße", "Grüße"),
    "greek": ("ΑΘΗΝΑ", None),
    "cyrillic": ("Молоко", "хлеб"),
    "quote": ("it's 'quoted' \"twice\"", "a; DROP TABLE tasks --"),
    "emoji": ("party \U0001f389", None),
    "hebrew": ("לקנות חלב", None),
}


@pytest.fixture(scope="module")
def library(anonymous: Client) -> Client:
    """A user with the tasks of TEXTS. Only to be read."""
    client = anonymous.signed_in(token("library"))
    for title, description in TEXTS.values():
        create(client, title, description=description)
    return client


@pytest.mark.parametrize(
    ("q", "found"),
    [
        ("milk", ["plain"]),
        ("Milk", ["plain"]),
        ("ILK", ["plain"]),
        ("milk oat", ["plain"]),
        ("oat  milk", ["plain"]),
        (" litres ", ["plain"]),
        ("milk hlep", []),
        ("milklitres", []),
        ("%", ["percent"]),
        ("0% d", ["percent"]),
        ("_", ["underscore"]),
        ("e_c", ["underscore"]),
        ("\\", ["backslash"]),
        ("\\t", ["backslash"]),
        ("%%", []),
        ("__", []),
        ("\\%", []),
        ("über", ["german"]),
        ("grÜSSe", ["german"]),
        ("GRÜßE", ["german"]),
        ("αθηνα", ["greek"]),
        ("МОЛОКО ХЛЕБ", ["cyrillic"]),
        ("'", ["quote"]),
        ("tasks --", ["quote"]),
        ("\U0001f389", ["emoji"]),
        ("חלב", ["hebrew"]),
        ("{1}", []),
        ("a,b", []),
        ("null", []),
    ],
)
def test_list_tasks_with_words_finds_and_counts_those_that_have_all(library: Client, q: str, found: list[str]) -> None:
    reply = library.get(f"{TASKS}?q={quote(q, safe='')}&sort=created_at").json()
    assert [task["title"] for task in reply["items"]] == [TEXTS[name][0] for name in found]
    assert reply["total"] == len(found)


def test_list_tasks_with_plus_in_query_takes_it_for_a_space(library: Client) -> None:
    assert titles(library, "?q=milk+oat") == ["Buy MILK"]


def test_list_tasks_with_blank_words_gives_all(library: Client) -> None:
    assert len(titles(library, "?q=%20%20")) == len(TEXTS)


def test_list_tasks_with_200_characters_of_words_is_answered(library: Client) -> None:
    assert titles(library, f"?q={quote('ж' * 200)}") == []
    assert titles(library, f"?q={'+'.join(['i' * 24] * 8)}") == []


CONDITIONS = {
    "": "true",
    **{f"status={status}": f"status = '{status}'" for status in STATUSES},
    "status=pending,cancelled": "status IN ('pending', 'cancelled')",
    "completed=true": "status = 'completed'",
    "completed=false": "status <> 'completed'",
    "completed=false&status=completed,pending": "status = 'pending'",
    "q=e": "title ILIKE '%e%'",
    "q=e&status=pending": "title ILIKE '%e%' AND status = 'pending'",
}


def assert_totals(url: str, client: Client, user_id: str) -> None:
    for query, condition in CONDITIONS.items():
        counted = rows(url, f"SELECT count(*) FROM tasks WHERE user_id = '{user_id}' AND {condition}")[0][0]
        reply = client.get(f"{TASKS}?{query}&limit=1000").json()
        assert (query, reply["total"], len(reply["items"])) == (query, counted, counted)


def _write(client: Client, dice: random.Random, ids: list[str]) -> None:
    """One write of any kind, refused ones and such as change nothing among them."""
    target = f"{TASKS}/{dice.choice(ids)}" if ids else f"{TASKS}/01932c07-9f7a-7c1d-b6a1-5a2f0f5d1c3e"
    body: dict[str, Any] = {"title": dice.choice(["one", "two", "three"]), "status": dice.choice(STATUSES)}
    headers = dice.choice([{}, {}, {"If-Match": "*"}, {"If-Match": '"3"'}])
    writes: list[Callable[[], Any]] = [
        lambda: client.post(TASKS, body),
        lambda: client.post(TASKS, body),
        lambda: client.post(TASKS, body | {"title": ""}),
        lambda: client.put(target, body, headers=headers),
        lambda: client.patch(target, body, headers=headers),
        lambda: client.patch(target, {"title": body["title"]}, headers=headers),
        lambda: client.patch(f"{target}/complete", headers=headers),
        lambda: client.patch(f"{target}/complete", {"completed": dice.random() < 0.5}, headers=headers),
        lambda: client.delete(target, headers=headers),
    ]
    dice.choice(writes)()


def test_list_tasks_after_any_writes_has_totals_that_the_database_counts(url: str, ada: Client, bob: Client) -> None:
    dice = random.Random(20261120)  # noqa: S311  # the same writes in each run
    owners = {client: create(client)["user_id"] for client in (ada, bob)}
    for _ in range(12):
        for client in owners:
            for _ in range(8):
                ids = [task["id"] for task in client.get(TASKS).json()["items"]]
                _write(client, dice, ids)
        for client, user_id in owners.items():
            assert_totals(url, client, user_id)


def test_list_tasks_after_all_are_deleted_is_empty(url: str, ada: Client) -> None:
    tasks = [create(ada, status=status) for status in STATUSES]
    for task in tasks:
        ada.delete(path(task))
    reply = ada.get(TASKS)
    assert reply.json() == {"items": [], "total": 0, "next_cursor": None, "as_of": None, "time_zone": None}
    assert reply.headers["etag"].endswith('-8"')
    assert_totals(url, ada, tasks[0]["user_id"])
