"""Conditional requests (RFC 9110, section 13): If-Match on writes, If-None-Match on reads."""

from typing import Any

import pytest

from tests.support.cases import case
from tests.support.client import Client, Reply
from tests.support.tasks import create, path

WRITES = {
    "replace": ("PUT", "", {"title": "Changed"}),
    "update": ("PATCH", "", {"title": "Changed"}),
    "complete": ("PATCH", "/complete", {"completed": True}),
    "toggle": ("PATCH", "/complete", None),
    "delete": ("DELETE", "", None),
}
writes = pytest.mark.parametrize("write", WRITES)


def write_to(client: Client, write: str, task: dict[str, Any], *if_match: str) -> Reply:
    method, below, body = WRITES[write]
    headers = [("If-Match", value) for value in if_match]
    return client.request(method, path(task) + below, json_body=body, headers=headers)


@writes
@pytest.mark.parametrize("if_match", ['"2"', "*", '"1", "2"', '"2" ,\t"7"', 'W/"2", "2"', '"other", "2", "x-y"'])
def test_task_write_with_matching_tag_is_made(ada: Client, write: str, if_match: str) -> None:
    create(ada)
    task = create(ada)
    assert write_to(ada, write, task, if_match).status == (204 if write == "delete" else 200)
    assert ada.get(path(task)).status == (404 if write == "delete" else 200)


@writes
def test_task_write_with_matching_tag_in_second_header_line_is_made(ada: Client, write: str) -> None:
    task = create(ada)
    assert write_to(ada, write, task, '"7"', '"1"').status == (204 if write == "delete" else 200)


OTHERS = [
    '"1"',
    'W/"2"',
    '"1", "3"',
    '"02"',
    '""',
    '"abc"',
    f'"{"9" * 30}"',
    '"-2"',
    '"2.0"',
    '"+2"',
    '"\x81"',
    '"\xe4\xff", W/"\x80"',
]


@writes
def test_task_write_with_other_tag_is_refused_with_current_task(ada: Client, write: str) -> None:
    create(ada)
    task = create(ada)
    for if_match in OTHERS:
        with case(if_match):
            reply = write_to(ada, write, task, if_match)
            assert reply.status == 412
            assert reply.json() == {
                "type": "/problems/precondition_failed",
                "title": "Precondition failed",
                "status": 412,
                "detail": "The task has changed since you read it.",
                "code": "precondition_failed",
                "request_id": reply.headers["x-request-id"],
                "current": task,
            }
            assert reply.headers["etag"] == '"2"'
    assert ada.get(path(task)).json() == task


@writes
def test_task_write_with_other_tags_in_two_header_lines_is_refused(ada: Client, write: str) -> None:
    task = create(ada)
    assert write_to(ada, write, task, '"7"', '"8"').status == 412


@writes
def test_task_write_with_malformed_tag_is_refused(ada: Client, write: str) -> None:
    task = create(ada)
    for if_match in ("1", "", '"1', '"1" "2"', "*, *", '"1", *', 'w/"1"', '"\x7f"', '"1 "'):
        with case(if_match):
            reply = write_to(ada, write, task, if_match)
            assert (reply.status, reply.code) == (400, "validation_failed")
            assert {(e["location"], e["pointer"]) for e in reply.json()["errors"]} == {("header", "/If-Match")}
    assert ada.get(path(task)).json() == task


def test_complete_task_as_wished_with_stale_tag_is_refused(ada: Client) -> None:
    task = create(ada, status="completed")
    assert write_to(ada, "complete", task, '"9"').status == 412


def test_update_task_with_tag_of_its_body_version_is_made(ada: Client) -> None:
    task = create(ada)
    for number in range(3):
        reply = ada.patch(path(task), {"title": f"Title {number}"}, headers={"If-Match": f'"{task["version"]}"'})
        assert reply.status == 200
        task = reply.json()


@writes
@pytest.mark.parametrize("if_none_match", ['"1"', "*"])
def test_task_write_with_if_none_match_goes_ahead(ada: Client, write: str, if_none_match: str) -> None:
    task = create(ada)
    method, below, body = WRITES[write]
    reply = ada.request(method, path(task) + below, json_body=body, headers=[("If-None-Match", if_none_match)])
    assert reply.status == (204 if write == "delete" else 200)


