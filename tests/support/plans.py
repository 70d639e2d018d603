"""Plans of PostgreSQL for statements of the service."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import sqlalchemy
from sqlalchemy.engine import make_url

from tests.support.on_loop import on_loop
from todo_api.database.database import Database
from todo_api.database.statement import Statement
from todo_api.database.transaction import RoleSession

USER = "big"
LIMIT = 51
MODES = ["force_custom_plan", "force_generic_plan"]
"""The two ways in which PostgreSQL may plan a prepared statement. It is free to change its mind."""


@contextmanager
def planning(url: str, mode: str) -> Iterator[Database]:
    """Yield the database, whose sessions plan prepared statements in this way."""
    planned = make_url(url).update_query_dict({"options": f"-c plan_cache_mode={mode}"})
    with closing(Database(planned.render_as_string(hide_password=False).replace("+", "%20"), pool_size=1)) as database:
        yield database


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
