"""Header fields and queries as RFC 9110 and RFC 3986 have them: what is taken, what is refused, and what has no effect."""

import gzip
import json
from typing import Any

import pytest

from tests.support.client import Client, Headers
from tests.support.every_operation import IDS
from tests.support.rows import counts
from todo_api import contract
from todo_api.http import body

TASKS = "/api/v1/me/tasks"
BODY = json.dumps({"title": "Buy milk"}).encode()
JSON = ("Content-Type", "application/json")
MAX_BODIES = {
    (method.upper(), "/api/v1" + template.format(user_id="me", **IDS)): item[method]["requestBody"].get(
        "x-max-bytes", body.MAX_BODY
    )
    for template, item in contract.load(contract.TASK_API)["paths"].items()
    for method in item
    if method != "parameters" and "requestBody" in item[method]
}
"""Maximum size of a body in bytes, by method and path of every operation that takes one."""

WITH_BODY = [*MAX_BODIES]


def create(client: Client, title: str = "Buy milk", **members: Any) -> dict[str, Any]:
    return dict(client.post(TASKS, {"title": title, **members}).json())


def path(task: dict[str, Any]) -> str:
    return f"{TASKS}/{task['id']}"


@pytest.mark.parametrize(("method", "address"), WITH_BODY)
def test_write_with_body_of_another_type_names_what_is_taken(ada: Client, method: str, address: str) -> None:
    reply = ada.request(method, address, content=b"<task/>", headers={"Content-Type": "text/xml"})
    assert (reply.status, reply.code) == (415, "unsupported_media_type")
    by_patch = {"accept-patch": "application/json, application/merge-patch+json"}
    told = by_patch if method == "PATCH" else {"accept": "application/json"}
    assert {name: value for name, value in reply.headers.items() if name.startswith("accept")} == told


@pytest.mark.parametrize(("method", "address"), WITH_BODY)
def test_write_with_encoded_body_names_the_one_coding(ada: Client, method: str, address: str) -> None:
    reply = ada.request(method, address, content=gzip.compress(BODY), headers=[JSON, ("Content-Encoding", "gzip")])
    assert (reply.status, reply.code) == (415, "unsupported_media_type")
    assert "Content-Encoding" in reply.json()["detail"]
    assert {name: value for name, value in reply.headers.items() if name.startswith("accept")} == {
        "accept-encoding": "identity"
    }


@pytest.mark.parametrize(
    "codings", [["gzip"], ["GZIP"], ["x-gzip"], ["br"], ["deflate"], ["zstd"], ["identity, gzip"], ["identity", "br"]]
)
def test_create_task_with_content_coding_is_refused(ada: Client, url: str, codings: list[str]) -> None:
    before = counts(url)
    reply = ada.post(TASKS, content=BODY, headers=[JSON, *(("Content-Encoding", coding) for coding in codings)])
    assert (reply.status, reply.headers["accept-encoding"]) == (415, "identity")
    assert not any(coding in reply.json()["detail"] for coding in ("gzip", "br,", "deflate"))
    assert counts(url) == before


@pytest.mark.parametrize("codings", [["identity"], ["Identity"], [""], [" , identity ,"], ["identity", "identity"]])
def test_create_task_with_no_coding_but_identity_is_made(ada: Client, codings: list[str]) -> None:
    headers = [JSON, *(("Content-Encoding", coding) for coding in codings)]
    assert ada.post(TASKS, content=BODY, headers=headers).status == 201


@pytest.mark.parametrize(
    "expected", [["x"], ["200-ok"], ["100-continue, x"], ["100-continue", "x"], ['a="b"'], ["100"]]
)
@pytest.mark.parametrize(("method", "address"), [("GET", TASKS), ("POST", TASKS), ("GET", "/health/live")])
def test_request_with_unknown_expectation_is_417(
    ada: Client, url: str, method: str, address: str, expected: list[str]
) -> None:
    before = counts(url)
    fields = [("Expect", value) for value in expected]
    reply = ada.request(method, address, content=BODY, headers=[JSON, *fields])
    assert (reply.status, reply.code) == (417, "expectation_failed")
    assert counts(url) == before


@pytest.mark.parametrize("expected", ["100-continue", "100-Continue", "", " , 100-continue"])
def test_create_task_with_expectation_that_the_server_meets_is_made(ada: Client, expected: str) -> None:
    assert ada.post(TASKS, content=BODY, headers=[JSON, ("Expect", expected)]).status == 201


NO_EFFECT: dict[str, Headers] = {
    "Range": {"Range": "bytes=0-1"},
    "If-Range": {"Range": "bytes=0-1", "If-Range": '"1"'},
    "If-Modified-Since": {"If-Modified-Since": "Fri, 31 Dec 9999 23:59:59 GMT"},
    "If-Modified-Since that is no date": {"If-Modified-Since": "yesterday"},
    "If-Unmodified-Since": {"If-Unmodified-Since": "Thu, 01 Jan 1970 00:00:00 GMT"},
    "Accept of another type": {"Accept": "text/html;q=1, */*;q=0"},
    "Accept-Charset": {"Accept-Charset": "latin-1"},
    "Accept-Language": {"Accept-Language": "tlh"},
    "Max-Forwards": {"Max-Forwards": "0"},
    "Prefer": {"Prefer": "return=minimal"},
    "method override": {"X-HTTP-Method-Override": "DELETE"},
    "Content-Type without a body": {"Content-Type": "text/xml"},
    "Content-Encoding without a body": {"Content-Encoding": "gzip"},
}


