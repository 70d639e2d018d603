"""Bad input: each a problem document with its code, and nothing stored. And unusual input that is good, stored and returned exactly."""

import json
from typing import Any
from urllib.parse import quote

import pytest

from tests.support.cases import case
from tests.support.client import Client
from tests.support.rows import counts
from tests.support.tasks import create, path
from todo_api import contract

TASKS = "/api/v1/me/tasks"
AUTH = [f"/api/v1{path}" for path in contract.load(contract.TASK_API)["paths"] if path.startswith("/auth/")]
"""Every operation without a user: a new one is refused as the others are."""

JSON = {"Content-Type": "application/json"}

MALFORMED = {
    "empty object cut": b"{",
    "cut": b'{"title": "Buy milk"',
    "trailing comma": b'{"title": "Buy milk",}',
    "single quotes": b"{'title': 'Buy milk'}",
    "comment": b'{"title": "Buy milk"} // now',
    "two values": b'{"title": "a"}{"title": "b"}',
    "blank": b"  ",
    "text": b"title=Buy+milk",
    "control character": b'{"title": "Buy\nmilk"}',
    "NUL": b'{"title": "Buy\x00milk"}',
    "NUL after": b'{"title": "Buy milk"}\x00',
    "bad escape": b'{"title": "\\x41"}',
    "invalid UTF-8": b'{"title": "Buy \xff milk"}',
    "overlong UTF-8": b'{"title": "Buy \xc0\xaf milk"}',
    "surrogate in UTF-8": b'{"title": "Buy \xed\xa0\x80 milk"}',
    "cut UTF-8": b'{"title": "Buy \xe2\x82"}',
    "Latin-1": '{"title": "Käse"}'.encode("latin-1"),
    "UTF-16": '{"title": "Buy milk"}'.encode("utf-16"),
    "byte order mark": '{"title": "Buy milk"}'.encode("utf-8-sig"),
    "lone high surrogate": b'{"title": "Buy \\ud800 milk"}',
    "lone low surrogate": b'{"title": "Buy \\udc00 milk"}',
    "surrogates in the wrong order": b'{"title": "\\udc00\\ud800"}',
    "lone surrogate in a name": b'{"title": "Buy milk", "\\ud800": 1}',
    "NaN": b'{"title": NaN}',
    "Infinity": b'{"title": Infinity}',
    "minus Infinity": b'{"title": "Buy milk", "description": -Infinity}',
    "NaN in an unknown member": b'{"title": "Buy milk", "x": NaN}',
    "number of 5000 digits": b'{"title": "Buy milk", "description": ' + b"9" * 5000 + b"}",
    "number of 400 digits": b'{"title": ' + b"9" * 400 + b"}",
    "leading zero": b'{"title": 007}',
    "30,000 lists": b"[" * 30_000 + b"]" * 30_000,
    "deep and cut": b"[" * 60_000,
    "deep objects": b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
    "repeated name": b'{"title": "Buy milk", "title": "Buy oats"}',
    "repeated name in escapes": b'{"title": "Buy milk", "t\\u0069tle": "Buy oats"}',
    "repeated name below": b'{"title": "Buy milk", "x": {"a": 1, "a": 1}}',
}

REFUSED: dict[str, tuple[Any, list[tuple[str, str]]]] = {
    "no object": ([], [("", "wrong_type")]),
    "text": ("Buy milk", [("", "wrong_type")]),
    "number": (7, [("", "wrong_type")]),
    "empty": ({}, [("/title", "required")]),
    "title a number": ({"title": 7}, [("/title", "wrong_type")]),
    "title null": ({"title": None}, [("/title", "wrong_type")]),
    "title a list": ({"title": ["Buy milk"]}, [("/title", "wrong_type")]),
    "title blank": ({"title": "  \u00a0\u3000"}, [("/title", "pattern")]),
    "title of zero-width characters": ({"title": "\u200b\u200d\ufeff\u2060"}, [("/title", "pattern")]),
    "title with NUL": ({"title": "Buy\x00milk"}, [("/title", "pattern")]),
    "title with line break": ({"title": "Buy milk\n"}, [("/title", "pattern")]),
    "title with DEL": ({"title": "Buy\x7fmilk"}, [("/title", "pattern")]),
    "title with C1 control": ({"title": "Buy\x85milk"}, [("/title", "pattern")]),
    "title of 256": ({"title": "x" * 256}, [("/title", "too_long")]),
    "title of 256 emoji": ({"title": "\U0001f95b" * 256}, [("/title", "too_long")]),
    "description a number": ({"title": "x", "description": 7}, [("/description", "wrong_type")]),
    "description with NUL": ({"title": "x", "description": "a\x00"}, [("/description", "pattern")]),
    "description with escape": ({"title": "x", "description": "\x1b[31m"}, [("/description", "pattern")]),
    "description of 5001": ({"title": "x", "description": "\U0001f95b" * 5001}, [("/description", "too_long")]),
    "status unknown": ({"title": "x", "status": "done"}, [("/status", "not_allowed")]),
    "status in capitals": ({"title": "x", "status": "PENDING"}, [("/status", "not_allowed")]),
    "status a number": ({"title": "x", "status": 1}, [("/status", "wrong_type")]),
    "completed a text": ({"title": "x", "completed": "true"}, [("/completed", "wrong_type")]),
    "completed null": ({"title": "x", "completed": None}, [("/completed", "wrong_type")]),
    "completed and pending": ({"title": "x", "status": "pending", "completed": True}, [("/completed", "conflicting")]),
    "open and completed": ({"title": "x", "status": "completed", "completed": False}, [("/completed", "conflicting")]),
    "name with slash and tilde": ({"title": "x", "a/b~c": 1}, [("/a~1b~0c", "unknown")]),
    "name with NUL": ({"title": "x", "a\x00": 1}, [("/a\x00", "unknown")]),
    "prototype": ({"title": "x", "__proto__": {"admin": True}}, [("/__proto__", "unknown")]),
    "several": (
        {"title": "", "description": 1, "status": "x", "a": 1, "b": 2},
        [
            ("/a", "unknown"),
            ("/b", "unknown"),
            ("/description", "wrong_type"),
            ("/status", "not_allowed"),
            ("/title", "pattern"),
        ],
    ),
}

