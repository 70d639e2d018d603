"""Odd paths, methods and headers: none passes by routing, security or validation."""

from typing import Any

import pytest

from tests.support.cases import case
from tests.support.client import Client
from tests.support.rows import counts
from tests.support.tasks import create, path

TASKS = "/api/v1/me/tasks"
AUTH = ["/api/v1/auth/register", "/api/v1/auth/token", "/api/v1/auth/refresh", "/api/v1/auth/sign-out"]
ID = "01932c07-9f7a-7c1d-b6a1-5a2f0f5d1c3e"
JSON = {"Content-Type": "application/json"}

NOWHERE = [
    *("//", "/api", "/api/v2/me/tasks", "/tasks", "/api/v1/me", "/api/v1/me/", "/api/v1/tasks"),
    *(
        "/api/v1/me/tasks/",
        f"/api/v1/me/tasks/{ID}/",
        f"/api/v1/me/tasks/{ID}/complete/",
        "/api/v1/auth/token/",
        "/health/live/",
    ),
    *(
        "//api/v1/me/tasks",
        "/api//v1/me/tasks",
        "/api/v1//me/tasks",
        "/api/v1/me//tasks",
        "/api/v1//tasks",
        "/api/v1/me/tasks//",
    ),
    *(f"/api/v1/me/tasks//{ID}", f"/api/v1//tasks/{ID}", "/api/v1/me/tasks//complete", "/api/v1/me/account/"),
    *(
        "/api/v1/me/tasks%0A",
        "/api/v1/me/tasks%0a",
        "/api/v1/me/%0Atasks",
        "/api/v1%0A/me/tasks",
        "/%0A/api/v1/me/tasks",
    ),
    *("/api/v1/me/account%0A", f"/api/v1/me/tasks/{ID}/complete%0A", "/health/live%0A", "/api/v1/auth/token%0D%0A"),
    *(
        "/api/v1/me%2ftasks",
        "/api/v1/me%2Ftasks",
        "/api%2Fv1%2Fme%2Ftasks",
        f"/api/v1/me/tasks%2f{ID}",
        "/api/v1/auth%2Ftoken",
    ),
    *(
        f"/api/v1/me/tasks/{ID}%2Fcomplete/x",
        "/%2e%2e/api/v1/me/tasks",
        "/api/v1/%2e%2e/v1/me/tasks",
        "/api/v1/./me/tasks",
    ),
    *("/api/v1/me/../me/tasks", "/api/v1/../v1/me/tasks", "/./api/v1/me/tasks", "/api/v1/me/tasks/../../me/tasks"),
    *("/api/v1/me/%2e/tasks", "/api/v1/me/tasks%00", "/api/v1%00/me/tasks", "/%00", "/%ff", "/%"),
    *(
        "/api/v1/me/%2574asks",
        "/api/v1/me/%%374asks",
        "/api/v1/me/%74asks%2f",
        "/api/v1/me/%54asks",
        "/api/v1/me/t%c3%a4sks",
    ),
    *(
        "/%41pi/v1/me/tasks",
        "/api%2fv1/me/%74asks",
        "/api/v1/me/tasks%3b",
        "/api/v1/me/%74ask%",
        "/%2e/api/v1/me/tasks",
    ),
    *(
        "/API/v1/me/tasks",
        "/api/v1/me/Tasks",
        "/api/v1/me/tasks;v=1",
        "/api/v1/me/tasks.json",
        "/api/v1/me/tasks\\",
        "\\api\\v1\\me\\tasks",
    ),
    *(
        f"/api/v1/me/tasks/{ID}/COMPLETE",
        f"/api/v1/me/tasks/{ID}/complete/complete",
        "/api/v1/me/tasks%",
        "/api/v1/ui/nothing.js",
    ),
    *(
        "/api/v1/ui/../openapi.json",
        "/api/v1/ui/%2e%2e/%2e%2e/etc/passwd",
        "/api/v1/openapi.json/",
        "/api/v1/me/tasks\xe4",
    ),
]


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"])
def test_request_to_odd_path_is_not_found_and_writes_nothing(ada: Client, url: str, method: str) -> None:
    create(ada)
    before = counts(url)
    body = {"title": "x"} if method in ("POST", "PUT", "PATCH") else None
    for odd in NOWHERE:
        with case(odd):
            reply = ada.request(method, odd, json_body=body)
            assert reply.status == 404
            assert method == "HEAD" or reply.json() == {
                "type": "/problems/not_found",
                "title": "Not found",
                "status": 404,
                "detail": "There is nothing at this address.",
                "code": "not_found",
                "request_id": reply.headers["x-request-id"],
            }
    assert counts(url) == before