@pytest.mark.parametrize("headers", NO_EFFECT.values(), ids=NO_EFFECT)
def test_get_task_with_field_that_has_no_effect_is_whole(ada: Client, headers: Headers) -> None:
    task = create(ada)
    reply = ada.get(path(task), headers=headers)
    assert (reply.status, reply.json()) == (200, task)


def test_get_task_with_etag_and_date_is_judged_by_the_etag(ada: Client) -> None:
    """RFC 9110, section 13.1.3: If-Modified-Since is ignored beside If-None-Match."""
    task = create(ada)
    late, early = "Fri, 31 Dec 9999 23:59:59 GMT", "Thu, 01 Jan 1970 00:00:00 GMT"
    tag = ada.get(path(task)).headers["etag"]
    assert ada.get(path(task), headers={"If-None-Match": '"0"', "If-Modified-Since": late}).status == 200
    assert ada.get(path(task), headers={"If-None-Match": tag, "If-Modified-Since": early}).status == 304


@pytest.mark.parametrize("form", ["Bearer {}", "bearer {}", "BEARER   {}", "bEaReR {}  "])
def test_get_account_with_any_spelling_of_the_scheme_is_answered(ada: Client, form: str) -> None:
    assert ada.get("/api/v1/me/account", headers={"Authorization": form.format(ada.token)}).status == 200


@pytest.mark.parametrize(
    "form",
    [
        *("", "Bearer", "Bearer  ", "Bearer {}=", "Bearer {}==", "Bearer {0}, Bearer {0}", "Bearer {0} {0}"),
        *("Bearer token={}", "Bearer: {}", "Bearer\t{}", "{}", "Bearer \xa0{}", "Bearer {}\x00", "Bearer {},"),
        *('Bearer "{}"', "Basic {}"),
    ],
)
def test_get_account_with_what_is_no_bearer_token_is_unauthorized(ada: Client, form: str) -> None:
    reply = ada.get("/api/v1/me/account", headers={"Authorization": form.format(ada.token)})
    assert (reply.status, reply.code) == (401, "unauthorized")
    challenge = reply.headers["www-authenticate"]
    assert challenge.startswith('Bearer realm="task-api"')
    assert ('error="invalid_token"' in challenge) == form.startswith("Bearer")


KEYS_TAKEN = ["a", '"a"', "a" * 255, '"' + "a" * 255 + '"', "!#$%&'()*+,-./:;<=>?@[]^_`{|}~", " a ", "a,b"]
KEYS_REFUSED = [
    *("", '""', '"', "a" * 256, "a b", '"a b"', 'a"b', '"a";x=1', "a\\b", "\xe4", "a\x00", "a\tb"),
    *("a\xa0", "\xa0a", "\x85a"),  # blanks of Unicode, and none of HTTP (RFC 9110, section 5.6.3)
]


@pytest.mark.parametrize("key", KEYS_TAKEN)
def test_create_task_with_idempotency_key_acts_once(ada: Client, key: str) -> None:
    one, two = (ada.post(TASKS, {"title": "x"}, headers={"Idempotency-Key": key}) for _ in range(2))
    assert (one.status, two.status, two.json()["id"]) == (201, 201, one.json()["id"])


@pytest.mark.parametrize("keys", [*([key] for key in KEYS_REFUSED), ["a", "a"], ["a", "b"]])
def test_create_task_with_what_is_no_idempotency_key_is_refused(ada: Client, url: str, keys: list[str]) -> None:
    before = counts(url)
    headers = [JSON, *(("Idempotency-Key", key) for key in keys)]
    reply = ada.post(TASKS, content=BODY, headers=headers)
    assert (reply.status, reply.code) == (400, "validation_failed")
    assert {error["pointer"] for error in reply.json()["errors"]} == {"/Idempotency-Key"}
    assert counts(url) == before


STATUSES = ("pending", "in_progress", "completed", "cancelled")
LISTS: dict[str, set[str]] = {
    "": set(STATUSES),
    "status=pending": {"pending"},
    "status=pending,completed": {"pending", "completed"},
    "status=pending%2Ccompleted": {"pending", "completed"},
    "status=pending&status=completed": {"pending", "completed"},
    "status=pending,completed&status=cancelled": {"pending", "completed", "cancelled"},
    "status=pending&limit=50&status=completed&sort=title": {"pending", "completed"},
    "status=pending&%73tatus=in%5Fprogress": {"pending", "in_progress"},
    "status=pending&status=pending": {"pending"},
    "&&status=pending&&": {"pending"},
    "completed=true": {"completed"},
    "completed=%74rue": {"completed"},
    "completed=false&status=completed&status=pending": {"pending"},
    "q=%2B+plus": set(STATUSES),
    "q=%2b%20plus": set(STATUSES),
    "limit=%35": set(STATUSES),
    "skip=-0": set(STATUSES),
}


