"""What PostgreSQL does for each shape of the list, under row-level security and prepared, as the service runs it."""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from itertools import product
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy

from tests.support.cases import case
from tests.support.databases import execute
from tests.support.on_loop import on_loop
from tests.support.plans import LIMIT, MODES, USER, plan_of, planning
from tests.support.rows import rows
from todo_api.database.statement import Statement
from todo_api.database.transaction import RoleSession
from todo_api.labels import statements as label_statements
from todo_api.lists import SORTS, Clock, DueKey, Key
from todo_api.lists.clock import day_values, instant_values
from todo_api.models import STATUSES, users
from todo_api.tasks import list_statements
from todo_api.tasks import statements as task_statements

TASKS = 20_000
RARE = 10
MIDDLE = "2026-01-01T02:46:40Z"
FILTERS = {
    "all": None,
    "common": ("completed",),
    "rare": ("cancelled",),
    "absent": ("in_progress",),
    "open": ("pending", "in_progress", "cancelled"),
    "nothing": (),
}

FILL = """
    BEGIN; SET LOCAL ROLE task_api_user; SET LOCAL app.user_id = '{user}';
    INSERT INTO users (id, seq, pending, completed, cancelled) VALUES ('{user}', {tasks}, 0, {tasks} - {rare}, {rare});
    INSERT INTO tasks (user_id, id, title, description, status, completed_at, created_at, updated_at, version, priority, due_date, due_at,
        start_date, start_at)
    SELECT '{user}', gen_random_uuid(), 'Task ' || md5(i::text), NULL,
        CASE WHEN i <= {tasks} - {rare} THEN 'completed' ELSE 'cancelled' END,
        CASE WHEN i <= {tasks} - {rare} THEN now() END,
        '2026-01-01Z'::timestamptz + i * interval '1 s', '2026-01-01Z'::timestamptz + i * interval '1 s', i, i % 5,
        CASE WHEN i % 2 = 0 THEN '2026-01-01'::date + i / 100 END,
        CASE WHEN i % 2 = 0 THEN '2026-01-02Z'::timestamptz + i / 100 * interval '1 day' END,
        CASE WHEN i % 2 = 0 THEN '2026-01-01'::date + i / 100 END,
        CASE WHEN i % 2 = 0 THEN '2026-01-01Z'::timestamptz + i / 100 * interval '1 day' END
        FROM generate_series(1, {tasks}) i;
    COMMIT
"""
"""Old tasks are completed and the newest few cancelled: what a filter on status wants stands together, not evenly spread."""


PROJECT = "01932c08-4a6b-7f3e-8d1c-2b3a4c5d6e7f"

IN_A_PROJECT = f"""
    BEGIN; SET LOCAL ROLE task_api_user; SET LOCAL app.user_id = '{{user}}';
    INSERT INTO projects VALUES ('{{user}}', '{PROJECT}', 'Kitchen', NULL, NULL, 'm00000000000000', now(), now(), 1);
    UPDATE tasks SET project_id = '{PROJECT}' WHERE version % 100 = 0; COMMIT
"""
"""Every hundredth task is in a project."""

BELOW_A_TASK = f"""
    BEGIN; SET LOCAL ROLE task_api_user; SET LOCAL app.user_id = '{{user}}';
    UPDATE tasks SET id = '{PROJECT}', children = 200 WHERE version = 1;
    UPDATE tasks SET parent_id = '{PROJECT}' WHERE version % 100 = 50; COMMIT
"""
"""Every hundredth task is below another."""

WITH_LABELS = """
    INSERT INTO task_labels (user_id, task_id, label_key, name, version)
    SELECT user_id, id, label, label, version FROM tasks, unnest(ARRAY['all', 'label ' || version % 100]) label
"""
"""Every task has a label that all have, and one that a hundredth has."""


@pytest.fixture(scope="module")
def filled(new_database: Callable[[], str]) -> str:
    url = new_database()
    execute(url, FILL.format(user=USER, tasks=TASKS, rare=RARE))
    for number in range(20):
        execute(url, FILL.format(user=f"other-{number}", tasks=2500, rare=1250))
    execute(url, IN_A_PROJECT.format(user=USER))
    execute(url, BELOW_A_TASK.format(user=USER))
    rows(url, WITH_LABELS)
    execute(url, "VACUUM ANALYZE tasks")
    execute(url, "VACUUM ANALYZE users")
    execute(url, "VACUUM ANALYZE task_labels")
    return url


@pytest.fixture(scope="module", params=MODES)
def scope(filled: str, request: pytest.FixtureRequest) -> Iterator[RoleSession]:
    """The user's scope."""
    with planning(filled, request.param) as database:
        yield database.as_user(USER)


