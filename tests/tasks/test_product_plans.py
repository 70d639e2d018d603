"""The five plans of `design/api.md`: each finds its features here. Keys of an issuer by URL (JWKS): test_issuers.py.

Rate limits and metrics have issues of their own.
"""

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

from tests.support.client import Client
from tests.support.credentials import PASSWORD, SECRET, token
from tests.support.databases import execute
from tests.support.rows import rows
from tests.support.tasks import create, path
from todo_api.config import Config

TASKS = "/api/v1/me/tasks"
ISSUER = "https://auth.example.com"
ORIGIN = "https://app.example.com"


@pytest.fixture(scope="module")
def external(url: str, new_client: Callable[[Config], Client]) -> Client:
    """The service with an external issuer that shares a secret, and a front end of another origin."""
    return new_client(
        Config(
            database_url=url, jwt_secret=SECRET, jwt_issuer=ISSUER, jwt_audience=("task-api",), cors_origins=(ORIGIN,)
        )
    )


def user_of(external: Client, subject: str) -> Client:
    return external.signed_in(token(subject, issuer=ISSUER))


def test_plan_a_five_operations_and_toggle_are_under_api_v1(ada: Client) -> None:
    """Plan A: create, list, read, update, delete and toggle; a UUID, `completed`, `completed_at`."""
    task = create(ada)
    assert UUID(task["id"]).version == 7
    assert (task["completed"], task["completed_at"]) == (False, None)
    assert ada.get(TASKS).json()["items"] == [task]
    assert ada.get(path(task)).json() == task
    assert ada.put(path(task), {"title": "Changed"}).json()["title"] == "Changed"
    toggled = ada.patch(f"{path(task)}/complete").json()
    assert (toggled["completed"], toggled["completed_at"]) == (True, toggled["updated_at"])
    assert ada.delete(path(task)).status == 204


def test_plan_a_list_has_skip_limit_and_total(ada: Client) -> None:
    """Plan A: pages by `skip` and `limit`, with the total."""
    tasks = [create(ada, f"Task {number}") for number in range(5)]
    reply = ada.get(f"{TASKS}?skip=1&limit=2&sort=created_at").json()
    assert (reply["items"], reply["total"]) == (tasks[1:3], 5)


def test_plan_a_error_has_detail_and_code(ada: Client) -> None:
    """Plan A: `{detail, error_code}` is `detail` and `code` of problem+json."""
    reply = ada.get(f"{TASKS}/01932c07-9f7a-7c1d-b6a1-5a2f0f5d1c3e")
    assert reply.headers["content-type"] == "application/problem+json"
    assert (reply.json()["detail"], reply.json()["code"]) == ("There is no such task in your space.", "not_found")


def test_plan_a_token_of_external_issuer_opens_the_space_of_its_subject(external: Client) -> None:
    """Plan A: tokens of Better Auth. Here the issuer shares a secret; its public keys by URL are in test_issuers.py."""
    assert (
        create(user_of(external, "kq3PqwX1jQe1Ti5ZkLdYvW4uXo0aB9cE"))["user_id"] == "kq3PqwX1jQe1Ti5ZkLdYvW4uXo0aB9cE"
    )


def test_plan_b_paths_with_the_user_id_do_every_operation(ada: Client) -> None:
    """Plan B: `/api/{user_id}/tasks` with GET, POST, GET, PUT, DELETE and `PATCH .../complete`, under `/api/v1`."""
    user_id = ada.get("/api/v1/me/account").json()["id"]
    task = ada.post(f"/api/v1/{user_id}/tasks", {"title": "Buy milk"}).json()
    own = f"/api/v1/{user_id}/tasks/{task['id']}"
    assert ada.get(f"/api/v1/{user_id}/tasks").json()["items"] == [task]
    assert ada.get(own).json() == task
    assert ada.put(own, {"title": "Buy oats"}).json()["title"] == "Buy oats"
    assert ada.patch(f"{own}/complete").json()["status"] == "completed"
    assert ada.delete(own).status == 204


def test_plan_b_path_user_must_be_the_tokens_user(ada: Client, bob: Client) -> None:
    """Plan B: both checks: the path's user is the token's, and a task is found in its owner's space alone."""
    task = create(ada)
    assert bob.get(f"/api/v1/{task['user_id']}/tasks/{task['id']}").code == "forbidden"
    assert bob.get(path(task)).code == "not_found"


def test_plan_b_account_has_email_and_hashed_password(anonymous: Client, url: str) -> None:
    """Plan B: users with e-mail and hashed password."""
    body = {"email": "plan-b@example.com", "password": PASSWORD}
    assert anonymous.post("/api/v1/auth/register", body).status == 201
    access = anonymous.post("/api/v1/auth/token", body).json()["access_token"]
    assert anonymous.signed_in(access).get("/api/v1/me/account").json()["email"] == "plan-b@example.com"
    ((stored,),) = rows(url, "SELECT password_hash FROM accounts WHERE email = 'plan-b@example.com'")
    assert stored.startswith("$argon2id$")


