"""The life of an account: renamed, its address and password changed, exported, deleted, and dead from then on."""

import time
from collections.abc import Callable
from typing import Any

import jwt
import pytest

from tests.support.client import Client, Reply
from tests.support.credentials import PASSWORD, SECRET, token
from tests.support.rows import rows, tables_of_users
from tests.support.users import User
from todo_api.config import Config

ACCOUNT = "/api/v1/me/account"
TASKS = "/api/v1/me/tasks"
TOKEN = "/api/v1/auth/token"
OTHER = "another good password"
ISSUER = "https://issuer.example"


@pytest.fixture
def external(url: str, new_client: Callable[[Config], Client]) -> Callable[..., Client]:
    """A client of a service with an external issuer, whose token was issued so many seconds ago."""
    client = new_client(Config(database_url=url, jwt_secret=SECRET, jwt_issuer=ISSUER, jwt_audience=("tasks",)))

    def of(user_id: str, ago: int = 0, **more: Any) -> Client:
        now = int(time.time())
        claims = {"iss": ISSUER, "aud": "tasks", "sub": user_id, "iat": now - ago, "exp": now + 600} | more
        return client.signed_in(jwt.encode(claims, SECRET, algorithm="HS256"))

    return of


def sign_in(user: User, email: str, password: str) -> Reply:
    return user.client.signed_in(None).post(TOKEN, {"email": email, "password": password})


def refreshes(user: User, tokens: dict[str, Any]) -> bool:
    body = {"refresh_token": tokens["refresh_token"]}
    return user.client.signed_in(None).post("/api/v1/auth/refresh", body).status == 200


def test_get_account_with_its_etag_is_not_modified(user: User) -> None:
    reply = user.client.get(ACCOUNT)
    assert reply.headers["etag"].endswith(f'-{reply.json()["version"]}"')
    known = user.client.get(ACCOUNT, headers={"If-None-Match": reply.headers["etag"]})
    assert (known.status, known.headers["etag"]) == (304, reply.headers["etag"])


def test_update_account_sets_and_clears_the_name(user: User) -> None:
    before = user.client.get(ACCOUNT).json()
    for name in ("Ada Lovelace", None):
        reply = user.client.patch(ACCOUNT, {"name": name})
        account = reply.json()
        changed = {"name": name, "updated_at": account["updated_at"], "version": account["version"]}
        assert (reply.status, account) == (200, before | changed)
        assert account["version"] > before["version"]
        assert account["updated_at"] > before["updated_at"]
        assert (reply.headers["etag"][-3:], user.client.get(ACCOUNT).json()) == (f'-{account["version"]}"', account)
        before = account


def test_update_account_changes_the_etag_of_the_list(user: User) -> None:
    before = user.client.get(TASKS).headers["etag"]
    user.client.patch(ACCOUNT, {"name": "Ada Lovelace"})
    assert user.client.get(TASKS).headers["etag"] != before


@pytest.mark.parametrize(
    ("body", "pointer", "code"),
    [
        ({}, "", "too_few"),
        ({"name": ""}, "/name", "pattern"),
        ({"name": "x" * 201}, "/name", "too_long"),
        ({"name": "Ada", "email": "new@example.com"}, "/email", "unknown"),
    ],
)
def test_update_account_with_bad_members_is_refused(user: User, body: Any, pointer: str, code: str) -> None:
    before = user.client.get(ACCOUNT).json()
    reply = user.client.patch(ACCOUNT, body)
    assert (pointer, code) in [(error["pointer"], error["code"]) for error in reply.json()["errors"]]
    assert user.client.get(ACCOUNT).json() == before


def test_update_account_of_user_not_met_before_is_kept(ada: Client) -> None:
    assert ada.patch(ACCOUNT, {"name": "Ada"}).status == 200
    assert ada.get(ACCOUNT).json()["name"] == "Ada"


@pytest.mark.parametrize(
    ("address", "method", "body"),
    [
        (ACCOUNT, "PATCH", {"name": "Lost"}),
        (f"{ACCOUNT}/email", "POST", {"password": PASSWORD, "email": "lost@example.com"}),
    ],
    ids=["updateAccount", "changeEmail"],
)
def test_account_write_with_old_version_fails_the_precondition_and_tells_the_account(
    user: User, address: str, method: str, body: Any
) -> None:
    old = user.client.get(ACCOUNT).headers["etag"]
    current = user.client.patch(ACCOUNT, {"name": "In between"}).json()
    reply = user.client.request(method, address, json_body=body, headers={"If-Match": old})
    assert (reply.status, reply.code, reply.json()["current"]) == (412, "precondition_failed", current)
    assert reply.json()["detail"] == "The account has changed since you read it."
    assert reply.headers["etag"].endswith(f'-{current["version"]}"')
    assert user.client.get(ACCOUNT).json() == current
    now = {"If-Match": reply.headers["etag"]}
    assert user.client.request(method, address, json_body=body, headers=now).status == 200


