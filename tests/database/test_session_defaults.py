"""Sessions have what the service sets, whatever the defaults of the database, of its role, or of libpq's variables."""

import secrets
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime

import psycopg2
import pytest
from sqlalchemy.engine import make_url

from tests.support.client import Client
from tests.support.credentials import SECRET, own_issuer, token
from tests.support.databases import database_url
from tests.support.pooler import Pooler
from tests.support.rows import rows
from tests.support.token_kinds import TOKEN_KINDS, new_token
from todo_api.config import Config
from todo_api.database.connection import connect
from todo_api.embedded import EmbeddedServer
from todo_api.provisioning import migrations

TASKS = "/api/v1/me/tasks"
PASSWORD = "correct horse battery staple"

HARMFUL = {
    "encoding": "client_encoding = 'LATIN1'",
    "no schema": "search_path = nowhere",
    "other schema": "search_path = other, public",
    "dates": "DateStyle = 'SQL, DMY'",
    "intervals": "IntervalStyle = iso_8601",
    "bytes": "bytea_output = escape",
    "time zone": "TimeZone = 'Asia/Kathmandu'",
    "isolation": "default_transaction_isolation = serializable",
    "deferrable": "default_transaction_deferrable = on",
    "row security": "row_security = off",
    "statements": "statement_timeout = 300",
    "locks": "lock_timeout = 300",
    "idle transactions": "idle_in_transaction_session_timeout = 300",
    "transactions": "transaction_timeout = 300",
    "nulls": "transform_null_equals = on",
    "user": "app.user_id = 'bob'",
}
OURS = {
    "client_encoding": "UTF8",
    "search_path": "public",
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "postgres",
    "bytea_output": "hex",
    "TimeZone": "UTC",
    "transaction_isolation": "read committed",
    "row_security": "on",
    "statement_timeout": "5s",
    "lock_timeout": "4s",
    "idle_in_transaction_session_timeout": "0",
    "idle_session_timeout": "0",
    "transaction_timeout": "0",
}
VARIABLES = {
    "PGCLIENTENCODING": "LATIN1",
    "PGOPTIONS": "-csearch_path=nowhere -crow_security=off",
    "PGDATESTYLE": "SQL, DMY",
    "PGTZ": "Asia/Kathmandu",
    "PGTARGETSESSIONATTRS": "any",
}


@contextmanager
def _empty(server: EmbeddedServer) -> Iterator[str]:
    name = f"found_{secrets.token_hex(4)}"
    rows(server.url, f"CREATE ROLE {name} LOGIN CREATEROLE; GRANT task_api_user, task_api_login TO {name}")
    rows(server.url, f"CREATE DATABASE {name} OWNER {name}")
    yield make_url(database_url(server.url, name)).set(username=name).render_as_string(hide_password=False)
    rows(server.url, f"DROP DATABASE {name} WITH (FORCE)")
    rows(server.url, f"DROP ROLE {name}")


@pytest.fixture
def empty(server: EmbeddedServer) -> Iterator[str]:
    """The URL of an empty database, as a role of its own that owns it."""
    with _empty(server) as url:
        yield url


@pytest.fixture(scope="module", params=["Asia/Kathmandu", "America/Los_Angeles"])
def abroad(server: EmbeddedServer, request: pytest.FixtureRequest) -> Iterator[tuple[str, str]]:
    """The URL of a migrated database that is not in UTC, and its time zone."""
    with _empty(server) as url:
        name, zone = make_url(url).database, request.param
        rows(url, f"ALTER DATABASE {name} SET TimeZone = '{zone}'; ALTER ROLE {name} SET TimeZone = '{zone}'")
        migrations.migrate(url)
        yield url, zone


def lives(client: Client, user_id: str = "ada") -> None:
    """A user's day: ready, a task with an umlaut, a retry, a page, an account with its sign-in."""
    assert client.get("/health/ready").status == 200
    ada = client.signed_in(token(user_id))
    key = {"Idempotency-Key": f"keyofatest{secrets.token_hex(8)}"}
    made = ada.post(TASKS, {"title": "Äpfel, Brot \\ und 'Käse' ☃"}, headers=key)
    assert made.status == 201
    assert ada.post(TASKS, {"title": "Äpfel, Brot \\ und 'Käse' ☃"}, headers=key).body == made.body
    ((found),) = ada.get(f"{TASKS}?q=%C3%84PFEL").json()["items"]
    assert found == made.json()
    assert found["created_at"].endswith("Z")
    email = f"{user_id}-{secrets.token_hex(4)}@example.com"
    assert client.post("/api/v1/auth/register", {"email": email, "password": PASSWORD, "name": "Jürgen"}).status == 201
    assert client.post("/api/v1/auth/token", {"email": email, "password": PASSWORD}).status == 200


