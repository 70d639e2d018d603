"""Sessions of the service's own accounts: refresh, rotation, reuse, sign-out, and how many and how long."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from hashlib import sha256
from typing import Any
from zlib import crc32

import jwt
import pytest

from tests.support.client import Client, Reply
from tests.support.credentials import PASSWORD, SECRET
from tests.support.on_loop import on_loop
from tests.support.rows import rows
from todo_api.accounts import session_statements, sessions
from todo_api.config import Config
from todo_api.database.database import Database

REGISTER = "/api/v1/auth/register"
TOKEN = "/api/v1/auth/token"
REFRESH = "/api/v1/auth/refresh"
SIGN_OUT = "/api/v1/auth/sign-out"
FORGED = f"tdr_{'A' * 86}"


@pytest.fixture
def email(request: pytest.FixtureRequest) -> str:
    """An e-mail address for this test alone."""
    return f"session{crc32(request.node.nodeid.encode())}@example.com"


@pytest.fixture
def user_id(anonymous: Client, email: str) -> str:
    """The id of a user with an account and no session."""
    reply = anonymous.post(REGISTER, {"email": email, "password": PASSWORD})
    assert reply.status == 201
    return str(reply.json()["id"])


@pytest.fixture
def sign_in(anonymous: Client, email: str, user_id: str) -> Callable[[], dict[str, Any]]:
    """Begins a session of that user and gives its tokens."""

    def begin() -> dict[str, Any]:
        reply = anonymous.post(TOKEN, {"email": email, "password": PASSWORD})
        assert reply.status == 200
        tokens: dict[str, Any] = reply.json()
        return tokens

    return begin


def refresh(client: Client, tokens: dict[str, Any]) -> Reply:
    return client.post(REFRESH, {"refresh_token": tokens["refresh_token"]})


def is_alive(client: Client, tokens: dict[str, Any]) -> bool:
    return refresh(client, tokens).status == 200


def assert_ended(reply: Reply) -> None:
    assert reply.status == 401
    assert reply.json() == {
        "type": "/problems/invalid_refresh_token",
        "title": "Invalid refresh token",
        "status": 401,
        "detail": "The session has ended. Sign in again.",
        "code": "invalid_refresh_token",
        "request_id": reply.headers["x-request-id"],
    }
    assert reply.headers["www-authenticate"] == 'Bearer realm="task-api"'
    assert reply.headers["cache-control"] == "no-store"


def test_refresh_token_gives_tokens_of_the_same_user_and_session(
    anonymous: Client, user_id: str, sign_in: Callable[[], dict[str, Any]]
) -> None:
    first = sign_in()
    reply = refresh(anonymous, first)
    second = reply.json()
    assert (reply.status, reply.headers["cache-control"]) == (200, "no-store")
    assert second == {
        "access_token": second["access_token"],
        "token_type": "Bearer",
        "expires_in": 900,
        "refresh_token": second["refresh_token"],
        "refresh_expires_in": 2592000,
    }
    assert second["refresh_token"] != first["refresh_token"]
    claims = [
        jwt.decode(tokens["access_token"], SECRET, algorithms=["HS256"], audience="task-api")
        for tokens in (first, second)
    ]
    assert [claim["sub"] for claim in claims] == [user_id, user_id]
    assert claims[0]["sid"] == claims[1]["sid"]
    assert anonymous.signed_in(second["access_token"]).get(f"/api/v1/{user_id}/tasks").status == 200


def test_refresh_token_many_times_goes_on(anonymous: Client, sign_in: Callable[[], dict[str, Any]]) -> None:
    tokens = sign_in()
    seen = {tokens["refresh_token"]}
    for _ in range(10):
        tokens = refresh(anonymous, tokens).json()
        seen.add(tokens["refresh_token"])
    assert len(seen) == 11


@pytest.mark.parametrize("age", [1, 2, 5])
def test_refresh_token_replayed_ends_its_session_and_no_other(
    anonymous: Client, url: str, user_id: str, sign_in: Callable[[], dict[str, Any]], age: int
) -> None:
    other, tokens = sign_in(), sign_in()
    history = [tokens]
    for _ in range(age):
        history.append(refresh(anonymous, history[-1]).json())
    assert_ended(refresh(anonymous, history[0]))
    assert_ended(refresh(anonymous, history[-1]))
    assert rows(url, f"SELECT count(*) FROM sessions WHERE user_id = '{user_id}'") == [(1,)]
    assert is_alive(anonymous, other)


def test_refresh_token_by_two_at_once_lets_one_through_and_ends_the_session(
    anonymous: Client, url: str, user_id: str, sign_in: Callable[[], dict[str, Any]]
) -> None:
    for _ in range(5):
        tokens = sign_in()
        with ThreadPoolExecutor(4) as pool:
            replies = [*pool.map(lambda _: refresh(anonymous, tokens), range(4))]  # noqa: B023  # ended within the loop
        (won,) = [reply.json() for reply in replies if reply.status == 200]
        assert [reply.code for reply in replies if reply.status != 200] == ["invalid_refresh_token"] * 3
        assert_ended(refresh(anonymous, won))
    assert rows(url, f"SELECT count(*) FROM sessions WHERE user_id = '{user_id}'") == [(0,)]


def test_refresh_token_never_issued_is_refused(anonymous: Client) -> None:
    assert_ended(anonymous.post(REFRESH, {"refresh_token": FORGED}))


def test_refresh_token_of_known_session_with_another_ending_ends_it(
    anonymous: Client, sign_in: Callable[[], dict[str, Any]]
) -> None:
    """Only who has had one of the session's tokens knows how they begin."""
    tokens = sign_in()
    guessed = {"refresh_token": tokens["refresh_token"][:47] + "A" * 43}
    assert_ended(refresh(anonymous, guessed))
    assert_ended(refresh(anonymous, tokens))


