"""Bodies of batches: every violation of every operation at once, and how much a body may have."""

import json
from typing import Any

import pytest

from tests.support.batches import BATCH, run, stored
from tests.support.client import Client, Reply
from tests.support.tasks import create

JSON = {"Content-Type": "application/json"}
MIB = 1024 * 1024
ID = "01932c07-9f7a-7c1d-b6a1-5a2f0f5d1c3e"


def found(reply: Reply) -> list[tuple[str, str]]:
    """Return place and code of each violation."""
    assert (reply.status, reply.code) == (400, "validation_failed")
    return [(each["pointer"].removeprefix("/operations"), each["code"]) for each in reply.json()["errors"]]


@pytest.mark.parametrize(
    ("body", "violations"),
    [
        ({"operations": []}, [("", "too_few")]),
        ({}, [("", "required")]),
        ({"operations": None}, [("", "wrong_type")]),
        ({"operations": [{}]}, [("/0", "too_few")]),
        ({"operations": [{"purge_task": {}}]}, [("/0/purge_task", "unknown")]),
        (
            {"operations": [{"create_task": {"title": "x"}, "delete_task": {"id": ID}}]},
            [("/0", "too_many")],
        ),
        ({"operations": [{"update_task": {"id": ID, "change": {}}}]}, [("/0/update_task/change", "too_few")]),
        ({"operations": [{"update_task": {"change": {"title": "x"}}}]}, [("/0/update_task/id", "required")]),
        ({"operations": [{"move_task": {"id": ID}}]}, [("/0/move_task", "too_few")]),
        ({"operations": [{"move_task": {"id": ID, "version": 1}}]}, [("/0/move_task", "too_few")]),
        ({"operations": [{"move_project": {"id": ID, "version": 1}}]}, [("/0/move_project", "too_few")]),
        (
            {"operations": [{"move_task": {"id": ID, "at": "first", "after": ID}}]},
            [("/0/move_task/at", "conflicting")],
        ),
        ({"operations": [{"delete_task": {"id": ID, "version": 0}}]}, [("/0/delete_task/version", "too_small")]),
        ({"operations": [{"create_task": {"title": "x", "version": 1}}]}, [("/0/create_task/version", "read_only")]),
        (
            {"operations": [{"create_task": {"title": "x", "completed": True, "status": "pending"}}]},
            [("/0/create_task/completed", "conflicting")],
        ),
        (
            {"operations": [{"update_task": {"id": ID, "change": {"labels": ["a", "A"]}}}]},
            [("/0/update_task/change/labels/1", "duplicate")],
        ),
    ],
)
def test_run_batch_that_breaks_the_contract_names_the_place(
    ada: Client, body: dict[str, Any], violations: list[tuple[str, str]]
) -> None:
    reply = ada.post(BATCH, body)
    assert found(reply) == violations
    assert reply.json().get("operation") == (0 if violations[0][0] else None)


def test_run_batch_lists_the_violations_of_all_operations(ada: Client, direct: str) -> None:
    task = create(ada)
    before = stored(direct, task["user_id"])
    reply = run(
        ada,
        {"delete_task": {"id": task["id"]}},
        {"create_task": {}},
        {"update_task": {"id": task["id"], "change": {"priority": "bogus", "title": ""}}},
        {"move_project": {"id": "x", "at": "up"}},
    )
    assert sorted(found(reply)) == [
        ("/1/create_task/title", "required"),
        ("/2/update_task/change/priority", "not_allowed"),
        ("/2/update_task/change/title", "pattern"),
        ("/3/move_project/at", "not_allowed"),
        ("/3/move_project/id", "format"),
    ]
    assert reply.json()["operation"] == 1
    assert stored(direct, task["user_id"]) == before


