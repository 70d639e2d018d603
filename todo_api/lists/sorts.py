"""SQL of the orders of lists.

A page without filters merges branches, and each is a range of one index in the order of the page.
So a page reads no more than itself, whatever the planner estimates.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from sqlalchemy import ColumnElement, FromClause, Uuid, tuple_
from sqlalchemy.dialects.postgresql import DOMAIN

from todo_api.database import param
from todo_api.models import tasks


class Branch(NamedTuple):
    """A condition of rows, and the order in which an index has those that meet it."""

    conditions: list[ColumnElement[bool]]
    order: list[ColumnElement[object]]


def is_dated(rows: FromClause) -> ColumnElement[bool]:
    """Return whether a row has a deadline."""
    return rows.c.due_at.is_not(None)


def is_undated(rows: FromClause) -> ColumnElement[bool]:
    """Return whether a row has no deadline."""
    return rows.c.due_at.is_(None)


class Sort:
    """An order of tasks by a column, then by id."""

    def __init__(
        self, column: str, *, descending: bool, halves: tuple[Callable[[FromClause], ColumnElement[bool]], ...] = ()
    ) -> None:
        """Each of `halves` has an index of its own."""
        self.column = column
        self._descending = descending
        self._halves = halves

    def order(self, rows: FromClause) -> list[ColumnElement[object]]:
        """Return the order of rows."""
        columns = (rows.c[self.column], rows.c.id)
        return [column.desc() for column in columns] if self._descending else [*columns]

    def branches(self, rows: FromClause, *, after: bool) -> Iterator[Branch]:
        """Return the branches of a page, `after` a cursor or from the start."""
        conditions = [self.after(rows)] if after else []
        if not self._halves:
            yield Branch(conditions, self.order(rows))
        for half in self._halves:
            yield Branch([half(rows), *conditions], self.order(rows))

    def after(self, rows: FromClause) -> ColumnElement[bool]:
        """Return whether a row comes after the cursor."""
        key = tasks.c[self.column].type
        kind = key.data_type if isinstance(key, DOMAIN) else key
        row = tuple_(rows.c[self.column], rows.c.id)
        place = tuple_(param("after_key", kind), param("after_id", Uuid))
        return row < place if self._descending else row > place


def _sorts(column: str, **more: tuple[Callable[[FromClause], ColumnElement[bool]], ...]) -> dict[str, Sort]:
    return {f"{sign}{column}": Sort(column, descending=bool(sign), **more) for sign in ("", "-")}


SORTS = {
    **_sorts("created_at"),
    **_sorts("updated_at"),
    **_sorts("title"),
    "position": Sort("position", descending=False),
    **_sorts("priority", halves=(is_dated, is_undated)),
}
"""By the names of the contract."""