def test_refresh_token_that_begins_otherwise_ends_nothing(
    anonymous: Client, sign_in: Callable[[], dict[str, Any]]
) -> None:
    tokens = sign_in()
    assert_ended(refresh(anonymous, {"refresh_token": "tdr_" + "A" * 43 + tokens["refresh_token"][47:]}))
    assert is_alive(anonymous, tokens)


@pytest.mark.parametrize(
    ("body", "pointer", "code"),
    [
        ({}, "/refresh_token", "required"),
        ({"refresh_token": FORGED[:-1]}, "/refresh_token", "too_short"),
        ({"refresh_token": FORGED + "A"}, "/refresh_token", "too_long"),
        ({"refresh_token": "x" * 90}, "/refresh_token", "pattern"),
        ({"refresh_token": None}, "/refresh_token", "wrong_type"),
        ({"refresh_token": FORGED, "user_id": "me"}, "/user_id", "unknown"),
    ],
)
@pytest.mark.parametrize("address", [REFRESH, SIGN_OUT])
def test_refresh_token_and_sign_out_with_bad_members_are_refused(
    anonymous: Client, address: str, body: dict[str, Any], pointer: str, code: str
) -> None:
    reply = anonymous.post(address, body)
    assert (reply.status, reply.code) == (400, "validation_failed")
    assert (pointer, code) in [(error["pointer"], error["code"]) for error in reply.json()["errors"]]
    assert FORGED[:20].encode() not in reply.body


def test_refresh_token_of_expired_session_is_refused_and_removes_it(
    anonymous: Client, url: str, user_id: str, sign_in: Callable[[], dict[str, Any]]
) -> None:
    tokens = sign_in()
    age(url, user_id, "31 days")
    assert_ended(refresh(anonymous, tokens))
    assert rows(url, f"SELECT count(*) FROM sessions WHERE user_id = '{user_id}'") == [(0,)]


def test_refresh_token_begins_the_lifetime_anew(
    anonymous: Client, url: str, user_id: str, sign_in: Callable[[], dict[str, Any]]
) -> None:
    tokens = sign_in()
    for _ in range(2):
        age(url, user_id, "29 days")
        tokens = refresh(anonymous, tokens).json()
    left = rows(url, f"SELECT expires_at - refreshed_at FROM sessions WHERE user_id = '{user_id}'")
    assert [one.days for (one,) in left] == [30]


def test_refresh_token_with_other_lifetime_says_and_keeps_it(
    url: str, new_client: Callable[[Config], Client], email: str, user_id: str
) -> None:
    client = new_client(Config(database_url=url, jwt_secret=SECRET, session_lifetime=60, jwt_lifetime=30))
    tokens = client.post(TOKEN, {"email": email, "password": PASSWORD}).json()
    for _ in range(2):
        assert (tokens["expires_in"], tokens["refresh_expires_in"]) == (30, 60)
        ((left,),) = rows(url, f"SELECT expires_at - refreshed_at FROM sessions WHERE user_id = '{user_id}'")
        assert left.total_seconds() == 60
        tokens = refresh(client, tokens).json()