def test_change_email_moves_the_sign_in(user: User) -> None:
    before = user.client.get(ACCOUNT).json()
    address = f"new-{user.email}"
    reply = user.client.post(f"{ACCOUNT}/email", {"password": PASSWORD, "email": address.upper()})
    account = reply.json()
    changed = {"email": address, "updated_at": account["updated_at"], "version": account["version"]}
    assert (reply.status, account) == (200, before | changed)
    assert account["version"] > before["version"]
    assert sign_in(user, user.email, PASSWORD).status == 401
    assert sign_in(user, address, PASSWORD).status == 200
    assert refreshes(user, user.tokens)


def test_change_email_to_that_of_another_is_refused(user: User, new_account: Callable[[], User]) -> None:
    other = new_account()
    before = user.client.get(ACCOUNT).json()
    reply = user.client.post(f"{ACCOUNT}/email", {"password": PASSWORD, "email": other.email.title()})
    assert (reply.status, reply.code) == (409, "email_taken")
    assert user.client.get(ACCOUNT).json() == before


CONFIRMED = {
    "changeEmail": ("email", {"password": OTHER, "email": "never@example.com"}),
    "changePassword": ("password", {"current_password": OTHER, "new_password": "a third good password"}),
    "deleteAccount": ("deletion", {"password": OTHER}),
}


@pytest.mark.parametrize(("address", "body"), CONFIRMED.values(), ids=CONFIRMED)
def test_account_operation_with_wrong_password_is_refused_and_changes_nothing(
    user: User, address: str, body: dict[str, str]
) -> None:
    before = user.client.get(ACCOUNT).json()
    reply = user.client.post(f"{ACCOUNT}/{address}", body)
    assert reply.status == 403
    assert reply.json() == {
        "type": "/problems/wrong_password",
        "title": "Wrong password",
        "status": 403,
        "detail": "The password is wrong.",
        "code": "wrong_password",
        "request_id": reply.headers["x-request-id"],
    }
    assert user.client.get(ACCOUNT).json() == before
    assert sign_in(user, user.email, PASSWORD).status == 200


@pytest.mark.parametrize(("address", "body"), [*CONFIRMED.values()][:2], ids=[*CONFIRMED][:2])
def test_account_operation_of_user_without_account_is_refused(ada: Client, address: str, body: dict[str, str]) -> None:
    assert ada.post(f"{ACCOUNT}/{address}", body).code == "wrong_password"


@pytest.mark.parametrize(("address", "body"), [*CONFIRMED.values()][:2], ids=[*CONFIRMED][:2])
def test_account_operation_with_external_issuer_is_not_found(
    external: Callable[..., Client], address: str, body: dict[str, str]
) -> None:
    reply = external("ada").post(f"{ACCOUNT}/{address}", body)
    assert (reply.status, reply.code) == (404, "accounts_disabled")


def test_change_password_ends_the_other_sessions_and_not_this(user: User, url: str) -> None:
    others = [sign_in(user, user.email, PASSWORD).json() for _ in range(2)]
    reply = user.client.post(f"{ACCOUNT}/password", {"current_password": PASSWORD, "new_password": OTHER})
    assert (reply.status, reply.json()) == (200, {"api_keys": 0, "revoked_keys": 0})
    assert reply.headers["cache-control"] == "no-store"
    assert sign_in(user, user.email, PASSWORD).status == 401
    assert sign_in(user, user.email, OTHER).status == 200
    assert [refreshes(user, tokens) for tokens in (*others, user.tokens)] == [False, False, True]


def test_change_password_with_token_of_no_session_ends_all(user: User) -> None:
    operator = user.client.signed_in(token(user.id))
    body = {"current_password": PASSWORD, "new_password": OTHER}
    assert operator.post(f"{ACCOUNT}/password", body).status == 200
    assert not refreshes(user, user.tokens)


