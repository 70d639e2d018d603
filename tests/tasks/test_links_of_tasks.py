"""Links of a task: what an address and its name may be, and that they come back as they were sent."""

from typing import Any

import pytest

from tests.support.client import Client
from tests.support.tasks import create, path

TASKS = "/api/v1/me/tasks"


@pytest.mark.parametrize(
    "address",
    [
        "http://a",
        "HTTPS://Example.COM/",
        "https://[::1]:8000/p?q=1&r=%20#f",
        "https://ada@example.com/~x/a;b=c!$&'()*+,:@",
        f"https://a/{'x' * 2038}",
    ],
)
def test_create_task_with_a_link_keeps_its_address_as_sent(ada: Client, address: str) -> None:
    task = create(ada, links=[{"url": address}])
    assert task["links"] == [{"url": address, "title": None}]
    assert ada.get(path(task)).json() == task


@pytest.mark.parametrize(
    ("address", "code"),
    [
        ("javascript:alert(1)", "pattern"),
        ("ftp://example.com/", "pattern"),
        ("//example.com/", "pattern"),
        (" https://example.com/", "pattern"),
        ("https://", "pattern"),
        ("https:///path", "pattern"),
        ("https://example.com/a b", "pattern"),
        ("https://example.com/a\nb", "pattern"),
        ("https://example.com/<b>", "pattern"),
        ('https://example.com/"', "pattern"),
        ("https://example.com/\\", "pattern"),
        ("https://exämple.com/", "pattern"),
        (f"https://a/{'x' * 2039}", "too_long"),
    ],
)
def test_write_of_a_link_with_another_address_is_400(ada: Client, address: str, code: str) -> None:
    task = create(ada)
    for method, target in (("POST", TASKS), ("PUT", path(task)), ("PATCH", path(task))):
        body: dict[str, Any] = {"links": [{"url": "https://a"}, {"url": address}]}
        reply = ada.request(method, target, json_body=body if method == "PATCH" else body | {"title": "x"})
        (error,) = reply.json()["errors"]
        assert (reply.status, error["pointer"], error["code"]) == (400, "/links/1/url", code)
    assert ada.get(path(task)).json() == task


@pytest.mark.parametrize(
    ("links", "pointer", "code"),
    [
        (None, "/links", "wrong_type"),
        ([{"title": "x"}], "/links/0/url", "required"),
        ([{"url": "https://a", "title": ""}], "/links/0/title", "pattern"),
        ([{"url": "https://a", "title": "a\nb"}], "/links/0/title", "pattern"),
        ([{"url": "https://a", "title": "x" * 201}], "/links/0/title", "too_long"),
        ([{"url": "https://a", "rel": "self"}], "/links/0/rel", "unknown"),
        ([{"url": "https://a"}] * 21, "/links", "too_many"),
    ],
)
def test_create_task_with_links_against_the_contract_is_400(ada: Client, links: Any, pointer: str, code: str) -> None:
    reply = ada.post(TASKS, {"title": "x", "links": links})
    (error,) = reply.json()["errors"]
    assert (reply.status, error["pointer"], error["code"]) == (400, pointer, code)


def test_write_of_links_keeps_their_order_their_texts_and_repetitions(ada: Client) -> None:
    links = [{"url": "https://b/", "title": 'quotes " and \\ 😀'}, {"url": "https://a/", "title": None}]
    task = create(ada, links=links * 10)
    assert task["links"] == links * 10
    assert ada.get(TASKS).json()["items"] == [task]


def test_create_task_with_links_once_more_under_its_key_replays_them(ada: Client) -> None:
    body = {"title": "x", "priority": "low", "links": [{"url": "https://a/", "title": "A"}]}
    replies = [ada.post(TASKS, body, headers={"Idempotency-Key": "once"}) for _ in range(2)]
    assert replies[0].json() == replies[1].json()
    assert replies[1].headers["idempotency-replayed"] == "true"
    assert replies[1].json()["links"] == body["links"]


@pytest.mark.parametrize("priority", ["none", "low", "medium", "high", "urgent"])
def test_create_task_with_each_priority_comes_back_with_it(ada: Client, priority: str) -> None:
    task = create(ada, priority=priority)
    assert task["priority"] == priority
    assert ada.get(path(task)).json() == task


@pytest.mark.parametrize("priority", ["", "Urgent", "4", "important"])
def test_write_of_another_priority_is_400(ada: Client, priority: str) -> None:
    task = create(ada)
    for method, target in (("POST", TASKS), ("PUT", path(task)), ("PATCH", path(task))):
        body = {"priority": priority} | ({} if method == "PATCH" else {"title": "x"})
        (error,) = ada.request(method, target, json_body=body).json()["errors"]
        assert (error["pointer"], error["code"]) == ("/priority", "not_allowed")


def test_write_of_a_priority_that_is_null_is_400(ada: Client) -> None:
    (error,) = ada.post(TASKS, {"title": "x", "priority": None}).json()["errors"]
    assert (error["pointer"], error["code"]) == ("/priority", "wrong_type")


def test_precondition_failed_of_a_task_with_links_shows_them(ada: Client) -> None:
    task = create(ada, priority="high", links=[{"url": "https://a/", "title": "A"}])
    reply = ada.request("PATCH", path(task), json_body={"title": "x"}, headers={"If-Match": '"0"'})
    assert (reply.status, reply.json()["current"]) == (412, task)
