"""The schema: up, down and up again, once, by any owner, and never backwards."""

import os
import re
import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from subprocess import PIPE
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Column, create_engine
from sqlalchemy.dialects.postgresql import DOMAIN
from sqlalchemy.engine import make_url

from tests.support.catalogue import schema
from tests.support.client import Client
from tests.support.credentials import SECRET, token
from tests.support.databases import empty_database, execute
from tests.support.rows import superuser_url
from todo_api.config import Config
from todo_api.database.connection import engine_url
from todo_api.embedded import EmbeddedServer
from todo_api.models import LOGIN_ROLE, USER_ROLE, metadata
from todo_api.provisioning import migrations
from todo_api.provisioning.checks import DatabaseUnfitError
from todo_api.provisioning.migrations import SchemaTooNewError
from todo_api.provisioning.online import ONE_AT_A_TIME

ROOT = Path(__file__).parents[2]

SCHEMA = """
    SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, pg_get_expr(d.adbin, d.adrelid)
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
    WHERE c.relnamespace = 'public'::regnamespace
    UNION ALL
    SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid), convalidated, NULL
    FROM pg_constraint WHERE connamespace = 'public'::regnamespace
    UNION ALL
    SELECT tablename, policyname, array_to_string(roles, ','), true, concat(cmd, qual, with_check) FROM pg_policies
    UNION ALL
    SELECT relname, 'rights', array_to_string(relacl, ' '), relforcerowsecurity, NULL
    FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
    ORDER BY 1, 2
"""


@pytest.fixture
def empty(server: EmbeddedServer) -> str:
    """An empty database's URL."""
    return empty_database(server)


@pytest.fixture
def migrated(new_database: Callable[[], str]) -> str:
    """A migrated database's URL."""
    return new_database()


def as_superuser(url: str, statement: str) -> None:
    execute(superuser_url(url), statement)


def downgrade(url: str, revision: str) -> None:
    config = migrations._alembic()
    engine = create_engine(engine_url(url))
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, revision)
    engine.dispose()


def test_migrations_have_one_head_and_numbers_in_order() -> None:
    scripts = ScriptDirectory.from_config(migrations._alembic())
    assert len(scripts.get_heads()) == 1
    revisions = [script.revision for script in scripts.walk_revisions()]
    assert revisions == [f"{number:04}" for number in range(len(revisions), 0, -1)]


def test_migrate_from_empty_reaches_the_head(empty: str) -> None:
    migrations.migrate(empty)
    assert execute(empty, "SELECT version_num FROM alembic_version") == [(migrations.head(),)]


def test_migrate_down_one_and_up_again_gives_the_same_schema(migrated: str) -> None:
    before = schema(migrated)
    downgrade(migrated, "-1")
    assert schema(migrated) != before
    migrations.migrate(migrated)
    assert schema(migrated) == before


def test_migrate_down_to_nothing_leaves_no_table(migrated: str) -> None:
    downgrade(migrated, "base")
    left = "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'"
    assert execute(migrated, left) == [("alembic_version",)]


def test_migrate_with_rows_there_rewrites_no_table_and_no_index(empty: str) -> None:
    """Since the first release: `pg_relation_filenode` is where the rows lie."""
    files = "SELECT relname, relfilenode FROM pg_class WHERE relname ~ '^(users|tasks)' AND relkind IN ('r', 'i') ORDER BY 1"
    migrations.migrate(empty, revision="0008")
    as_superuser(empty, "INSERT INTO users (id, name) VALUES ('ada', 'Ada')")
    columns = "user_id, id, title, status, created_at, updated_at, version"
    values = "'ada', gen_random_uuid(), 'Buy milk', 'pending', now(), now(), 1"
    as_superuser(empty, f"INSERT INTO tasks ({columns}) VALUES ({values})")
    before = execute(empty, files)
    migrations.migrate(empty)
    assert {*before} <= {*execute(empty, files)}  # an index may come, with what is there in it


def test_migrate_again_changes_nothing(migrated: str) -> None:
    before = execute(migrated, SCHEMA)
    migrations.migrate(migrated)
    assert execute(migrated, SCHEMA) == before


def test_migrations_and_models_say_the_same(url: str) -> None:
    engine = create_engine(engine_url(url))
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
        assert compare_metadata(context, metadata) == []
    engine.dispose()