MATCHING = ['"1"', 'W/"1"', "*", '"7", "1"', 'W/"7", W/"1"', '"x", "1"']
OTHER = ['"2"', 'W/"2"', '""', '"01"', '"x"', '"99999999999999999999999"']


@pytest.mark.parametrize("if_none_match", MATCHING)
def test_get_task_with_known_tag_is_not_modified(ada: Client, if_none_match: str) -> None:
    task = create(ada)
    reply = ada.get(path(task), headers={"If-None-Match": if_none_match})
    assert (reply.status, reply.body, reply.headers["etag"]) == (304, b"", '"1"')
    assert reply.headers["cache-control"] == "private, no-cache"


@pytest.mark.parametrize("if_none_match", OTHER)
def test_get_task_with_other_tag_gives_it(ada: Client, if_none_match: str) -> None:
    task = create(ada)
    reply = ada.get(path(task), headers={"If-None-Match": if_none_match})
    assert (reply.status, reply.json()) == (200, task)


def test_get_task_with_known_tag_in_second_header_line_is_not_modified(ada: Client) -> None:
    task = create(ada)
    reply = ada.get(path(task), headers=[("If-None-Match", '"7"'), ("If-None-Match", '"1"')])
    assert reply.status == 304


@pytest.mark.parametrize("if_none_match", ["1", '"1', "*, *"])
def test_get_task_with_malformed_tag_is_refused(ada: Client, if_none_match: str) -> None:
    task = create(ada)
    assert ada.get(path(task), headers={"If-None-Match": if_none_match}).code == "validation_failed"


@pytest.mark.parametrize("if_none_match", MATCHING)
def test_list_tasks_with_known_tag_is_not_modified(ada: Client, if_none_match: str) -> None:
    create(ada)
    tag = ada.get("/api/v1/me/tasks").headers["etag"]
    reply = ada.get("/api/v1/me/tasks", headers={"If-None-Match": if_none_match.replace('"1"', tag)})
    assert (reply.status, reply.body, reply.headers["etag"]) == (304, b"", tag)


@pytest.mark.parametrize("if_none_match", OTHER)
def test_list_tasks_with_other_tag_gives_the_page(ada: Client, if_none_match: str) -> None:
    task = create(ada)
    reply = ada.get("/api/v1/me/tasks", headers={"If-None-Match": if_none_match})
    assert (reply.status, reply.json()) == (
        200,
        {"items": [task], "total": 1, "next_cursor": None, "as_of": None, "time_zone": None},
    )


@pytest.mark.parametrize("query", ["?status=completed", "?q=nothing", "?skip=10", "?completed=true&sort=title"])
def test_list_tasks_that_is_empty_with_known_tag_is_not_modified(ada: Client, query: str) -> None:
    create(ada)
    tag = ada.get("/api/v1/me/tasks").headers["etag"]
    assert ada.get(f"/api/v1/me/tasks{query}", headers={"If-None-Match": tag}).status == 304


@pytest.mark.parametrize("if_none_match", ['"0"', 'W/"0"', "*"])
def test_list_tasks_of_new_user_with_known_tag_is_not_modified(ada: Client, if_none_match: str) -> None:
    tag = ada.get("/api/v1/me/tasks").headers["etag"]
    reply = ada.get("/api/v1/me/tasks", headers={"If-None-Match": if_none_match.replace('"0"', tag)})
    assert (reply.status, reply.headers["etag"]) == (304, tag)


@writes
def test_list_tasks_after_write_has_another_tag(ada: Client, write: str) -> None:
    task = create(ada)
    tag = ada.get("/api/v1/me/tasks").headers["etag"]
    write_to(ada, write, task)
    reply = ada.get("/api/v1/me/tasks", headers={"If-None-Match": tag})
    assert (reply.status, reply.headers["etag"]) == (200, tag.replace('-1"', '-2"'))


def test_list_tasks_after_write_of_another_user_keeps_its_tag(ada: Client, bob: Client) -> None:
    create(ada)
    tag = ada.get("/api/v1/me/tasks").headers["etag"]
    create(bob)
    create(bob)
    assert ada.get("/api/v1/me/tasks", headers={"If-None-Match": tag}).status == 304
