"""Each step of the schema: down leaves what was there before it, and no step waits for others without end."""

import re
import secrets
from collections.abc import Callable, Iterator
from contextlib import closing

import psycopg2
import pytest
from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine

from tests.support.catalogue import schema
from tests.support.databases import empty_database
from tests.support.rows import rows
from todo_api.database.connection import engine_url
from todo_api.embedded import EmbeddedServer
from todo_api.errors import Unavailable
from todo_api.provisioning import migrations

LIMITS = "current_setting('lock_timeout') || ' ' || current_setting('statement_timeout')"
WATCH = f"""
    CREATE TABLE watched (step text, command text, limits text);
    CREATE FUNCTION watch() RETURNS event_trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO public.watched SELECT (SELECT max(version_num) FROM public.alembic_version), tg_tag, {LIMITS};
    END $$;
    CREATE FUNCTION watch_end() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO public.watched SELECT NEW.version_num, 'END', {LIMITS};
        RETURN NEW;
    END $$;
"""
WATCHES = """
    CREATE EVENT TRIGGER watch_{name} ON ddl_command_start EXECUTE FUNCTION watch();
    CREATE TRIGGER watch_end AFTER INSERT OR UPDATE ON alembic_version FOR EACH ROW EXECUTE FUNCTION watch_end();
"""


@pytest.fixture(scope="module", autouse=True)
def scripts() -> Iterator[None]:
    """Have Alembic read the migrations once, and not for each of some hundred steps."""
    found = ScriptDirectory.from_config(migrations._alembic())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ScriptDirectory, "from_config", lambda _: found)
        yield


@pytest.fixture
def empty(server: EmbeddedServer) -> str:
    """An empty database's URL."""
    return empty_database(server)


@pytest.fixture
def to(empty: str) -> Callable[[Callable[..., None], str], None]:
    """Runs alembic's own upgrade or downgrade of the database, to a revision."""

    def run(change: Callable[..., None], revision: str) -> None:
        config = migrations._alembic()
        engine = create_engine(engine_url(empty))
        with engine.connect() as connection:
            config.attributes["connection"] = connection
            change(config, revision)
        engine.dispose()

    return run


def test_downgrade_of_each_revision_leaves_the_schema_of_the_one_below(
    empty: str, to: Callable[[Callable[..., None], str], None]
) -> None:
    revisions = migrations.known()
    before = {}
    for revision in revisions:
        migrations.migrate(empty, revision=revision)
        before[revision] = schema(empty)
    for below, above in zip(revisions[-2::-1], revisions[:0:-1], strict=True):
        to(command.downgrade, below)
        after = schema(empty)
        assert (above, set(after) ^ set(before[below]), len(after)) == (above, set(), len(before[below]))


def test_downgrade_of_the_first_revision_leaves_nothing_but_alembics_own_table(
    empty: str, to: Callable[[Callable[..., None], str], None]
) -> None:
    before = schema(empty)
    migrations.migrate(empty)
    to(command.downgrade, "base")
    left = set(schema(empty)) - set(before)
    assert [(kind, name) for kind, name, _ in left if not name.startswith("alembic_version")] == []


def test_every_statement_of_every_revision_runs_under_limits(
    empty: str, to: Callable[[Callable[..., None], str], None]
) -> None:
    """PostgreSQL tells at each command, and at the end of each step, which limits it runs under: up and down."""
    migrations.migrate(empty, revision="0001")
    rows(empty, WATCH)
    rows(empty, WATCHES.format(name=secrets.token_hex(4)))
    rows(empty, "GRANT ALL ON watched TO PUBLIC")
    rows(empty, "DELETE FROM watched")
    for revision in migrations.known()[1:]:
        migrations.migrate(empty, revision=revision)
    to(command.downgrade, "0001")
    seen = rows(empty, "SELECT step, command, limits FROM watched")
    assert {limits for _, _, limits in seen} == {"100ms 10min"}
    ended = [step for step, what, _ in seen if what == "END"]
    assert ended == migrations.known()[1:] + migrations.known()[-2::-1]
    assert {step for step, what, _ in seen if what != "END"} == set(migrations.known())


def test_migrate_to_each_revision_while_another_holds_the_tables_gives_up_with_a_line(
    empty: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lock is held until the migration has given up: whoever waits for it without a limit does not come back."""
    monkeypatch.setattr(migrations, "LOCK_TRIES", 2)
    monkeypatch.setattr(migrations, "LOCK_PAUSE", 0.01)
    first, *later = migrations.known()
    migrations.migrate(empty, revision=first)
    for revision in later:
        before = schema(empty)
        told: list[str] = []
        with closing(psycopg2.connect(empty)) as holder, holder.cursor() as cursor:
            cursor.execute(f"LOCK TABLE {', '.join(tables(empty))} IN ACCESS EXCLUSIVE MODE")
            cursor.execute("LOCK TABLE alembic_version IN SHARE MODE")
            with pytest.raises(Unavailable, match=re.escape("canceling statement due to lock timeout")):
                migrations.migrate(empty, told.append, revision=revision)
        assert told == ["the migration waits for another session, which has a table locked"]
        assert schema(empty) == before
        migrations.migrate(empty, revision=revision)


def tables(url: str) -> list[str]:
    """Those of the schema, without Alembic's."""
    query = "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')"
    return [name for (name,) in rows(url, query) if name != "alembic_version"]