@pytest.mark.parametrize(
    "segment", ["%2e%2e", "..", ".", "%2e", "me%2f", "%6de%20", "ME", "%", "%zz", "me%2fme", "auth", "%25", "user"]
)
def test_list_tasks_of_odd_user_is_forbidden(ada: Client, segment: str) -> None:
    assert ada.get(f"/api/v1/{segment}/tasks").code == "forbidden"


@pytest.mark.parametrize("segment", ["%6d%65", "m%65"])
def test_list_tasks_of_me_in_escapes_is_answered(ada: Client, segment: str) -> None:
    assert ada.get(f"/api/v1/{segment}/tasks").status == 200


@pytest.mark.parametrize("segment", ["%0A", "me%0A", "%00", "me%00", "%7f"])
def test_list_tasks_of_user_with_control_character_is_refused(ada: Client, segment: str) -> None:
    assert ada.get(f"/api/v1/{segment}/tasks").code == "validation_failed"


@pytest.mark.parametrize("segment", ["%0A", "..", "%2e%2e", "me%00", "me%2ftasks"])
def test_list_tasks_of_odd_user_without_token_is_unauthorized(anonymous: Client, segment: str) -> None:
    assert anonymous.get(f"/api/v1/{segment}/tasks").code == "unauthorized"


@pytest.mark.parametrize("segment", ["%ff", "me%ff", "%c0%af", "%ed%a0%80"])
@pytest.mark.parametrize("address", ["/api/v1/{}/tasks", "/api/v1/{}/account", "/api/v1/me/tasks/{}"])
def test_request_with_segment_that_is_no_utf8_is_refused(ada: Client, address: str, segment: str) -> None:
    assert ada.get(address.format(segment)).code == "validation_failed"


TYPES_REFUSED = [
    *(
        "",
        "text/plain",
        "application/xml",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "json",
        "*/*",
    ),
    *(
        "application/json; charset=latin-1",
        "application/json; charset=utf-16",
        "application/json, application/json",
        "text/json",
    ),
    *(
        "application/json; boundary",
        "application/vnd.api+json",
        "application/jsonx",
        "application /json",
        "application/json-seq",
    ),
    *(
        "application/problem+json",
        "application/json; charset=latin-1; charset=utf-8",
        "application/json; charset = utf-8",
    ),
    *(
        "application/json; charset=",
        'application/json; charset=""',
        "application/json; charset='utf-8'",
        "application/json/x",
    ),
    *(
        "application/json; charset=utf-8, text/plain",
        'application/json; charset="utf-8',
        "application/json charset=utf-8",
    ),
    *("application/json; charset=utf-8; charset=utf-16", "application/json; charset=utf-7", "application/json; x=a b"),
    *('application/json; charset="utf-8"x', "application", "/json", "application/", ";", "application/json;;charset"),
    *(
        'application/json; x="\\"',
        "application/json; =utf-8",
        "application/json\x0b",
        "application/json; charset=utf-8\xa0",
    ),
]
TYPES_TAKEN = [
    "application/json",
    "Application/JSON",
    "application/json; charset=utf-8",
    "application/json;charset=UTF-8",
    'application/json; charset="utf-8"',
    " application/json ",
    *(
        "application/json;",
        "application/json; ",
        "application/json ;",
        "application/json;;",
        "application/json; ;charset=utf-8;",
    ),
    *("application/json; charset=utf8", "application/json;charset=UTF8", "application/json; Charset=Utf-8"),
    *('application/json; charset="UTF8";', 'application/json; charset="u\\tf-8"', "application/json; charset=csUTF8"),
    *(
        "application/json; charset=utf-8; charset=UTF-8",
        "application/json\t;\tcharset=utf-8",
        "application/json; boundary=x",
    ),
    *(
        "application/json; charset=utf-8; x=1",
        'application/json; profile="a;b, \\"c\\" charset=latin-1"',
        'application/json; x=""',
    ),
    "application/json" + "; " * 500,
]


