"""What PostgreSQL does for a page of the feed: it reads a range of an index for each kind, and no more than the page."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.plans import LIMIT, MODES, USER, plan_of, planning
from tests.support.rows import rows
from todo_api.changes import statements
from todo_api.changes.tokens import HIGHEST, NIL, RANKS
from todo_api.database.transaction import RoleSession

OBJECTS = 6000
MIDDLE = 3000

FILL = f"""
    INSERT INTO users (id, seq, pending) VALUES ('{{user}}', {OBJECTS}, {OBJECTS});
    INSERT INTO projects SELECT '{{user}}', gen_random_uuid(), 'x', NULL, NULL, 'm', now(), now(), i FROM generate_series(1, 400) i;
    INSERT INTO tasks (user_id, id, title, status, created_at, updated_at, version)
        SELECT '{{user}}', gen_random_uuid(), 'x', 'pending', now(), now(), CASE WHEN i > {MIDDLE} THEN {OBJECTS} ELSE i END
        FROM generate_series(1, {OBJECTS}) i;
    INSERT INTO tombstones
        SELECT '{{user}}', kind, gen_random_uuid(), CASE WHEN i > {MIDDLE} THEN {OBJECTS} ELSE i END, now()
        FROM generate_series(1, {OBJECTS}) i, unnest(ARRAY['task', 'project']) kind;
"""
"""Half of the tasks and of the tombstones have one number."""

PLACES = {
    "beginning": (0, HIGHEST),
    "middle": (MIDDLE - 1000, HIGHEST),
    "inside a number": (OBJECTS, "80000000-0000-0000-0000-000000000000"),
    "end": (OBJECTS, HIGHEST),
}


@pytest.fixture(scope="module")
def filled(new_database: Callable[[], str]) -> str:
    url = new_database()
    for user in (USER, "another", "third"):
        rows(url, FILL.format(user=user))
    for table in ("tasks", "projects", "tombstones", "users"):
        rows(url, f"VACUUM ANALYZE {table}")
    return url


@pytest.fixture(scope="module", params=MODES)
def scope(filled: str, request: pytest.FixtureRequest) -> Iterator[RoleSession]:
    """The user's scope."""
    with planning(filled, request.param) as database:
        yield database.as_user(USER)


def _plan(scope: RoleSession, place: tuple[int, str], **more: Any) -> list[dict[str, Any]]:
    """Return the nodes that read a table of the feed."""
    bounds = {
        f"{name}_{rank}": value for rank in RANKS.values() for name, value in zip(("version", "id"), place, strict=True)
    }
    nodes = plan_of(scope, statements.page, **bounds, **more)
    return [node for node in nodes if node.get("Relation Name") in ("tasks", "projects", "tombstones")]


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_list_changes_reads_a_range_of_each_index_and_no_more_than_the_page(
    scope: RoleSession, place: tuple[int, str]
) -> None:
    reads = _plan(scope, place)
    assert {node["Node Type"] for node in reads} <= {"Index Scan", "Index Only Scan"}
    ranges = [node for node in reads if "_by_version" in node["Index Name"]]
    assert len(ranges) == len(RANKS)
    assert [node for node in ranges if "ROW(" not in node["Index Cond"]] == []
    assert [node for node in reads if node.get("Rows Removed by Filter")] == []
    # Of what is deleted it is looked whether it is there again.
    assert sum(node["Actual Rows"] * node["Actual Loops"] for node in reads) <= LIMIT * len(RANKS)


def test_list_changes_that_are_known_reads_nothing(scope: RoleSession, filled: str) -> None:
    ((epoch, seq),) = rows(filled, f"SELECT epoch, seq FROM users WHERE id = '{USER}'")
    reads = _plan(scope, (0, NIL), known=[f"{epoch}-{seq}"])
    assert sum(node["Actual Rows"] * node["Actual Loops"] for node in reads) == 0
