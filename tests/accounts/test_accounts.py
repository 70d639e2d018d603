"""Accounts of the service's own issuer: registration, tokens, and what a user may see of theirs."""

import time
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from argon2 import PasswordHasher

from tests.support.client import Client, Reply
from tests.support.credentials import PASSWORD, SECRET
from tests.support.rows import counts, rows
from todo_api.accounts import passwords

REGISTER = "/api/v1/auth/register"
TOKEN = "/api/v1/auth/token"


@pytest.fixture
def email(request: pytest.FixtureRequest) -> str:
    """An e-mail address for this test alone."""
    return f"user{abs(hash(request.node.nodeid))}@example.com"


def register(client: Client, email: str, password: str = PASSWORD, **more: Any) -> dict[str, Any]:
    reply = client.post(REGISTER, {"email": email, "password": password, **more})
    assert reply.status == 201, reply.body
    account: dict[str, Any] = reply.json()
    return account


def sign_in(client: Client, email: str, password: str = PASSWORD) -> Client:
    reply = client.post(TOKEN, {"email": email, "password": password})
    assert reply.status == 200, reply.body
    return client.signed_in(reply.json()["access_token"])


def test_register_account_with_name_gives_account(anonymous: Client, email: str) -> None:
    reply = anonymous.post(REGISTER, {"email": email, "password": PASSWORD, "name": "Ada Ω"})
    account = reply.json()
    assert reply.status == 201
    assert account == {
        "id": account["id"],
        "email": email,
        "name": "Ada Ω",
        "time_zone": "Etc/UTC",
        "week_start": "monday",
        "created_at": account["created_at"],
        "updated_at": account["created_at"],
        "version": 0,
    }
    assert (reply.headers["location"], reply.headers["cache-control"]) == ("/api/v1/me/account", "no-store")
    assert sign_in(anonymous, email).get("/api/v1/me/account").json() == account


def test_register_account_without_name_has_none(anonymous: Client, email: str) -> None:
    assert register(anonymous, email)["name"] is None


def test_register_account_with_capitals_keeps_lower_case(anonymous: Client, email: str) -> None:
    assert register(anonymous, email.upper())["email"] == email
    assert sign_in(anonymous, email.title()).get("/api/v1/me/account").json()["email"] == email


@pytest.mark.parametrize("change", [str, str.upper, str.title])
def test_register_account_with_taken_email_is_refused(
    anonymous: Client, url: str, email: str, change: Callable[[str], str]
) -> None:
    register(anonymous, email)
    before = counts(url)
    reply = anonymous.post(REGISTER, {"email": change(email), "password": "another good password"})
    assert reply.status == 409
    assert reply.json() == {
        "type": "/problems/email_taken",
        "title": "E-mail taken",
        "status": 409,
        "detail": "This e-mail address already has an account.",
        "code": "email_taken",
        "request_id": reply.headers["x-request-id"],
    }
    assert counts(url) == before
    assert sign_in(anonymous, email).get("/api/v1/me/account").status == 200


@pytest.mark.parametrize("password", ["123456789012", "1Q2W3E4R5T6Y", "1qaz2WSX3edc"])
def test_register_account_with_common_password_is_refused(
    anonymous: Client, url: str, email: str, password: str
) -> None:
    before = counts(url)
    reply = anonymous.post(REGISTER, {"email": email, "password": password})
    assert (reply.status, reply.code) == (400, "validation_failed")
    assert [(e["pointer"], e["code"]) for e in reply.json()["errors"]] == [("/password", "too_common")]
    assert counts(url) == before


@pytest.mark.parametrize(
    "password", ["Zk8vQ2xW7pLm", "p" * 120 + "assword!", "\U0001f511" * 12, "ключ от дома 1", "\U0001f511" * 128]
)
def test_register_account_with_password_within_bounds_signs_in(anonymous: Client, email: str, password: str) -> None:
    register(anonymous, email, password)
    assert sign_in(anonymous, email, password).get("/api/v1/me/account").status == 200


