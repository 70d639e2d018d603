"""A password that is set anew with a one-time token: once, within an hour, and only while the account is as it was."""

from base64 import urlsafe_b64decode
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from typing import Any

import pytest

from tests.support.client import Client, Reply
from tests.support.credentials import PASSWORD, SECRET
from tests.support.discretion import RUN
from tests.support.on_loop import on_loop
from tests.support.rows import rows
from tests.support.settings import behind_a_proxy
from tests.support.users import User
from todo_api.accounts import one_time_tokens, recovery_statements
from todo_api.accounts.administration import Administration
from todo_api.accounts.one_time_tokens import Purpose
from todo_api.config import Config
from todo_api.database import Database
from todo_api.errors import InvalidOneTimeToken

RESET = "/api/v1/auth/password-reset"
TOKEN = "/api/v1/auth/token"
ACCOUNT = "/api/v1/me/account"
KEYS = "/api/v1/me/keys"
NEW = "a ship in port is safe"
UNKNOWN = "tdo_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE"


@pytest.fixture(scope="module")
def issue(url: str) -> Callable[[str], str]:
    """Issues a token as an operator does."""
    database = Database(url, pool_size=1)

    @on_loop
    def act(name: str) -> str:
        administration = Administration(database)
        user = administration.show(name)
        assert user is not None
        token = administration.issue_reset_token(user)
        assert token is not None
        RUN.secret("token", token)
        return token

    return act


def reset(client: Client, token: str, password: str = NEW, **more: Any) -> Reply:
    return client.signed_in(None).post(RESET, {"token": token, "new_password": password} | more)


def sign_in(client: Client, email: str, password: str) -> Reply:
    return client.signed_in(None).post(TOKEN, {"email": email, "password": password})


def assert_invalid(reply: Reply) -> None:
    assert (reply.status, reply.code) == (400, "invalid_one_time_token")


def test_reset_password_sets_it_and_ends_every_session(user: User, issue: Callable[[str], str]) -> None:
    sign_in(user.client, user.email, PASSWORD)
    before = user.client.get(ACCOUNT).json()["version"]
    reply = reset(user.client, issue(user.email))
    assert (reply.status, reply.json()) == (200, {"api_keys": 0, "revoked_keys": 0})
    assert reply.headers["cache-control"] == "no-store"
    assert sign_in(user.client, user.email, PASSWORD).code == "invalid_credentials"
    refreshed = user.client.signed_in(None).post(
        "/api/v1/auth/refresh", {"refresh_token": user.tokens["refresh_token"]}
    )
    assert refreshed.code == "invalid_refresh_token"
    assert user.client.post(KEYS, {"name": "Late", "scopes": ["account"]}).status == 401
    assert sign_in(user.client, user.email, NEW).status == 200
    assert user.client.get(ACCOUNT).json()["version"] > before


def test_reset_password_leaves_keys_or_revokes_them(user: User, issue: Callable[[str], str]) -> None:
    keys = [user.client.post(KEYS, {"name": "Mine", "scopes": ["account"]}).json()["key"] for _ in range(2)]
    assert reset(user.client, issue(user.email)).json() == {"api_keys": 2, "revoked_keys": 0}
    assert user.client.signed_in(keys[0]).get(ACCOUNT).status == 200
    reply = reset(user.client, issue(user.email), revoke_keys=True)
    assert reply.json() == {"api_keys": 0, "revoked_keys": 2}
    assert {user.client.signed_in(key).get(ACCOUNT).status for key in keys} == {401}
    assert reset(user.client, issue(user.email)).json() == {"api_keys": 0, "revoked_keys": 0}


def test_reset_password_with_a_used_token_is_refused(user: User, issue: Callable[[str], str]) -> None:
    token = issue(user.email)
    assert reset(user.client, token).status == 200
    assert_invalid(reset(user.client, token, PASSWORD))
    assert sign_in(user.client, user.email, NEW).status == 200


