"""Row-level security alone: statements without the service's filter, as the roles that the service runs them."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import psycopg2.errors
import pytest
import sqlalchemy

from tests.support.client import Client
from tests.support.credentials import PASSWORD, token
from tests.support.databases import execute
from tests.support.on_loop import on_loop
from tests.support.rows import rows
from todo_api.database.database import Database
from todo_api.database.statement import Statement
from todo_api.database.transaction import RoleSession
from todo_api.models import LOGIN_ROLE, USER_ROLE, metadata

NAMES = (
    "accounts api_keys history idempotent_replies one_time_tokens projects sessions task_labels tasks tombstones trash"
)
OWNER_COLUMN = {"users": "id"} | dict.fromkeys(NAMES.split(), "user_id")
"""The column that says whose a row is."""
TABLES = sorted(OWNER_COLUMN)

OF_NOBODY = {"anonymous_replies", "outbox"}
"""Tables of what comes before a user is known: no user may do anything with them."""

KEPT_FROM_USERS = {
    "accounts": {"password_hash"},
    "api_keys": {"digest"},
    "sessions": {"family", "digest"},
    "one_time_tokens": {"digest"},
}
"""Columns that the user's role cannot read."""

every_table = pytest.mark.parametrize("table", TABLES)


class World(NamedTuple):
    """Two users with a row in every table."""

    url: str
    database: Database
    ada: str
    bob: str

    def rows_of(self, user_id: str, table: str) -> list[Any]:
        """Return all rows as JSON, past row-level security."""
        kept = KEPT_FROM_USERS.get(table, ())
        columns = ", ".join(column.name for column in metadata.tables[table].c if column.name not in kept)
        scope = self.database.as_user(user_id)
        return run(scope, f"SELECT to_jsonb(row)::text FROM (SELECT {columns} FROM {table} ORDER BY 1, 2) row")


@on_loop
def run(scope: RoleSession, statement: str) -> list[Any]:
    return scope.fetch_all(Statement(sqlalchemy.text(statement)), {})


@pytest.fixture(scope="module")
def world(url: str, anonymous: Client) -> Iterator[World]:
    ids = []
    for name in ("ada", "bob"):
        registration = {"email": f"{name}@example.com", "password": PASSWORD}
        ids.append(anonymous.post("/api/v1/auth/register", registration).json()["id"])
        client = anonymous.signed_in(token(ids[-1]))
        task = {"title": f"The task of {name}", "labels": [f"the label of {name}"]}
        made = client.post("/api/v1/me/tasks", task, headers={"Idempotency-Key": "the-same"})
        client.patch(made.headers["location"], {"description": f"of {name}"})
        client.post("/api/v1/me/projects", {"name": f"The project of {name}"})
        client.delete(client.post("/api/v1/me/tasks", {"title": f"The deleted task of {name}"}).headers["location"])
        client.post("/api/v1/me/keys", {"name": f"The key of {name}", "scopes": ["tasks:read"]})
        assert anonymous.post("/api/v1/auth/token", registration).status == 200
    database = Database(url, pool_size=2)
    rows(
        url,
        "INSERT INTO one_time_tokens"
        " SELECT user_id, gen_random_uuid(), 'reset', repeat('a', 64), email, 1, now(), 'infinity' FROM accounts",
    )
    database._pool.prepares = False  # each statement here runs once
    yield World(url, database, *ids)
    database.close()


@pytest.fixture
def as_ada(world: World) -> RoleSession:
    return world.database.as_user(world.ada)


@pytest.fixture
def unchanged(world: World) -> Iterator[Callable[[], None]]:
    """Whatever the test tried, every row of both users is as it was."""
    before = [world.rows_of(user_id, table) for user_id in (world.ada, world.bob) for table in TABLES]
    yield
    assert [world.rows_of(user_id, table) for user_id in (world.ada, world.bob) for table in TABLES] == before


def privilege(url: str, table: str, kind: str) -> bool:
    return bool(execute(url, f"SELECT has_any_column_privilege('{USER_ROLE}', '{table}', '{kind}')")[0][0])


def test_catalogue_tables_are_those_with_a_known_owner(world: World) -> None:
    found = execute(
        world.url,
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'f')",
    )
    assert {name for (name,) in found} - {"alembic_version"} == {*metadata.tables} == {*OWNER_COLUMN} | OF_NOBODY


@pytest.mark.parametrize("table", sorted(metadata.tables))
def test_catalogue_table_has_row_security_enabled_and_forced(world: World, table: str) -> None:
    found = execute(
        world.url, f"SELECT relrowsecurity, relforcerowsecurity FROM pg_class WHERE oid = '{table}'::regclass"
    )
    assert found == [(True, True)]