def age(url: str, user_id: str, by: str) -> None:
    """Makes every session of the user that much older."""
    rows(
        url,
        f"UPDATE sessions SET created_at = created_at - interval '{by}', refreshed_at = refreshed_at - interval '{by}',"
        f" expires_at = expires_at - interval '{by}' WHERE user_id = '{user_id}'",
    )


def test_issue_token_stores_no_refresh_token_but_its_digests(
    url: str, user_id: str, sign_in: Callable[[], dict[str, Any]]
) -> None:
    token = sign_in()["refresh_token"]
    ((stored, family, digest),) = rows(
        url, f"SELECT sessions::text, family, digest FROM sessions WHERE user_id = '{user_id}'"
    )
    assert (token[4:47] in stored, token[47:] in stored) == (False, False)
    assert (family, digest) == tuple(sha256(part.encode()).hexdigest() for part in (token[:47], token))


def test_issue_token_more_often_than_there_may_be_sessions_ends_that_idle_longest(
    anonymous: Client, url: str, user_id: str, sign_in: Callable[[], dict[str, Any]]
) -> None:
    oldest = sign_in()
    idle = sign_in()
    oldest = refresh(anonymous, oldest).json()
    for _ in range(session_statements.MOST - 2):
        sign_in()
    assert rows(url, f"SELECT count(*) FROM sessions WHERE user_id = '{user_id}'") == [(session_statements.MOST,)]
    sign_in()
    assert rows(url, f"SELECT count(*) FROM sessions WHERE user_id = '{user_id}'") == [(session_statements.MOST,)]
    assert is_alive(anonymous, oldest)
    assert not is_alive(anonymous, idle)


def test_issue_token_removes_the_users_expired_sessions(
    url: str, user_id: str, sign_in: Callable[[], dict[str, Any]]
) -> None:
    sign_in()
    age(url, user_id, "31 days")
    sign_in()
    assert rows(url, f"SELECT count(*) FROM sessions WHERE user_id = '{user_id}'") == [(1,)]


def test_sign_out_ends_this_session_alone(anonymous: Client, sign_in: Callable[[], dict[str, Any]]) -> None:
    this, other = sign_in(), sign_in()
    reply = anonymous.post(SIGN_OUT, {"refresh_token": this["refresh_token"]})
    assert (reply.status, reply.body, reply.headers["cache-control"]) == (204, b"", "no-store")
    assert not is_alive(anonymous, this)
    assert is_alive(anonymous, other)


def test_sign_out_everywhere_ends_every_session_of_the_user(
    anonymous: Client, url: str, sign_in: Callable[[], dict[str, Any]]
) -> None:
    stranger = {"email": "stranger@example.com", "password": PASSWORD}
    anonymous.post(REGISTER, stranger)
    theirs = anonymous.post(TOKEN, stranger).json()
    mine = [sign_in() for _ in range(3)]
    body = {"refresh_token": mine[0]["refresh_token"], "everywhere": True}
    assert anonymous.post(SIGN_OUT, body).status == 204
    assert [is_alive(anonymous, tokens) for tokens in mine] == [False] * 3
    assert is_alive(anonymous, theirs)


@pytest.mark.parametrize("everywhere", [False, True])
def test_sign_out_of_what_has_ended_or_never_was_succeeds(
    anonymous: Client, sign_in: Callable[[], dict[str, Any]], everywhere: bool
) -> None:
    tokens = sign_in()
    for token in (tokens["refresh_token"], tokens["refresh_token"], FORGED):
        assert anonymous.post(SIGN_OUT, {"refresh_token": token, "everywhere": everywhere}).status == 204


def test_sign_out_everywhere_with_a_token_of_before_ends_its_session_alone(
    anonymous: Client, sign_in: Callable[[], dict[str, Any]]
) -> None:
    """It is somebody's who no longer has the session, so it is not for them to end others."""
    this, other = sign_in(), sign_in()
    refreshed = refresh(anonymous, this).json()
    body = {"refresh_token": this["refresh_token"], "everywhere": True}
    assert anonymous.post(SIGN_OUT, body).status == 204
    assert not is_alive(anonymous, refreshed)
    assert is_alive(anonymous, other)


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    with closing(Database(url, pool_size=1)) as database:
        yield database


