"""Replies that are kept before a user is known, and of operations on credentials: good only while what they gave is."""

import secrets
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.client import Client, Reply
from tests.support.credentials import PASSWORD, SECRET
from tests.support.rows import rows
from tests.support.users import User
from todo_api.config import Config
from todo_api.throttling.login_throttle import ACCOUNT_BACKOFF

ACCOUNT = "/api/v1/me/account"
KEYS = "/api/v1/me/keys"
AUTH = "/api/v1/auth"
OTHER = "another good password"
HOME = "192.0.2.7"


def is_replay(reply: Reply) -> bool:
    return reply.headers.get("idempotency-replayed") == "true"


def keyed() -> dict[str, str]:
    return {"Idempotency-Key": secrets.token_hex(16)}


class SignIn:
    """A sign-in with a key, which can be sent again."""

    def __init__(self, user: User, password: str = PASSWORD) -> None:
        self._client, self._headers = user.client.signed_in(None), keyed()
        self._body = {"email": user.email, "password": password}
        self.tokens = self.send().json()
        assert is_replay(self.send())
        self.client = user.client.signed_in(self.tokens["access_token"])

    def send(self) -> Reply:
        return self._client.post(f"{AUTH}/token", self._body, headers=self._headers)

    def refresh(self, headers: dict[str, str] | None = None) -> Reply:
        body = {"refresh_token": self.tokens["refresh_token"]}
        return self._client.post(f"{AUTH}/refresh", body, headers=headers or {})

    def sign_out(self, headers: dict[str, str] | None = None, **more: Any) -> Reply:
        body = {"refresh_token": self.tokens["refresh_token"], **more}
        return self._client.post(f"{AUTH}/sign-out", body, headers=headers or {})


pytestmark = pytest.mark.usefixtures("clock")


@pytest.fixture
def kept(user: User) -> SignIn:
    return SignIn(user)


def changed(client: Client, **more: Any) -> None:
    body = {"current_password": PASSWORD, "new_password": OTHER, **more}
    assert client.post(f"{ACCOUNT}/password", body).status == 200


ENDS: dict[str, tuple[Callable[[User, SignIn], object], int]] = {
    "changePassword": (lambda user, _: changed(user.client), 401),
    "changePassword-by-this-session": (lambda _, kept: changed(kept.client), 401),
    "deleteAccount": (lambda user, _: user.client.post(f"{ACCOUNT}/deletion", {"password": PASSWORD}), 401),
    "changeEmail": (
        lambda user, _: user.client.post(f"{ACCOUNT}/email", {"password": PASSWORD, "email": f"new-{user.email}"}),
        401,
    ),
    "signOut": (lambda _, kept: kept.sign_out(), 200),
    "signOut-everywhere": (lambda _, kept: kept.sign_out(everywhere=True), 200),
    "refreshToken": (lambda _, kept: kept.refresh(), 200),
    "refreshToken-twice": (lambda _, kept: (kept.refresh(), kept.refresh()), 200),
}


@pytest.mark.parametrize(("end", "status"), ENDS.values(), ids=ENDS)
def test_issue_token_sent_again_after_its_password_or_session_changed_acts_anew(
    user: User, kept: SignIn, end: Callable[[User, SignIn], object], status: int
) -> None:
    end(user, kept)
    again = kept.send()
    assert (again.status, is_replay(again)) == (status, False)
    if status == 200:
        assert again.json()["refresh_token"] != kept.tokens["refresh_token"]
        assert is_replay(kept.send())  # the new one is kept in its place
    else:
        assert again.code == "invalid_credentials"


def test_issue_token_sent_again_after_the_session_expired_acts_anew(user: User, kept: SignIn, url: str) -> None:
    rows(
        url,
        f"UPDATE sessions SET created_at = created_at - interval '90 days', refreshed_at = refreshed_at -"
        f" interval '90 days', expires_at = now() - interval '1 second' WHERE user_id = '{user.id}'",
    )
    assert not is_replay(kept.send())


def test_issue_token_sent_again_by_another_account_of_the_same_address_is_not_answered_with_the_old_one(
    user: User, kept: SignIn
) -> None:
    assert user.client.post(f"{ACCOUNT}/deletion", {"password": PASSWORD}).status == 204
    body = {"email": user.email, "password": PASSWORD}
    assert user.client.signed_in(None).post(f"{AUTH}/register", body).status == 201
    again = kept.send()
    assert (again.status, is_replay(again)) == (200, False)