@pytest.mark.parametrize(("title", "description", "status"), [(255, 5000, 201), (256, 0, 400), (1, 5001, 400)])
def test_plan_b_title_has_255_and_description_5000_characters(
    ada: Client, title: int, description: int, status: int
) -> None:
    """Plan B: the limits of a title and a description."""
    assert ada.post(TASKS, {"title": "x" * title, "description": "y" * description}).status == status


def test_plan_b_error_has_code_message_and_details(ada: Client) -> None:
    """Plan B: `{code, message, details}` is `code`, `detail` and `errors`."""
    problem = ada.post(TASKS, {"title": ""}).json()
    assert problem["code"] == "validation_failed"
    assert problem["detail"] == "The request breaks the contract in 1 place."
    assert {error["pointer"] for error in problem["errors"]} == {"/title"}


@pytest.mark.parametrize("address", ["/health/live", "/health/ready"])
def test_plan_b_health_is_told(anonymous: Client, address: str) -> None:
    """Plan B: health."""
    reply = anonymous.get(address)
    assert (reply.status, reply.json()["status"]) == (200, "pass")


def test_plan_c_patch_changes_what_is_sent(ada: Client) -> None:
    """Plan C: PATCH."""
    task = create(ada, description="Two litres")
    updated = ada.patch(path(task), {"title": "Buy oats"}).json()
    assert updated == task | {"title": "Buy oats", "version": 2, "updated_at": updated["updated_at"]}


def test_plan_c_four_statuses_change_as_defined(ada: Client) -> None:
    """Plan C: four statuses with defined transitions."""
    task = create(ada)
    for status in ("in_progress", "completed", "pending", "cancelled"):
        assert ada.patch(path(task), {"status": status}).json()["status"] == status
    assert ada.patch(path(task), {"status": "completed"}).code == "invalid_transition"


def test_plan_c_list_takes_limits_up_to_1000(ada: Client) -> None:
    """Plan C: a list of 1000."""
    assert ada.get(f"{TASKS}?limit=1000").status == 200
    assert ada.get(f"{TASKS}?limit=1001").code == "validation_failed"


def test_plan_c_contract_is_published_as_a_file(anonymous: Client) -> None:
    """Plan C: a contract that clients can read."""
    contract = anonymous.get("/api/v1/openapi.json").json()
    assert (contract["openapi"], "updateTask" in str(contract["paths"])) == ("3.0.3", True)


def test_plan_c_and_d_indexes_of_tasks_begin_with_the_user(url: str) -> None:
    """Plans C and D: every index begins with the user, and one is (user, created_at)."""
    found = [definition for (definition,) in execute(url, "SELECT indexdef FROM pg_indexes WHERE tablename = 'tasks'")]
    columns = [definition.partition(" USING btree (")[2].partition(")")[0].split(", ") for definition in found]
    assert {names[0] for names in columns} == {"user_id"}
    assert ["user_id", "created_at", "id"] in columns


def test_plan_d_six_operations_give_their_statuses(anonymous: Client, ada: Client, bob: Client) -> None:
    """Plan D: 201, 200, 204, 400, 401, 403, 404; 404 for "missing" and "not yours" alike."""
    task = create(ada)
    other = bob.get(path(task)).json() | {"request_id": ""}
    statuses = [
        ada.post(TASKS, {"title": "x"}).status,
        ada.get(TASKS).status,
        ada.get(path(task)).status,
        ada.put(path(task), {"title": "x"}).status,
        ada.patch(f"{path(task)}/complete").status,
        ada.delete(path(task)).status,
        ada.post(TASKS, {}).status,
        anonymous.get(TASKS).status,
        ada.get("/api/v1/somebody/tasks").status,
    ]
    assert statuses == [201, 200, 200, 200, 200, 204, 400, 401, 403]
    assert bob.get(path(task)).json() | {"request_id": ""} == other


def test_plan_d_times_are_the_servers_in_utc(ada: Client) -> None:
    """Plan D: UTC timestamps set by the server."""
    task = create(ada)
    assert (task["created_at"][-1], task["updated_at"]) == ("Z", task["created_at"])
    assert ada.post(TASKS, {"title": "x", "created_at": "2020-01-01T00:00:00Z"}).code == "validation_failed"


@pytest.mark.parametrize(
    ("subject", "segment"),
    [
        ("0b0e7a54-6f53-4b1c-8a0e-6f7f4a0c9d22", "0b0e7a54-6f53-4b1c-8a0e-6f7f4a0c9d22"),
        ("ada@example.com", "ada@example.com"),
        ("ada+x@example.com", "ada+x%40example.com"),
        ("auth0|5f7c8ec7", "auth0%7C5f7c8ec7"),
        ("auth0|5f7c8ec7", "auth0|5f7c8ec7"),
        ("tenant/ada", "tenant%2Fada"),
        ("a%2Fb", "a%252Fb"),
        ("1", "1"),
        ("ада", "%D0%B0%D0%B4%D0%B0"),
        ("..", "%2e%2e"),
    ],
)
def test_plan_d_user_ids_of_any_issuer_open_their_space(external: Client, subject: str, segment: str) -> None:
    """Plan D: ready for any issuer's user ids: UUID, e-mail, other strings. A slash travels as %2F."""
    client = user_of(external, subject)
    reply = client.post(f"/api/v1/{segment}/tasks", {"title": "Mine"})
    assert (reply.status, reply.json()["user_id"]) == (201, subject)
    assert client.get(reply.headers["location"]).json() == reply.json()
    account = client.get(f"/api/v1/{segment}/account").json()
    assert (account["id"], account["email"], account["name"]) == (subject, None, None)


