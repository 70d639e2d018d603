"""A database that the service cannot work with is not ready, and what says so names the reason; and who may be migrated at all."""

from collections.abc import Callable, Iterator
from contextlib import closing

import psycopg2
import pytest
from sqlalchemy.engine import make_url

from tests.support.databases import database_url, execute
from tests.support.on_loop import on_loop
from tests.support.rows import rows, superuser_url
from todo_api.config import Roles
from todo_api.database import Database
from todo_api.embedded import EmbeddedServer
from todo_api.errors import Unavailable
from todo_api.models import LOGIN_ROLE
from todo_api.provisioning import checks, epochs, migrations, readiness

HEAD = migrations.head()
FAULTS = {
    "wall-of-the-owner": (
        "ALTER TABLE tasks NO FORCE ROW LEVEL SECURITY",
        "ALTER TABLE tasks FORCE ROW LEVEL SECURITY",
        "row-level security of tasks is off",
    ),
    "role-past-the-wall": (
        "ALTER ROLE task_api_user BYPASSRLS",
        "ALTER ROLE task_api_user NOBYPASSRLS",
        "task_api_user bypasses row-level security",
    ),
    "revision-of-another-program": (
        "UPDATE alembic_version SET version_num = 'ae1027a6acf'",
        f"UPDATE alembic_version SET version_num = '{HEAD}'",
        f"the schema is at revision ae1027a6acf, and this release needs {HEAD}: todo-api migrate",
    ),
    "no-revision": (
        "DELETE FROM alembic_version",
        f"INSERT INTO alembic_version VALUES ('{HEAD}')",
        f"the schema is at revision none, and this release needs {HEAD}: todo-api migrate",
    ),
    "revision-that-nobody-may-read": (
        "ALTER TABLE alembic_version OWNER TO postgres",
        "ALTER TABLE alembic_version OWNER TO todo",
        "the revision of the schema cannot be read: permission denied for table alembic_version",
    ),
    "no-table-of-the-revision": (
        "ALTER TABLE alembic_version RENAME TO other",
        "ALTER TABLE other RENAME TO alembic_version",
        'the revision of the schema cannot be read: relation "public.alembic_version" does not exist',
    ),
}


@pytest.mark.parametrize(("fault", "mend", "says"), FAULTS.values(), ids=FAULTS)
@on_loop
def test_schema_that_the_service_cannot_work_with_is_not_ready_and_says_why(
    url: str, database: Database, fault: str, mend: str, says: str
) -> None:
    readiness.check_schema(database, HEAD)
    rows(url, fault)
    try:
        with pytest.raises(Unavailable) as refused:
            readiness.check_schema(database, HEAD)
    finally:
        rows(url, mend)
    assert str(refused.value) == says


@on_loop
def test_schema_whose_roles_are_missing_is_not_ready_and_says_which(url: str) -> None:
    database = Database(url, pool_size=1, role_prefix="nobody")
    with pytest.raises(Unavailable, match='the role nobody_user cannot be taken: role "nobody_user" does not exist'):
        readiness.check_schema(database, HEAD)
    database.close()


@pytest.fixture
def empty(server: EmbeddedServer) -> Iterator[str]:
    """The URL of an empty database, as its superuser."""
    execute(server.url, "CREATE DATABASE found_empty")
    yield superuser_url(database_url(server.url, "found_empty"))
    rows(server.url, "DROP DATABASE found_empty WITH (FORCE)")


def revision(url: str, prefix: str = "task_api") -> str | None:
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        return checks.current_revision(cursor, Roles.named(prefix))


def test_database_in_which_a_first_migration_was_broken_off_is_taken_for_an_empty_one(empty: str) -> None:
    """Alembic's table comes before the first step."""
    execute(empty, "CREATE TABLE alembic_version (version_num varchar(32))")
    assert revision(empty) is None