@pytest.mark.parametrize(("query", "found"), LISTS.items())
def test_list_tasks_with_any_spelling_of_a_query_finds_the_same(ada: Client, query: str, found: set[str]) -> None:
    for status in STATUSES:
        create(ada, "+ plus", status=status)
    reply = ada.get(f"{TASKS}?{query}")
    assert reply.status == 200
    assert {task["status"] for task in reply.json()["items"]} == found


def test_list_tasks_with_repeated_statuses_links_to_a_page_of_the_same_list(ada: Client) -> None:
    for status in ("pending", "completed", "pending"):
        create(ada, status=status)
    first = ada.get(f"{TASKS}?status=completed&status=pending&limit=2")
    second = ada.get(first.headers["link"].partition("<")[2].partition(">")[0])
    assert [len(reply.json()["items"]) for reply in (first, second)] == [2, 1]
    cursor = first.json()["next_cursor"]
    assert ada.get(f"{TASKS}?status=pending,completed&limit=2&cursor={cursor}").json() == second.json()


QUERIES_REFUSED: dict[str, tuple[str, str]] = {
    "limit=5&limit=5": ("/limit", "duplicate"),
    "completed=true&completed=false": ("/completed", "duplicate"),
    "q=a&q=b": ("/q", "duplicate"),
    "status=": ("/status/0", "not_allowed"),
    "status": ("/status/0", "not_allowed"),
    "status=pending,": ("/status/1", "not_allowed"),
    "status=pending&status=": ("/status/1", "not_allowed"),
    "status=Pending": ("/status/0", "not_allowed"),
    "status=pending;status=completed": ("/status/0", "not_allowed"),
    "status%5B%5D=pending": ("/status[]", "unknown"),
    "status=pending&status=%FF": ("/status", "format"),
    "status=pending" + "&status=pending" * 4: ("/status", "too_many"),
    "limit=": ("/limit", "wrong_type"),
    "limit=+5": ("/limit", "wrong_type"),
    "limit=05": ("/limit", "wrong_type"),
    "limit=5.0": ("/limit", "wrong_type"),
    "limit=5e0": ("/limit", "wrong_type"),
    "limit=0x5": ("/limit", "wrong_type"),
    "limit=1_0": ("/limit", "wrong_type"),
    "limit=%D9%A5": ("/limit", "wrong_type"),
    "limit=5%00": ("/limit", "wrong_type"),
    "limit=99999999999999999999": ("/limit", "wrong_type"),
    "completed=True": ("/completed", "wrong_type"),
    "completed=1": ("/completed", "wrong_type"),
    "completed=": ("/completed", "wrong_type"),
    "completed": ("/completed", "wrong_type"),
    "q=": ("/q", "too_short"),
    "q=%00": ("/q", "pattern"),
    "q=%FF": ("/q", "format"),
    "q=%C3": ("/q", "format"),
    "q=%ED%A0%80": ("/q", "format"),
    "Limit=5": ("/Limit", "unknown"),
    "=5": ("", "unknown"),
    "%FF=5": ("", "unknown"),
}


@pytest.mark.parametrize(("query", "error"), QUERIES_REFUSED.items())
def test_list_tasks_with_query_that_breaks_the_contract_is_refused(
    ada: Client, query: str, error: tuple[str, str]
) -> None:
    reply = ada.get(f"{TASKS}?{query}")
    assert (reply.status, reply.code) == (400, "validation_failed")
    assert error in [(found["pointer"], found["code"]) for found in reply.json()["errors"]]


def test_list_tasks_with_the_same_parameter_500_times_is_refused_in_one_violation(ada: Client) -> None:
    found: list[dict[str, Any]] = ada.get(f"{TASKS}?{'&'.join(['limit=5'] * 500)}").json()["errors"]
    assert [(error["pointer"], error["code"]) for error in found] == [("/limit", "duplicate")]


@pytest.mark.parametrize(("method", "status"), [("OPTIONS", 204), ("GET", 400), ("HEAD", 400), ("DELETE", 400)])
def test_request_about_the_whole_server_is_options_alone(anonymous: Client, method: str, status: int) -> None:
    reply = anonymous.request(method, "*")
    assert reply.status == status
    if method == "OPTIONS":
        assert (reply.body, reply.headers["allow"]) == (b"", "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT")
    elif method != "HEAD":
        assert reply.code == "bad_request"


@pytest.mark.parametrize(("method", "address"), WITH_BODY, ids=[" ".join(each) for each in WITH_BODY])
def test_every_operation_with_a_body_over_the_limit_is_413(ada: Client, method: str, address: str) -> None:
    for size, told in (
        (MAX_BODIES[method, address], (400, "malformed_json")),
        (MAX_BODIES[method, address] + 1, (413, "payload_too_large")),
    ):
        reply = ada.request(method, address, content=b" " * size, headers=[JSON])
        assert (reply.status, reply.code) == told
