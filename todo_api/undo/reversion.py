"""A write taken back: what it changed is put back, what it created is trashed, under one number."""

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from todo_api.database import LONG, Statement, Transaction
from todo_api.errors import ChangesConflict, NotFound, ParentGone, ParentInTrash, TooDeep, Unavailable, ValidationFailed
from todo_api.guards import Caller
from todo_api.past import Change, Past, is_kept
from todo_api.projects import ProjectService
from todo_api.task_tree import TaskTree
from todo_api.tasks import TaskService
from todo_api.trash import TrashService
from todo_api.undo import statements
from todo_api.undo.walking import BRANCH, Members, members_of, members_of_project, taken_back
from todo_api.undo.writing import Back, Writing

SECONDS = 2 * LONG
"""Maximum seconds until the last step begins: it takes at most twice as long as the write.

All other writes of the user wait meanwhile.
"""

_TABLES = (("task", "tasks"), ("project", "projects"))

Named = tuple[str, str]
"""The kind of an object, and its id."""


class Outcome(NamedTuple):
    """The number of the reversion, or of the user's last write, and how many objects it changed."""

    seq: int
    objects: int


class Reversion:
    """A reversion of the write `seq`, in a transaction that has locked the user's row."""

    def __init__(self, transaction: Transaction, user_id: str, caller: Caller, seq: int, last: int, days: int) -> None:
        """`last` is the user's last number, `days` how long something stays in the trash."""
        self._db = transaction.as_user(user_id, caller.actor)
        self._user_id = user_id
        self._seq = seq
        self._last = last
        self._tasks = TaskService(transaction, user_id, caller)
        self._projects = ProjectService(transaction, user_id, caller)
        self._trash = TrashService(transaction, user_id, caller, days)
        self._ends = time.monotonic() + SECONDS
        self._clashes: dict[Named, set[str]] = {}
        self._rows = 0
        """Number of tasks and projects in the history of the write."""

    def run(self, zone: str, *, force: bool) -> Outcome:
        """Take the write back, for a user in the zone.

        Raise NotFound, ChangesConflict unless `force` is to take back the rest, TooManyLabels,
        TooManySubtasks, or Unavailable after so many seconds. What was written is rolled back.
        """
        past = Past(self._db, self._user_id)
        ((self._rows,),) = self._run(statements.count, seq=self._seq)
        made = self._made()
        if not (made or self._rows or self._run(statements.follows, seq=self._seq)):
            raise NotFound("There is no such write in your space, or its history is not kept.")
        restored = self._restore()
        self._look_for_lost()
        ends = self._unchanged(made, past)
        writing = Writing(self._db, self._user_id, zone, self._last + 1)
        for changes in past.of_write(self._seq):
            self._check_time()
            writing.projects(self._project_rows([each for each in changes if each.kind == "project"]))
            writing.tasks(self._task_backs([each for each in changes if each.kind == "task"], zone))
        wrong = writing.place()
        for id_ in wrong:
            self._clash(("task", id_), ["parent_id"])
        ends = set() if wrong else self._without_hanging(ends)
        if wrong or (self._clashes and not force):
            raise ChangesConflict(self._conflicts())
        if not (restored or writing.begun or ends):
            return Outcome(self._last, 0)
        self._delete(ends)
        writing.check()
        ((count,),) = self._run(statements.count, seq=self._last + 1)
        return Outcome(self._last + 1, int(count))

    def _check_time(self) -> None:
        if time.monotonic() > self._ends:
            raise Unavailable(f"The reversion took more than {SECONDS} seconds; nothing was changed.")

    def _made(self) -> dict[Named, int]:
        """Return the versions of what the write created or brought back, as far as it is there."""
        return {
            (kind, str(id_)): version
            for kind, table in _TABLES
            for id_, version in self._run(statements.made[table], seq=self._seq)
        }

    def _restore(self) -> bool:
        """Bring back what was deleted by itself, projects first. Return whether there was any.

        What is below something else comes back once that is there. The rest clashes.
        """
        found = [(kind, str(id_)) for kind, id_ in self._run(statements.trashed, seq=self._seq)]
        waiting = found
        while waiting:
            left = [each for each in waiting if not self._is_restored(each)]
            if len(left) == len(waiting):
                break
            waiting = left
        for named in waiting:
            self._clash(named, ["parent_id"])
        return len(waiting) < len(found)

    def _is_restored(self, named: Named) -> bool:
        self._check_time()
        self._before_number()
        try:
            self._trash.restore(named[1], named[0])
        except (NotFound, ParentGone, ParentInTrash, TooDeep):
            return False
        return True

    def _look_for_lost(self) -> None:
        """Note what is deleted as clashes without members, unless the write had created it."""
        for kind, table in _TABLES:
            for (id_,) in self._run(statements.lost[table], seq=self._seq):
                self._clashes.setdefault((kind, str(id_)), set())

    def _task_backs(self, changes: Sequence[Change], zone: str) -> list[Back]:
        """Return the tasks whose members are to be put back, without those that clash."""
        there = self._tasks.several([each.id for each in changes])
        backs = []
        for change in changes:
            task = there.get(change.id)
            if task is not None:
                back, clashes = taken_back(change, members_of(task))
                self._clash(("task", task.id), clashes)
                backs.append(Back(task, back))
        missing = {name: self._missing(name, backs) for name in BRANCH}
        return [each for each in (self._possible(back, missing, zone) for back in backs) if each.members]

    def _missing(self, name: str, backs: Sequence[Back]) -> set[str]:
        """Return which parents or projects of before are gone."""
        wanted = {each.members[name] for each in backs if each.members.get(name) is not None}
        if not wanted:
            return set()
        table = "projects" if name == "project_id" else "tasks"
        return wanted - {str(id_) for (id_,) in self._run(statements.present[table], ids=[*wanted])}

    def _possible(self, back: Back, missing: dict[str, set[str]], zone: str) -> Back:
        """Return the members without those that cannot be what they were."""
        members = back.members
        lost = [name for name in BRANCH if members.get(name) in missing[name]]
        if lost:
            self._clash(("task", back.task.id), lost)
            members = {name: value for name, value in members.items() if name not in (*BRANCH, "position")}
        try:
            Back(back.task, members).row(zone)
        except ValidationFailed:
            self._clash(("task", back.task.id), ["start"])
            members = {name: value for name, value in members.items() if name != "start"}
        return Back(back.task, members)

    def _project_rows(self, changes: Sequence[Change]) -> list[Members]:
        """Return the members of projects to set, without those that clash."""
        there = self._projects.several([each.id for each in changes])
        rows = []
        for change in changes:
            project = there.get(change.id)
            if project is not None:
                now = members_of_project(project)
                back, clashes = taken_back(change, now)
                self._clash(("project", project.id), clashes)
                if back:
                    rows.append({"id": project.id, **now, **back})
        return rows

    def _unchanged(self, made: Mapping[Named, int], past: Past) -> set[Named]:
        """Return what nobody has changed since; the rest clashes."""
        changes: dict[Named, list[Change]] = {named: [] for named in made}
        for change in past.of_objects([id_ for _, id_ in made], self._seq):
            if (change.kind, change.id) in made:
                changes[change.kind, change.id].append(change)
        left = set()
        for named, since in changes.items():
            members = {name for each in since for name in each.members if name != "position"}
            if members or not is_kept(self._seq, since, made[named]):
                self._clashes.setdefault(named, set()).update(members)
            else:
                left.add(named)
        return left

    def _without_hanging(self, ends: set[Named]) -> set[Named]:
        """Return what can be trashed without taking along anything that stays, which clashes."""
        ids, project_ids = _ids(ends, "task"), _ids(ends, "project")
        rows = self._run(statements.hanging, ids=ids, project_ids=project_ids) if ends else []
        for id_, parent, _ in rows:
            named = ("task", str(id_))
            if named not in self._clashes:
                self._clash(named, ["parent_id" if parent else "project_id"])
        left = set(ends)
        while rows:
            kept = {_hangs_on(parent, project) for _, parent, project in rows} & left
            left -= kept
            rows = self._run(statements.places, ids=_ids(kept, "task")) if kept else []
        return left

    def _delete(self, ends: set[Named]) -> None:
        """Trash tasks, and projects with what is in them, all under the number taken."""
        if not ends:
            return
        self._run(statements.act(""))  # the history tells of what is trashed, not by what
        found = self._run(statements.outside, ids=_ids(ends, "task"), project_ids=_ids(ends, "project"))
        if found:
            self._before_number()
            TaskTree(self._db, self._user_id).remove_all([str(id_) for (id_,) in found])
        for kind, id_ in sorted(ends):
            if kind == "project":
                self._check_time()
                self._before_number()
                self._projects.delete(id_, None)

    def _before_number(self) -> None:
        """Have the next statement that takes the user's next number take that of the reversion."""
        self._run(statements.set_number, seq=self._last)

    def _clash(self, named: Named, members: Iterable[str]) -> None:
        found = {*members}
        if found:
            self._clashes.setdefault(named, set()).update(found)

    def _conflicts(self) -> list[dict[str, Any]]:
        return [_conflict(named, sorted(members)) for named, members in sorted(self._clashes.items())]

    def _run(self, statement: Statement, **values: Any) -> list[Any]:
        return self._db.fetch_all(statement.for_rows(self._rows), {"user_id": self._user_id, **values})


def _conflict(named: Named, members: Sequence[str]) -> dict[str, Any]:
    kind, id_ = named
    return {"kind": kind, "id": id_, "fields": [f"/{name}" for name in members]}


def _hangs_on(parent: object, project: object) -> Named:
    """Return the parent of a task, or without one its project; that may be none."""
    return ("task", str(parent)) if parent else ("project", str(project))


def _ids(named: Iterable[Named], wanted: str) -> list[str]:
    return [id_ for kind, id_ in named if kind == wanted]