GOOD = {
    "emoji": "\U0001f95b\U0001f468\u200d\U0001f469\u200d\U0001f467 \U0001f1e9\U0001f1ea",
    "right to left": "\u200f\u0644\u0628\u0646 \u05d7\u05dc\u05d1 \u202emilk\u202c",
    "combining": "e\u0301 \u0065\u0323\u0302",
    "composed": "\u00e9",
    "blanks around": "  Buy milk \u00a0",
    "quotes and braces": "\"'`\\ {{7*7}} ${x} %s %(x)s :name $1 --",
    "markup": "<script>alert(1)</script> &amp;",
    "private use and last": "\ue000\U0010ffff\ufffd\uffff",
    "one": "x",
    "255": "x" * 255,
    "255 emoji": "\U0001f95b" * 255,
    "wildcards": "100% _ \\",
    "null": "null",
}


@pytest.mark.parametrize("operation", ["create", "replace", "update", "complete"])
def test_task_write_with_malformed_json_is_refused(ada: Client, url: str, operation: str) -> None:
    task = create(ada)
    before = counts(url)
    method, below = {
        "create": ("POST", None),
        "replace": ("PUT", ""),
        "update": ("PATCH", ""),
        "complete": ("PATCH", "/complete"),
    }[operation]
    target = TASKS if below is None else path(task) + below
    for name, content in MALFORMED.items():
        with case(name):
            reply = ada.request(method, target, content=content, headers=JSON)
            assert (reply.status, reply.code) == (400, "malformed_json")
            assert "milk" not in reply.json()["detail"]
    assert counts(url) == before
    assert ada.get(path(task)).json() == task


@pytest.mark.parametrize("address", AUTH)
def test_auth_operation_with_malformed_json_is_refused(anonymous: Client, url: str, address: str) -> None:
    before = counts(url)
    for name, content in MALFORMED.items():
        with case(name):
            assert anonymous.post(address, content=content, headers=JSON).code == "malformed_json"
    assert counts(url) == before


@pytest.mark.parametrize(("body", "errors"), REFUSED.values(), ids=REFUSED)
@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_task_write_that_breaks_the_contract_is_refused_with_every_violation(
    ada: Client, url: str, method: str, body: Any, errors: list[tuple[str, str]]
) -> None:
    task = create(ada)
    before = counts(url)
    reply = ada.request(method, TASKS if method == "POST" else path(task), json_body=body)
    assert (reply.status, reply.code) == (400, "validation_failed")
    assert sorted((error["pointer"], error["code"]) for error in reply.json()["errors"]) == errors
    assert {error["location"] for error in reply.json()["errors"]} == {"body"}
    assert counts(url) == before
    assert ada.get(path(task)).json() == task


def test_create_task_with_bad_values_does_not_tell_them_back(ada: Client) -> None:
    body = {"title": "secret-one\n", "status": "secret-two", "description": {"secret-three": 1}}
    assert b"secret" not in ada.post(TASKS, body, headers={"If-Match": "secret-four"}).body


def test_create_task_with_many_violations_tells_of_a_hundred(ada: Client) -> None:
    reply = ada.post(TASKS, {"title": "x", **{f"unknown-{number}": 1 for number in range(500)}})
    assert len(reply.json()["errors"]) == 100