def test_database_beside_another_programs_schema_with_tasks_is_taken_for_an_empty_one(empty: str) -> None:
    execute(empty, "CREATE SCHEMA app; CREATE TABLE app.alembic_version (); CREATE TABLE app.tasks ()")
    assert revision(empty) is None


def test_superuser_makes_roles_whether_it_has_the_right_or_not(empty: str) -> None:
    execute(empty, "CREATE ROLE found_super LOGIN SUPERUSER NOCREATEROLE")
    try:
        as_super = make_url(empty).set(username="found_super").render_as_string(hide_password=False)
        assert revision(as_super, "of_nobody_yet") is None
    finally:
        execute(empty, "DROP ROLE found_super")


def test_migrated_database_whose_roles_are_gone_is_refused_even_to_who_can_make_roles(url: str) -> None:
    """Their privileges went with them, which only the migrations grant."""
    rows(url, f"ALTER ROLE {LOGIN_ROLE} RENAME TO away")
    try:
        with pytest.raises(checks.DatabaseUnfitError, match=f"the roles {LOGIN_ROLE} are missing"):
            revision(superuser_url(url))
    finally:
        rows(url, f"ALTER ROLE away RENAME TO {LOGIN_ROLE}")
    assert revision(superuser_url(url)) == HEAD


def test_migrate_of_a_database_that_is_away_does_not_try_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A locked table becomes free by waiting; a server that is away is the caller's to wait for."""
    told: list[str] = []
    monkeypatch.setattr(migrations, "LOCK_PAUSE", 0)
    with pytest.raises(Unavailable, match="Connection refused"):
        migrations.migrate("postgresql://todo@127.0.0.1:1/todo", told.append)
    assert told == []


def test_new_epochs_raise_numbers_beyond_any_and_leave_nothing_that_was_given_before(
    new_database: Callable[[], str],
) -> None:
    """A user writes less than 2^32 times between a backup and its restore; mail that was sent is not sent again."""
    url = new_database()
    rows(
        url,
        """
        INSERT INTO users (id, seq) VALUES ('ada', 7);
        INSERT INTO one_time_tokens (user_id, id, purpose, digest, email, passwords, created_at, expires_at)
            VALUES ('ada', gen_random_uuid(), 'reset', repeat('0', 64), 'ada@example.com', 1, now(), now() + interval '1h');
        INSERT INTO outbox (email, purpose, created_at, next_attempt_at) VALUES ('ada@example.com', 'reset', now(), now());
        INSERT INTO anonymous_replies (request, reply) VALUES (repeat('0', 64), '');
        CREATE TABLE limits (setting text, value text);
        CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            INSERT INTO public.limits SELECT name, setting FROM pg_settings WHERE name = 'statement_timeout';
            RETURN NEW;
        END $$;
        CREATE TRIGGER note BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION note();
        GRANT ALL ON limits TO PUBLIC
        """,
    )
    ((before,),) = rows(url, "SELECT epoch FROM users")
    epochs.renew(url)
    assert rows(url, f"SELECT seq, epoch <> {before} FROM users") == [(7 + 2**32, True)]
    for table in ("one_time_tokens", "outbox", "anonymous_replies"):
        assert rows(url, f"SELECT count(*) FROM {table}") == [(0,)]
    # However many users there are, it takes the time that it takes.
    assert rows(url, "SELECT * FROM limits") == [("statement_timeout", "0")]


def test_new_epochs_that_fail_change_nothing(new_database: Callable[[], str]) -> None:
    url = new_database()
    rows(url, "INSERT INTO users (id, seq) VALUES ('ada', 7); ALTER TABLE outbox RENAME TO away")
    with pytest.raises(psycopg2.errors.UndefinedTable):
        epochs.renew(url)
    walled = "SELECT relforcerowsecurity FROM pg_class WHERE relname = 'users'"
    assert (rows(url, "SELECT seq FROM users"), rows(url, walled)) == ([(7,)], [(True,)])
