"""Members put back: any number of tasks and projects, by a few statements, under one number."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from todo_api.database import RoleSession
from todo_api.errors import TooManySubtasks
from todo_api.models import PRIORITIES
from todo_api.task_dates import MEMBERS, NO_DATES, columns_of
from todo_api.task_labels import TaskLabels, as_json, by_key
from todo_api.task_rows import Task
from todo_api.undo import statements
from todo_api.undo.walking import BRANCH, Members, members_of


class Back(NamedTuple):
    """A task, and the members that it is to have again."""

    task: Task
    members: Members

    @property
    def is_moved(self) -> bool:
        """Return whether it hangs on something else again."""
        return not self.members.keys().isdisjoint(BRANCH)

    def row(self, zone: str) -> dict[str, Any]:
        """Return its columns, for a user in the zone. Raise ValidationFailed.

        Dates are computed only if they are put back: a later change of zone may have broken the
        order of the others.
        """
        now = members_of(self.task) | self.members
        dated = not self.members.keys().isdisjoint(MEMBERS)
        dates = columns_of({name: now[name] for name in MEMBERS}, dict.fromkeys(MEMBERS), zone) if dated else {}
        return {
            **{name: now[name] for name in statements.PLAIN},
            "id": self.task.id,
            "priority": PRIORITIES.index(now["priority"]),
            "links": orjson.dumps(now["links"]).decode() if now["links"] else None,
            "labels": as_json(by_key(now["labels"])),
            "dated": dated,
            **NO_DATES,
            **dates,
        }


class Writing:
    """Writes of a user under one number, in a transaction that has locked the user's row."""

    def __init__(self, session: RoleSession, user_id: str, zone: str, number: int) -> None:
        self.begun = False
        """Whether the number is taken."""
        self._db = session
        self._user_id = user_id
        self._zone = zone
        self._number = number
        self._has_labels = False
        self._moved: list[str] = []
        self._parents: set[str] = set()

    def begin(self) -> None:
        """Take the number, unless it is taken."""
        if not self.begun:
            self.begun = True
            self._run(statements.act("reverted"))
            self._run(statements.set_number, seq=self._number)

    def tasks(self, backs: Sequence[Back]) -> None:
        """Put members of tasks back. `place` and `check` are to follow, once for all."""
        if not backs:
            return
        self.begin()
        rows = [each.row(self._zone) for each in backs]
        dated = any(row["dated"] for row in rows)
        self._run(statements.put_back, new=_json(rows), zone=self._zone if dated else None)
        self._labels([each for each in backs if "labels" in each.members])
        for each in backs:
            if each.is_moved:
                self._moved.append(each.task.id)
                parents = (each.task.after_1_0.parent_id, each.members.get("parent_id"))
                self._parents.update(parent for parent in parents if parent is not None)

    def projects(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Set the members of projects."""
        if rows:
            self.begin()
            self._run(statements.put_projects_back, new=_json(rows))

    def place(self) -> list[str]:
        """Have what is below the tasks that moved follow them.

        Return the tasks with which one is below itself or too deep.
        """
        ids = self._moved
        if not ids:
            return []
        self._run(statements.recount, ids=[*self._parents])
        wrong = [str(id_) for (id_,) in self._run(statements.too_deep, ids=ids)]
        while ids and not wrong:
            ids = [str(id_) for (id_,) in self._run(statements.follow, ids=ids)]
        return wrong

    def check(self) -> None:
        """Raise TooManySubtasks or TooManyLabels if there are now."""
        if self._parents and self._run(statements.is_full, ids=[*self._parents]):
            raise TooManySubtasks
        if self._has_labels:
            TaskLabels(self._db, self._user_id).check_number()

    def _labels(self, backs: Sequence[Back]) -> None:
        if not backs:
            return
        self._has_labels = True
        rows = [
            {"task_id": each.task.id, "label_key": key, "name": name}
            for each in backs
            for key, name in by_key(each.members["labels"]).items()
        ]
        self._run(statements.put_labels_back, new=_json(rows), ids=[each.task.id for each in backs])

    def _run(self, statement: Any, **values: Any) -> list[Any]:
        return self._db.fetch_all(statement, {"user_id": self._user_id, **values})


def _json(rows: Sequence[Mapping[str, Any]]) -> str:
    return orjson.dumps(rows).decode()