@pytest.mark.parametrize("address", [TASKS, *AUTH])
def test_post_with_other_content_type_is_refused(ada: Client, url: str, address: str) -> None:
    before = counts(url)
    for content_type in (*TYPES_REFUSED, "application/merge-patch+json"):
        with case(content_type):
            reply = ada.post(address, {"title": "x"}, headers={"Content-Type": content_type})
            assert (reply.status, reply.code) == (415, "unsupported_media_type")
    assert counts(url) == before


@pytest.mark.parametrize("content_type", TYPES_TAKEN)
def test_create_task_with_content_type_of_json_is_made(ada: Client, content_type: str) -> None:
    assert ada.post(TASKS, {"title": "x"}, headers={"Content-Type": content_type}).status == 201


WRITES = [("PUT", "", {"title": "y"}), ("PATCH", "", {"title": "y"}), ("PATCH", "/complete", {"completed": True})]


@pytest.mark.parametrize(("method", "below", "body"), WRITES)
def test_task_write_with_other_content_type_is_refused(ada: Client, method: str, below: str, body: Any) -> None:
    task = create(ada)
    for content_type in TYPES_REFUSED:
        with case(content_type):
            reply = ada.request(method, path(task) + below, json_body=body, headers={"Content-Type": content_type})
            assert (reply.status, reply.code) == (415, "unsupported_media_type")
    assert ada.get(path(task)).json() == task


@pytest.mark.parametrize(("method", "below", "body"), WRITES)
def test_task_write_with_merge_patch_is_made_by_patch_alone(ada: Client, method: str, below: str, body: Any) -> None:
    task = create(ada)
    headers = {"Content-Type": "Application/Merge-Patch+JSON"}
    reply = ada.request(method, path(task) + below, json_body=body, headers=headers)
    assert reply.status == (415 if method == "PUT" else 200)


@pytest.mark.parametrize("address", [TASKS, "/api/v1/auth/register"])
def test_post_without_content_type_is_refused(ada: Client, address: str) -> None:
    reply = ada.post(address, content=b'{"title": "x"}')
    assert (reply.status, reply.code) == (415, "unsupported_media_type")


@pytest.mark.parametrize("second", ["application/json", "text/plain"])
def test_create_task_with_two_content_types_is_refused(ada: Client, second: str) -> None:
    headers = [("Content-Type", "application/json"), ("Content-Type", second)]
    assert ada.post(TASKS, {"title": "x"}, headers=headers).code == "unsupported_media_type"


def test_create_task_with_chunked_body_is_made(ada: Client) -> None:
    reply = ada.post(TASKS, {"title": "In chunks"}, headers={"Transfer-Encoding": "chunked"})
    assert (reply.status, reply.json()["title"]) == (201, "In chunks")


@pytest.mark.parametrize("accept", ["text/html", "application/xml", "*/*", "application/json;q=0", "nonsense"])
def test_get_account_with_any_accept_is_json(ada: Client, accept: str) -> None:
    assert ada.get("/api/v1/me/account", headers={"Accept": accept}).headers["content-type"] == "application/json"


@pytest.mark.parametrize("sent", ["a", "x" * 128, "req-1/ä".replace("ä", "~")])
def test_get_account_with_request_id_tells_it_back(ada: Client, sent: str) -> None:
    reply = ada.get("/api/v1/me/account", headers={"X-Request-ID": sent})
    assert [value for name, value in reply.header_list if name == "x-request-id"] == [sent]