@pytest.mark.parametrize("whose", ["DATABASE", "ROLE"])
@pytest.mark.parametrize("left_out", ["no schema", "other schema"])
def test_service_with_harmful_defaults_migrates_and_works(
    empty: str, new_client: Callable[[Config], Client], whose: str, left_out: str
) -> None:
    """All at once, but for one of the two search paths: one that is not overridden harms among the others as well."""
    name = make_url(empty).database
    rows(database_url(empty, name or ""), "CREATE SCHEMA other; CREATE TABLE other.tasks (user_id text, id uuid)")
    for default in (HARMFUL[each] for each in HARMFUL if each != left_out):
        rows(empty, f"ALTER {whose} {name} SET {default}")
    migrations.migrate(empty)
    lives(new_client(Config(database_url=empty, jwt_secret=SECRET, rate_limit="off", queue_limit=60_000)))


@pytest.mark.parametrize("kind", TOKEN_KINDS)
def test_core_operations_in_a_database_not_in_utc_give_times_in_utc(
    abroad: tuple[str, str], new_client: Callable[[Config], Client], password_hash: str, kind: str
) -> None:
    url, zone = abroad
    client = new_client(Config(database_url=url, jwt_secret=SECRET, rate_limit="off", queue_limit=60_000))
    user = client.signed_in(new_token(url, own_issuer(), kind, password_hash))
    began = datetime.now(UTC)
    made = user.post(TASKS, {"title": "one"})
    task = f"{TASKS}/{made.json()['id']}"
    changed = user.patch(task, {"title": "two"}, headers={"If-Match": made.headers["etag"]})
    done = user.patch(f"{task}/complete")
    times = [done.json()[name] for name in ("created_at", "updated_at", "completed_at")]
    assert [changed.status, done.status] == [200, 200]
    assert all(time.endswith("Z") for time in times)
    assert began <= datetime.fromisoformat(times[0]) <= datetime.fromisoformat(times[2]) <= datetime.now(UTC)
    assert times[1] == times[2]
    assert user.get(task, headers={"If-None-Match": done.headers["etag"]}).status == 304
    other = user.post(TASKS, {"title": "three"}).json()
    for sort in ("created_at", "updated_at"):
        page = user.get(f"{TASKS}?limit=1&sort={sort}").json()
        assert page["items"] == [done.json()]
        assert user.get(f"{TASKS}?limit=1&sort={sort}&cursor={page['next_cursor']}").json()["items"] == [other]
    assert user.delete(task, headers={"If-Match": done.headers["etag"]}).status == 204
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute("SHOW TimeZone")
        assert cursor.fetchone() == (zone,)


def test_service_with_variables_of_libpq_migrates_and_works(
    empty: str, new_client: Callable[[Config], Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable, value in VARIABLES.items():
        monkeypatch.setenv(variable, value)
    migrations.migrate(empty)
    lives(new_client(Config(database_url=empty, jwt_secret=SECRET, rate_limit="off", queue_limit=60_000)))


def test_service_behind_a_pooler_with_harmful_defaults_works(
    server: EmbeddedServer, new_database: Callable[[], str], new_client: Callable[[Config], Client]
) -> None:
    url = new_database()
    name = make_url(url).database
    for default in HARMFUL.values():
        if not default.startswith(("transaction_timeout", "idle_in")):  # of the pooler's own sessions: 503, as told
            rows(server.url, f"ALTER DATABASE {name} SET {default}")
    with Pooler(server.url) as pooler:
        client = new_client(
            Config(database_url=pooler.url(url), jwt_secret=SECRET, rate_limit="off", queue_limit=60_000)
        )
        for number in range(6):
            lives(client, f"user-{number}")


@pytest.mark.parametrize("whose", ["DATABASE", "ROLE"])
def test_connection_with_harmful_defaults_has_the_settings_of_the_service(empty: str, whose: str) -> None:
    for default in HARMFUL.values():
        rows(empty, f"ALTER {whose} {make_url(empty).database} SET {default}")
    with closing(connect(empty)) as connection, connection.cursor() as cursor:
        found = {}
        for name in OURS:
            cursor.execute(f"SHOW {name}")
            found[name] = cursor.fetchone()[0]
    assert found == OURS