def test_reset_password_ends_the_other_tokens_of_the_account(user: User, url: str, issue: Callable[[str], str]) -> None:
    tokens = [issue(user.email), issue(user.id)]
    assert reset(user.client, tokens[1]).status == 200
    assert_invalid(reset(user.client, tokens[0], PASSWORD))
    assert rows(url, f"SELECT 1 FROM one_time_tokens WHERE user_id = '{user.id}'") == []


def test_reset_password_at_once_with_one_token_is_done_once(user: User, issue: Callable[[str], str]) -> None:
    token = issue(user.email)
    passwords = [f"{NEW} {number}" for number in range(6)]
    with ThreadPoolExecutor(6) as pool:
        replies = [*pool.map(lambda password: reset(user.client, token, password), passwords)]
    assert sorted(reply.status for reply in replies) == [200] + [400] * 5
    won = [reply.status for reply in replies].index(200)
    assert [sign_in(user.client, user.email, password).status == 200 for password in passwords] == [
        number == won for number in range(6)
    ]


def test_reset_password_at_once_with_two_tokens_is_done_once(user: User, issue: Callable[[str], str]) -> None:
    tokens = [issue(user.email) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        replies = [*pool.map(lambda token: reset(user.client, token), tokens)]
    assert sorted(reply.status for reply in replies) == [200, 400, 400, 400]


def test_reset_password_after_an_hour_is_refused_and_the_token_is_purged(
    user: User, url: str, issue: Callable[[str], str]
) -> None:
    token = issue(user.email)
    mine = f"user_id = '{user.id}'"
    ((lifetime,),) = rows(
        url, f"SELECT extract(epoch FROM expires_at - created_at)::int FROM one_time_tokens WHERE {mine}"
    )
    assert lifetime == recovery_statements.LIFETIME == 3600
    hour = "interval '1 hour'"
    rows(
        url,
        f"UPDATE one_time_tokens SET created_at = created_at - {hour}, expires_at = expires_at - {hour} WHERE {mine}",
    )
    assert_invalid(reset(user.client, token))
    database = Database(url, pool_size=1)
    assert on_loop(one_time_tokens.purge)(database) == 1
    assert rows(url, f"SELECT 1 FROM one_time_tokens WHERE {mine}") == []
    database.close()


def test_reset_password_after_a_change_of_the_password_is_refused(user: User, issue: Callable[[str], str]) -> None:
    token = issue(user.email)
    changed = {"current_password": PASSWORD, "new_password": "another good password"}
    assert user.client.post(f"{ACCOUNT}/password", changed).status == 200
    assert_invalid(reset(user.client, token))
    assert sign_in(user.client, user.email, "another good password").status == 200


def test_reset_password_after_a_change_of_the_email_is_refused(user: User, issue: Callable[[str], str]) -> None:
    token = issue(user.email)
    changed = {"password": PASSWORD, "email": f"new-{user.email}"}
    assert user.client.post(f"{ACCOUNT}/email", changed).status == 200
    assert_invalid(reset(user.client, token))
    assert sign_in(user.client, f"new-{user.email}", PASSWORD).status == 200


def test_reset_password_of_a_deleted_account_is_refused(user: User, url: str, issue: Callable[[str], str]) -> None:
    token = issue(user.email)
    assert user.client.post(f"{ACCOUNT}/deletion", {"password": PASSWORD}).status == 204
    assert_invalid(reset(user.client, token))
    assert rows(url, f"SELECT 1 FROM one_time_tokens WHERE user_id = '{user.id}'") == []


def test_reset_password_with_an_unknown_token_or_one_for_another_purpose_is_refused(user: User, url: str) -> None:
    assert_invalid(reset(user.client, UNKNOWN))
    database = Database(url, pool_size=1)
    token = on_loop(one_time_tokens.issue)(database, user.id, user.email, Purpose.VERIFY)
    assert token is not None
    RUN.secret("token", token)
    assert_invalid(reset(user.client, token))
    left = f"SELECT purpose FROM one_time_tokens WHERE user_id = '{user.id}'"
    assert rows(url, left) == [("verify",)], "what was refused leaves it as it was"
    database.close()


@pytest.mark.parametrize("change", ["purpose = 'verify'", "expires_at = now(), created_at = now() - interval '1 hour'"])
def test_reset_password_with_a_token_that_changes_after_it_is_found_is_refused(
    user: User, url: str, issue: Callable[[str], str], change: str
) -> None:
    """The look-up refuses it, and so does the statement that uses it, each by itself."""
    token = issue(user.email)
    database = Database(url, pool_size=1)
    found = on_loop(one_time_tokens.find)(database, token, Purpose.RESET)
    assert found.user_id == user.id
    rows(url, f"UPDATE one_time_tokens SET {change} WHERE user_id = '{user.id}'")
    with pytest.raises(InvalidOneTimeToken):
        on_loop(one_time_tokens.find)(database, token, Purpose.RESET)
    use = on_loop(
        lambda: database.as_user(user.id).fetch_one(
            recovery_statements.RESET_PASSWORD, {**found._asdict(), "password_hash": "x"}
        )
    )
    assert use() is None
    database.close()
    assert sign_in(user.client, user.email, PASSWORD).status == 200


def test_reset_password_to_a_common_one_is_refused_and_leaves_the_token(
    user: User, issue: Callable[[str], str]
) -> None:
    token = issue(user.email)
    reply = reset(user.client, token, "passwordpassword")
    assert (reply.status, reply.json()["errors"][0]["pointer"]) == (400, "/new_password")
    assert reset(user.client, token).status == 200


def test_reset_password_sent_again_with_its_key_is_answered_the_same(user: User, issue: Callable[[str], str]) -> None:
    token = issue(user.email)
    headers = {"Idempotency-Key": f"reset-{user.id}"}
    body = {"token": token, "new_password": NEW}
    replies = [user.client.signed_in(None).post(RESET, body, headers=headers) for _ in range(2)]
    assert [reply.status for reply in replies] == [200, 200]
    assert replies[1].headers["idempotency-replayed"] == "true"
    assert_invalid(reset(user.client, token))


def test_reset_password_token_is_kept_as_its_digest_alone(user: User, url: str, issue: Callable[[str], str]) -> None:
    token = issue(user.email)
    ((row, digest),) = rows(url, f"SELECT to_jsonb(t)::text, digest FROM one_time_tokens t WHERE user_id = '{user.id}'")
    assert token.startswith("tdo_")
    assert token.removeprefix("tdo_") not in row
    assert digest == sha256(token.encode()).hexdigest()


def test_reset_password_tokens_have_256_random_bits(user: User, issue: Callable[[str], str]) -> None:
    """In 64 tokens every one of 32 bytes takes many values: with chance alone, fewer than 30 come in no lifetime."""
    secrets = [urlsafe_b64decode(issue(user.id).removeprefix("tdo_") + "=") for _ in range(64)]
    assert {len(secret) for secret in secrets} == {32}
    assert min(len({secret[place] for secret in secrets}) for place in range(32)) > 30


def test_reset_password_with_wrong_tokens_from_one_address_is_held_off(
    url: str, new_client: Callable[[Config], Client]
) -> None:
    service = new_client(behind_a_proxy(url))
    body = {"token": UNKNOWN, "new_password": NEW}
    statuses = [service.post(RESET, body, headers={"X-Forwarded-For": "192.0.2.77"}).status for _ in range(21)]
    assert statuses == [400] * 20 + [429]
    assert service.post(RESET, body, headers={"X-Forwarded-For": "192.0.2.78"}).status == 400


def test_reset_password_with_an_external_issuer_is_refused(url: str, new_client: Callable[[Config], Client]) -> None:
    service = new_client(
        Config(database_url=url, jwt_secret=SECRET, jwt_issuer="https://issuer.example", jwt_audience=("tasks",))
    )
    reply = service.post(RESET, {"token": UNKNOWN, "new_password": NEW})
    assert (reply.status, reply.code) == (404, "accounts_disabled")