def _after(sort: str) -> dict[str, Any]:
    name = sort.lstrip("-")
    if name == "due":
        key: Key = DueKey(datetime(2026, 2, 1, tzinfo=UTC), 2)
    else:
        key = {"title": "Task 8", "position": "m8", "priority": 2}.get(name, MIDDLE)
    return SORTS[sort].values(key, UUID(int=0))


def _reads(nodes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [node for node in nodes if node.get("Relation Name") == "tasks"]


@pytest.mark.parametrize("sort", SORTS)
def test_list_tasks_page_reads_an_ordered_index_and_no_more_than_the_page(scope: RoleSession, sort: str) -> None:
    for statuses, cursor, most_octets in product(FILTERS.values(), (False, True), (None, 2**21)):
        with case(statuses, cursor, most_octets):
            assert_page_reads_an_ordered_index(scope, sort, statuses, cursor, most_octets)


def assert_page_reads_an_ordered_index(
    scope: RoleSession, sort: str, statuses: tuple[str, ...] | None, cursor: bool, most_octets: int | None
) -> None:
    statement = list_statements.page(sort, statuses, (), cursor, most_octets)
    nodes = plan_of(scope, statement, **(_after(sort) if cursor else {}))
    reads = _reads(nodes)
    assert bool(reads) == (statuses != ())
    assert {node["Node Type"] for node in reads} <= {"Index Scan", "Index Only Scan"}
    assert [node for node in reads if "Filter" in node or node.get("Rows Removed by Filter")] == []
    read = [node["Actual Rows"] * node["Actual Loops"] for node in reads]
    # By deadline each status is read to the end of the page, and what comes before the rest is counted.
    assert sum(read) <= (LIMIT * (len(STATUSES) + 1) if sort.endswith("due") else LIMIT + len(reads))
    if cursor and not sort.endswith("due"):
        assert [node for node in reads if "ROW(" not in node["Index Cond"]] == []
    sorted_rows = [node["Actual Rows"] for node in nodes if "Sort" in node["Node Type"]]
    assert [rows for rows in sorted_rows if rows > LIMIT] == []


@pytest.mark.parametrize("sort", SORTS)
@pytest.mark.parametrize("cursor", [False, True], ids=["first", "cursor"])
def test_list_tasks_search_for_words_reads_each_page_of_the_table_once_and_no_other_users_task(
    scope: RoleSession, sort: str, cursor: bool
) -> None:
    statement = list_statements.page(sort, None, ("words",), cursor)
    nodes = plan_of(scope, statement, words=["abc"], **(_after(sort) if cursor else {}))
    assert {node["Node Type"] for node in _reads(nodes)} == {"Bitmap Heap Scan"}
    conditions = [node["Index Cond"] for node in nodes if "Index Cond" in node and "tasks" in node["Index Name"]]
    assert conditions
    assert [condition for condition in conditions if "user_id = " not in condition] == []


CONDITIONS: dict[str, tuple[dict[str, Any], str]] = {
    "priorities": ({"priorities": [4]}, r"priority(\)::smallint)? = ANY"),
    "project_id": ({"project_id": PROJECT}, "project_id = .*status = "),
    "parent_id": ({"parent_id": PROJECT}, "parent_id = "),
    "labels": ({"labels": ["all", "label 7"]}, "id = "),
    "updated_since": ({"updated_since": "2026-01-01T05:30:00Z"}, "updated_at >= "),
    "due_any": ({}, "due_at IS NOT NULL|of tasks_.*due"),
    "due_on_days": (day_values(date(2026, 2, 1), date(2026, 2, 2), "Europe/Berlin"), "due_at >= .*due_at < "),
    "due_overdue": (instant_values(Clock(datetime(2026, 1, 4, tzinfo=UTC), "Europe/Berlin")), "due_at < "),
    "not_startable": (instant_values(Clock(datetime(2026, 8, 1, tzinfo=UTC), "Europe/Berlin")), "start_at > "),
}
"""Filters, each with parameters that few tasks meet, and what the index is asked."""

NEARBY = 200
"""Tasks of four days: by dates an index is asked for two days more at each end, whatever the zones."""


def _asked(node: dict[str, Any]) -> str:
    """What an index is asked; of a partial one also its name."""
    return str(node.get("Recheck Cond") or f"{node.get('Index Cond')} of {node.get('Index Name')}")


@pytest.mark.parametrize("sort", SORTS)
def test_list_tasks_filter_asks_an_index_and_reads_the_page_by_id(scope: RoleSession, sort: str) -> None:
    for name, cursor in product(CONDITIONS, (False, True)):
        with case(name, cursor):
            assert_filter_asks_an_index(scope, sort, name, cursor)


def assert_filter_asks_an_index(scope: RoleSession, sort: str, name: str, cursor: bool) -> None:
    values, asked = CONDITIONS[name]
    statement = list_statements.page(sort, ("completed",), (name,), cursor)
    nodes = plan_of(scope, statement, **values, **(_after(sort) if cursor else {}))
    reads = _reads(nodes)
    page = [node for node in reads if node.get("Index Name") == "tasks_pkey" and "ANY" not in node["Index Cond"]]
    found = [node for node in reads if node not in page]
    assert sum(node["Actual Rows"] * node["Actual Loops"] for node in page) <= LIMIT
    assert {node["Node Type"] for node in found} <= {"Index Scan", "Index Only Scan", "Bitmap Heap Scan"}
    assert [node for node in found if not re.search(asked, _asked(node))] == []
    assert sum(node.get("Rows Removed by Filter", 0) for node in found) <= NEARBY
    assert [node["Actual Rows"] for node in nodes if "Sort" in node["Node Type"] and node["Actual Rows"] > LIMIT] == []


@pytest.mark.parametrize("sort", SORTS)
def test_list_tasks_with_a_common_label_looks_the_tasks_up_in_one_pass(scope: RoleSession, sort: str) -> None:
    statement = list_statements.page(sort, None, ("labels",))
    found = [node for node in _reads(plan_of(scope, statement, labels=["all"])) if node["Actual Rows"] > LIMIT]
    assert [node["Actual Rows"] * node["Actual Loops"] for node in found] == [TASKS]
    assert {node["Node Type"] for node in found} <= {"Index Scan", "Bitmap Heap Scan"}


def test_list_labels_reads_open_tasks_alone_and_from_an_index(scope: RoleSession) -> None:
    nodes = plan_of(scope, label_statements.list_)
    reads = _reads(nodes)
    assert {node["Node Type"] for node in reads} <= {"Index Scan", "Index Only Scan"}
    assert [node["Actual Loops"] for node in reads] == [1]  # and not once for each task with a label
    assert [
        node for node in nodes if node.get("Relation Name") == "task_labels" and node["Node Type"] == "Seq Scan"
    ] == []
    assert [node for node in reads if "user_id = " not in node["Index Cond"]] == []
    assert sum(node["Actual Rows"] * node["Actual Loops"] for node in reads) == 0  # all tasks are done
    assert [node["Actual Rows"] for node in nodes if "Sort" in node["Node Type"] and node["Actual Rows"] > 101] == []
    assert nodes[0]["Actual Rows"] == 101  # the labels themselves


@pytest.mark.parametrize("sort", SORTS)
def test_list_tasks_in_no_project_reads_no_other_users_task(scope: RoleSession, sort: str) -> None:
    reads = _reads(plan_of(scope, list_statements.page(sort, None, ("in_no_project",))))
    assert {node["Node Type"] for node in reads} <= {"Index Scan", "Bitmap Heap Scan"}
    assert [node for node in reads if "user_id = " not in node.get("Index Cond", node.get("Recheck Cond", ""))] == []


EPOCH_OF_USER = Statement(sqlalchemy.select(users.c.epoch).where(users.c.id == task_statements.USER_ID))


@pytest.mark.parametrize("sort", SORTS)
@pytest.mark.parametrize("words", [False, True], ids=["plain", "words"])
@on_loop
def test_list_tasks_not_modified_reads_no_task(scope: RoleSession, sort: str, words: bool) -> None:
    statement = list_statements.page(sort, None, ("words",) if words else ())
    more = {"words": ["abc"]} if words else {}
    ((epoch,),) = scope.fetch_all(EPOCH_OF_USER, {"user_id": USER})
    of_user, of_another = {"known": [f"{epoch}-{TASKS}"]}, {"known": [f"{epoch + 1}-{TASKS}"]}
    unchanged, changed = (_reads(plan_of(scope, statement, **tags, **more)) for tags in (of_user, of_another))
    assert sum(node["Actual Loops"] for node in changed) > 0
    assert [node["Actual Loops"] for node in unchanged] == [0] * len(unchanged)


@pytest.mark.parametrize(
    ("statement", "more"),
    [
        (task_statements.get, {}),
        (
            task_statements.change(frozenset({"title", "status"}), True),
            {"title": "x", "status": "pending", "sources": ["pending"]},
        ),
        (task_statements.complete(True, False), {"sources": ["pending"]}),
        (task_statements.remove(True), {}),
    ],
    ids=["get", "change", "complete", "remove"],
)
def test_statements_on_one_task_read_one_key(scope: RoleSession, statement: Statement, more: dict[str, Any]) -> None:
    values = {"task_id": "01932c07-9f7a-7c1d-b6a1-5a2f0f5d1c3e", "versions": [1], **more}
    reads = [node for node in _reads(plan_of(scope, statement, **values)) if node["Node Type"] != "ModifyTable"]
    assert reads
    for node in reads:
        assert (node["Node Type"], node["Index Name"]) == ("Index Scan", "tasks_pkey")
        assert "user_id = " in node["Index Cond"]
        assert "id = " in node["Index Cond"].replace("user_id = ", "")
