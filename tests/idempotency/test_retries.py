"""A request that is sent again with the same `Idempotency-Key` acts once: for every operation of the contract that takes one."""

import json
import math
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from typing import Any, NamedTuple

import psycopg2
import pytest
from sqlalchemy.engine import make_url

from tests.support.client import Client, Reply
from tests.support.credentials import PASSWORD, SECRET, token
from tests.support.replays import is_replay, keyed, new_key
from tests.support.rows import rows, superuser_url
from tests.support.users import User
from todo_api import contract
from todo_api.config import Config
from todo_api.contract import resolve
from todo_api.idempotency import statements as kept
from todo_api.models import anonymous_replies, idempotent_replies, metadata

TASKS = "/api/v1/me/tasks"
KEEPING = {idempotent_replies.name, anonymous_replies.name}
ACTING = sorted(set(metadata.tables) - KEEPING)
PARAMETER = {"$ref": "#/components/parameters/Idempotency-Key"}
TOGETHER = 20
LAST = "deleteAccount"
"""The operation after which the token holds no more: a retry is told that, and the reply is gone with all else."""

ONE_TIME_TOKEN = "tdo_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE"
"""That of the contract's example."""

OF_SESSIONS = {"refreshToken", "signOut"}
"""The operations whose body has the caller's own refresh token."""


class Operation(NamedTuple):
    """An operation that takes a key, with its own example as the body."""

    name: str
    method: str
    template: str
    body: Any
    is_public: bool

    def call(self, client: Client, space: "Space", key: str) -> Reply:
        ids = {"task_id": space.task["id"], "project_id": space.task["id"], "item_id": space.deleted, "seq": space.seq}
        body = {**self.body, "refresh_token": space.refresh_token} if self.name in OF_SESSIONS else self.body
        if self.name == "revertTask":
            body = {"version": space.task["version"]}
        path = "/api/v1" + self.template.format(user_id="me", **ids)
        return client.request(self.method, path, json_body=body, headers={"Idempotency-Key": key})


class Space(NamedTuple):
    """What a user has: an account, a session, a task, and a project of the same id.

    And what they have done: changed the task, by the write `seq`, and deleted another one.
    """

    client: Client
    refresh_token: str
    task: dict[str, Any]
    seq: int
    deleted: str


def _operations() -> Iterator[Operation]:
    document = contract.load(contract.TASK_API)
    for template, item in document["paths"].items():
        for method, operation in item.items():
            if method == "parameters" or PARAMETER not in operation.get("parameters", []):
                continue
            body = None
            if "requestBody" in operation:
                (media,) = operation["requestBody"]["content"].values()
                body = resolve(document, next(iter(media["examples"].values())))["value"]
            is_public = not operation.get("security", document["security"])
            yield Operation(operation["operationId"], method.upper(), template, body, is_public)


REPLAYABLE = sorted(_operations())
every = pytest.mark.parametrize("operation", REPLAYABLE, ids=[operation.name for operation in REPLAYABLE])
secured = pytest.mark.parametrize(
    "operation",
    [operation for operation in REPLAYABLE if not operation.is_public],
    ids=[operation.name for operation in REPLAYABLE if not operation.is_public],
)


@pytest.fixture(scope="module")
def anonymous(url: str, new_client: Callable[[Config], Client]) -> Client:
    """A client of a service with many threads, as many connections, and no limit of requests."""
    return new_client(Config(database_url=url, jwt_secret=SECRET, threads=TOGETHER, rate_limit="off"))


@pytest.fixture
def task(ada: Client) -> dict[str, Any]:
    return ada.post(TASKS, {"title": "Once"}).json()


@pytest.fixture
def space(anonymous: Client, url: str, operation: Operation, new_account: Callable[[], User]) -> Space:
    """The user of the examples: with an account to sign in to, and none in the way of registering or of the new address."""
    rows(url, "DELETE FROM users USING accounts WHERE user_id = id AND email LIKE 'ada%@example.com'")
    rows(url, "DELETE FROM anonymous_replies")
    if operation.name != "registerAccount":
        body = {"email": "ada@example.com", "password": PASSWORD}
        assert anonymous.post("/api/v1/auth/register", body).status == 201
    user = new_account()
    rows(
        url,
        "DELETE FROM one_time_tokens; INSERT INTO one_time_tokens SELECT user_id, gen_random_uuid(), purpose,"
        f" encode(sha256('{ONE_TIME_TOKEN}'), 'hex'), email, passwords, now(), 'infinity'"
        f" FROM accounts, unnest(ARRAY['reset', 'verify']) purpose WHERE user_id = '{user.id}'",
    )
    task, deleted = (user.client.post(TASKS, {"title": title}).json() for title in ("Once", "Deleted"))
    user.client.post("/api/v1/me/projects", {"id": task["id"], "name": "Of the same id"})
    user.client.delete(f"{TASKS}/{deleted['id']}")
    changed = user.client.patch(f"{TASKS}/{task['id']}", {"title": "Changed"}).json()
    return Space(user.client, user.tokens["refresh_token"], task, changed["version"], deleted["id"])


