"""What is kept for retries: for how long, how much, for whom, and that nobody can read it."""

import asyncio
import base64
import hashlib
import re
import secrets
from collections.abc import Callable, Iterator

import psycopg2.errors
import pytest
import sqlalchemy
from cryptography.exceptions import InvalidTag

from tests.support.client import Client
from tests.support.credentials import PASSWORD, SECRET
from tests.support.on_loop import on_loop, run_until_complete
from tests.support.rows import rows
from todo_api.config import Config
from todo_api.database import purging
from todo_api.database.database import Database
from todo_api.database.purging import PeriodicTask
from todo_api.database.spending import spent
from todo_api.database.statement import Statement
from todo_api.database.transaction import RoleSessions
from todo_api.errors import IdempotencyInProgress
from todo_api.idempotency import statements as kept
from todo_api.idempotency.store import IdempotencyStore, Outcome, Request
from todo_api.observability.exceptions import describe
from todo_api.tasks.service import TaskService

TASKS = "/api/v1/me/tasks"
TABLES = ("idempotent_replies", "anonymous_replies")
FIND_ANY = Statement(sqlalchemy.text("SELECT count(*)::int FROM idempotent_replies"))
FIND_ANY_ANONYMOUS = Statement(sqlalchemy.text("SELECT count(*)::int FROM anonymous_replies"))


@pytest.fixture
def url(new_database: Callable[[], str]) -> str:
    """A database of the test's own."""
    return new_database()


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    database = Database(url, pool_size=4)
    yield database
    database.close()


@pytest.fixture
def replies(database: Database) -> IdempotencyStore:
    return IdempotencyStore(database, SECRET.encode())


def acting(user_id: str) -> Callable[[RoleSessions], Outcome]:
    """Makes a task, and replies its id."""
    return lambda database: Outcome(
        TaskService(database, user_id).create({"title": "Once", "description": None, "status": "pending"}).id.encode()
    )


@on_loop
def ask(replies: IdempotencyStore, user_id: str | None, key: str) -> bool:
    """Whether the reply is one that was kept."""
    return replies.run(Request(user_id, key, b"create"), acting(user_id or "nobody"))[1]


def count(url: str, table: str = TABLES[0]) -> int:
    ((found,),) = rows(url, f"SELECT count(*)::int FROM {table}")
    return int(found)


def age(url: str, hours: float) -> None:
    """Everything that is kept was made so many hours earlier."""
    for table in TABLES:
        rows(url, f"UPDATE {table} SET created_at = created_at - interval '{hours} hours' RETURNING 1")


@pytest.mark.parametrize("user_id", ["ada", None], ids=["user", "nobody"])
def test_reply_is_kept_for_a_day_and_then_made_anew(url: str, replies: IdempotencyStore, user_id: str | None) -> None:
    assert [ask(replies, user_id, "k") for _ in range(2)] == [False, True]
    age(url, 23.99)
    assert ask(replies, user_id, "k")
    age(url, 0.02)
    assert [ask(replies, user_id, "k") for _ in range(2)] == [False, True]
    assert rows(url, "SELECT count(*)::int FROM tasks") == [(2,)]


@on_loop
def test_purge_deletes_what_is_too_old_and_nothing_else(url: str, replies: IdempotencyStore) -> None:
    for user_id in ("ada", "bob", None):
        ask(replies, user_id, "old")
    age(url, 24.1)
    for user_id in ("ada", None):
        ask(replies, user_id, "new")
    assert replies.purge() == 3
    assert replies.purge() == 0
    assert (count(url), count(url, "anonymous_replies")) == (1, 1)
    assert ask(replies, "ada", "new")


@on_loop
def test_purge_deletes_a_thousand_at_a_time(url: str, replies: IdempotencyStore) -> None:
    ask(replies, "ada", "first")
    fill(url, 1500, "interval '25 hours'")
    assert [replies.purge() for _ in range(3)] == [1000, 500, 0]


@on_loop
def test_purge_while_another_is_at_it_deletes_nothing(url: str, database: Database, replies: IdempotencyStore) -> None:
    ask(replies, "ada", "old")
    age(url, 25)
    with database.transaction(claim=purging.LOCK) as transaction:
        transaction.as_user("ada").fetch_all(FIND_ANY, {})
        assert replies.purge() == 0
    assert replies.purge() == 1


def test_purge_again_and_again_deletes_and_ends_when_it_is_told_to(url: str, replies: IdempotencyStore) -> None:
    ask(replies, "ada", "old")
    fill(url, 1500, "interval '25 hours'")
    age(url, 25)

    async def purge() -> None:
        async with asyncio.timeout(20), PeriodicTask(replies.purge, every=0.05):
            while await asyncio.to_thread(count, url):  # the database tells of no change
                await asyncio.sleep(0.02)

    run_until_complete(purge())
    assert count(url) == 0