@pytest.mark.parametrize(
    ("password", "code"),
    [
        ("Zk8vQ2xW7pL", "too_short"),
        ("🔑" * 11, "too_short"),
        ("p" * 129, "too_long"),
        ("", "too_short"),
        ("Zk8vQ2xW7pLm\n", "pattern"),
        ("Zk8v\x00Q2xW7pLm", "pattern"),
        (123456789012, "wrong_type"),
        (None, "wrong_type"),
    ],
)
def test_register_account_with_password_out_of_bounds_is_refused(
    anonymous: Client, url: str, email: str, password: Any, code: str
) -> None:
    before = counts(url)
    reply = anonymous.post(REGISTER, {"email": email, "password": password})
    assert (reply.status, reply.code) == (400, "validation_failed")
    assert [(e["pointer"], e["code"]) for e in reply.json()["errors"]] == [("/password", code)]
    assert counts(url) == before


def test_register_account_with_password_in_other_normal_form_is_the_same(anonymous: Client, email: str) -> None:
    register(anonymous, email, "caf\u00e9 au lait, bitte")
    assert sign_in(anonymous, email, "cafe\u0301 au lait, bitte").get("/api/v1/me/account").status == 200


@pytest.mark.parametrize(
    "address",
    [
        "ada",
        "ada@",
        "@example.com",
        "ada@example",
        "ada @example.com",
        "ada@exa mple.com",
        "ada@example..com",
        "a@b@c.de",
        "ada@-example.com",
        "ada@example.com\n",
        "ädä@example.com",
        "ada@exämple.com",
        "a" * 65 + "@example.com",
        "ada@.com",
        "a@" + ".".join(["b" * 60] * 5) + ".example",
        "ada@example.com\x00",
        '"ada"@example.com',
        "ada@[127.0.0.1]",
        "",
        7,
    ],
)
def test_register_account_with_malformed_email_is_refused(anonymous: Client, url: str, address: Any) -> None:
    before = counts(url)
    reply = anonymous.post(REGISTER, {"email": address, "password": PASSWORD})
    assert (reply.status, reply.code) == (400, "validation_failed")
    assert {error["pointer"] for error in reply.json()["errors"]} == {"/email"}
    assert counts(url) == before


@pytest.mark.parametrize(
    "address", ["o'hara+tag@mail.example.co.uk", "x@a.io", "a" * 64 + "@example.com", "1.2@3.4.example"]
)
def test_register_account_with_unusual_email_takes_it(anonymous: Client, address: str) -> None:
    assert register(anonymous, address)["email"] == address


@pytest.mark.parametrize(
    ("body", "errors"),
    [
        ({}, [("/email", "required"), ("/password", "required")]),
        ({"email": "a@example.com", "password": PASSWORD, "admin": True}, [("/admin", "unknown")]),
        ({"email": "a@example.com", "password": PASSWORD, "name": ""}, [("/name", "pattern")]),
        ({"email": "a@example.com", "password": PASSWORD, "name": "n" * 201}, [("/name", "too_long")]),
        ({"email": "a@example.com", "password": PASSWORD, "id": "me"}, [("/id", "read_only")]),
    ],
)
def test_register_account_with_bad_members_is_refused(
    anonymous: Client, url: str, body: dict[str, Any], errors: list[tuple[str, str]]
) -> None:
    before = counts(url)
    reply = anonymous.post(REGISTER, body)
    told = {(error["pointer"], error["code"]) for error in reply.json()["errors"]}
    assert (reply.status, reply.code) == (400, "validation_failed")
    assert set(errors) <= told
    assert {pointer for pointer, _ in told} == {pointer for pointer, _ in errors}
    assert counts(url) == before


def test_register_account_stores_argon2id_and_no_password(anonymous: Client, url: str, email: str) -> None:
    register(anonymous, email)
    ((password_hash,),) = rows(url, f"SELECT password_hash FROM accounts WHERE email = '{email}'")
    passes, memory = passwords.COST  # the cheap one of this process; test_passwords.py has the real one
    assert password_hash.startswith(f"$argon2id$v=19$m={memory},t={passes},p=1$")


def test_issue_token_for_account_gives_token_that_opens_its_space(anonymous: Client, email: str) -> None:
    account = register(anonymous, email)
    reply = anonymous.post(TOKEN, {"email": email, "password": PASSWORD})
    access_token = reply.json()["access_token"]
    assert reply.status == 200
    assert reply.json() == {
        "access_token": access_token,
        "token_type": "Bearer",
        "expires_in": 900,
        "refresh_token": reply.json()["refresh_token"],
        "refresh_expires_in": 2592000,
    }
    assert reply.headers["cache-control"] == "no-store"
    assert anonymous.signed_in(access_token).get(f"/api/v1/{account['id']}/tasks").status == 200


