"""Compression: who gets gzip, of what, and what it leaves as it was."""

from typing import Any

import pytest

from tests.support.client import Client, Reply
from tests.support.tasks import path

TASKS = "/api/v1/me/tasks"
LIST = f"{TASKS}?limit=50"


def filled(user: Client, count: int = 10) -> None:
    for number in range(count):
        assert user.post(TASKS, {"title": f"Buy {number} litres of milk", "description": "oat " * 20}).status == 201


def asked(user: Client, address: str, accepted: str = "gzip", method: str = "GET", **headers: str) -> Reply:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return user.request(method, address, headers={"Accept-Encoding": accepted, **names})


def of_size(user: Client, octets: int) -> dict[str, Any]:
    """Return a task whose JSON has so many octets."""
    task = user.post(TASKS, {"title": "x", "description": "x" * 500}).json()
    spare = octets - len(user.get(path(task)).body)
    task = user.patch(path(task), {"description": "x" * (500 + spare)}).json()
    assert len(user.get(path(task)).body) == octets
    return dict(task)


@pytest.mark.parametrize(
    "accepted",
    [
        *("gzip", "GZIP", "x-gzip", "gzip, deflate, br, zstd", "br;q=1.0, gzip;q=0.8", "*", "*;q=0.1"),
        *("identity;q=0, gzip", "gzip;q=0.001", ",gzip,,", "br;q=0, *"),
    ],
)
def test_list_tasks_for_who_accepts_gzip_is_compressed_and_the_same(ada: Client, accepted: str) -> None:
    filled(ada)
    plain, packed = ada.get(LIST), asked(ada, LIST, accepted)
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.headers["content-length"] == str(len(packed.body))
    assert "Accept-Encoding" in {value for name, value in packed.header_list if name == "vary"}
    assert packed.content == plain.body
    assert len(packed.body) < len(plain.body) / 2
    assert packed.headers["etag"] == plain.headers["etag"]


@pytest.mark.parametrize(
    "accepted", ["", "identity", "br", "gzip;q=0", "gzip;q=0.000", "gzip;q=0, *", "*;q=0", "gzipped", "gzip;q=walrus"]
)
def test_list_tasks_for_who_does_not_accept_gzip_is_not_compressed(ada: Client, accepted: str) -> None:
    filled(ada)
    plain, asked_for = ada.get(LIST), asked(ada, LIST, accepted)
    assert "content-encoding" not in asked_for.headers
    assert asked_for.body == plain.body


def test_list_tasks_with_two_lines_of_accept_encoding_reads_both(ada: Client) -> None:
    filled(ada)
    lines = [("Accept-Encoding", "br"), ("Accept-Encoding", "gzip")]
    assert ada.get(LIST, headers=lines).headers["content-encoding"] == "gzip"


@pytest.mark.parametrize(("octets", "coding"), [(1023, None), (1024, "gzip")])
def test_get_task_is_compressed_from_one_kibibyte_on(ada: Client, octets: int, coding: str | None) -> None:
    reply = asked(ada, path(of_size(ada, octets)))
    assert reply.headers.get("content-encoding") == coding


def test_tag_of_a_compressed_task_can_be_written_and_asked_with(ada: Client) -> None:
    task = of_size(ada, 2000)
    tag = asked(ada, path(task)).headers["etag"]
    unchanged = asked(ada, path(task), If_None_Match=tag)
    assert (unchanged.status, unchanged.body, unchanged.headers.get("content-encoding")) == (304, b"", None)
    assert ada.get(path(task), headers={"If-None-Match": tag}).status == 304
    assert ada.patch(path(task), {"title": "y"}, headers={"If-Match": tag}).status == 200


def test_head_of_a_compressed_list_has_the_headers_of_get(ada: Client) -> None:
    filled(ada)
    got, head = asked(ada, LIST), asked(ada, LIST, method="HEAD")
    alike = ("content-encoding", "content-length", "etag", "content-type")
    assert {name: head.headers[name] for name in alike} == {name: got.headers[name] for name in alike}
    assert head.body == b""


def test_problem_of_a_kibibyte_is_compressed(ada: Client) -> None:
    body = {"title": "x", **{f"unknown-{number}": 1 for number in range(50)}}
    reply = ada.post(TASKS, body, headers={"Accept-Encoding": "gzip"})
    assert (reply.status, reply.code, reply.headers["content-encoding"]) == (400, "validation_failed", "gzip")


def test_export_of_many_pieces_is_compressed_whole(ada: Client) -> None:
    filled(ada, 60)
    plain, packed = ada.get("/api/v1/me/account/export"), asked(ada, "/api/v1/me/account/export")
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.json()["tasks"] == plain.json()["tasks"]
    assert len(packed.json()["tasks"]) == 60


@pytest.mark.parametrize("address", ["/", "/api/v1/openapi.json", "/problems/"])
def test_page_is_compressed_and_the_same_each_time(anonymous: Client, address: str) -> None:
    plain = anonymous.get(address)
    for packed in (asked(anonymous, address), asked(anonymous, address)):
        assert (packed.headers["content-encoding"], packed.content) == ("gzip", plain.body)
        assert packed.headers["etag"] == plain.headers["etag"]
    again = anonymous.get(address)
    assert (again.headers.get("content-encoding"), again.body) == (None, plain.body)


@pytest.mark.parametrize("address", [LIST, "/api/v1/openapi.json", "/"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_reply_that_is_not_modified_varies_like_the_one_it_stands_for(ada: Client, address: str, method: str) -> None:
    """RFC 9110, section 15.4.5: a cache would hand a compressed copy to whoever cannot read it."""
    filled(ada)
    whole = asked(ada, address, method=method)
    known = asked(ada, address, method=method, If_None_Match=whole.headers["etag"])
    assert (whole.headers["content-encoding"], known.status) == ("gzip", 304)
    whole_varies, varies = (
        sorted(value for name, value in reply.header_list if name == "vary") for reply in (whole, known)
    )
    assert varies == whole_varies
    assert "Accept-Encoding" in varies