def state(url: str) -> list[Any]:
    """Everything in the database but what is kept for retries."""
    return [rows(url, f"SELECT to_jsonb(t)::text FROM {table} t ORDER BY 1") for table in ACTING]


@contextmanager
def locked(url: str, tables: list[str], mode: str) -> Iterator[Any]:
    """The tables are locked, by the superuser, until the block ends or the connection that it is given ends its transaction."""
    with closing(psycopg2.connect(superuser_url(url))) as connection, connection.cursor() as cursor:
        cursor.execute(f"LOCK TABLE {', '.join(tables)} IN {mode} MODE")
        yield connection
        connection.rollback()


def waiting(url: str) -> list[int]:
    """The sessions that wait for a lock, once there is one."""
    name = make_url(url).database
    until = time.monotonic() + 3.5
    while time.monotonic() < until:
        found = rows(
            url,
            "SELECT pid FROM pg_locks JOIN pg_database d ON d.oid = database"
            f" WHERE NOT granted AND locktype = 'relation' AND datname = '{name}'",
        )
        if found:
            return [pid for (pid,) in found]
        time.sleep(0.02)
    raise AssertionError("nobody waits for a lock")


def test_every_post_and_complete_task_take_a_key_and_nothing_else_does() -> None:
    document = contract.load(contract.TASK_API)
    posts = {item["post"]["operationId"] for item in document["paths"].values() if "post" in item}
    mails = {"requestPasswordReset", "requestEmailVerification"}
    assert {operation.name for operation in REPLAYABLE} == posts - mails | {"completeTask"}


@every
def test_every_replayable_operation_sent_again_replies_the_same_and_acts_once(
    url: str, space: Space, operation: Operation
) -> None:
    client, key = space.client.signed_in(None) if operation.is_public else space.client, new_key()
    first = operation.call(client, space, key)
    assert 200 <= first.status < 300
    assert not is_replay(first)
    before = state(url)
    again = operation.call(client, space, key)
    assert state(url) == before
    if operation.name == LAST:
        assert (again.status, again.code) == (401, "unauthorized")
        return
    assert (again.status, again.body, is_replay(again)) == (first.status, first.body, True)
    own = {"x-request-id", "idempotency-replayed", "ratelimit", "ratelimit-policy"}
    assert {name: value for name, value in again.headers.items() if name not in own} == {
        name: value for name, value in first.headers.items() if name not in own
    }


@every
def test_every_replayable_operation_while_it_runs_is_in_progress(url: str, space: Space, operation: Operation) -> None:
    client, key = space.client.signed_in(None) if operation.is_public else space.client, new_key()
    with ThreadPoolExecutor(1) as pool:
        with locked(url, ACTING, "ACCESS EXCLUSIVE"):
            first = pool.submit(operation.call, client, space, key)
            waiting(url)
            second = operation.call(client, space, key)
        assert (second.status, second.code, second.headers["retry-after"]) == (409, "idempotency_in_progress", "1")
        done = first.result()
    assert 200 <= done.status < 300
    third = operation.call(client, space, key)
    if operation.name == LAST:
        assert (third.status, third.code) == (401, "unauthorized")
        return
    assert (third.status, third.body, is_replay(third)) == (done.status, done.body, True)


@secured
def test_every_replayable_operation_with_the_key_of_another_request_is_refused(
    url: str, space: Space, operation: Operation
) -> None:
    headers = keyed()
    assert space.client.post(TASKS, {"title": "Another request"}, headers=headers).status == 201
    before = state(url)
    reply = operation.call(space.client, space, headers["Idempotency-Key"])
    assert (reply.status, reply.code) == (422, "idempotency_key_reused")
    assert state(url) == before


@secured
def test_every_replayable_operation_with_the_key_of_another_user_acts_by_itself(
    bob: Client, space: Space, operation: Operation
) -> None:
    key = new_key()
    theirs = bob.post(TASKS, {"title": "Theirs"}, headers=keyed(key))
    mine = operation.call(space.client, space, key)
    assert (theirs.status, 200 <= mine.status < 300, is_replay(mine)) == (201, True, False)
    assert bob.post(TASKS, {"title": "Theirs"}, headers=keyed(key)).json() == theirs.json()