def test_migrations_and_models_have_the_same_constraints_and_domains(url: str) -> None:
    """Checks and domains are what `alembic check` does not compare. The domains are all that a column has."""
    engine = create_engine(engine_url(url))
    domains = sorted({column.type.name for column in columns() if isinstance(column.type, DOMAIN)})
    made = """
        SELECT coalesce(nullif(conrelid, 0)::regclass::text, contypid::regtype::text), conname,
            replace(pg_get_constraintdef(oid), ' NOT VALID', '')
        FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND conrelid::regclass::text <> 'alembic_version'
        UNION ALL
        SELECT typname, format_type(typbasetype, typtypmod), concat_ws(' ', typnotnull, typdefault,
            (SELECT collname FROM pg_collation WHERE pg_collation.oid = typcollation))
        FROM pg_type WHERE typnamespace = 'public'::regnamespace AND typtype = 'd'
        ORDER BY 1, 2
    """
    with engine.connect() as connection, connection.begin() as transaction:
        migrated = connection.exec_driver_sql(made).fetchall()
        connection.exec_driver_sql(f"DROP TABLE {', '.join(metadata.tables)}")
        connection.exec_driver_sql(f"DROP DOMAIN {', '.join(domains)}")
        assert connection.exec_driver_sql(made).fetchall() == []  # there is nothing that the models do not name
        metadata.create_all(connection)
        assert connection.exec_driver_sql(made).fetchall() == migrated
        transaction.rollback()
    engine.dispose()


def columns() -> Iterator[Column[Any]]:
    """Those of all tables."""
    return chain.from_iterable(table.columns for table in metadata.tables.values())


def test_migrations_check_no_form_by_a_count_of_characters(url: str) -> None:
    """PostgreSQL builds the automaton of `{13,249}` for each value, in which a check costs 11 µs and not 0.3."""
    engine = create_engine(engine_url(url))
    with engine.connect() as connection:
        checks = connection.exec_driver_sql(
            r"SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE contype = 'c' AND connamespace = 'public'::regnamespace"
        ).fetchall()
    engine.dispose()
    assert len(checks) > 10
    assert [check for (check,) in checks if re.search(r"\{\d+,\d*\}", check)] == []


def test_alembic_check_from_the_checkout_finds_nothing(url: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "alembic", "-c", "setup.cfg", "check"],
        cwd=ROOT,
        env={**os.environ, "DATABASE_URL": url},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout.strip()) == (0, "No new upgrade operations detected."), done.stderr


def test_migrate_by_two_processes_at_once_does_it_once(empty: str) -> None:
    program = "import sys; from todo_api.provisioning import migrations as m; m.migrate(sys.argv[1], print)"
    engine = create_engine(engine_url(empty), isolation_level="AUTOCOMMIT")
    with engine.connect() as holder:
        holder.exec_driver_sql(f"SELECT pg_advisory_lock({ONE_AT_A_TIME})")
        processes = [
            subprocess.Popen([sys.executable, "-u", "-c", program, empty], cwd=ROOT, stdout=PIPE, stderr=PIPE)
            for _ in range(2)
        ]
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline().startswith(b"another process migrates the database")
    engine.dispose()
    assert [process.communicate(timeout=60)[1] for process in processes] == [b"", b""]
    assert [process.returncode for process in processes] == [0, 0]
    assert execute(empty, "SELECT version_num FROM alembic_version") == [(migrations.head(),)]