def test_create_task_with_long_unknown_name_tells_back_the_start_of_it(ada: Client) -> None:
    ((error,),) = [ada.post(TASKS, {"title": "x", "n" * 5000: 1}).json()["errors"]]
    assert error["pointer"] == "/" + "n" * 100


@pytest.mark.parametrize(
    "body", [{"completed": 1}, {"completed": "true"}, {"completed": None}, {}, [], {"completed": True, "x": 1}]
)
def test_complete_task_with_bad_body_is_refused(ada: Client, body: Any) -> None:
    task = create(ada)
    assert ada.patch(f"{path(task)}/complete", body).code == "validation_failed"
    assert ada.get(path(task)).json() == task


@pytest.mark.parametrize("content", [b"null", b" null "])
def test_complete_task_with_null_for_body_is_refused(ada: Client, content: bytes) -> None:
    task = create(ada)
    reply = ada.patch(f"{path(task)}/complete", content=content, headers=JSON)
    assert (reply.status, reply.code) == (400, "validation_failed")
    assert ada.get(path(task)).json() == task


@pytest.mark.parametrize("text", GOOD.values(), ids=GOOD)
def test_create_task_with_unusual_text_returns_it_exactly(ada: Client, text: str) -> None:
    task = create(ada, text, description=text)
    assert (task["title"], task["description"]) == (text, text)
    assert ada.get(path(task)).json() == task
    assert ada.get(TASKS).json()["items"] == [task]


def test_create_task_with_text_in_escapes_returns_it_exactly(ada: Client) -> None:
    task = ada.post(TASKS, content=b'{"title": "\\ud83e\\udd5b \\u05d7"}', headers=JSON).json()
    assert task["title"] == "\U0001f95b \u05d7"


@pytest.mark.parametrize("description", ["", "x" * 5000, "\U0001f95b" * 5000, "a\r\n\tb\n", "\u2028\u2029", " "])
def test_create_task_with_description_within_bounds_returns_it_exactly(ada: Client, description: str) -> None:
    content = json.dumps({"title": "x", "description": description}, ensure_ascii=False).encode()
    assert ada.post(TASKS, content=content, headers=JSON).json()["description"] == description


@pytest.mark.parametrize("size", [65_537, 10 * 1024 * 1024])
@pytest.mark.parametrize("address", [TASKS, *AUTH])
def test_post_with_body_over_the_limit_is_refused(ada: Client, url: str, address: str, size: int) -> None:
    before = counts(url)
    content = b'{"title": "' + b"x" * (size - 13) + b'"}'
    for headers in (JSON, JSON | {"Transfer-Encoding": "chunked"}):
        reply = ada.post(address, content=content, headers=headers)
        assert (len(content), reply.status, reply.code) == (size, 413, "payload_too_large")
    assert counts(url) == before


def test_create_task_with_100_000_lists_is_refused(ada: Client, url: str) -> None:
    before = counts(url)
    reply = ada.post(TASKS, content=b"[" * 100_000 + b"]" * 100_000, headers=JSON)
    assert (reply.status, reply.code) == (413, "payload_too_large")
    assert counts(url) == before


@pytest.mark.parametrize("depth", [1, 127, 254, 255, 256, 257, 300, 1022, 1023, 1024, 1025, 5000, 30_000])
@pytest.mark.parametrize(
    ("opening", "closing"),
    [(b"[", b"]"), (b'{"a":', b"}"), (b'{"title":', b"}"), (b'{"title":[', b"]}")],
    ids=["lists", "objects", "titles", "both"],
)
def test_create_task_with_nested_json_is_400_however_deep(
    ada: Client, url: str, depth: int, opening: bytes, closing: bytes
) -> None:
    before = counts(url)
    content = opening * depth + b"1" + closing * depth
    reply = ada.post(TASKS, content=content, headers=JSON)
    assert reply.status == (413 if len(content) > 64 * 1024 else 400)
    assert counts(url) == before


@pytest.mark.parametrize(("method", "below"), [("PUT", ""), ("PATCH", ""), ("PATCH", "/complete")])
def test_task_write_with_body_over_the_limit_is_refused(ada: Client, method: str, below: str) -> None:
    task = create(ada)
    reply = ada.request(method, path(task) + below, content=b" " * 65_537, headers=JSON)
    assert (reply.status, reply.code) == (413, "payload_too_large")


def test_create_task_with_body_at_the_limit_is_read(ada: Client) -> None:
    content = b'{"title": "x"}'
    assert ada.post(TASKS, content=content + b" " * (65_536 - len(content)), headers=JSON).status == 201


