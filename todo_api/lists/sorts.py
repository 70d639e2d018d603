"""SQL of the orders of lists.

A page without filters merges branches, and each is a range of one index in the order of the page.
So a page reads no more than itself, whatever the planner estimates.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    DateTime,
    FromClause,
    SmallInteger,
    Uuid,
    and_,
    literal_column,
    or_,
    tuple_,
)
from sqlalchemy.dialects.postgresql import DOMAIN

from todo_api.database import param
from todo_api.lists.cursors import DueKey, Key
from todo_api.models import PRIORITIES, tasks

Half = Callable[[FromClause], ColumnElement[bool]]

_AFTER_ID = param("after_id", Uuid)
_BEFORE_ALL, _AFTER_ALL = UUID(int=0), UUID(int=2**128 - 1)


class Branch(NamedTuple):
    """A condition of rows, and the order in which an index has those that meet it.

    The rest comes after all others, and is read if they do not fill the page.
    """

    conditions: list[ColumnElement[bool]]
    order: list[ColumnElement[object]]
    is_rest: bool = False


def is_dated(rows: FromClause) -> ColumnElement[bool]:
    """Return whether a row has a deadline."""
    return rows.c.due_at.is_not(None)


def is_undated(rows: FromClause) -> ColumnElement[bool]:
    """Return whether a row has no deadline."""
    return rows.c.due_at.is_(None)


class Sort:
    """An order of tasks by a column, then by id."""

    def __init__(self, column: str, *, descending: bool, halves: tuple[Half, ...] = ()) -> None:
        """Each of `halves` has an index of its own."""
        self.columns: tuple[str, ...] = (column,)
        self.is_by_creation = column == "created_at"
        self._descending = descending
        self._halves = halves

    def order(self, rows: FromClause) -> list[ColumnElement[object]]:
        """Return the order of rows."""
        return _directed(rows, *((name, self._descending) for name in (*self.columns, "id")))

    def branches(self, rows: FromClause, *, after: bool) -> Iterator[Branch]:
        """Return the branches of a page, `after` a cursor or from the start."""
        conditions = [self.after(rows)] if after else []
        if not self._halves:
            yield Branch(conditions, self.order(rows))
        for half in self._halves:
            yield Branch([half(rows), *conditions], self.order(rows))

    def first(self, rows: FromClause, *, after: bool) -> list[ColumnElement[bool]]:
        """Return conditions of rows that come before the rest, none if there is no rest."""
        return []

    def after(self, rows: FromClause) -> ColumnElement[bool]:
        """Return whether a row comes after the cursor."""
        (column,) = self.columns
        key = tasks.c[column].type
        kind = key.data_type if isinstance(key, DOMAIN) else key
        row = tuple_(rows.c[column], rows.c.id)
        place = tuple_(param("after_key", kind), _AFTER_ID)
        return row < place if self._descending else row > place

    def values(self, key: Key, task_id: UUID) -> dict[str, Any]:
        """Return the parameters of the condition after a cursor."""
        return {"after_key": key, "after_id": task_id}


class DueSort(Sort):
    """An order by deadline, then priority, the urgent first, then id. What has none is last."""

    def __init__(self, *, descending: bool) -> None:
        super().__init__("due_at", descending=descending)
        self.columns = ("due_at", "priority")

    def order(self, rows: FromClause) -> list[ColumnElement[object]]:
        """Return the order of rows."""
        at, rest = rows.c.due_at, _directed(rows, ("priority", True), ("id", self._descending))
        return [(at.desc() if self._descending else at.asc()).nulls_last(), *rest]

    def branches(self, rows: FromClause, *, after: bool) -> Iterator[Branch]:
        """Return the branches of a page, `after` a cursor or from the start."""
        order = _directed(rows, ("due_at", self._descending), ("priority", True), ("id", self._descending))
        for conditions in [[place] for place in self._places(rows)] if after else [[]]:
            yield Branch([is_dated(rows), *conditions], order)
        yield from self._undated(rows, after=after)

    def first(self, rows: FromClause, *, after: bool) -> list[ColumnElement[bool]]:
        """Return conditions of rows that come before the rest: not all of them, but no others."""
        place = param("after_key", DateTime(timezone=True))
        later = rows.c.due_at < place if self._descending else rows.c.due_at > place
        return [is_dated(rows), *([later] if after else [])]

    def after(self, rows: FromClause) -> ColumnElement[bool]:
        """Return whether a row comes after the cursor."""
        dated = and_(is_dated(rows), or_(*self._places(rows)))
        return or_(dated, *(and_(*branch.conditions) for branch in self._undated(rows, after=True)))

    def _places(self, rows: FromClause) -> list[ColumnElement[bool]]:
        """Return the ranges of the index that together come after the cursor."""
        at, rank = param("after_key", DateTime(timezone=True)), param("after_rank", SmallInteger)
        due, priority = rows.c.due_at, rows.c.priority
        if self._descending:
            return [tuple_(due, priority, rows.c.id) < tuple_(at, rank, _AFTER_ID)]
        return [
            and_(due == at, priority == rank, rows.c.id > _AFTER_ID),
            and_(due == at, priority < rank),
            due > at,
        ]

    def _undated(self, rows: FromClause, *, after: bool) -> Iterator[Branch]:
        """Return the branches of tasks without a deadline: the index has each priority by id."""
        if self._descending:
            place = tuple_(param("rest_rank", SmallInteger), param("rest_id", Uuid))
            conditions = [tuple_(rows.c.priority, rows.c.id) < place] if after else []
            yield Branch(
                [is_undated(rows), *conditions], _directed(rows, ("priority", True), ("id", True)), is_rest=True
            )
            return
        for rank in reversed(range(len(PRIORITIES))):
            is_rank = rows.c.priority == literal_column(str(rank))
            conditions = [rows.c.id > param(f"rest_id_{rank}", Uuid)] if after else []
            yield Branch([is_undated(rows), is_rank, *conditions], [rows.c.id], is_rest=True)

    def values(self, key: Key, task_id: UUID) -> dict[str, Any]:
        """Return the parameters of the conditions after a cursor.

        The half that the cursor is not in is taken in or left out whole.
        """
        if not isinstance(key, DueKey):
            raise TypeError(key)
        if key.due_at is not None:
            after = {"after_key": key.due_at, "after_rank": key.rank, "after_id": task_id}
            return after | self._rest(len(PRIORITIES), _BEFORE_ALL)
        none = "-infinity" if self._descending else "infinity"
        return {"after_key": none, "after_rank": 0, "after_id": _BEFORE_ALL} | self._rest(key.rank, task_id)

    def _rest(self, rank: int, task_id: UUID) -> dict[str, Any]:
        """Return the parameters of the conditions on tasks without a deadline, after that one."""
        if self._descending:
            return {"rest_rank": rank, "rest_id": task_id}
        ids = {each: _BEFORE_ALL if each < rank else _AFTER_ALL for each in range(len(PRIORITIES))}
        return {f"rest_id_{each}": task_id if each == rank else ids[each] for each in ids}


def _directed(rows: FromClause, *columns: tuple[str, bool]) -> list[ColumnElement[object]]:
    return [rows.c[name].desc() if descending else rows.c[name] for name, descending in columns]


def _sorts(column: str, **more: tuple[Half, ...]) -> dict[str, Sort]:
    return {f"{sign}{column}": Sort(column, descending=bool(sign), **more) for sign in ("", "-")}


SORTS = {
    **_sorts("created_at"),
    **_sorts("updated_at"),
    **_sorts("title"),
    "position": Sort("position", descending=False),
    **_sorts("priority", halves=(is_dated, is_undated)),
    **{f"{sign}due": DueSort(descending=bool(sign)) for sign in ("", "-")},
}
"""By the names of the contract."""