@pytest.mark.parametrize("sent", [[""], ["x" * 129], ["a b"], ["a\tb"], ["\xe4"], ["a", "b"]])
def test_get_account_with_unusable_request_id_makes_a_new_one(ada: Client, sent: list[str]) -> None:
    reply = ada.get("/api/v1/me/account", headers=[("X-Request-ID", value) for value in sent])
    assert reply.headers["x-request-id"] not in sent


READ, ONE = "GET, HEAD, OPTIONS", "DELETE, GET, HEAD, OPTIONS, PATCH, PUT"
ALLOW = {
    TASKS: "GET, HEAD, OPTIONS, POST",
    f"{TASKS}/{ID}": ONE,
    f"{TASKS}/{ID}/complete": "OPTIONS, PATCH",
    "/api/v1/me/account": "GET, HEAD, OPTIONS, PATCH",
    "/api/v1/me/account/export": READ,
    **dict.fromkeys([f"/api/v1/me/account/{name}" for name in ("email", "password", "deletion")], "OPTIONS, POST"),
    "/api/v1/auth/register": "OPTIONS, POST",
    "/api/v1/auth/token": "OPTIONS, POST",
    "/api/v1/auth/refresh": "OPTIONS, POST",
    "/api/v1/auth/sign-out": "OPTIONS, POST",
    **dict.fromkeys(
        ["/health/live", "/health/ready", "/", "/api/v1/openapi.json", "/api/v1/openapi.yaml", "/api/v1/ui/"], READ
    ),
}
METHODS = [
    "get",
    "head",
    "options",
    "patch",
    "Delete",
    "GET",
    "HEAD",
    "POST",
    "PUT",
    "PATCH",
    "DELETE",
    "TRACE",
    "PROPFIND",
    "QUERY",
]


@pytest.mark.parametrize(("address", "allow"), ALLOW.items())
def test_options_of_each_path_names_its_methods(anonymous: Client, address: str, allow: str) -> None:
    reply = anonymous.request("OPTIONS", address)
    assert (reply.status, reply.body, reply.headers["allow"]) == (204, b"", allow)
    patch = "application/json, application/merge-patch+json" if "PATCH" in allow else None
    assert reply.headers.get("accept-patch") == patch


@pytest.mark.parametrize(("address", "allow"), ALLOW.items())
def test_request_with_method_that_is_not_there_tells_all_that_are(ada: Client, address: str, allow: str) -> None:
    others = [method for method in METHODS if method not in allow.split(", ")]
    assert others
    for method in others:
        with case(method):
            reply = ada.request(method, address)
            assert (reply.status, reply.headers["allow"]) == (405, allow)
            assert method == "HEAD" or reply.code == "method_not_allowed"


@pytest.mark.parametrize("address", [address for address, allow in ALLOW.items() if "HEAD" in allow])
def test_head_of_each_path_is_get_without_body(ada: Client, address: str) -> None:
    address = address if ID not in address else path(create(ada))
    wanted = {"X-Request-ID": "same"}
    get, head = ada.get(address, headers=wanted), ada.request("HEAD", address, headers=wanted)
    if address in ("/health/ready", "/metrics"):  # what they tell is of the moment, and so is its length
        assert head.headers.keys() == get.headers.keys()
    else:
        assert head.header_list == get.header_list
    assert (head.status, head.body) == (get.status, b"")


@pytest.mark.parametrize(
    ("address", "status"), [(f"{TASKS}/{ID}", 404), ("/api/v1/x/tasks", 403), (f"{TASKS}?limit=0", 400)]
)
def test_head_of_what_get_refuses_is_the_problem_without_body(ada: Client, address: str, status: int) -> None:
    reply = ada.request("HEAD", address)
    assert (reply.status, reply.body, reply.headers["content-type"]) == (status, b"", "application/problem+json")
