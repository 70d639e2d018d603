"""A real Better Auth server from npm issues the tokens. tests/support/missing.py leaves this out where it is not installed, and says so."""

import json
import secrets
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.support.better_auth import better_auth
from tests.support.client import Client
from tests.support.contract_check import ContractCheck
from tests.support.issuers import serving
from todo_api.config import Config

TASKS = "/api/v1/me/tasks"


class BetterAuth:
    """The server, and one user of it."""

    def __init__(self, origin: str) -> None:
        self.origin = origin
        user = {"email": f"{secrets.token_hex(6)}@example.com", "password": "correct horse battery", "name": "Ada"}
        signed_up, headers = self._call("POST", "/api/auth/sign-up/email", user)
        self.user_id: str = signed_up["user"]["id"]
        self.session_tokens: list[str] = [signed_up["token"], headers["set-auth-token"]]

    def token(self) -> str:
        """A JWT for the user."""
        token: str = self._call("GET", "/api/auth/token", signed_in=True)[0]["token"]
        return token

    def token_on_the_server(self, *, signed_in: bool = True) -> str | None:
        """Return the JWT that code on the server of the application gets for the request of the user."""
        token: str | None = self._call("GET", "/on-server", signed_in=signed_in)[0]["token"]
        return token

    def rotate(self) -> None:
        """Ends the present key: the next token is signed with a new one."""
        self._call("PUT", "/rotate")

    def _call(self, method: str, path: str, body: Any = None, *, signed_in: bool = False) -> tuple[Any, Any]:
        headers = {"Content-Type": "application/json"}
        if signed_in:
            headers["Authorization"] = f"Bearer {self.session_tokens[1]}"
        content = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.origin + path, content, headers, method=method)  # noqa: S310  # our own server
        with urllib.request.urlopen(request, timeout=20) as reply:  # noqa: S310  # our own server
            text = reply.read()
            return json.loads(text) if text else None, reply.headers


@pytest.fixture(scope="module")
def origin() -> Iterator[str]:
    """Where the server listens."""
    with better_auth() as origin:
        yield origin


@pytest.fixture(scope="module")
def anonymous(url: str, origin: str, check: ContractCheck) -> Iterator[Client]:
    """A service that takes that server's tokens, set up as docs/issuers.md says."""
    config = Config(
        database_url=url,
        jwt_issuer=origin,
        jwt_jwks_url=f"{origin}/api/auth/jwks",
        jwt_audience=(origin,),
        jwt_keys_cooldown=1,
    )
    with serving(config, check) as client:
        yield client


@pytest.fixture
def new_user(anonymous: Client, origin: str) -> Callable[[], Client]:
    return lambda: anonymous.signed_in(BetterAuth(origin).token())


@pytest.fixture
def issuer(origin: str) -> BetterAuth:
    return BetterAuth(origin)


def test_create_task_with_its_token_is_the_users(anonymous: Client, issuer: BetterAuth) -> None:
    reply = anonymous.signed_in(issuer.token()).post(TASKS, {"title": "Buy milk"})
    assert (reply.status, reply.json()["user_id"]) == (201, issuer.user_id)


def test_create_task_with_the_token_that_the_server_of_the_application_gets_is_the_users(
    anonymous: Client, issuer: BetterAuth
) -> None:
    """As docs/front-ends.md has it for Next.js: `auth.api.getToken` with the headers of the request."""
    reply = anonymous.signed_in(issuer.token_on_the_server()).post(TASKS, {"title": "Buy milk"})
    assert (reply.status, reply.json()["user_id"]) == (201, issuer.user_id)
    assert issuer.token_on_the_server(signed_in=False) is None


def test_get_account_with_its_token_has_no_email(anonymous: Client, issuer: BetterAuth) -> None:
    account = anonymous.signed_in(issuer.token()).get("/api/v1/me/account").json()
    assert (account["id"], account["email"], account["name"]) == (issuer.user_id, None, None)


def test_list_tasks_after_rotation_takes_old_and_new_tokens(anonymous: Client, issuer: BetterAuth) -> None:
    for _ in range(3):
        old = issuer.token()
        assert anonymous.signed_in(old).get(TASKS).status == 200
        issuer.rotate()
        new = issuer.token()
        assert [anonymous.signed_in(token).get(TASKS).status for token in (new, old)] == [200, 200]


def test_list_tasks_by_many_at_once_after_rotation_takes_every_token(anonymous: Client, origin: str) -> None:
    """Each of the first to ask after a rotation may be given a key of their own: kids that nobody has seen come in bursts."""
    users = [BetterAuth(origin) for _ in range(6)]
    users[0].rotate()
    with ThreadPoolExecutor(len(users)) as pool:
        tokens = list(pool.map(BetterAuth.token, users))
        replies = pool.map(lambda token: anonymous.signed_in(token).get(TASKS), tokens)
        assert [reply.status for reply in replies] == [200] * len(users)


def test_list_tasks_with_session_token_is_unauthorized(anonymous: Client, issuer: BetterAuth) -> None:
    assert [anonymous.signed_in(token).get(TASKS).status for token in issuer.session_tokens] == [401, 401]


def test_list_tasks_of_two_users_holds_each_ones_own(new_user: Callable[[], Client]) -> None:
    ada, bob = new_user(), new_user()
    ada.post(TASKS, {"title": "Ada's"})
    assert (ada.get(TASKS).json()["total"], bob.get(TASKS).json()["total"]) == (1, 0)