@secured
def test_every_replayable_operation_with_a_key_at_another_users_address_is_forbidden(
    bob: Client, task: dict[str, Any], operation: Operation
) -> None:
    ids = dict.fromkeys(("task_id", "project_id", "item_id"), task["id"])
    path = "/api/v1" + operation.template.format(user_id=task["user_id"], seq=task["version"], **ids)
    for _ in range(2):
        assert bob.request(operation.method, path, json_body=operation.body, headers=keyed()).status == 403


def test_create_task_by_twenty_at_once_with_one_key_makes_one(ada: Client) -> None:
    headers = keyed()

    def create() -> Reply:
        return ada.post(TASKS, {"title": "Only once"}, headers=headers)

    with ThreadPoolExecutor(TOGETHER) as pool:
        replies = [future.result() for future in [pool.submit(create) for _ in range(TOGETHER)]]
    statuses = Counter(reply.status for reply in replies)
    assert set(statuses) <= {201, 409}
    assert [is_replay(reply) for reply in replies if reply.status == 201].count(False) == 1
    assert {reply.code for reply in replies if reply.status == 409} <= {"idempotency_in_progress"}
    afterwards = [create() for _ in range(TOGETHER)]
    bodies = {reply.body for reply in [*replies, *afterwards] if reply.status == 201}
    assert len(bodies) == 1
    assert all(is_replay(reply) for reply in afterwards)
    assert ada.get(TASKS).json()["items"] == [json.loads(*bodies)]


def test_complete_task_toggled_by_twenty_at_once_with_one_key_toggles_once(ada: Client, task: dict[str, Any]) -> None:
    headers, path = keyed(), f"{TASKS}/{task['id']}"
    with ThreadPoolExecutor(TOGETHER) as pool:
        sent = [pool.submit(ada.patch, f"{path}/complete", headers=headers) for _ in range(TOGETHER)]
        assert {future.result().status for future in sent} <= {200, 409}
    assert (ada.get(path).json()["status"], ada.get(path).json()["version"]) == ("completed", 2)


def test_create_task_whose_session_ends_before_the_commit_is_undone_and_made_once_by_the_retry(
    url: str, ada: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "TRIMMED_BY", math.nan)  # none is trimmed: that would wait before the task is written
    headers = keyed()

    def create() -> Reply:
        return ada.post(TASKS, {"title": "After all"}, headers=headers)

    with ThreadPoolExecutor(1) as pool, locked(url, [idempotent_replies.name], "EXCLUSIVE"):
        sent = pool.submit(create)  # the task is written, and the reply waits to be
        (pid,) = waiting(url)
        assert rows(url, f"SELECT pg_terminate_backend({pid}, 5000)") == [(True,)]
        lost = sent.result()
    assert (lost.status, lost.code, lost.headers["retry-after"]) == (503, "unavailable", "1")
    assert "is not known" in lost.json()["detail"]
    assert ada.get(TASKS).json()["total"] == 0
    made = create()
    assert (made.status, is_replay(made)) == (201, False)
    assert is_replay(create())
    assert ada.get(TASKS).json()["total"] == 1


def test_complete_task_with_if_match_sent_again_does_not_look_at_it_again(ada: Client, task: dict[str, Any]) -> None:
    headers, path = keyed(**{"If-Match": '"1"'}), f"{TASKS}/{task['id']}/complete"
    first = ada.patch(path, headers=headers)
    again = ada.patch(path, headers=headers)
    assert (first.status, again.status, again.json()) == (200, 200, first.json())
    assert ada.patch(path, headers=headers | {"If-Match": '"2"'}).code == "idempotency_key_reused"
    assert ada.patch(path, headers={"If-Match": '"1"'}).status == 412


def test_complete_task_that_failed_runs_anew_with_the_same_key(ada: Client) -> None:
    path = ada.post(TASKS, {"title": "Cancelled", "status": "cancelled"}).headers["location"]
    headers = keyed()
    refused = ada.patch(f"{path}/complete", {"completed": True}, headers=headers)
    assert (refused.status, refused.code) == (409, "invalid_transition")
    ada.patch(path, {"status": "pending"})
    done = ada.patch(f"{path}/complete", {"completed": True}, headers=headers)
    assert (done.status, is_replay(done)) == (200, False)


def test_create_task_sent_again_after_the_task_is_gone_replies_the_same(ada: Client) -> None:
    headers = keyed()
    first = ada.post(TASKS, {"title": "Soon gone"}, headers=headers)
    assert ada.delete(first.headers["location"]).status == 204
    again = ada.post(TASKS, {"title": "Soon gone"}, headers=headers)
    assert (again.status, again.json()) == (201, first.json())
    assert ada.get(TASKS).json()["total"] == 0