@pytest.mark.parametrize("address", ["/api/v1/auth/register", "/api/v1/auth/token"])
def test_plan_e_external_issuer_disables_accounts(external: Client, address: str) -> None:
    """Plan E: Better Auth tokens only. Its public keys by URL are in test_issuers.py."""
    reply = external.post(address, {"email": "ada@example.com", "password": PASSWORD})
    assert (reply.status, reply.code) == (404, "accounts_disabled")


def test_plan_e_token_of_own_issuer_does_not_hold_with_an_external_one(external: Client) -> None:
    """Plan E: Better Auth tokens only, stateless."""
    assert external.signed_in(token("ada")).get(TASKS).code == "unauthorized"


@pytest.mark.parametrize(("title", "description"), [(1, 0), (200, 1000)])
def test_plan_e_titles_to_200_and_descriptions_to_1000_are_accepted(ada: Client, title: int, description: int) -> None:
    """Plan E: titles of 1 to 200 characters, descriptions to 1000."""
    assert ada.post(TASKS, {"title": "x" * title, "description": "y" * description}).status == 201


def test_plan_e_correlation_id_is_told_back(ada: Client) -> None:
    """Plan E: correlation ids."""
    reply = ada.get(f"{TASKS}?limit=0", headers={"X-Request-ID": "trace-7"})
    assert (reply.headers["x-request-id"], reply.json()["request_id"]) == ("trace-7", "trace-7")


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("wanted", ["authorization", "content-type", "if-match", "if-none-match", "x-request-id"])
def test_plan_e_preflight_of_the_front_end_is_allowed_without_token(external: Client, method: str, wanted: str) -> None:
    """Plan E: a Next.js front end of another origin: CORS."""
    headers = {"Origin": ORIGIN, "Access-Control-Request-Method": method, "Access-Control-Request-Headers": wanted}
    reply = external.request("OPTIONS", TASKS, headers=headers)
    assert (reply.status, reply.headers["access-control-allow-origin"]) == (200, ORIGIN)
    assert method in reply.headers["access-control-allow-methods"].split(", ")
    assert wanted in reply.headers["access-control-allow-headers"].lower().split(", ")
    assert reply.headers["vary"].split(", ")[0] == "Origin"


def test_plan_e_reply_to_another_origin_cannot_be_read_there(external: Client) -> None:
    """Plan E: CORS for the named origins alone."""
    reply = user_of(external, "ada").get(TASKS, headers={"Origin": "https://evil.example"})
    assert (reply.status, "access-control-allow-origin" in reply.headers) == (200, False)


CALLS: dict[str, tuple[str, str, dict[str, Any], int]] = {
    "read": ("GET", TASKS, {}, 200),
    "not modified": ("GET", TASKS, {"headers": {"If-None-Match": "*"}}, 304),
    "bad request": ("POST", TASKS, {"json_body": {}}, 400),
    "forbidden": ("GET", "/api/v1/somebody/tasks", {}, 403),
    "not found": ("GET", "/nowhere", {}, 404),
    "no such method": ("PUT", TASKS, {}, 405),
    "too large": ("POST", TASKS, {"content": b" " * 65_537, "headers": {"Content-Type": "application/json"}}, 413),
    "other type": ("POST", TASKS, {"content": b"x", "headers": {"Content-Type": "text/plain"}}, 415),
}


@pytest.mark.parametrize(("method", "address", "more", "status"), CALLS.values(), ids=CALLS)
def test_plan_e_every_reply_can_be_read_by_the_front_end(
    external: Client, method: str, address: str, more: dict[str, Any], status: int
) -> None:
    """Plan E: CORS headers on errors and 304 as well, or the browser tells the front end of a network error."""
    headers = {"Origin": ORIGIN, **more.get("headers", {})}
    reply = user_of(external, "ada").request(method, address, **{**more, "headers": headers})
    assert (reply.status, reply.headers["access-control-allow-origin"]) == (status, ORIGIN)
    assert "ETag" in reply.headers["access-control-expose-headers"].split(", ")


def test_plan_e_unauthorized_can_be_read_by_the_front_end(external: Client) -> None:
    """Plan E: a front end learns from 401 to renew its token; `Bearer undefined` is what it sends when it has none."""
    reply = external.get(TASKS, headers={"Origin": ORIGIN, "Authorization": "Bearer undefined"})
    assert (reply.status, reply.headers["access-control-allow-origin"]) == (401, ORIGIN)
    assert 'error="invalid_token"' in reply.headers["www-authenticate"]
    assert "WWW-Authenticate" in reply.headers["access-control-expose-headers"].split(", ")