@on_loop
def test_purge_removes_the_expired_sessions_of_all_users_alone(
    anonymous: Client, url: str, database: Database, user_id: str, sign_in: Callable[[], dict[str, Any]]
) -> None:
    sign_in()
    age(url, user_id, "31 days")
    stranger = {"email": "idle@example.com", "password": PASSWORD}
    other_id = anonymous.post(REGISTER, stranger).json()["id"]
    theirs = anonymous.post(TOKEN, stranger).json()
    sessions.purge(database)
    counted = "SELECT count(*) FROM sessions WHERE user_id = '%s'"
    assert [rows(url, counted % one) for one in (user_id, other_id)] == [[(0,)], [(1,)]]
    assert is_alive(anonymous, theirs)


@on_loop
def test_begin_after_the_password_has_changed_begins_nothing(
    url: str, database: Database, user_id: str, sign_in: Callable[[], dict[str, Any]]
) -> None:
    """It was checked against the one before."""
    rows(url, f"UPDATE accounts SET passwords = passwords + 1 WHERE user_id = '{user_id}'")
    assert sessions.begin(database, user_id, 1, 60) is None
    assert sessions.begin(database, user_id, 2, 60) is not None


@pytest.mark.parametrize("address", [REFRESH, SIGN_OUT])
def test_refresh_token_and_sign_out_with_external_issuer_are_not_found(
    url: str, new_client: Callable[[Config], Client], address: str
) -> None:
    settings: dict[str, Any] = {"jwt_issuer": "https://issuer.example", "jwt_audience": ("tasks",)}
    external = new_client(Config(database_url=url, jwt_secret=SECRET, **settings))
    reply = external.post(address, {"refresh_token": FORGED})
    assert (reply.status, reply.code) == (404, "accounts_disabled")


def test_refresh_token_sent_again_with_its_key_gives_the_same_tokens_and_the_session_goes_on(
    anonymous: Client, url: str, sign_in: Callable[[], dict[str, Any]]
) -> None:
    body, key = {"refresh_token": sign_in()["refresh_token"]}, {"Idempotency-Key": '"a-lost-reply"'}
    first, again = (anonymous.post(REFRESH, body, headers=key) for _ in range(2))
    assert (first.status, again.status, again.headers["idempotency-replayed"]) == (200, 200, "true")
    assert again.json() == first.json()
    kept = "".join(stored for (stored,) in rows(url, "SELECT encode(reply, 'escape') FROM anonymous_replies"))
    assert kept
    assert [secret for secret in (first.json()["refresh_token"], first.json()["access_token"]) if secret in kept] == []
    assert is_alive(anonymous, again.json())


@pytest.mark.parametrize("key", [{}, {"Idempotency-Key": '"of-a-thief"'}], ids=["no key", "another key"])
def test_refresh_token_sent_again_without_its_key_ends_the_session(
    anonymous: Client, sign_in: Callable[[], dict[str, Any]], key: dict[str, str]
) -> None:
    body = {"refresh_token": sign_in()["refresh_token"]}
    renewed = anonymous.post(REFRESH, body, headers={"Idempotency-Key": '"of-the-owner"'}).json()
    assert_ended(anonymous.post(REFRESH, body, headers=key))
    assert_ended(refresh(anonymous, renewed))


def test_refresh_token_replayed_with_a_key_ends_its_session_and_no_other_however_often_it_is_sent(
    anonymous: Client, url: str, user_id: str, sign_in: Callable[[], dict[str, Any]]
) -> None:
    other, stolen = sign_in(), sign_in()
    renewed = refresh(anonymous, stolen).json()
    body, key = {"refresh_token": stolen["refresh_token"]}, {"Idempotency-Key": '"of-a-thief"'}
    for _ in range(2):
        assert_ended(anonymous.post(REFRESH, body, headers=key))
        assert rows(url, f"SELECT count(*) FROM sessions WHERE user_id = '{user_id}'") == [(1,)]
    assert_ended(refresh(anonymous, renewed))
    assert is_alive(anonymous, other)


def test_refresh_token_sent_again_with_its_key_after_the_session_went_on_gives_tokens_that_end_it(
    anonymous: Client, sign_in: Callable[[], dict[str, Any]]
) -> None:
    body, key = {"refresh_token": sign_in()["refresh_token"]}, {"Idempotency-Key": '"of-both"'}
    renewed = anonymous.post(REFRESH, body, headers=key).json()
    latest = refresh(anonymous, renewed).json()
    assert_ended(refresh(anonymous, anonymous.post(REFRESH, body, headers=key).json()))
    assert_ended(refresh(anonymous, latest))