def test_create_task_with_members_in_another_order_is_the_same_request(ada: Client) -> None:
    headers = keyed()
    first = ada.post(TASKS, {"title": "Ordered", "status": "pending"}, headers=headers)
    assert ada.post(TASKS, {"status": "pending", "title": "Ordered"}, headers=headers).json() == first.json()


@pytest.mark.parametrize("quoted", [True, False])
def test_create_task_with_key_in_quotes_or_without_is_the_same_key(ada: Client, quoted: bool) -> None:
    bare = secrets.token_hex(16)
    keys = [f'"{bare}"', bare]
    replies = [ada.post(TASKS, {"title": "Quoted"}, headers=keyed(key)) for key in (keys if quoted else keys[::-1])]
    assert [is_replay(reply) for reply in replies] == [False, True]


@pytest.mark.parametrize("key", ["a", "~" * 255, f'"{"!" * 255}"'], ids=["one", "longest", "longest-quoted"])
def test_create_task_with_key_of_any_allowed_length_succeeds(ada: Client, key: str) -> None:
    assert [ada.post(TASKS, {"title": "Long"}, headers=keyed(key)).status for _ in range(2)] == [201, 201]
    assert ada.get(TASKS).json()["total"] == 1


@pytest.mark.parametrize(
    "key",
    ["", '""', '"', "a b", "a" * 256, f'"{"a" * 256}"', 'a"b', "a\\b", '"a', "é", '"a";b=1', "a\tb"],
    ids=[
        *("empty", "empty-quoted", "quote", "space", "long", "long-quoted", "inner-quote", "backslash", "open"),
        *("latin", "parameters", "tab"),
    ],
)
def test_create_task_with_a_key_that_is_none_is_refused(ada: Client, key: str) -> None:
    reply = ada.post(TASKS, {"title": "Refused"}, headers={"Idempotency-Key": key})
    assert (reply.status, reply.code) == (400, "validation_failed")
    assert reply.json()["errors"][0]["pointer"] == "/Idempotency-Key"


def test_create_task_with_two_keys_is_refused(ada: Client) -> None:
    reply = ada.post(TASKS, {"title": "Two"}, headers=[("Idempotency-Key", "a"), ("Idempotency-Key", "b")])
    assert (reply.status, reply.code) == (400, "validation_failed")


def test_list_tasks_with_a_key_is_answered_as_ever(ada: Client, task: dict[str, Any]) -> None:
    headers = keyed()
    assert [ada.get(TASKS, headers=headers).json()["total"] for _ in range(2)] == [1, 1]
    ada.post(TASKS, {"title": "Another"})
    assert ada.get(TASKS, headers=headers).json()["total"] == 2


def test_issue_token_with_the_key_of_another_but_not_the_password_is_refused(anonymous: Client) -> None:
    account = {"email": "grace@example.com", "password": PASSWORD}
    assert anonymous.post("/api/v1/auth/register", account).status == 201
    headers = keyed()
    issued = anonymous.post("/api/v1/auth/token", account, headers=headers)
    assert issued.status == 200
    wrong = anonymous.post(
        "/api/v1/auth/token", account | {"password": "correct horse battery stable"}, headers=headers
    )
    assert (wrong.status, wrong.code) == (401, "invalid_credentials")
    again = anonymous.post("/api/v1/auth/token", account, headers=headers)
    assert (again.json(), is_replay(again)) == (issued.json(), True)


def test_register_account_with_an_external_issuer_and_a_key_is_disabled(
    url: str, new_client: Callable[[Config], Client]
) -> None:
    config = Config(database_url=url, jwt_secret=SECRET, jwt_issuer="https://issuer.example", jwt_audience=("tasks",))
    registration = {"email": "ada@example.com", "password": PASSWORD}
    reply = new_client(config).post("/api/v1/auth/register", registration, headers=keyed())
    assert (reply.status, reply.code) == (404, "accounts_disabled")


def test_create_task_sent_again_to_another_worker_replies_the_same(
    url: str, ada: Client, new_client: Callable[[Config], Client]
) -> None:
    headers = keyed()
    first = ada.post(TASKS, {"title": "Anywhere"}, headers=headers)
    other = new_client(Config(database_url=url, jwt_secret=SECRET)).signed_in(ada.token)
    assert other.post(TASKS, {"title": "Anywhere"}, headers=headers).json() == first.json()


def test_create_task_by_a_user_without_a_row_is_kept(anonymous: Client) -> None:
    nobody = anonymous.signed_in(token(f"new-{secrets.token_hex(4)}"))
    headers = keyed()
    assert [is_replay(nobody.post(TASKS, {"title": "First"}, headers=headers)) for _ in range(2)] == [False, True]