def test_purge_that_has_more_to_do_ends_after_the_current_step_when_it_is_told_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(purging, "PAUSE", 60)
    steps: list[int] = []

    def step() -> int:
        steps.append(1)
        return 1000

    async def run() -> None:
        async with asyncio.timeout(20), PeriodicTask(step, every=0.01, at_once=True):
            while not steps:
                await asyncio.sleep(0.01)

    run_until_complete(run())
    assert steps == [1]


def test_purge_that_fails_is_a_line_of_the_log_and_is_tried_again(
    url: str, replies: IdempotencyStore, caplog: pytest.LogCaptureFixture
) -> None:
    ask(replies, "ada", "old")
    age(url, 25)
    rows(url, "REVOKE DELETE ON idempotent_replies FROM task_api_login")

    async def purge() -> None:
        async with asyncio.timeout(20), PeriodicTask(replies.purge, every=0.05):
            while "nothing was purged" not in caplog.text:
                await asyncio.sleep(0.02)
            rows(url, "GRANT DELETE ON idempotent_replies TO task_api_login")
            while await asyncio.to_thread(count, url):
                await asyncio.sleep(0.02)

    run_until_complete(purge())


def test_purge_without_its_database_says_where_and_why_in_one_line_and_is_tried_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    calls: list[int] = []
    away = Database("postgresql://todo:of-the-tests@127.0.0.1:1/todo", pool_size=1)

    def purge() -> int:
        calls.append(len(calls))
        return IdempotencyStore(away, SECRET.encode()).purge() if len(calls) == 1 else 0

    async def run() -> None:
        async with asyncio.timeout(20), PeriodicTask(purge, every=0.05):
            while len(calls) < 2:
                await asyncio.sleep(0.02)
        away.close()

    run_until_complete(run())
    (line,) = [record for record in caplog.records if record.name == "todo_api.database.purging"]
    (error,) = line.args or ()
    assert isinstance(error, BaseException)
    told = describe(error, redact=True)  # as the log does with an exception
    assert (line.levelname, line.msg, line.exc_info) == ("WARNING", "nothing was purged: %s", None)
    assert told.startswith('psycopg2.OperationalError: connection to server at "127.0.0.1", port 1 failed: ')
    assert "of-the-tests" not in told


def fill(url: str, number: int, age: str) -> None:
    """So many replies of Ada's, each a second older than the one before."""
    rows(
        url,
        "INSERT INTO idempotent_replies SELECT 'ada', sha256(i::text::bytea), sha256(''), '',"
        f" now() - {age} - i * interval '1 second' FROM generate_series(1, {number}) i RETURNING 1",
    )


