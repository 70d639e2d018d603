"""Databases as operators have them: each works, or is refused in one line with the way out."""

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from sqlalchemy.engine import make_url

from tests.support.client import Client
from tests.support.credentials import SECRET, token
from tests.support.databases import database_url, execute
from tests.support.live import refusal, run
from tests.support.proxy import Proxy
from tests.support.rows import rows
from todo_api.config import Config
from todo_api.embedded import EmbeddedServer
from todo_api.provisioning import migrations, readiness
from todo_api.provisioning.checks import DatabaseUnfitError, ServerFacts, refuse_server

TASKS = "/api/v1/me/tasks"
Make = Callable[..., str]


@pytest.fixture
def make(server: EmbeddedServer) -> Iterator[Make]:
    """Makes an empty database with a role of its own, with these options and rights, and gives its URL as that role."""
    made = []

    def one(options: str = "", rights: str = "CREATEROLE", *, member: bool = True) -> str:
        name = f"found_{secrets.token_hex(4)}"
        made.append(name)
        rows(server.url, f"CREATE ROLE {name} LOGIN {rights}")
        if member:
            rows(server.url, f"GRANT task_api_user, task_api_login TO {name}")
        rows(server.url, f"CREATE DATABASE {name} OWNER {name} {options}")
        return make_url(database_url(server.url, name)).set(username=name).render_as_string(hide_password=False)

    yield one
    for name in made:
        rows(server.url, f"DROP DATABASE {name} WITH (FORCE)")
    for name in made:
        for role in (f"{name}_user", f"{name}_login", name):
            rows(server.url, f"DROP ROLE IF EXISTS {role}")


def name_of(url: str) -> str:
    return str(make_url(url).database)


def app(new_client: Callable[[Config], Client], url: str, **more: str) -> Client:
    config = Config(database_url=url, jwt_secret=SECRET, rate_limit="off", queue_limit=60_000, **more)
    return new_client(config)


@pytest.mark.parametrize("command", ["migrate", "serve"])
@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1", "EUC_JP"])
def test_command_on_another_encoding_is_refused_in_one_line(
    make: Make, tmp_path: Path, command: str, encoding: str
) -> None:
    url = make(f"TEMPLATE template0 LOCALE_PROVIDER libc LOCALE 'C' ENCODING '{encoding}'")
    line = refusal(command, cwd=tmp_path, DATABASE_URL=url, JWT_SECRET=SECRET, PORT="0")
    assert line == (
        f"the encoding of the database {name_of(url)} is {encoding}, and the service needs UTF8:"
        " make another database with CREATE DATABASE ... ENCODING 'UTF8' TEMPLATE template0."
    )


def test_readiness_of_another_encoding_fails(make: Make, new_client: Callable[[Config], Client]) -> None:
    url = make("TEMPLATE template0 LOCALE_PROVIDER libc LOCALE 'C' ENCODING 'LATIN1'")
    assert app(new_client, url).get("/health/ready").status == 503


@pytest.mark.parametrize(
    ("table", "revision"),
    [
        ("version_num text; INSERT INTO alembic_version VALUES ('ae1027a6acf')", "ae1027a6acf"),
        ("version_num text; INSERT INTO alembic_version VALUES ('0003')", "0003"),
        ("version_num text; INSERT INTO alembic_version VALUES ('b2'), ('a1')", "a1, b2"),
        ("other int", "unknown"),
    ],
)
def test_migrate_beside_another_programs_revision_is_refused_truly(
    make: Make, tmp_path: Path, table: str, revision: str
) -> None:
    url = make()
    columns, _, insert = table.partition(";")
    execute(url, f"CREATE TABLE alembic_version ({columns}); {insert}")
    line = refusal("migrate", cwd=tmp_path, DATABASE_URL=url, JWT_SECRET=SECRET)
    assert line == (
        f"the table alembic_version of the database {name_of(url)} is another program's"
        f" (revision {revision}): give the service a database of its own."
    )