@pytest.mark.parametrize("revoke", [True, False, None])
def test_change_password_says_how_many_keys_there_are_and_revokes_them_on_request(
    user: User, revoke: bool | None
) -> None:
    made = [user.client.post("/api/v1/me/keys", {"name": "Mine", "scopes": ["tasks:read"]}).json() for _ in range(2)]
    wish = {} if revoke is None else {"revoke_keys": revoke}
    body = {"current_password": PASSWORD, "new_password": OTHER, **wish}
    reply = user.client.post(f"{ACCOUNT}/password", body)
    assert reply.json() == {"api_keys": 0 if revoke else 2, "revoked_keys": 2 if revoke else 0}
    statuses = [user.client.signed_in(key["key"]).get(TASKS).status for key in made]
    assert statuses == [401 if revoke else 200] * 2
    assert len(user.client.get("/api/v1/me/keys").json()["items"]) == reply.json()["api_keys"]
    again = user.client.post(f"{ACCOUNT}/password", {"current_password": OTHER, "new_password": PASSWORD})
    assert again.json() == {"api_keys": reply.json()["api_keys"], "revoked_keys": 0}


@pytest.mark.parametrize("end", ["changePassword", "signOut", "expiry"])
def test_stolen_access_token_after_its_session_has_ended_touches_no_credentials_and_reads_tasks(
    user: User, url: str, end: str
) -> None:
    stolen = user.client.signed_in(sign_in(user, user.email, PASSWORD).json()["access_token"])
    assert stolen.post("/api/v1/me/keys", {"name": "A thief's", "scopes": ["tasks:read"]}).status == 201
    if end == "changePassword":
        body = {"current_password": PASSWORD, "new_password": OTHER, "revoke_keys": True}
        assert user.client.post(f"{ACCOUNT}/password", body).status == 200
    elif end == "expiry":  # its row is there until the next purge
        past = ", ".join(
            f"{name} = {name} - interval '1 year'" for name in ("created_at", "refreshed_at", "expires_at")
        )
        rows(url, f"UPDATE sessions SET {past} WHERE user_id = '{user.id}'")
    else:
        body = {"refresh_token": user.tokens["refresh_token"], "everywhere": True}
        assert user.client.signed_in(None).post("/api/v1/auth/sign-out", body).status == 204
    password = OTHER if end == "changePassword" else PASSWORD
    refused = [
        stolen.post("/api/v1/me/keys", {"name": "Another", "scopes": ["tasks:read"]}),
        stolen.get("/api/v1/me/keys"),
        stolen.delete(f"/api/v1/me/keys/{ID}"),
        stolen.post(f"{ACCOUNT}/email", {"password": password, "email": f"x-{user.email}"}),
        stolen.post(f"{ACCOUNT}/password", {"current_password": password, "new_password": "a third good password"}),
        stolen.post(f"{ACCOUNT}/deletion", {"password": password}),
        stolen.get(f"{ACCOUNT}/export"),
    ]
    assert [(reply.status, reply.code) for reply in refused] == [(401, "unauthorized")] * len(refused)
    assert stolen.get(TASKS).status == 200


def test_change_password_to_a_common_one_is_refused(user: User) -> None:
    reply = user.client.post(f"{ACCOUNT}/password", {"current_password": PASSWORD, "new_password": "1q2w3e4r5t6y"})
    assert [(e["pointer"], e["code"]) for e in reply.json()["errors"]] == [("/new_password", "too_common")]
    assert sign_in(user, user.email, PASSWORD).status == 200


def test_delete_account_leaves_no_row_in_any_table(
    user: User, url: str, new_account: Callable[[], User], anonymous: Client
) -> None:
    other = new_account()
    for client in (user.client, other.client):
        client.post(
            TASKS, {"title": "Soon gone", "labels": ["home"]}, headers={"Idempotency-Key": '"the-key-of-a-test"'}
        )
        assert client.post("/api/v1/me/keys", {"name": "Soon gone", "scopes": ["tasks:read"]}).status == 201
        assert client.post("/api/v1/me/projects", {"name": "Soon gone"}).status == 201
        assert client.delete(client.post(TASKS, {"title": "Gone"}).headers["location"]).status == 204
    rows(
        url,
        "INSERT INTO one_time_tokens SELECT user_id, gen_random_uuid(), 'reset', repeat('a', 64), email, 1,"
        f" now(), now() + interval '1 hour' FROM accounts WHERE email IN ('{user.email}', '{other.email}')",
    )
    others = [rows(url, counted(table, other.id)) for table in sorted(tables_of_users(url))]
    reply = user.client.post(f"{ACCOUNT}/deletion", {"password": PASSWORD})
    assert (reply.status, reply.body, reply.headers["cache-control"]) == (204, b"", "no-store")
    assert {table: rows(url, counted(table, user.id)) for table in tables_of_users(url)} == {
        table: [(0,)] for table in tables_of_users(url)
    }
    assert [rows(url, counted(table, other.id)) for table in sorted(tables_of_users(url))] == others
    assert (0,) not in [row for (row,) in others]