@pytest.mark.parametrize("role", [USER_ROLE, LOGIN_ROLE])
def test_catalogue_role_owns_nothing_and_bypasses_nothing(world: World, role: str) -> None:
    found = execute(
        world.url,
        "SELECT rolsuper, rolbypassrls, rolcreaterole, rolcreatedb, rolcanlogin, rolreplication,"
        " EXISTS (SELECT FROM pg_class WHERE relowner = r.oid), EXISTS (SELECT FROM pg_auth_members WHERE member = r.oid)"
        f" FROM pg_roles r WHERE rolname = '{role}'",
    )
    assert found == [(False,) * 8]


def test_catalogue_functions_that_run_as_their_owner_do_not_exist(world: World) -> None:
    found = execute(world.url, "SELECT proname FROM pg_proc WHERE prosecdef AND pronamespace = 'public'::regnamespace")
    assert found == []


@pytest.mark.parametrize("table", sorted(OF_NOBODY))
def test_catalogue_table_of_nobody_is_closed_to_users(world: World, table: str) -> None:
    kinds = ("SELECT", "INSERT", "UPDATE", "REFERENCES")
    assert [kind for kind in kinds if privilege(world.url, table, kind)] == []
    assert execute(world.url, f"SELECT has_table_privilege('{USER_ROLE}', '{table}', 'DELETE, TRUNCATE')") == [(False,)]


@every_table
def test_select_without_filter_shows_own_rows_alone(world: World, as_ada: RoleSession, table: str) -> None:
    assert run(as_ada, f"SELECT DISTINCT {OWNER_COLUMN[table]} FROM {table}") == [(world.ada,)]


WRITTEN = {"accounts": "email", "api_keys": "last_used_at", "sessions": "refreshed_at"}
"""A column that the user's role may change, or has the right to so that it may lock a row, by table; else that of the owner."""


@pytest.mark.parametrize("table", ["api_keys", "sessions"])
@pytest.mark.usefixtures("unchanged")
def test_update_of_own_keys_and_sessions_which_may_be_locked_is_refused(
    world: World, as_ada: RoleSession, table: str
) -> None:
    assert run(as_ada, f"SELECT user_id FROM {table} FOR KEY SHARE")[0] == (world.ada,)
    with pytest.raises(psycopg2.errors.InsufficientPrivilege, match="row-level security"):
        run(as_ada, f"UPDATE {table} SET {WRITTEN[table]} = now() RETURNING 1")


@every_table
@pytest.mark.usefixtures("unchanged")
def test_update_without_filter_reaches_no_row_of_another(world: World, as_ada: RoleSession, table: str) -> None:
    column, written = OWNER_COLUMN[table], WRITTEN.get(table, OWNER_COLUMN[table])
    statement = f"UPDATE {table} SET {written} = {written} WHERE {column} <> '{world.ada}' RETURNING {column}"
    if privilege(world.url, table, "UPDATE"):
        assert run(as_ada, statement) == []
    else:
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            run(as_ada, statement)


def test_update_tasks_without_filter_changes_own_rows_alone(world: World, as_ada: RoleSession) -> None:
    before = world.rows_of(world.bob, "tasks")
    assert run(as_ada, "UPDATE tasks SET description = 'all of them' RETURNING user_id") == [(world.ada,)]
    assert world.rows_of(world.bob, "tasks") == before


@every_table
@pytest.mark.usefixtures("unchanged")
def test_delete_without_filter_reaches_no_row_of_another(world: World, as_ada: RoleSession, table: str) -> None:
    column = OWNER_COLUMN[table]
    statement = f"DELETE FROM {table} WHERE {column} <> '{world.ada}' RETURNING {column}"
    if execute(world.url, f"SELECT has_table_privilege('{USER_ROLE}', '{table}', 'DELETE')") == [(True,)]:
        assert run(as_ada, statement) == []
    else:
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            run(as_ada, statement)


def test_delete_tasks_without_filter_deletes_own_rows_alone(world: World, anonymous: Client) -> None:
    carol = anonymous.signed_in(token("carol")).post("/api/v1/me/tasks", {"title": "Soon gone"}).json()["user_id"]
    before = world.rows_of(world.ada, "tasks"), world.rows_of(world.bob, "tasks")
    assert run(world.database.as_user(carol), "DELETE FROM tasks RETURNING user_id") == [("carol",)]
    assert (world.rows_of(world.ada, "tasks"), world.rows_of(world.bob, "tasks")) == before