HEX = "01932c079f7a7c1db6a15a2f0f5d1c3e"
IDS = [
    *(HEX, "{01932c07-9f7a-7c1d-b6a1-5a2f0f5d1c3e}", "urn:uuid:01932c07-9f7a-7c1d-b6a1-5a2f0f5d1c3e", "1", "null", "x"),
    *(
        "01932c07-9f7a-7c1d-b6a1-5a2f0f5d1c3",
        "01932c07-9f7a-7c1d-b6a1-5a2f0f5d1c3ee",
        "01932c07-9f7a-7c1d-b6a1-5a2f0f5d1c3g",
    ),
    *("01932c079f7a-7c1d-b6a1-5a2f-0f5d1c3e", " 1932c07-9f7a-7c1d-b6a1-5a2f0f5d1c3e", "me", "tasks", "..", "."),
    *(
        "01932c07-9f7a-7c1d-b6a1-5a2f0f5d1c3e\n",
        "01932c07_9f7a_7c1d_b6a1_5a2f0f5d1c3e",
        "\u06601932c07-9f7a-7c1d-b6a1-5a2f0f5d1c3e",
    ),
    *("01932c07-9f7a-7c1d-b6a1-5a2f0f5d1c3e\x00", "'; DROP TABLE tasks; --", "x" * 300, "\U0001f95b" * 36, "a/b"),
]


@pytest.mark.parametrize("task_id", IDS)
@pytest.mark.parametrize(
    ("method", "below", "body"),
    [
        ("GET", "", None),
        ("PUT", "", {"title": "x"}),
        ("PATCH", "", {"title": "x"}),
        ("PATCH", "/complete", None),
        ("DELETE", "", None),
    ],
)
def test_task_operation_with_id_that_is_no_uuid_is_refused(
    ada: Client, task_id: str, method: str, below: str, body: Any
) -> None:
    reply = ada.request(method, f"{TASKS}/{quote(task_id, safe='')}{below}", json_body=body)
    assert (reply.status, reply.code) == (400, "validation_failed")
    assert {(error["location"], error["pointer"]) for error in reply.json()["errors"]} == {("path", "/task_id")}


@pytest.mark.parametrize("user_id", ["a\x00b", "a\nb", "\x7f", "\x85", "x" * 256])
def test_list_tasks_with_user_id_that_none_can_have_is_refused(ada: Client, user_id: str) -> None:
    reply = ada.get(f"/api/v1/{quote(user_id, safe='')}/tasks")
    assert (reply.status, reply.code) == (400, "validation_failed")
    assert {(error["location"], error["pointer"]) for error in reply.json()["errors"]} == {("path", "/user_id")}


@pytest.mark.parametrize("query", ["?x=1", "?title=x", "?limit=5", "?=", "?%00", "?x", "?me&tasks"])
@pytest.mark.parametrize(
    ("method", "body"), [("GET", None), ("PUT", {"title": "y"}), ("PATCH", {"title": "y"}), ("DELETE", None)]
)
def test_task_operation_with_unknown_parameter_is_refused(ada: Client, method: str, body: Any, query: str) -> None:
    task = create(ada)
    reply = ada.request(method, path(task) + query, json_body=body)
    assert (reply.status, reply.code) == (400, "validation_failed")
    assert {(error["location"], error["code"]) for error in reply.json()["errors"]} == {("query", "unknown")}
    assert {error["detail"].partition(" Known are: ")[0] for error in reply.json()["errors"]} == {
        "Is not a known parameter."
    }
    assert ada.get(path(task)).json() == task


@pytest.mark.parametrize(
    ("method", "address"),
    [("POST", TASKS), ("POST", "/api/v1/auth/register"), ("POST", "/api/v1/auth/token"), ("GET", "/api/v1/me/account")],
)
def test_operation_without_query_parameters_refuses_any(ada: Client, url: str, method: str, address: str) -> None:
    before = counts(url)
    body = None if method == "GET" else {"title": "x", "email": "q@example.com", "password": "Zk8vQ2xW7pLm"}
    reply = ada.request(method, f"{address}?debug=true", json_body=body)
    assert (reply.status, reply.code) == (400, "validation_failed")
    assert ("query", "/debug", "unknown") in [(e["location"], e["pointer"], e["code"]) for e in reply.json()["errors"]]
    assert counts(url) == before


@pytest.mark.parametrize(("method", "below"), [("POST", None), ("PUT", ""), ("PATCH", "")])
@pytest.mark.parametrize("headers", [{}, JSON])
def test_task_write_without_body_is_refused(
    ada: Client, method: str, below: str | None, headers: dict[str, str]
) -> None:
    task = create(ada)
    reply = ada.request(method, TASKS if below is None else path(task), headers=headers)
    assert (reply.status, reply.code) == (400, "validation_failed")
    assert [(e["pointer"], e["code"]) for e in reply.json()["errors"]] == [("", "required")]
