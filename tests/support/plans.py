"""Plans of PostgreSQL for statements of the service."""

from collections.abc import Iterator
from typing import Any

import sqlalchemy

from tests.support.on_loop import on_loop
from todo_api.database.statement import Statement
from todo_api.database.transaction import RoleSession

USER = "big"
LIMIT = 51


@on_loop
def plan_of(scope: RoleSession, statement: Statement, **parameters: Any) -> list[dict[str, Any]]:
    """The nodes of the plan, with what each did."""
    explained = Statement(sqlalchemy.select(sqlalchemy.literal_column("1")))
    explained.name, explained.prepare = statement.name, statement.prepare
    explained.execute = statement.execute.replace("EXECUTE", "EXPLAIN (ANALYZE, FORMAT JSON) EXECUTE", 1)
    values = {"user_id": USER, "limit": LIMIT, "skip": 0, "known": [], **parameters}
    return list(_nodes(scope.fetch_all(explained, values)[0][0][0]["Plan"]))


def _nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for child in node.get("Plans", []):
        yield from _nodes(child)