def test_delete_account_ends_its_api_keys_at_once(user: User, anonymous: Client) -> None:
    key = user.client.post("/api/v1/me/keys", {"name": "Soon gone", "scopes": ["tasks:read"]}).json()["key"]
    assert anonymous.signed_in(key).get(TASKS).status == 200
    assert user.client.post(f"{ACCOUNT}/deletion", {"password": PASSWORD}).status == 204
    assert anonymous.signed_in(key).get(TASKS).status == 401


def counted(table: str, user_id: str) -> str:
    return f"SELECT count(*) FROM {table} WHERE {'id' if table == 'users' else 'user_id'} = '{user_id}'"


ID = "01932c07-9f7a-7c1d-b6a1-5a2f0f5d1c3e"


def test_delete_account_ends_sessions_and_frees_the_address(user: User, anonymous: Client) -> None:
    assert user.client.post(f"{ACCOUNT}/deletion", {"password": PASSWORD}).status == 204
    assert not refreshes(user, user.tokens)
    assert sign_in(user, user.email, PASSWORD).code == "invalid_credentials"
    again = anonymous.post("/api/v1/auth/register", {"email": user.email, "password": PASSWORD})
    assert (again.status, again.json()["id"] != user.id) == (201, True)
    assert user.client.get(TASKS).status == 401


def test_delete_account_without_password_is_refused(user: User) -> None:
    reply = user.client.post(f"{ACCOUNT}/deletion", {})
    assert (reply.status, reply.code) == (400, "validation_failed")
    assert [(e["pointer"], e["code"]) for e in reply.json()["errors"]] == [("/password", "required")]
    assert user.client.get(ACCOUNT).status == 200


def test_delete_account_of_external_user_with_fresh_token_leaves_nothing_and_lets_them_back(
    external: Callable[..., Client], url: str
) -> None:
    client = external("leaver", sid="a-session-of-theirs")
    client.post(TASKS, {"title": "Soon gone"})
    assert client.post(f"{ACCOUNT}/deletion", {}).status == 204
    assert {rows(url, counted(table, "leaver"))[0] for table in tables_of_users(url)} == {(0,)}
    assert client.get(TASKS).json() == {"items": [], "total": 0, "next_cursor": None, "as_of": None, "time_zone": None}
    assert client.get(f"{TASKS}/{ID}").code == "not_found"
    assert client.post(TASKS, {"title": "Back again"}).status == 201


def test_delete_account_of_external_user_with_old_token_is_refused(external: Callable[..., Client], url: str) -> None:
    client = external("stayer", ago=301)
    client.post(TASKS, {"title": "Stays"})
    reply = client.post(f"{ACCOUNT}/deletion", {"password": PASSWORD})
    assert reply.status == 401
    assert reply.json() == {
        "type": "/problems/fresh_token_required",
        "title": "Fresh token required",
        "status": 401,
        "detail": "This operation needs a token that was issued in the last 5 minutes.",
        "code": "fresh_token_required",
        "request_id": reply.headers["x-request-id"],
    }
    assert reply.headers["www-authenticate"] == (
        'Bearer realm="task-api", error="insufficient_user_authentication",'
        ' error_description="This operation needs a token that was issued in the last 5 minutes."'
    )
    assert client.get(TASKS).json()["total"] == 1
    assert external("stayer", ago=290).post(f"{ACCOUNT}/deletion", {}).status == 204


WRITES = {
    "updateAccount": ("PATCH", ACCOUNT),
    "changeEmail": ("POST", f"{ACCOUNT}/email"),
    "changePassword": ("POST", f"{ACCOUNT}/password"),
    "deleteAccount": ("POST", f"{ACCOUNT}/deletion"),
}


@pytest.mark.parametrize(("method", "address"), WRITES.values(), ids=WRITES)
@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [(b" " * 65_537, "application/json", 413), (b"{}", "text/plain", 415), (b"{", "application/json", 400)],
)
def test_account_write_with_unusable_body_is_refused(
    ada: Client, method: str, address: str, content: bytes, kind: str, status: int
) -> None:
    assert ada.request(method, address, content=content, headers={"Content-Type": kind}).status == status


@pytest.mark.parametrize(
    ("method", "address"), [*WRITES.values(), ("GET", f"{ACCOUNT}/export")], ids=[*WRITES, "exportAccount"]
)
def test_account_operation_with_unknown_query_parameter_is_refused(ada: Client, method: str, address: str) -> None:
    reply = ada.request(method, f"{address}?debug=true", json_body=None if method == "GET" else {})
    told = [(error["location"], error["pointer"], error["code"]) for error in reply.json()["errors"]]
    assert (reply.status, ("query", "/debug", "unknown") in told) == (400, True)
