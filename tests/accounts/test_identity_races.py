"""Limits of credentials at two requests at once, a password that changes while another signs in, and passwords typed otherwise."""

import secrets
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import jwt
import psycopg2
import pytest
from sqlalchemy.engine import make_url

from tests.support.client import Client, Reply
from tests.support.credentials import PASSWORD, SECRET
from tests.support.gate import SLACK, Gate
from tests.support.rows import rows, superuser_url
from tests.support.users import User
from todo_api.accounts import session_statements
from todo_api.config import Config
from todo_api.models import MOST_KEYS

ACCOUNT = "/api/v1/me/account"
KEYS = "/api/v1/me/keys"
TASKS = "/api/v1/me/tasks"
AUTH = "/api/v1/auth"
KEY = {"name": "One more", "scopes": ["tasks:read"]}
ISSUER = "https://issuer.example"


@pytest.fixture
def own(user: User) -> tuple[Client, str]:
    """A user with an account of ours."""
    return user.client, user.id


@pytest.fixture
def external(url: str, new_client: Callable[[Config], Client]) -> tuple[Client, str]:
    """A user of an external issuer, who has a row."""
    issued: dict[str, Any] = {"jwt_issuer": ISSUER, "jwt_audience": ("tasks",), "rate_limit": "off"}
    service = new_client(Config(database_url=url, jwt_secret=SECRET, queue_limit=60_000, **issued))
    now, user_id = int(time.time()), f"external-{secrets.token_hex(4)}"
    claims = {"iss": ISSUER, "aud": "tasks", "sub": user_id, "iat": now, "exp": now + 600}
    client = service.signed_in(jwt.encode(claims, SECRET, algorithm="HS256"))
    assert client.get(ACCOUNT).status == 200
    return client, user_id


@pytest.fixture(params=["own", "external"])
def someone(request: pytest.FixtureRequest) -> tuple[Client, str]:
    """A user of either kind, and their id."""
    found: tuple[Client, str] = request.getfixturevalue(request.param)
    return found


def fill(url: str, user_id: str, count: int) -> None:
    rows(
        url,
        "INSERT INTO api_keys (user_id, id, name, scopes, hint, digest, created_at)"
        f" SELECT '{user_id}', gen_random_uuid(), 'Filler', '{{account}}', 'tdk_filler',"
        f" encode(sha256(gen_random_uuid()::text::bytea), 'hex'), now() FROM generate_series(1, {count});"
        f" UPDATE users SET api_keys = api_keys + {count} WHERE id = '{user_id}'",
    )


def waiting(url: str) -> int:
    name = make_url(url).database
    ((count,),) = rows(
        url, f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{name}' AND wait_event_type = 'Lock'"
    )
    return int(count)


@contextmanager
def in_line(url: str, user_id: str, *calls: Callable[[], Reply]) -> Iterator[list["Future[Reply]"]]:
    """The calls wait for the user's row, in this order, which somebody has locked; it is free again in the block."""
    with ThreadPoolExecutor(len(calls)) as pool, closing(psycopg2.connect(superuser_url(url))) as connection:
        connection.cursor().execute(f"SELECT FROM users WHERE id = '{user_id}' FOR UPDATE")
        sent, deadline = [], time.monotonic() + SLACK
        for call in calls:
            sent.append(pool.submit(call))
            while waiting(url) < len(sent):
                assert time.monotonic() < deadline
                time.sleep(0.005)
        connection.rollback()
        yield sent


def test_create_api_key_at_the_limit_is_made_and_beyond_it_refused(someone: tuple[Client, str], url: str) -> None:
    client, user_id = someone
    fill(url, user_id, MOST_KEYS - 1)
    replies = [client.post(KEYS, KEY) for _ in range(2)]
    assert [reply.status for reply in replies] == [201, 409]
    assert replies[1].code == "too_many_keys"
    assert len(client.get(KEYS).json()["items"]) == MOST_KEYS == 100


def test_create_api_key_by_two_at_once_for_the_last_place_makes_one(someone: tuple[Client, str], url: str) -> None:
    client, user_id = someone
    fill(url, user_id, MOST_KEYS - 1)
    with in_line(url, user_id, *[lambda: client.post(KEYS, KEY)] * 2) as sent:
        assert Counter(one.result(SLACK).status for one in sent) == {201: 1, 409: 1}
    assert rows(url, f"SELECT count(*) FROM api_keys WHERE user_id = '{user_id}'") == [(MOST_KEYS,)]