def test_issue_token_for_account_has_the_claims_of_a_quarter_of_an_hour(anonymous: Client, email: str) -> None:
    account = register(anonymous, email)
    now = time.time()
    access_token = anonymous.post(TOKEN, {"email": email, "password": PASSWORD}).json()["access_token"]
    claims = jwt.decode(access_token, SECRET, algorithms=["HS256"], audience="task-api")
    iat = claims["iat"]
    assert claims == {
        "iss": "task-api",
        "aud": "task-api",
        "sub": account["id"],
        "iat": iat,
        "exp": iat + 900,
        "sid": claims["sid"],
    }
    assert now - 1 <= iat <= time.time()


def assert_refused(reply: Reply) -> None:
    assert reply.status == 401
    assert reply.json() == {
        "type": "/problems/invalid_credentials",
        "title": "Invalid credentials",
        "status": 401,
        "detail": "The e-mail address or the password is wrong.",
        "code": "invalid_credentials",
        "request_id": reply.headers["x-request-id"],
    }
    assert reply.headers["www-authenticate"] == 'Bearer realm="task-api"'
    assert reply.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("password", [PASSWORD + " ", PASSWORD.upper(), "Zk8vQ2xW7pLm"])
def test_issue_token_with_wrong_password_is_refused(anonymous: Client, email: str, password: str) -> None:
    register(anonymous, email)
    assert_refused(anonymous.post(TOKEN, {"email": email, "password": password}))


@pytest.mark.parametrize("password", [PASSWORD, "of an account that does not exist"])
def test_issue_token_for_unknown_address_is_refused(anonymous: Client, password: str) -> None:
    assert_refused(anonymous.post(TOKEN, {"email": "nobody@example.com", "password": password}))


def test_issue_token_for_unknown_address_takes_the_work_of_a_wrong_password(
    anonymous: Client, email: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It checks one hash, the decoy, at the same cost: without that, the time of the reply would tell who has an account."""
    register(anonymous, email)
    checked: list[tuple[str, int]] = []
    verify = PasswordHasher.verify

    def seen(hasher: PasswordHasher, password_hash: str, password: str) -> bool:
        parameters, _, digest = password_hash.rpartition("$")
        checked.append((parameters.rpartition("$")[0], len(digest)))
        return verify(hasher, password_hash, password)

    monkeypatch.setattr(PasswordHasher, "verify", seen)
    for address in (email, "nobody@example.com"):
        assert_refused(anonymous.post(TOKEN, {"email": address, "password": "not the password"}))
    known, unknown = checked
    assert known == unknown


@pytest.mark.parametrize(
    "body", [{"email": "ada@example.com"}, {"password": PASSWORD}, {"email": "ada", "password": PASSWORD}]
)
def test_issue_token_with_bad_members_is_refused(anonymous: Client, body: dict[str, str]) -> None:
    assert anonymous.post(TOKEN, body).code == "validation_failed"


def test_get_account_of_user_not_met_before_makes_a_row_once(url: str, ada: Client) -> None:
    first = ada.get("/api/v1/me/account")
    account = first.json()
    assert first.status == 200
    assert account == {
        "id": account["id"],
        "email": None,
        "name": None,
        "time_zone": "Etc/UTC",
        "week_start": "monday",
        "created_at": account["created_at"],
        "updated_at": account["created_at"],
        "version": 0,
    }
    assert first.headers["cache-control"] == "private, no-cache"
    assert ada.get(f"/api/v1/{account['id']}/account").json() == account
    assert rows(url, f"SELECT count(*) FROM users WHERE id = '{account['id']}'") == [(1,)]


def test_get_account_after_first_task_has_the_time_of_the_first_write(ada: Client) -> None:
    task = ada.post("/api/v1/me/tasks", {"title": "First"}).json()
    account = ada.get("/api/v1/me/account").json()
    assert (account["id"], account["email"]) == (task["user_id"], None)
    assert account["created_at"] <= task["created_at"]


def test_get_account_of_another_user_is_forbidden(anonymous: Client, email: str, ada: Client) -> None:
    account = register(anonymous, email)
    assert ada.get(f"/api/v1/{account['id']}/account").code == "forbidden"
