"""What PostgreSQL does for the purges, under row-level security and prepared: they read what has expired, and not all that holds."""

import secrets
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest
from sqlalchemy.engine import make_url

from tests.support.databases import database_url, patient
from tests.support.on_loop import on_loop
from tests.support.plans import MODES, plan_of, planning
from tests.support.purges import PURGES
from tests.support.rows import rows
from todo_api.accounts import sessions
from todo_api.database import purging
from todo_api.database.database import Database
from todo_api.embedded import EmbeddedServer
from todo_api.idempotency import statements as replies

USERS = 2000
EACH = 20
EXPIRED = 30

FILL = f"""
    INSERT INTO users (id) SELECT 'user ' || i FROM generate_series(1, {USERS}) i;
    INSERT INTO sessions
        SELECT 'user ' || i, gen_random_uuid(), digest, digest, begun, begun, begun + interval '30 days'
        FROM generate_series(1, {USERS}) i, generate_series(1, {EACH}) j,
        encode(sha256((i || ' ' || j)::bytea), 'hex') digest,
        LATERAL (SELECT now() - CASE WHEN i <= {EXPIRED} AND j = 1 THEN interval '31 days' ELSE j * interval '1 day' END) _(begun);
    INSERT INTO idempotent_replies
        SELECT 'user ' || i, sha256(j::text::bytea), sha256(j::text::bytea), 'x',
        now() - CASE WHEN i <= {EXPIRED} AND j = 1 THEN interval '25 hours' ELSE j * interval '1 hour' END
        FROM generate_series(1, {USERS}) i, generate_series(1, {EACH}) j;
    INSERT INTO one_time_tokens
        SELECT 'user ' || i, gen_random_uuid(), 'reset', encode(sha256((i || ' ' || j)::bytea), 'hex'), 'x', 1, made,
        made + interval '1 hour' FROM generate_series(1, {USERS}) i, generate_series(1, {EACH}) j,
        LATERAL (SELECT now() - CASE WHEN i <= {EXPIRED} AND j = 1 THEN interval '2 hours' ELSE j * interval '1 minute' END) _(made);
    INSERT INTO outbox
        SELECT i || '@example.com', 'reset', 1, now(), now() - CASE WHEN i <= {EXPIRED} THEN interval '2 days' ELSE interval '1 minute' END
        FROM generate_series(1, {USERS * EACH}) i;
    INSERT INTO tombstones
        SELECT 'user ' || i, 'task', gen_random_uuid(), j,
        now() - CASE WHEN i <= {EXPIRED} AND j = 1 THEN interval '91 days' ELSE j * interval '1 day' END
        FROM generate_series(1, {USERS}) i, generate_series(1, {EACH}) j;
    INSERT INTO history (user_id, seq, version_before, kind, id, action, at, changes, day)
        SELECT 'user ' || i, j, 1, 'task', gen_random_uuid(), 'updated', now(), '{{}}',
        CURRENT_DATE - CASE WHEN i <= {EXPIRED} AND j = 1 THEN 31 ELSE j END
        FROM generate_series(1, {USERS}) i, generate_series(1, {EACH}) j;
    INSERT INTO trash
        SELECT 'user ' || i, 'task', id, 'task', id, j, 'x',
        now() - CASE WHEN i <= {EXPIRED} AND j = 1 THEN interval '31 days' ELSE j * interval '1 day' END, '{{}}'
        FROM generate_series(1, {USERS}) i, generate_series(1, {EACH}) j,
        LATERAL (SELECT md5(i || ' ' || j)::uuid) _(id);
    INSERT INTO anonymous_replies
        SELECT encode(sha256(i::text::bytea), 'hex'), 'x',
        now() - CASE WHEN i <= {EXPIRED} THEN interval '25 hours' ELSE interval '1 hour' END
        FROM generate_series(1, {USERS * EACH}) i;
"""

DAYS = 30
"""How many days something stays in the trash."""

READS = dict.fromkeys(PURGES, 2 * EXPIRED) | {"tombstones": 3 * EXPIRED}
"""How many rows a purge reads: what has expired is found, then deleted; of tombstones the users are changed as well."""


@pytest.fixture(scope="module")
def new_filled(server: EmbeddedServer, new_database: Callable[[], str]) -> Callable[[], str]:
    """Makes a database with rows, analysed; they are made once, and copied."""
    filled = new_database()
    rows(filled, FILL)
    for table in PURGES:
        rows(filled, f"VACUUM ANALYZE {table}")

    def make() -> str:
        name = f"test_{secrets.token_hex(4)}"
        rows(server.url, f"CREATE DATABASE {name} TEMPLATE {make_url(filled).database}")
        return patient(database_url(server.url, name))

    return make


@pytest.fixture(scope="module", params=MODES)
def database(new_filled: Callable[[], str], request: pytest.FixtureRequest) -> Iterator[Database]:
    with planning(new_filled(), request.param) as database:
        yield database


@pytest.mark.parametrize("table", PURGES)
@on_loop
def test_purge_reads_by_its_index_what_has_expired_and_no_more(database: Database, table: str) -> None:
    statement, index = PURGES[table]
    purges = {"trash": database.as_trash_purge(DAYS), "history": database.as_history_purge(DAYS)}
    purge = purges.get(table, database.as_purge())
    nodes = plan_of(purge, statement, days=DAYS)
    assert [node for node in nodes if node["Node Type"] == "Seq Scan"] == []
    reads = [node for node in nodes if "Index Name" in node]
    assert index in {node["Index Name"] for node in reads}
    assert sum(node["Actual Rows"] * node["Actual Loops"] for node in reads) == READS[table]
    assert purge.fetch_all(statement, {"days": DAYS}) == [(0,)]


@on_loop
def test_purge_of_sessions_deletes_a_thousand_at_a_time_and_one_process_is_at_it(
    new_filled: Callable[[], str],
) -> None:
    url = new_filled()
    past = "created_at = now() - interval '3 days', refreshed_at = now() - interval '2 days'"
    due = f"SELECT user_id, id FROM sessions LIMIT {purging.AT_ONCE + 500 - EXPIRED}"
    rows(url, "DELETE FROM sessions WHERE expires_at < now()")
    rows(url, f"UPDATE sessions SET {past}, expires_at = now() - interval '1 day' WHERE (user_id, id) IN ({due})")
    with closing(Database(url, pool_size=2)) as database:
        with database.transaction(claim=purging.LOCK) as transaction:
            transaction.as_user("user 1").fetch_all(replies.TRIM, {"user_id": "user 1"})
            assert sessions.purge(database) == 0
        assert [sessions.purge(database) for _ in range(3)] == [purging.AT_ONCE, 500 - EXPIRED, 0]
    assert rows(url, "SELECT count(*) FROM sessions WHERE expires_at < now()") == [(0,)]