@pytest.mark.parametrize("everywhere", [True, False])
def test_refresh_token_sent_again_after_its_session_ended_is_refused(kept: SignIn, everywhere: bool) -> None:
    headers = keyed()
    renewed = kept.refresh(headers)
    assert is_replay(kept.refresh(headers))
    body = {"refresh_token": renewed.json()["refresh_token"], "everywhere": everywhere}
    assert kept.client.signed_in(None).post(f"{AUTH}/sign-out", body).status == 204
    assert kept.send().status == 200  # another session brings none back
    again = kept.refresh(headers)
    assert (again.status, again.code) == (401, "invalid_refresh_token")


def test_refresh_token_sent_again_after_the_password_changed_elsewhere_is_refused(user: User, kept: SignIn) -> None:
    headers = keyed()
    kept.refresh(headers)
    changed(user.client)
    assert kept.refresh(headers).code == "invalid_refresh_token"


def test_register_account_sent_again_after_the_account_is_gone_registers_anew(anonymous: Client) -> None:
    body = {"email": f"{secrets.token_hex(6)}@example.com", "password": PASSWORD}
    headers = keyed()
    first, again = (anonymous.post(f"{AUTH}/register", body, headers=headers) for _ in range(2))
    assert (first.json(), is_replay(again)) == (again.json(), True)
    token = anonymous.post(f"{AUTH}/token", body).json()["access_token"]
    assert anonymous.signed_in(token).post(f"{ACCOUNT}/deletion", {"password": PASSWORD}).status == 204
    anew = anonymous.post(f"{AUTH}/register", body, headers=headers)
    assert (anew.status, is_replay(anew), anew.json()["id"] != first.json()["id"]) == (201, False, True)


def test_sign_out_that_found_nothing_is_not_kept(kept: SignIn, url: str) -> None:
    count = "SELECT count(*) FROM anonymous_replies"
    assert kept.sign_out().status == 204
    before = rows(url, count)
    for everywhere in (False, True):
        headers = keyed()
        replies = [kept.sign_out(headers, everywhere=everywhere) for _ in range(2)]
        assert [(reply.status, is_replay(reply)) for reply in replies] == [(204, False)] * 2
    assert rows(url, count) == before


def test_sign_out_that_found_a_session_is_kept(kept: SignIn) -> None:
    headers = keyed()
    assert [is_replay(kept.sign_out(headers)) for _ in range(2)] == [False, True]


CREDENTIALS: dict[str, tuple[str, dict[str, Any]]] = {
    "createApiKey": (KEYS, {"name": "Kept", "scopes": ["tasks:read"]}),
    "changeEmail": (f"{ACCOUNT}/email", {"password": PASSWORD}),
    "changePassword": (f"{ACCOUNT}/password", {"current_password": PASSWORD, "new_password": OTHER}),
}


@pytest.mark.parametrize("name", CREDENTIALS)
def test_operation_on_credentials_sent_again_after_its_session_ended_is_refused(kept: SignIn, name: str) -> None:
    path, body = CREDENTIALS[name]
    body = body | ({"email": f"{secrets.token_hex(6)}@example.com"} if name == "changeEmail" else {})
    headers = keyed()
    first, again = (kept.client.post(path, body, headers=headers) for _ in range(2))
    assert (200 <= first.status < 300, is_replay(again)) == (True, True)
    kept.sign_out()
    refused = kept.client.post(path, body, headers=headers)
    assert (refused.status, refused.code) == (401, "unauthorized")


@pytest.fixture(scope="module")
def guarded(url: str, new_client: Callable[[Config], Client]) -> Client:
    """A service behind a proxy, with the usual limits of attempts."""
    limits: dict[str, Any] = {"rate_limit": "1000000/minute", "trusted_proxies": ("127.0.0.1",)}
    return new_client(Config(database_url=url, jwt_secret=SECRET, queue_limit=60_000, **limits))


def test_issue_token_replayed_neither_takes_failures_back_nor_makes_an_address_familiar(
    guarded: Client, user: User
) -> None:
    body = {"email": user.email, "password": PASSWORD}

    def sign_in(address: str, password: str = PASSWORD, **more: str) -> Reply:
        headers = {"X-Forwarded-For": address, **more}
        return guarded.post(f"{AUTH}/token", body | {"password": password}, headers=headers)

    key = keyed()
    assert sign_in(HOME, **key).status == 200
    for number in range(ACCOUNT_BACKOFF.free - 1):
        assert sign_in(f"198.51.100.{number}", OTHER).status == 401
        assert is_replay(sign_in("203.0.113.1", **key))
    assert sign_in("198.51.100.100", OTHER).status == 401
    assert sign_in("198.51.100.101", OTHER).status == 429  # as many failures as there were: no replay took one back
    assert sign_in("203.0.113.1", **key).status == 429  # nor did it make that address one of the owner's
    assert is_replay(sign_in(HOME, **key))