def test_run_batch_lists_the_violations_that_no_schema_finds_of_all_operations(ada: Client) -> None:
    reply = run(
        ada,
        {"create_task": {"title": "x"}},
        {"create_task": {"title": "x", "due": {"date": "2026-11-20", "time": "10:00", "time_zone": "Mars/Base"}}},
        {"move_task": {"id": ID, "at": "first", "before": ID}},
        {"move_task": {"id": ID, "at": "first", "version": 3}},
        {"create_task": {"title": "x", "labels": ["a", "A"]}},
    )
    assert found(reply) == [
        ("/1/create_task/due/time_zone", "unknown_time_zone"),
        ("/2/move_task/at", "conflicting"),
        ("/3/move_task/version", "conflicting"),
        ("/4/create_task/labels/1", "duplicate"),
    ]
    assert reply.json()["operation"] == 1


@pytest.mark.parametrize(
    "operation",
    [
        {"create_task": {}},
        {"create_task": {"title": ""}},  # breaks two rules, of which one is told
        {"create_task": {"title": "x", "labels": ["a", "A", "a"]}},
    ],
)
def test_run_batch_with_many_violations_lists_a_hundred(ada: Client, operation: dict[str, Any]) -> None:
    assert len(found(run(ada, *[operation] * 100))) == 100


def test_run_batch_of_101_operations_is_refused(ada: Client, direct: str) -> None:
    task = create(ada)
    before = stored(direct, task["user_id"])
    assert found(run(ada, *({"create_task": {"title": "x"}} for _ in range(101)))) == [("", "too_many")]
    assert stored(direct, task["user_id"]) == before


def of_size(size: int) -> bytes:
    """Return a batch of that many bytes that creates a hundred tasks."""
    operations = [{"create_task": {"title": "x", "description": "y" * 5000}} for _ in range(100)]
    content = json.dumps({"operations": operations}).encode()
    return content + b" " * (size - len(content))


@pytest.mark.parametrize("counted", [True, False], ids=["length", "chunks"])
def test_run_batch_of_one_mebibyte_is_run_and_of_one_byte_more_is_refused(
    ada: Client, direct: str, counted: bool
) -> None:
    task = create(ada)
    fields = JSON if counted else JSON | {"Transfer-Encoding": "chunked"}
    before = stored(direct, task["user_id"])
    reply = ada.post(BATCH, content=of_size(MIB + 1), headers=fields)
    assert (reply.status, reply.code) == (413, "payload_too_large")
    assert "1048576 bytes" in reply.json()["detail"]
    assert stored(direct, task["user_id"]) == before
    assert ada.post(BATCH, content=of_size(MIB), headers=fields).status == 200


def test_create_task_takes_no_larger_body_because_batches_do(ada: Client) -> None:
    content = json.dumps({"title": "x"}).encode()
    for size, status in ((65_536, 201), (65_537, 413)):
        reply = ada.post("/api/v1/me/tasks", content=content + b" " * (size - len(content)), headers=JSON)
        assert reply.status == status


def values(count: int) -> bytes:
    """Return a batch with that many values: the whole, its list, and numbers."""
    return b'{"operations":[' + b",".join([b"1"] * (count - 2)) + b"]}"


def test_run_batch_of_too_many_values_is_refused_before_they_are_judged(ada: Client) -> None:
    assert ada.post(BATCH, content=values(20_000), headers=JSON).code == "validation_failed"
    reply = ada.post(BATCH, content=values(20_001), headers=JSON)
    assert (reply.status, reply.code) == (400, "malformed_json")
    assert reply.json()["detail"] == "The body has more than 20000 values."
    empty = b'{"operations":[' + b",".join([b"{}"] * 20_001) + b"]}"
    assert ada.post(BATCH, content=empty, headers=JSON).code == "malformed_json"


def test_run_batch_with_a_name_twice_is_refused(ada: Client) -> None:
    for content in (
        b'{"operations":[{"create_task":{"title":"x","title":"y"}}]}',
        b'{"operations":[{"create_task":{"title":"x"},"create_task":{"title":"y"}}]}',
    ):
        assert ada.post(BATCH, content=content, headers=JSON).code == "malformed_json"