POLICY, GRANT = "row-level security policy", "permission denied"


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize(
    ("by", "statement"),
    [
        (
            POLICY,
            "INSERT INTO tasks (user_id, id, title, status, created_at, updated_at, version)"
            " VALUES ('{bob}', gen_random_uuid(), 'Not yours', 'pending', now(), now(), 1)",
        ),
        (POLICY, "INSERT INTO users (id) VALUES ('mallory')"),
        (POLICY, "INSERT INTO users (id) VALUES ('{bob}') ON CONFLICT (id) DO UPDATE SET seq = 0"),
        (GRANT, "INSERT INTO accounts (user_id, email, password_hash) VALUES ('{bob}', 'new@example.com', 'x')"),
        (
            POLICY,
            "INSERT INTO api_keys (user_id, id, name, scopes, hint, digest, created_at)"
            " VALUES ('{bob}', gen_random_uuid(), 'Not yours', '{{account}}', 'tdk_', repeat('0', 64), now())",
        ),
        (POLICY, "INSERT INTO sessions SELECT '{bob}', gen_random_uuid(), 'x', 'x', now(), now(), 'infinity'"),
        (
            POLICY,
            "INSERT INTO one_time_tokens (user_id, id, purpose, digest, email, passwords, created_at, expires_at)"
            " VALUES ('{bob}', gen_random_uuid(), 'reset', repeat('0', 64), 'bob@example.com', 1, now(), 'infinity')",
        ),
        (POLICY, "INSERT INTO projects SELECT '{bob}', gen_random_uuid(), 'x', NULL, NULL, 'm', now(), now(), 1"),
        (POLICY, "INSERT INTO task_labels SELECT '{bob}', gen_random_uuid(), 'x', 'x', 1"),
        (POLICY, "UPDATE tasks SET user_id = '{bob}'"),
        (POLICY, "UPDATE users SET id = 'mallory'"),
        (POLICY, "INSERT INTO idempotent_replies VALUES ('{bob}', sha256(''), sha256(''), '')"),
    ],
    ids=[
        "insert-task",
        "insert-user",
        "upsert-user",
        "insert-account",
        "insert-key",
        "insert-session",
        "insert-one-time-token",
        "insert-project",
        "insert-label",
        "give-task-away",
        "become-another",
        "insert-reply",
    ],
)
def test_write_in_the_name_of_another_is_refused(world: World, as_ada: RoleSession, by: str, statement: str) -> None:
    """By what it writes: nothing is read back, which would be refused for what may be read."""
    with pytest.raises(psycopg2.errors.InsufficientPrivilege, match=by):
        run(as_ada, f"WITH written AS ({statement.format(bob=world.bob)}) SELECT 1")


@every_table
def test_select_with_no_user_set_shows_nothing(world: World, table: str) -> None:
    column = OWNER_COLUMN[table]
    assert execute(world.url, f"BEGIN; SET LOCAL ROLE {USER_ROLE}; SELECT {column} FROM {table}") == []


@every_table
def test_select_with_empty_user_shows_nothing(world: World, table: str) -> None:
    assert run(world.database.as_user(""), f"SELECT {OWNER_COLUMN[table]} FROM {table}") == []


@every_table
def test_select_as_owner_of_the_tables_shows_nothing(world: World, table: str) -> None:
    assert execute(world.url, "SELECT usesuper FROM pg_user WHERE usename = current_user") == [(False,)]
    assert execute(world.url, f"SELECT tableowner = current_user FROM pg_tables WHERE tablename = '{table}'") == [
        (True,)
    ]
    assert execute(world.url, f"SELECT * FROM {table}") == []


@on_loop
def test_user_scope_after_a_statement_leaves_nothing_on_the_connection(world: World, as_ada: RoleSession) -> None:
    run(as_ada, "SELECT 1")  # the pool gives the connection used last
    with world.database.connection() as connection:
        rows = connection.run("SELECT current_user = session_user, current_setting('app.user_id', true)")
        assert rows == [(True, "")]


@pytest.mark.parametrize(
    ("table", "column"), [(table, one) for table, kept in KEPT_FROM_USERS.items() for one in sorted(kept)]
)
def test_user_scope_of_what_opens_the_account_is_refused(as_ada: RoleSession, table: str, column: str) -> None:
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        run(as_ada, f"SELECT {column} FROM {table}")


@pytest.mark.parametrize("table", ["tasks", "users"])
def test_login_scope_of_tasks_and_users_is_refused(world: World, table: str) -> None:
    for scope in (
        world.database.as_login("ada@example.com"),
        world.database.as_key("0" * 64),
        world.database.as_session("0" * 64),
        world.database.as_one_time_token("0" * 64),
        world.database.as_operator(),
    ):
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            run(scope, f"SELECT * FROM {table}")


def test_key_scope_shows_the_key_of_its_digest_alone_and_no_account(world: World) -> None:
    ((digest,),) = rows(world.url, f"SELECT digest FROM api_keys WHERE user_id = '{world.ada}'")
    assert run(world.database.as_key(digest), "SELECT user_id FROM api_keys") == [(world.ada,)]
    assert run(world.database.as_key(digest), "SELECT user_id FROM accounts") == []
    for other in ("", "0" * 64, "%"):
        assert run(world.database.as_key(other), "SELECT user_id FROM api_keys") == []
    assert run(world.database.as_login("ada@example.com"), "SELECT user_id FROM api_keys") == []


