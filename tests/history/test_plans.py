"""What PostgreSQL does for a page of the history: it reads a range of an index, and no more than the page."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.plans import LIMIT, MODES, USER, plan_of, planning
from tests.support.rows import rows
from todo_api.database.transaction import RoleSession
from todo_api.history import statements

TASK = "01932c07-9f7a-7c1d-b6a1-5a2f0f5d1c3e"
ENTRIES = 6000

FILL = f"""
    INSERT INTO users (id, seq) VALUES ('{{user}}', {ENTRIES});
    INSERT INTO history (user_id, seq, version_before, kind, id, action, at, changes)
        SELECT '{{user}}', i, 1, 'task', CASE WHEN i % 10 = 0 THEN '{TASK}' ELSE gen_random_uuid() END, 'updated',
        timestamptz '2026-01-01 00:00Z' + i * interval '1 minute', '{{{{}}}}' FROM generate_series(1, {ENTRIES}) i;
"""
PLACES = {
    "newest": {"before_at": "infinity", "since": "-infinity"},
    "middle": {"before_at": "2026-01-03 00:00Z", "since": "-infinity"},
    "between": {"before_at": "2026-01-03 00:00Z", "since": "2026-01-02 23:59Z"},
    "none": {"before_at": "2025-01-01 00:00Z", "since": "-infinity"},
}


@pytest.fixture(scope="module")
def filled(new_database: Callable[[], str]) -> str:
    url = new_database()
    for user in (USER, "another", "third"):
        rows(url, FILL.format(user=user))
    for table in ("history", "tasks", "users"):
        rows(url, f"VACUUM ANALYZE {table}")
    return url


@pytest.fixture(scope="module", params=MODES)
def scope(filled: str, request: pytest.FixtureRequest) -> Iterator[RoleSession]:
    with planning(filled, request.param) as database:
        yield database.as_user(USER)


def reads(nodes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the nodes that read the history."""
    found = [node for node in nodes if node.get("Relation Name") == "history"]
    assert {node["Node Type"] for node in found} <= {"Index Scan", "Index Only Scan"}
    return found


def read_by(nodes: list[dict[str, Any]], index: str) -> int:
    """Return how many entries were read by the index, all of which are of the page."""
    found = [node for node in reads(nodes) if node["Index Name"] == index and node["Actual Loops"]]
    assert not any(node.get("Rows Removed by Filter") for node in found)
    return int(sum(node["Actual Rows"] * node["Actual Loops"] for node in found))


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_list_history_reads_a_range_of_the_index_and_no_more_than_the_page(
    scope: RoleSession, place: dict[str, str]
) -> None:
    nil = "00000000-0000-0000-0000-000000000000"
    more = {"before_seq": -1, "before_kind": "", "before_id": nil, "actors": None, "action": None}
    nodes = plan_of(scope, statements.of_all, **place, **more)
    expected = 0 if place is PLACES["none"] else 1 if place is PLACES["between"] else LIMIT
    assert read_by(nodes, "history_by_time") == expected
    assert not any(node["Node Type"] == "Sort" and node["Actual Rows"] > LIMIT for node in nodes)


@pytest.mark.parametrize("before", [2**62, ENTRIES - 500])
def test_list_task_history_reads_a_range_of_the_index_and_no_more_than_the_page(
    scope: RoleSession, before: int
) -> None:
    nodes = plan_of(scope, statements.of_task, task_id=TASK, before_seq=before)
    # Whether there is one at all is looked up as well.
    assert LIMIT <= read_by(nodes, "history_by_object") <= LIMIT + 1


def test_history_that_is_known_is_not_read(scope: RoleSession, filled: str) -> None:
    ((epoch, seq),) = rows(filled, f"SELECT epoch, seq FROM users WHERE id = '{USER}'")
    nodes = plan_of(scope, statements.of_task, task_id=TASK, before_seq=2**62, known=[f"{epoch}-{seq}"])
    assert read_by(nodes, "history_by_object") <= 1