def test_replies_of_a_user_above_the_most_are_trimmed_to_the_newest(
    url: str, replies: IdempotencyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(replies, "ada", "first")
    fill(url, kept.MOST_REPLIES + 50, "interval '0 hours'")
    ask(replies, "bob", "first")
    monkeypatch.setattr(kept, "TRIMMED_BY", 1)  # by chance, each
    ask(replies, "ada", "another")
    assert count(url) == kept.MOST_REPLIES + 2  # the newest, the one that had them counted, and Bob's
    assert ask(replies, "ada", "first")


def test_reply_before_a_user_is_known_is_kept_where_those_of_a_user_would_be_trimmed(
    replies: IdempotencyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "TRIMMED_BY", 1)  # by chance, each
    assert [ask(replies, None, "k") for _ in range(2)] == [False, True]


def test_key_of_another_user_is_another_key(url: str, replies: IdempotencyStore) -> None:
    assert [ask(replies, user_id, "k") for user_id in ("ada", "bob", None, "ada")] == [False, False, False, True]
    assert rows(url, "SELECT count(DISTINCT key)::int FROM idempotent_replies") == [(2,)]


@on_loop
def test_key_that_another_user_is_using_at_this_moment_is_in_nobodys_way(replies: IdempotencyStore) -> None:
    others = []

    def act(database: RoleSessions) -> Outcome:
        others.extend(ask(replies, user_id, "k") for user_id in ("bob", None))
        with pytest.raises(IdempotencyInProgress):
            ask(replies, "ada", "k")
        return acting("ada")(database)

    assert replies.run(Request("ada", "k", b"create"), act)[1] is False
    assert others == [False, False]


@on_loop
def test_reply_of_one_user_is_not_shown_to_another_nor_before_one_is_known(
    database: Database, replies: IdempotencyStore
) -> None:
    ask(replies, "ada", "k")
    ask(replies, None, "k")
    assert database.as_user("ada").fetch_all(FIND_ANY, {}) == [(1,)]
    assert database.as_user("bob").fetch_all(FIND_ANY, {}) == [(0,)]
    for scope in (database.as_login("ada"), database.as_purge()):
        assert scope.fetch_all(FIND_ANY, {}) == [(0,)]
        assert scope.fetch_all(FIND_ANY_ANONYMOUS, {}) == [(0,)]
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        database.as_user("ada").fetch_all(FIND_ANY_ANONYMOUS, {})


@pytest.mark.parametrize("table", TABLES)
@on_loop
def test_purge_cannot_read_replies_and_cannot_delete_those_that_hold(
    url: str, database: Database, replies: IdempotencyStore, table: str
) -> None:
    ask(replies, "ada", "k")
    ask(replies, None, "k")
    delete = Statement(sqlalchemy.text(f"DELETE FROM {table} RETURNING 1"))
    assert database.as_purge().fetch_all(delete, {}) == []
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        database.as_purge().fetch_all(Statement(sqlalchemy.text("SELECT reply FROM idempotent_replies")), {})
    age(url, 25)
    assert database.as_login("ada").fetch_all(delete, {}) == []
    assert database.as_purge().fetch_all(delete, {}) == [(1,)]


def test_reply_goes_with_its_user(url: str, replies: IdempotencyStore) -> None:
    ask(replies, "ada", "k")
    rows(url, "DELETE FROM users WHERE id = 'ada' RETURNING 1")
    assert count(url) == 0


@on_loop
def test_reply_of_a_request_that_removes_its_user_is_not_kept(url: str, replies: IdempotencyStore) -> None:
    ask(replies, "ada", "k")

    def leave(_: RoleSessions) -> Outcome:
        rows(url, "DELETE FROM users WHERE id = 'ada' RETURNING 1")
        return Outcome(b"gone")

    assert replies.run(Request("ada", "leaving", b"leave"), leave) == (b"gone", False)
    assert count(url) == 0


def test_what_is_kept_holds_nothing_of_request_key_or_reply(url: str, new_client: Callable[[Config], Client]) -> None:
    anonymous = new_client(Config(database_url=url, jwt_secret=SECRET))
    key = secrets.token_hex(16)
    headers = {"Idempotency-Key": key}
    account = {"email": "ada@example.com", "password": PASSWORD}
    registered = anonymous.post("/api/v1/auth/register", account, headers=headers)
    issued = anonymous.post("/api/v1/auth/token", account, headers=headers).json()["access_token"]
    ada = anonymous.signed_in(issued)
    assert ada.post(TASKS, {"title": "Buy dark milk"}, headers=headers).status == 201
    stored = b"".join(
        base64.b16decode(part, casefold=True)
        for table in TABLES
        for (text,) in rows(url, f"SELECT to_jsonb(t)::text FROM {table} t")
        for part in re.findall(r"(?:[0-9a-f]{2}){16,}", text)
    )
    assert len(stored) > 3 * 64
    secret = [key, PASSWORD, "ada@example.com", issued, "Buy dark milk", "access_token", "title", "Location"]
    assert [text for text in secret if text.encode() in stored] == []
    guesses = [hashlib.sha256(text.encode()).digest() for text in (key, f'"{key}"', PASSWORD, "ada@example.com")]
    assert [guess for guess in guesses if guess in stored] == []
    assert registered.status == 201


@on_loop
def test_what_is_kept_is_sealed_with_a_nonce_and_a_tag_of_its_own_of_full_length(replies: IdempotencyStore) -> None:
    """96 and 128 bits (RFC 5116, section 5.1)."""
    sealed = [replies._sealed(b"a reply", b"key\0request", b"digest") for _ in range(2)]
    assert [len(each) for each in sealed] == [12 + len(b"a reply") + 16] * 2
    assert sealed[0][:12] != sealed[1][:12]


@on_loop
def test_what_is_kept_opens_under_the_very_secret_key_and_request_alone(
    database: Database, replies: IdempotencyStore
) -> None:
    sealed = replies._sealed(b"a reply", b"key\0request", b"digest")
    assert replies._opened(sealed, b"key\0request", b"digest") == b"a reply"
    other = IdempotencyStore(database, b"another secret of another deployment")
    for attempt in (
        lambda: replies._opened(sealed, b"yek\0request", b"digest"),
        lambda: replies._opened(sealed, b"key\0tseuqer", b"digest"),
        lambda: replies._opened(sealed, b"key\0request", b"another row"),
        lambda: other._opened(sealed, b"key\0request", b"digest"),
    ):
        with pytest.raises(InvalidTag):
            attempt()


@on_loop
def test_what_is_kept_under_another_secret_is_not_found(
    url: str, database: Database, replies: IdempotencyStore
) -> None:
    ask(replies, "ada", "k")
    assert not ask(IdempotencyStore(database, b"another secret of another deployment"), "ada", "k")
    assert count(url) == 2


@on_loop
def test_request_with_a_key_is_three_round_trips_and_its_replay_two(
    database: Database, replies: IdempotencyStore
) -> None:
    ask(replies, "ada", "warm")
    for _ in range(20):  # but for those that count the replies that there are
        key = f"keyofatest{secrets.token_hex(8)}"
        spent()
        assert not ask(replies, "ada", key)
        statements = spent()[0]
        assert ask(replies, "ada", key)
        assert spent()[0] == 2
        if statements == 3:
            return
    raise AssertionError("each takes more than three")