@pytest.mark.parametrize("revisions", [["1975ea83b712"], ["0001", "0002"], []])
def test_migrate_of_our_tables_whose_revision_is_not_ours_is_refused(
    new_database: Callable[[], str], revisions: list[str]
) -> None:
    """Alembic's own revisions are hexadecimal, and may begin with four digits."""
    url = new_database()
    values = "".join(f"INSERT INTO alembic_version VALUES ('{revision}');" for revision in revisions)
    rows(url, f"DELETE FROM alembic_version; {values}")
    with pytest.raises(DatabaseUnfitError, match="is another program's"):
        migrations.migrate(url)


def test_migrate_beside_another_programs_table_is_refused(make: Make, tmp_path: Path) -> None:
    url = make()
    execute(url, "CREATE TABLE users (id int)")
    line = refusal("migrate", cwd=tmp_path, DATABASE_URL=url, JWT_SECRET=SECRET)
    assert line == (
        f"the database {name_of(url)} has a table users of another program: give the service a database of its own."
    )


def test_migrate_beside_a_revision_that_the_role_may_not_read_is_refused(make: Make, tmp_path: Path) -> None:
    url = make()
    rows(url, "CREATE TABLE alembic_version (version_num text); INSERT INTO alembic_version VALUES ('0001')")
    line = refusal("migrate", cwd=tmp_path, DATABASE_URL=url, JWT_SECRET=SECRET)
    assert line == (
        f"the role {name_of(url)} may not read the table alembic_version of the database {name_of(url)}:"
        " use its owner, or give the service a database of its own."
    )
    assert [name for (name,) in rows(url, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'")] == [
        "alembic_version"
    ]


@pytest.mark.parametrize(
    ("default", "says"),
    [
        ("default_transaction_read_only = on", "is read-only: run ALTER DATABASE"),
        ("standard_conforming_strings = off", "standard_conforming_strings is off: run ALTER DATABASE"),
        ("session_replication_role = replica", "session_replication_role switches foreign keys off: run ALTER ROLE"),
    ],
)
def test_database_with_a_default_that_cannot_work_is_refused_and_not_ready(
    make: Make, tmp_path: Path, new_client: Callable[[Config], Client], default: str, says: str
) -> None:
    url = make()
    migrations.migrate(url)
    rows(url, f"GRANT SET ON PARAMETER session_replication_role TO {name_of(url)}")
    rows(url, f"ALTER DATABASE {name_of(url)} SET {default}")
    try:
        assert says in refusal("migrate", cwd=tmp_path, DATABASE_URL=url, JWT_SECRET=SECRET)
        assert app(new_client, url).get("/health/ready").status == 503
    finally:
        rows(url, f"REVOKE ALL ON PARAMETER session_replication_role FROM {name_of(url)}")


def test_migrate_of_a_database_that_is_missing_says_so(server: EmbeddedServer, tmp_path: Path) -> None:
    url = database_url(server.url, "nowhere")
    line = refusal("migrate", cwd=tmp_path, DATABASE_URL=url, JWT_SECRET=SECRET)
    assert line.startswith("the database nowhere does not exist: CREATE DATABASE nowhere")


@pytest.mark.parametrize(
    "fault",
    [
        "REVOKE SELECT ON tasks FROM task_api_user",
        "REVOKE INSERT ON users FROM task_api_user",
        "REVOKE ALL ON anonymous_replies FROM task_api_login",
        "REVOKE USAGE ON SCHEMA public FROM task_api_login, PUBLIC",
        "ALTER TABLE tasks DISABLE ROW LEVEL SECURITY",
        "ALTER TABLE api_keys RENAME TO keys_of_others",
        "REVOKE task_api_user FROM {role}",
    ],
)
def test_readiness_looks_as_the_roles_that_serve(
    make: Make, new_client: Callable[[Config], Client], fault: str
) -> None:
    url = make()
    migrations.migrate(url)
    client = app(new_client, url)
    assert client.get("/health/ready").status == 200
    rows(url, fault.format(role=name_of(url)))
    assert client.get("/health/ready").status == 503


@pytest.mark.parametrize(
    ("role", "needed"),
    [("task_api_user", readiness.USER_RIGHTS), ("task_api_login", readiness.LOGIN_RIGHTS)],
)
def test_readiness_asks_for_every_privilege_on_a_table_that_migrations_grant(
    url: str, role: str, needed: dict[str, str]
) -> None:
    """Else a database that lacks one is ready, and the requests that need it are 500."""
    granted = rows(
        url,
        f"""
        SELECT relname, kind FROM pg_class, unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) kind
        WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND CASE WHEN kind = 'DELETE'
            THEN has_table_privilege('{role}', oid, kind) ELSE has_any_column_privilege('{role}', oid, kind) END
        """,
    )
    assert {(table, kind) for table, kinds in needed.items() for kind in kinds.split()} == set(granted)


def test_second_deployment_in_the_cluster_has_roles_of_its_own(
    make: Make, tmp_path: Path, new_client: Callable[[Config], Client]
) -> None:
    """By the README: CREATEROLE, no superuser, a prefix, and CONNECT for the owner alone."""
    prod, staging = make(), make(member=False)
    rows(prod, f"REVOKE CONNECT ON DATABASE {name_of(prod)} FROM PUBLIC")
    migrations.migrate(prod)
    line = refusal("migrate", cwd=tmp_path, DATABASE_URL=staging, JWT_SECRET=SECRET)
    assert "set DATABASE_ROLE_PREFIX to a name of your own" in line
    prefix = name_of(staging)
    for _ in range(2):
        done = run("migrate", cwd=tmp_path, DATABASE_URL=staging, JWT_SECRET=SECRET, DATABASE_ROLE_PREFIX=prefix)
        assert done.returncode == 0, done.stderr
    client = app(new_client, staging, database_role_prefix=prefix)
    assert client.get("/health/ready").status == 200
    assert client.signed_in(token("ada")).post(TASKS, {"title": "Of staging"}).status == 201
    line = refusal("migrate", cwd=tmp_path, DATABASE_URL=staging, JWT_SECRET=SECRET)
    assert line.endswith("set DATABASE_ROLE_PREFIX to what it was then.")
    foreign = make_url(staging).set(database=name_of(prod)).render_as_string(hide_password=False)
    with pytest.raises(psycopg2.OperationalError, match="permission denied for database"):
        execute(foreign, "SELECT * FROM users")
    ((may,),) = execute(staging, "SELECT pg_has_role('task_api_user', 'MEMBER')")
    assert not may
    rows(staging, f"DROP OWNED BY {prefix}_user, {prefix}_login")


def test_service_with_several_hosts_takes_the_one_that_answers(
    server: EmbeddedServer, new_database: Callable[[], str], new_client: Callable[[Config], Client]
) -> None:
    proxy = Proxy(new_database())
    two = proxy.url.replace("@127.0.0.1:", "@127.0.0.1:1,127.0.0.1:")
    for url in (two, f"{two}?target_session_attrs=read-write", proxy.url.replace("//todo@", "//%74odo@")):
        migrations.migrate(url)
        client = app(new_client, url)
        assert client.get("/health/ready").status == 200
        assert client.signed_in(token("ada")).post(TASKS, {"title": "Two hosts"}).status == 201


@pytest.mark.parametrize(
    ("fact", "says"),
    [
        ({"release": 14}, "the server is PostgreSQL 14: upgrade it, the service needs 15 or newer."),
        ({"release": 9}, "the server is PostgreSQL 9: upgrade it, the service needs 15 or newer."),
        ({"is_standby": True, "is_read_only": True}, "the server is a standby, which only reads: name the primary"),
        ({"release": 15}, None),
        ({"release": 99}, None),
    ],
)
def test_server_that_is_too_old_or_a_standby_is_refused(fact: dict[str, Any], says: str | None) -> None:
    usual = ServerFacts("tasks", "tasks", 18, "UTF8", True, True, False, False)._replace(**fact)
    if says is None:
        refuse_server(usual)
        return
    with pytest.raises(DatabaseUnfitError) as refused:
        refuse_server(usual)
    assert str(refused.value).startswith(says)
    assert len(str(refused.value).splitlines()) == 1


def test_migrate_of_tables_in_another_schema_names_it_and_the_way(make: Make, tmp_path: Path) -> None:
    """So an earlier release left them, where `search_path` led elsewhere."""
    url = make()
    migrations.migrate(url)
    rows(url, f"ALTER SCHEMA public RENAME TO app; CREATE SCHEMA public AUTHORIZATION {name_of(url)}")
    rows(url, f"ALTER DATABASE {name_of(url)} SET search_path = app")
    line = refusal("migrate", cwd=tmp_path, DATABASE_URL=url, JWT_SECRET=SECRET)
    assert line.startswith("the tables are in the schema app, and the service uses public: run ALTER SCHEMA app")
    rows(url, "DROP SCHEMA public; ALTER SCHEMA app RENAME TO public")
    assert run("migrate", cwd=tmp_path, DATABASE_URL=url, JWT_SECRET=SECRET).returncode == 0


def test_migrate_without_the_schema_public_says_so(make: Make, tmp_path: Path) -> None:
    url = make()
    rows(url, "DROP SCHEMA public")
    line = refusal("migrate", cwd=tmp_path, DATABASE_URL=url, JWT_SECRET=SECRET)
    assert line == f"the database {name_of(url)} has no schema public: run CREATE SCHEMA public."


@pytest.mark.parametrize(
    ("options", "works"),
    [
        ("WITH INHERIT FALSE, SET TRUE", True),
        ("WITH INHERIT TRUE, SET TRUE, ADMIN TRUE", True),
        ("WITH INHERIT TRUE, SET FALSE", False),
        ("WITH INHERIT FALSE, SET FALSE", False),
    ],
)
def test_service_needs_the_right_to_take_its_roles_and_no_other(
    make: Make, tmp_path: Path, new_client: Callable[[Config], Client], options: str, works: bool
) -> None:
    """PostgreSQL 16 tells membership, inheritance and the right to take a role apart."""
    url = make(rights="NOCREATEROLE", member=False)
    rows(url, f"GRANT task_api_user, task_api_login TO {name_of(url)} {options}")
    if not works:
        line = refusal("migrate", cwd=tmp_path, DATABASE_URL=url, JWT_SECRET=SECRET)
        assert line.endswith(f"run GRANT task_api_user, task_api_login TO {name_of(url)}.")
        return
    migrations.migrate(url)
    client = app(new_client, url)
    assert client.get("/health/ready").status == 200
    assert client.signed_in(token("ada")).post(TASKS, {"title": "As a member"}).status == 201


def test_migrated_database_whose_role_may_only_grant_its_roles_is_refused(make: Make) -> None:
    """Only a first migration grants itself what is missing: afterwards nobody does."""
    url = make(rights="NOCREATEROLE", member=False)
    grant = f"GRANT task_api_user, task_api_login TO {name_of(url)}"
    rows(url, f"{grant} WITH INHERIT FALSE, SET TRUE, ADMIN TRUE")
    migrations.migrate(url)
    rows(url, f"{grant} WITH INHERIT FALSE, SET FALSE, ADMIN TRUE")
    with pytest.raises(DatabaseUnfitError, match="may not take the roles"):
        migrations.migrate(url)


def test_migrated_database_whose_role_is_gone_is_refused_though_it_could_be_made(make: Make) -> None:
    """Only a first migration makes the roles: what they may do would not come back with them."""
    url = make(member=False)
    prefix = name_of(url)
    migrations.migrate(url, role_prefix=prefix)
    rows(url, f"DROP OWNED BY {prefix}_login; DROP ROLE {prefix}_login")
    with pytest.raises(DatabaseUnfitError, match=f"the roles {prefix}_login are missing"):
        migrations.migrate(url, role_prefix=prefix)


def test_migrate_without_the_roles_and_the_right_to_make_them_says_how(make: Make, tmp_path: Path) -> None:
    url = make(rights="NOCREATEROLE", member=False)
    prefix = name_of(url)
    settings = {"DATABASE_URL": url, "JWT_SECRET": SECRET, "DATABASE_ROLE_PREFIX": prefix}
    line = refusal("migrate", cwd=tmp_path, **settings)
    both = f"{prefix}_user, {prefix}_login"
    assert line == (
        f"the roles {both} are missing, and the role {prefix} cannot make them:"
        f" run CREATE ROLE ... NOLOGIN for each, and GRANT {both} TO {prefix}."
    )
    for role in both.split(", "):
        rows(url, f"CREATE ROLE {role} NOLOGIN")
    rows(url, f"GRANT {both} TO {prefix}")
    assert run("migrate", cwd=tmp_path, **settings).returncode == 0
    rows(url, f"DROP OWNED BY {both}")


def test_service_whose_role_becomes_the_owner_by_default_works(
    make: Make, new_client: Callable[[Config], Client]
) -> None:
    """A role that logs in, and a group that owns: `ALTER ROLE ... SET role`."""
    owned, url = make(rights="CREATEROLE"), make(member=False)
    rows(url, f"GRANT {name_of(owned)} TO {name_of(url)}; ALTER ROLE {name_of(url)} SET role = {name_of(owned)}")
    url = make_url(owned).set(username=name_of(url)).render_as_string(hide_password=False)
    migrations.migrate(url)
    client = app(new_client, url)
    assert client.get("/health/ready").status == 200
    assert client.signed_in(token("ada")).post(TASKS, {"title": "By the group"}).status == 201


@pytest.mark.parametrize("prefix", ["pg_tasks", "Tasks", "1tasks", "tasks-prod", "a" * 51, 'x"; DROP ROLE todo; --'])
def test_role_prefix_that_postgresql_would_not_take_is_refused(tmp_path: Path, prefix: str) -> None:
    line = refusal("migrate", cwd=tmp_path, DATABASE_ROLE_PREFIX=prefix)
    assert line == (
        "DATABASE_ROLE_PREFIX must have 1 to 50 of a-z, 0-9 and _, and begin with a letter or _, but not with pg_."
    )


def test_migrate_where_functions_are_withheld_from_public_grants_each_to_the_role_that_calls_it(
    make: Make, new_client: Callable[[Config], Client]
) -> None:
    url = make()
    for withheld in ("EXECUTE ON FUNCTIONS", "USAGE ON TYPES"):
        rows(url, f"ALTER DEFAULT PRIVILEGES FOR ROLE {name_of(url)} REVOKE {withheld} FROM PUBLIC")
    migrations.migrate(url)
    called = "pronamespace = 'public'::regnamespace AND prorettype <> 'trigger'::regtype"
    refused = f"{called} AND NOT has_function_privilege('task_api_user', oid, 'EXECUTE')"
    assert rows(url, f"SELECT proname FROM pg_proc WHERE {refused}") == []
    ada = app(new_client, url).signed_in(token("ada"))
    address = f"{TASKS}/{ada.post(TASKS, {'title': 'As made'}).json()['id']}"
    assert ada.patch(address, {"title": "As changed"}).status == 200
    assert ada.delete(address).status == 204


def test_migrate_in_a_schema_that_others_own_and_the_roles_may_not_use_is_refused_with_the_way(
    make: Make, server: EmbeddedServer, tmp_path: Path
) -> None:
    """`REVOKE ALL ON SCHEMA public FROM PUBLIC` is what many set up, and to grant is up to the owner."""
    url = make()
    name, settings = name_of(url), {"DATABASE_URL": url, "JWT_SECRET": SECRET}
    as_owner = database_url(server.url, name)
    rows(
        as_owner, f"REVOKE ALL ON SCHEMA public FROM PUBLIC; ALTER SCHEMA public OWNER TO {make_url(as_owner).username}"
    )
    rows(as_owner, f"GRANT USAGE, CREATE ON SCHEMA public TO {name}")
    said = "the roles task_api_user, task_api_login may not use the schema public, which another role owns: run"
    line = refusal("migrate", cwd=tmp_path, **settings)
    assert line == f"{said} GRANT USAGE ON SCHEMA public TO {name} WITH GRANT OPTION."
    rows(as_owner, f"GRANT USAGE ON SCHEMA public TO {name} WITH GRANT OPTION")
    migrations.migrate(url)
    rows(as_owner, f"REVOKE GRANT OPTION FOR USAGE ON SCHEMA public FROM {name} CASCADE")
    line = refusal("migrate", cwd=tmp_path, **settings)
    assert line == f"{said} GRANT USAGE ON SCHEMA public TO task_api_user, task_api_login."
    rows(as_owner, "GRANT USAGE ON SCHEMA public TO task_api_user, task_api_login")
    migrations.migrate(url)