def test_migrate_of_a_newer_schema_is_refused(migrated: str) -> None:
    before = execute(migrated, SCHEMA)
    execute(migrated, "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(migrations.SchemaTooNewError, match="9999"):
        migrations.migrate(migrated)
    assert execute(migrated, SCHEMA) == before


@pytest.fixture
def other_owner(empty: str) -> Iterator[Callable[[str], str]]:
    """Gives the empty database to a new role with these rights, and its URL as that role."""
    made = []

    def make(rights: str, memberships: str = "") -> str:
        role = f"owner_{secrets.token_hex(4)}"
        made.append(role)
        as_superuser(empty, f"CREATE ROLE {role} LOGIN NOSUPERUSER {rights}")
        as_superuser(empty, f"ALTER DATABASE {make_url(empty).database} OWNER TO {role}")
        if memberships:
            as_superuser(empty, f"GRANT {memberships} TO {role}")
        return make_url(empty).set(username=role).render_as_string(hide_password=False)

    yield make
    for role in made:
        as_superuser(empty, f"DROP OWNED BY {role} CASCADE")
        as_superuser(empty, f"ALTER DATABASE {make_url(empty).database} OWNER TO todo")
        as_superuser(empty, f"DROP ROLE {role}")


def test_migrate_by_an_owner_who_is_a_member_of_the_roles_needs_no_other_right(
    other_owner: Callable[..., str], new_client: Callable[[Config], Client]
) -> None:
    url = other_owner("NOCREATEROLE NOCREATEDB", f"{USER_ROLE}, {LOGIN_ROLE}")
    migrations.migrate(url)
    ada = new_client(Config(database_url=url, jwt_secret=SECRET, threads=1)).signed_in(token("ada"))
    assert ada.post("/api/v1/me/tasks", {"title": "By another owner"}).status == 201


def test_migrate_by_an_owner_who_may_not_take_the_roles_changes_nothing(other_owner: Callable[..., str]) -> None:
    url = other_owner("CREATEROLE NOCREATEDB")
    with pytest.raises(DatabaseUnfitError, match=f"may not take the roles {USER_ROLE}, .* set DATABASE_ROLE_PREFIX"):
        migrations.migrate(url)
    assert execute(url, SCHEMA) == []


def test_migrate_by_an_owner_who_may_create_roles_makes_them(other_owner: Callable[..., str]) -> None:
    """In a cluster where nobody has made the roles: here, under other names for as long as the test runs."""
    url = other_owner("CREATEROLE NOCREATEDB")
    roles = (USER_ROLE, LOGIN_ROLE)
    for role in roles:
        as_superuser(url, f"ALTER ROLE {role} RENAME TO {role}_away")
    try:
        migrations.migrate(url)
        found = "SELECT rolname, pg_has_role(current_user, oid, 'SET') FROM pg_roles WHERE rolname IN ('%s', '%s')"
        assert sorted(execute(url, found % roles)) == [(role, True) for role in sorted(roles)]
    finally:
        for role in roles:
            as_superuser(url, f"DROP OWNED BY {role}")
            as_superuser(url, f"DROP ROLE IF EXISTS {role}")
            as_superuser(url, f"ALTER ROLE {role}_away RENAME TO {role}")


def test_get_account_before_and_after_a_column_changes_its_type_is_answered(
    new_database: Callable[[], str], new_client: Callable[[Config], Client]
) -> None:
    """What was prepared before the migration of the next release is prepared anew."""
    own = new_database()
    user = new_client(Config(database_url=own, jwt_secret=SECRET)).signed_in(token("ada"))
    before = user.get("/api/v1/me/account").json()
    assert user.get("/api/v1/me/account").json() == before
    as_superuser(own, "ALTER TABLE users ALTER COLUMN name TYPE varchar(200)")
    assert [user.get("/api/v1/me/account").json() for _ in range(2)] == [before, before]


def test_head_and_known_without_alembic_are_those_of_alembic() -> None:
    scripts = ScriptDirectory.from_config(migrations._alembic())
    assert migrations.head() == scripts.get_current_head()
    assert migrations.known() == [script.revision for script in scripts.walk_revisions()][::-1]


def test_migrate_with_texts_there_folds_them_in_batches(empty: str) -> None:
    """More than one batch has; what is ASCII alone stays as it was."""
    migrations.migrate(empty, revision="0012")
    as_superuser(empty, "INSERT INTO users (id) VALUES ('ada'), ('bob')")
    as_superuser(
        empty,
        "INSERT INTO tasks (user_id, id, title, description, status, created_at, updated_at, version)"
        " SELECT owner, gen_random_uuid(), CASE WHEN n % 3 = 0 THEN 'Milk' ELSE 'ÖL ' || n END,"
        " CASE WHEN n % 2 = 0 THEN 'ÄPFEL' END, 'pending', now(), now(), 1"
        " FROM unnest(ARRAY['ada', 'bob']) owner, generate_series(1, 900) n",
    )
    migrations.migrate(empty)
    wrong = (
        "SELECT count(*) FROM tasks WHERE title_folded IS DISTINCT FROM"
        " CASE WHEN title <> 'Milk' THEN replace(title, 'ÖL', 'öl') END"
        " OR description_folded IS DISTINCT FROM CASE WHEN description IS NOT NULL THEN 'äpfel' END"
    )
    superuser = superuser_url(empty)
    assert execute(superuser, wrong) == [(0,)]
    assert execute(superuser, "SELECT count(*) FROM tasks WHERE title_folded IS NULL") == [(600,)]


def test_migrate_with_texts_left_unfolded_folds_them(empty: str) -> None:
    """Somebody else had them locked; what is ASCII alone, or folded already, stays as it was."""
    migrations.migrate(empty, revision="0045")
    task = "INSERT INTO tasks (user_id, id, title, description, status, created_at, updated_at, version)"
    values = "'ada', gen_random_uuid(), '{}', '{}', 'pending', now(), now(), 1"
    texts = [("ÖL", "Milk"), ("Milk", "ÄPFEL"), ("Milk", "Tea")]
    as_superuser(empty, "INSERT INTO users (id) VALUES ('ada'); ALTER TABLE tasks DISABLE TRIGGER tasks_fold")
    for title, description in texts:
        as_superuser(empty, f"{task} VALUES ({values.format(title, description)})")
    as_superuser(empty, f"{task[:-1]}, title_folded) VALUES ({values.format('ÜBER', 'Tea')}, 'as it was')")
    as_superuser(empty, "ALTER TABLE tasks ENABLE TRIGGER tasks_fold")
    migrations.migrate(empty)
    found = execute(superuser_url(empty), "SELECT title, description, title_folded, description_folded FROM tasks")
    folded = [("öl", None), (None, "äpfel"), (None, None)]
    expected = [(*text, *fold) for text, fold in zip(texts, folded, strict=True)]
    assert sorted(found, key=repr) == sorted([*expected, ("ÜBER", "Tea", "as it was", None)], key=repr)
    policies = "SELECT count(*) FROM pg_policies WHERE policyname = 'tasks_to_fold'"
    assert execute(superuser_url(empty), policies) == [(0,)]


def test_migrate_with_tasks_there_places_them_by_creation_in_batches(empty: str) -> None:
    migrations.migrate(empty, revision="0021")
    as_superuser(empty, "INSERT INTO users (id) VALUES ('ada'), ('bob')")
    task = "INSERT INTO tasks (user_id, id, title, status, created_at, updated_at, version)"
    new = f"{task} SELECT 'ada', gen_random_uuid(), 'Milk', 'pending', now(), now(), 1"
    as_superuser(
        empty,
        f"{task} SELECT owner, gen_random_uuid(), 'Milk', 'pending',"
        " '2026-11-20T10:00:00Z'::timestamptz - n * n * interval '1.000001 s', now(), 1"
        " FROM unnest(ARRAY['ada', 'bob']) owner, generate_series(0, 599) n",
    )
    migrations.migrate(empty, revision="0022")
    as_superuser(empty, new)  # by the previous release
    migrations.migrate(empty)
    as_superuser(empty, new)  # by the previous release, which still runs
    superuser = superuser_url(empty)
    rank = "SELECT rank() OVER (PARTITION BY user_id ORDER BY {}) FROM tasks ORDER BY user_id, id"
    assert execute(superuser, rank.format("position")) == execute(superuser, rank.format("created_at"))
    first = "SELECT DISTINCT position FROM tasks WHERE created_at = '2026-11-20T10:00:00Z'"
    assert execute(superuser, first) == [("m660b24ea2c800",)]


@pytest.mark.parametrize(
    ("revision", "says"),
    [
        ("1975ea83b712", "the backup is of another program, at its revision 1975ea83b712: take one of todo-api."),
        ("9999", "the backup is at revision 9999, which this release does not know: install a newer release."),
    ],
)
def test_revision_that_is_not_known_is_refused_with_what_to_do(revision: str, says: str) -> None:
    with pytest.raises((DatabaseUnfitError, SchemaTooNewError)) as refused:
        migrations.refuse_unknown(revision, "the backup")
    assert str(refused.value) == says


def test_revision_that_is_known_is_not_refused() -> None:
    for revision in migrations.known():
        migrations.refuse_unknown(revision, "the backup")