def test_key_scope_change_of_anything_but_the_last_use_is_refused(world: World) -> None:
    ((digest,),) = rows(world.url, f"SELECT digest FROM api_keys WHERE user_id = '{world.ada}'")
    scope = world.database.as_key(digest)
    for statement in (
        "UPDATE api_keys SET scopes = '{account}' RETURNING id",
        f"UPDATE api_keys SET user_id = '{world.bob}' RETURNING id",
        "UPDATE api_keys SET expires_at = NULL RETURNING id",
        "DELETE FROM api_keys RETURNING id",
    ):
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            run(scope, statement)


def test_session_scope_shows_the_session_of_its_family_alone_and_no_account(world: World) -> None:
    ((family,),) = rows(world.url, f"SELECT family FROM sessions WHERE user_id = '{world.ada}'")
    assert run(world.database.as_session(family), "SELECT user_id FROM sessions") == [(world.ada,)]
    assert run(world.database.as_session(family), "SELECT user_id FROM accounts") == []
    for other in ("", "0" * 64, "%"):
        assert run(world.database.as_session(other), "SELECT user_id FROM sessions") == []
    assert run(world.database.as_login("ada@example.com"), "SELECT user_id FROM sessions") == []


@pytest.mark.usefixtures("unchanged")
def test_session_scope_change_of_anything_but_the_refresh_is_refused(world: World) -> None:
    ((family,),) = rows(world.url, f"SELECT family FROM sessions WHERE user_id = '{world.ada}'")
    for statement in (
        f"UPDATE sessions SET user_id = '{world.bob}' RETURNING id",
        "UPDATE sessions SET family = repeat('0', 64) RETURNING id",
        "UPDATE sessions SET created_at = now() RETURNING id",
        f"INSERT INTO sessions SELECT '{world.bob}', id, family, digest, now(), now(), expires_at FROM sessions RETURNING id",
    ):
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            run(world.database.as_session(family), statement)


@pytest.mark.usefixtures("unchanged")
def test_session_scope_delete_without_filter_reaches_no_session_of_another(world: World) -> None:
    run(world.database.as_session("0" * 64), "WITH gone AS (DELETE FROM sessions) SELECT 1")


def test_purge_scope_shows_expired_sessions_alone_and_may_change_none(world: World) -> None:
    purge, begun = (
        world.database.as_purge(),
        "created_at = now() - interval '9 days', refreshed_at = now() - interval '8 days'",
    )
    assert run(purge, "SELECT user_id FROM sessions") == []
    expired = f"UPDATE sessions SET {begun}, expires_at = now() - interval '1 day' WHERE user_id = '{world.ada}'"
    before = rows(world.url, f"SELECT created_at, refreshed_at, expires_at FROM sessions WHERE user_id = '{world.ada}'")
    rows(world.url, expired)
    try:
        assert run(purge, "SELECT user_id FROM sessions") == [(world.ada,)]
        for other in (world.database.as_login("ada@example.com"), world.database.as_session("")):
            assert run(other, "SELECT user_id FROM sessions") == []
        assert run(purge, "UPDATE sessions SET digest = repeat('0', 64) RETURNING id") == []
    finally:
        created, refreshed, expires = before[0]
        told = f"created_at = '{created}', refreshed_at = '{refreshed}', expires_at = '{expires}'"
        rows(world.url, f"UPDATE sessions SET {told} WHERE user_id = '{world.ada}'")


def test_login_scope_shows_the_account_of_its_email_alone(world: World) -> None:
    scope = world.database.as_login("ada@example.com")
    assert run(scope, "SELECT user_id, email FROM accounts") == [(world.ada, "ada@example.com")]


def test_login_scope_of_unknown_email_shows_nothing(world: World) -> None:
    assert run(world.database.as_login("nobody@example.com"), "SELECT user_id FROM accounts") == []


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE accounts SET password_hash = 'x' RETURNING user_id",
        "DELETE FROM accounts RETURNING user_id",
        "UPDATE users SET name = 'x' RETURNING id",
        "DELETE FROM users RETURNING id",
    ],
)
def test_login_scope_change_of_what_exists_is_refused(world: World, statement: str) -> None:
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        run(world.database.as_login("ada@example.com"), statement)


def test_login_scope_insert_for_another_email_is_refused(world: World) -> None:
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        run(
            world.database.as_login("ada@example.com"),
            "WITH u AS (INSERT INTO users (id) VALUES ('mallory')) INSERT INTO accounts"
            " VALUES ('mallory', 'mallory@example.com', 'x') RETURNING 1",
        )