def test_issue_token_by_two_at_once_for_the_last_place_leaves_as_many_sessions_as_there_may_be(
    user: User, url: str
) -> None:
    rows(
        url,
        f"INSERT INTO sessions SELECT '{user.id}', gen_random_uuid(), encode(sha256(n::text::bytea), 'hex'),"
        " encode(sha256(''), 'hex'), now(), now(), now() + interval '1 day'"
        f" FROM generate_series(1, {session_statements.MOST - 1}) n",
    )
    body = {"email": user.email, "password": PASSWORD}
    with in_line(url, user.id, *[lambda: user.client.signed_in(None).post(f"{AUTH}/token", body)] * 2) as sent:
        assert [one.result(SLACK).status for one in sent] == [200, 200]
    assert rows(url, f"SELECT count(*) FROM sessions WHERE user_id = '{user.id}'") == [(session_statements.MOST,)]


def test_delete_account_beside_a_write_to_a_task_waits_for_it_or_is_waited_for_and_neither_is_in_the_way(
    user: User, url: str
) -> None:
    """Whoever locked the task before the user would hold up the deletion, which holds up the write."""
    path = user.client.post(TASKS, {"title": "Mine"}).headers["location"]
    body = {"password": PASSWORD}
    calls = (
        lambda: user.client.post(f"{ACCOUNT}/deletion", body),
        lambda: user.client.patch(path, {"title": "Changed"}),
    )
    with in_line(url, user.id, *calls) as sent:
        assert [one.result(SLACK).status for one in sent] == [204, 401]


def test_issue_token_whose_password_changes_while_it_is_checked_begins_no_session(
    url: str, user: User, new_client: Callable[[Config], Client]
) -> None:
    """The change holds the user's row: the sign-in, whose password was right when it was checked, waits for it."""
    with tempfile.TemporaryDirectory() as folder, Gate(Path(folder), url) as gate, ThreadPoolExecutor(2) as pool:
        config = Config(database_url=gate.url, jwt_secret=SECRET, rate_limit="off", threads=1, queue_limit=60_000)
        gated = new_client(config).signed_in(user.client.token)
        assert gated.get(TASKS).status == 200
        gate.arm(4)  # the account, its hash, the new one, and before the other sessions are ended
        change = {"current_password": PASSWORD, "new_password": "another good password"}
        changing = pool.submit(gated.post, f"{ACCOUNT}/password", change)
        assert gate.waits(changing.done)
        body = {"email": user.email, "password": PASSWORD}
        signing_in = pool.submit(user.client.signed_in(None).post, f"{AUTH}/token", body)
        deadline = time.monotonic() + SLACK
        while not waiting(url):
            assert not signing_in.done()
            assert time.monotonic() < deadline
            time.sleep(0.005)
        gate.let_through()
        assert (changing.result(SLACK).status, signing_in.result(SLACK).code) == (200, "invalid_credentials")
    assert rows(url, f"SELECT count(*) FROM sessions WHERE user_id = '{user.id}'") == [(1,)]


COMPOSED, DECOMPOSED = "grüße über alles hier", "gru\u0308ße u\u0308ber alles hier"


@pytest.mark.parametrize(("made", "typed"), [(COMPOSED, DECOMPOSED), (DECOMPOSED, COMPOSED)])
def test_every_operation_that_takes_a_password_takes_it_composed_and_decomposed(
    anonymous: Client, made: str, typed: str
) -> None:
    email = f"{secrets.token_hex(6)}@example.com"
    assert made != typed
    assert anonymous.post(f"{AUTH}/register", {"email": email, "password": made}).status == 201

    def signed_in(address: str, password: str) -> Client:
        reply = anonymous.post(f"{AUTH}/token", {"email": address, "password": password})
        assert reply.status == 200
        return anonymous.signed_in(reply.json()["access_token"])

    client = signed_in(email, typed)
    moved = f"new-{email}"
    assert client.post(f"{ACCOUNT}/email", {"password": typed, "email": moved}).status == 200
    change = {"current_password": typed, "new_password": f"{made}!"}
    assert client.post(f"{ACCOUNT}/password", change).status == 200
    assert signed_in(moved, f"{typed}!").post(f"{ACCOUNT}/deletion", {"password": f"{typed}!"}).status == 204
